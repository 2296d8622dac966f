//! What every component of `plugins/` must be: small, described, and without a way to files or sockets.

use std::path::Path;

use sidenote::plugin::inspect;

use crate::guests::built;

const MAX_BYTES: u64 = 400 << 10;

/// The interfaces of WASI that a plugin may import, whatever their version: time, the standard streams,
/// and what Rust's start-up asks for. Files, sockets, random numbers and WASI's own HTTP aren't among them.
const ALLOWED: [&str; 15] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
];

/// The components of `plugins/`, by the names of their files.
fn components() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let folders = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let plugins = folders.filter(|folder| folder.join("Cargo.toml").is_file());
    let mut files: Vec<_> = plugins
        .map(|folder| folder.file_name().unwrap().to_str().unwrap().replace('-', "_"))
        .map(|name| format!("sidenote_{name}.wasm"))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_first_party_component_is_small_and_imports_no_files_and_no_sockets() {
    let files = components();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let found = inspect(&built(&file)).await.unwrap();
        println!("{file}: {} bytes, exports {:?}", found.size, found.exports.known);
        assert!(found.size < MAX_BYTES, "{file} has {} bytes", found.size);
        assert_eq!(found.refused, None, "{file}");
        for import in &found.imports.wasi {
            let (name, _) = import.split_once('@').unwrap();
            assert!(ALLOWED.contains(&name), "{file} imports {import}");
        }
        assert_eq!(found.imports.other, Vec::<String>::new(), "{file}");
        assert_eq!(found.exports.unknown, Vec::<String>::new(), "{file}");
    }
}

#[tokio::test]
async fn a_first_party_component_says_what_it_asks_for() {
    for file in components() {
        let found = inspect(&built(&file)).await.unwrap();
        let manifest = found.manifest.unwrap_or_else(|| panic!("{file} has no manifest"));
        let name = file.strip_prefix("sidenote_").unwrap().strip_suffix(".wasm").unwrap();
        assert_eq!(manifest.name.replace('-', "_"), name);
        assert!(!manifest.description.is_empty(), "{file}");
        let schema = manifest.config.unwrap_or_else(|| panic!("{file} describes no settings"));
        assert_eq!(schema["additionalProperties"], false, "{file} lets misspelt settings through");
        // Whoever reads webhooks verifies them, and the operator is told where that can't be.
        let reads = found.exports.known.contains(&"webhook");
        let verifies = manifest.secrets.values().any(|secret| secret.verifies);
        assert_eq!(verifies, reads, "{file}: mark the secret of webhooks with \"verifies\": true");
    }
}

#[tokio::test]
async fn the_list_of_imports_can_fail() {
    let found = inspect(&built("guest_wasi.wasm")).await.unwrap();
    let name = |import: &str| import.split_once('@').unwrap().0.to_owned();
    let others: Vec<_> = found.imports.wasi.iter().map(|import| name(import)).collect();
    let others: Vec<_> = others.iter().filter(|name| !ALLOWED.contains(&name.as_str())).collect();
    assert!(others.iter().any(|name| name.starts_with("wasi:http/")), "{others:?}");
}
