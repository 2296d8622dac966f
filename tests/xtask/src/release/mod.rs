//! `cargo xtask release`: a static binary with all that belongs to it, as an archive with its sum and its bill of materials.
//! The bytes are those of the commit: not of the folder, the time, or the machine.
//!
//! | file | what |
//! |---|---|
//! | `build` | the binary and the plugins, without paths of this machine in them |
//! | `archive` | an archive whose bytes depend on the files alone |
//! | `sbom` | what it is made of |
//! | `licences` | under which licences that is |

mod archive;
mod build;
mod licences;
mod sbom;

use std::path::{Path, PathBuf};
use std::process::Command;

use sbom::Materials;

use crate::{root, say};

/// The package of the binary.
pub(crate) const BINARY: &str = "sidenote-cli";

/// The target where none is named.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// What of the sources is put beside the binary as it is: from, to.
const AS_IT_IS: [(&str, &str); 11] = [
    ("README.md", "README.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("LICENSE", "LICENSE"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("examples/sidenote.toml", "examples/sidenote.toml"),
    ("examples/other-servers.toml", "examples/other-servers.toml"),
    ("examples/monitoring", "examples/monitoring"),
    ("examples/deploy", "examples/deploy"),
    // Messages name parts of its page of errors.
    ("docs/src", "docs/src"),
    ("docs/images", "docs/images"),
];

/// The shells that completions are made for.
const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

/// What a release is of.
struct Release {
    version: String,
    commit: String,
    /// The commit's, in seconds since the Unix epoch.
    time: u64,
    target: String,
    out: PathBuf,
}

/// The packages that are shipped: the binary's, and one for each plugin.
pub(crate) fn shipped() -> Result<Vec<String>, String> {
    let plugins = crate::guest_packages()?.into_iter().filter(|name| name.starts_with("sidenote-"));
    Ok(std::iter::once(BINARY.to_owned()).chain(plugins).collect())
}

/// Makes a release of the commit that is checked out.
pub(crate) fn release(args: &[String]) -> Result<(), String> {
    let release = Release::of(args)?;
    let Release { version, commit, target, out, .. } = &release;
    say(&format!("release: {version}, commit {commit}, for {target}"));
    let plugins = build::plugins(&shipped()?[1..])?;
    let binary = build::binary(target, commit, release.time)?;
    let name = format!("sidenote-{version}-{target}");
    let folder = out.join(&name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    release.fill(&folder, &binary, &plugins)?;
    let to = out.join(format!("{name}.tar.gz"));
    archive::pack(&folder, &to, release.time)?;
    let bill = out.join(format!("{name}.cdx.json"));
    copy(&folder.join("sbom.cdx.json"), &bill)?;
    let sums = sums(out, &[to.clone(), bill])?;
    write(&out.join("SHA256SUMS"), &sums)?;
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    say(&format!(
        "{}: {} bytes; the binary {} bytes",
        to.display(),
        size(&to),
        size(&folder.join("sidenote"))
    ));
    say(sums.trim_end());
    Ok(())
}

impl Release {
    fn of(args: &[String]) -> Result<Self, String> {
        let mut release = Self {
            version: version()?,
            commit: git(&["rev-parse", "HEAD"])?,
            time: match std::env::var("SOURCE_DATE_EPOCH") {
                Ok(time) => number(&time)?,
                Err(_) => number(&git(&["log", "-1", "--format=%ct"])?)?,
            },
            target: TARGET.to_owned(),
            out: root().join("target/release-of"),
        };
        if !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty() {
            release.commit += " with changes";
        }
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let value = args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--target" => release.target.clone_from(value?),
                "--out" => release.out = PathBuf::from(value?),
                _ => return Err(format!("{arg}: there are --target TARGET and --out DIR")),
            }
        }
        std::fs::create_dir_all(&release.out)
            .map_err(|error| format!("{}: {error}", release.out.display()))?;
        Ok(release)
    }

    /// Puts everything into the folder that is packed.
    fn fill(&self, folder: &Path, binary: &Path, plugins: &Path) -> Result<(), String> {
        copy(binary, &folder.join("sidenote"))?;
        for package in &shipped()?[1..] {
            let name = package.trim_start_matches("sidenote-");
            let component = folder.join("plugins").join(format!("{name}.wasm"));
            copy(&plugins.join(format!("{}.wasm", package.replace('-', "_"))), &component)?;
            let manifest = root().join("plugins").join(name).join("manifest.json");
            copy(&manifest, &component.with_extension("manifest.json"))?;
            let page = root().join("plugins").join(name).join("README.md");
            copy(&page, &component.with_extension("md"))?;
        }
        for (from, to) in AS_IT_IS {
            copy(&root().join(from), &folder.join(to))?;
        }
        let sidenote = folder.join("sidenote");
        let generate = |what: &[&str], into: &str| {
            let into = folder.join(into);
            std::fs::create_dir_all(&into)
                .map_err(|error| format!("{}: {error}", into.display()))?;
            let mut command = build::runs(&self.target, &sidenote)?;
            output(command.arg("generate").args(what).arg("--out").arg(into)).map(drop)
        };
        generate(&["man"], "man")?;
        for shell in SHELLS {
            generate(&["completions", shell], "completions")?;
        }
        let materials = Materials::of(&root(), &shipped()?, &[&self.target, crate::TARGET])?;
        write(&folder.join("THIRD-PARTY-LICENCES.txt"), &licences::of(&materials)?)?;
        let time = output(Command::new("date").args([
            "-u",
            "-d",
            &format!("@{}", self.time),
            "+%Y-%m-%dT%H:%M:%SZ",
        ]))?;
        let bill = materials.document(&self.version, &self.commit, time.trim());
        write(&folder.join("sbom.cdx.json"), &format!("{bill:#}\n"))?;
        let files = archive::files(folder).map_err(|error| error.to_string())?;
        let sums = sums(folder, &files)?;
        write(&folder.join("SHA256SUMS"), &sums)
    }
}

/// The version of the workspace.
fn version() -> Result<String, String> {
    let manifest = root().join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest)
        .map_err(|error| format!("{}: {error}", manifest.display()))?;
    let version =
        text.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.map(str::to_owned).ok_or_else(|| "Cargo.toml has no version".to_owned())
}

fn number(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("{text} is no time in seconds since the Unix epoch"))
}

fn git(args: &[&str]) -> Result<String, String> {
    output(Command::new("git").args(args).current_dir(root())).map(|text| text.trim().to_owned())
}

/// What a command prints.
fn output(command: &mut Command) -> Result<String, String> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{shown}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{shown}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{shown}: {error}"))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().unwrap_or(path);
    let made = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text));
    made.map_err(|error| format!("{}: {error}", path.display()))
}

/// Copies a file, or all of a folder.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let error = |error: std::io::Error| format!("{} → {}: {error}", from.display(), to.display());
    if from.is_dir() {
        for file in archive::files(from).map_err(error)? {
            copy(&file, &to.join(file.strip_prefix(from).unwrap_or(&file)))?;
        }
        return Ok(());
    }
    let folder = to.parent().unwrap_or(to);
    std::fs::create_dir_all(folder).and_then(|()| std::fs::copy(from, to)).map(drop).map_err(error)
}

/// The lines of `sha256sum`, with paths as they are seen from `folder`.
fn sums(folder: &Path, files: &[PathBuf]) -> Result<String, String> {
    let names = files.iter().map(|file| file.strip_prefix(folder).unwrap_or(file));
    output(Command::new("sha256sum").args(names).current_dir(folder))
}
