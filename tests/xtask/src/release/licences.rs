//! The licences of what is shipped and isn't ours.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::sbom::Materials;

/// Files in which crates have their licences.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT"];

/// What is linked in beside crates.
const BESIDE: &str = "\
The binary also holds the Rust standard library (MIT OR Apache-2.0) and musl libc:

Copyright © 2005-2020 Rich Felker, et al.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation \
files (the \"Software\"), to deal in the Software without restriction, including without limitation the rights to use, copy, \
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software \
is furnished to do so, subject to the following conditions: The above copyright notice and this permission notice shall be \
included in all copies or substantial portions of the Software. THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY \
KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND \
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, \
WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR \
OTHER DEALINGS IN THE SOFTWARE.
";

/// One text: who is under which licence, and each licence's words once.
pub(super) fn of(materials: &Materials) -> Result<String, String> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut text = format!("What Sidenote is made of, and its licences.\n\n{BESIDE}\n");
    let mut line = |line: String| writeln!(text, "{line}").map_err(|error| error.to_string());
    for it in materials.crates().into_iter().filter(|it| !it.is_ours()) {
        let name = format!("{} {}", it.name, it.version);
        line(format!("{name}: {}", it.licence))?;
        let files = std::fs::read_dir(&it.folder).map_err(|error| format!("{name}: {error}"))?;
        let mut files: Vec<_> = files.flatten().map(|file| file.path()).collect();
        files.sort();
        for file in files {
            let called = file.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
            if NAMES.iter().any(|name| called.starts_with(name)) && file.is_file() {
                let words = std::fs::read_to_string(&file).unwrap_or_default();
                texts.entry(words.trim().to_owned()).or_default().push(name.clone());
            }
        }
    }
    for (words, of) in texts {
        line(format!("\n{}\n{}\n\n{words}", "-".repeat(80), of.join(", ")))?;
    }
    Ok(text)
}
