//! What this build is: told by `--version`. Nothing of it depends on when or where it is built.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SIDENOTE_COMMIT");
    let own = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let commit = variable("SIDENOTE_COMMIT").or_else(|| packaged_commit(&own));
    tell("SIDENOTE_COMMIT", commit.as_deref().unwrap_or("not told"));
    tell("SIDENOTE_TARGET", &variable("TARGET").unwrap_or_default());
    tell("SIDENOTE_RUSTC", &rustc(&variable("RUSTC").unwrap_or_default()));
    tell("SIDENOTE_WASMTIME", &wasmtime(&own).unwrap_or_else(|| "not told".to_owned()));
}

fn tell(name: &str, value: &str) {
    println!("cargo::rustc-env={name}={value}");
}

/// What `cargo package` puts into a package.
fn packaged_commit(own: &Path) -> Option<String> {
    let text = std::fs::read_to_string(own.join(".cargo_vcs_info.json")).ok()?;
    let commit = text.split_once("\"sha1\"")?.1.split('"').nth(1)?;
    Some(commit.to_owned())
}

/// `1.95.0 (…)`.
fn rustc(compiler: &str) -> String {
    let output = Command::new(compiler).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    text.trim().strip_prefix("rustc ").unwrap_or("not told").to_owned()
}

/// From the lock file of the workspace, or of the package.
fn wasmtime(own: &Path) -> Option<String> {
    let places = [own.join("../../Cargo.lock"), own.join("Cargo.lock")];
    let lock = places.into_iter().find(|place| place.is_file())?;
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = std::fs::read_to_string(lock).ok()?;
    let package = text.split_once("name = \"wasmtime\"\nversion = \"")?.1;
    package.split('"').next().map(str::to_owned)
}
