//! Builds of which nothing depends on the folder, the machine or the time.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{debian, root, run, tools};

/// Where paths of this machine are, and what stands in their place in what is built.
fn mapped() -> Result<Vec<(PathBuf, &'static str)>, String> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cargo = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    let sysroot =
        super::output(Command::new("rustc").args(["--print", "sysroot"]).current_dir(root()))?;
    Ok(vec![
        (cargo, "/cargo"),
        (PathBuf::from(sysroot.trim()), "/rustc"),
        (root().join("target"), "/target"),
        (root(), "/sidenote"),
    ])
}

fn flags(option: &str) -> Result<String, String> {
    let flag = |(from, to): (PathBuf, &str)| format!("{option}={}={to}", from.display());
    Ok(mapped()?.into_iter().map(flag).collect::<Vec<_>>().join(" "))
}

/// `x86_64-unknown-linux-musl` as names of variables have it.
fn as_variable(target: &str) -> String {
    target.replace('-', "_")
}

/// The binary for a target. `time` is the commit's, in seconds since the Unix epoch.
pub(super) fn binary(target: &str, commit: &str, time: u64) -> Result<PathBuf, String> {
    run(Command::new("rustup").args(["target", "add", target]))?;
    let (variable, host) = (as_variable(target), target.starts_with(std::env::consts::ARCH));
    let mut cargo = if host && target.ends_with("musl") {
        debian::musl(run)?;
        let mut cargo = Command::new("cargo");
        cargo.arg("build").env(format!("CC_{variable}"), "musl-gcc");
        cargo
    } else {
        tools::zigbuild()?
    };
    cargo.args(["--locked", "--profile=dist", "--package", super::BINARY, "--target", target]);
    cargo.env(
        format!("CARGO_TARGET_{}_RUSTFLAGS", variable.to_uppercase()),
        flags("--remap-path-prefix")?,
    );
    cargo.env(format!("CFLAGS_{variable}"), flags("-ffile-prefix-map")?);
    // C has the time of its compilation in it (mimalloc says it in its statistics) where nobody sets another one.
    cargo.env("SOURCE_DATE_EPOCH", time.to_string());
    run(cargo.env("SIDENOTE_COMMIT", commit))?;
    Ok(root().join("target").join(target).join("dist/sidenote"))
}

/// A command that runs a program for a target: on another machine's processor by qemu.
pub(super) fn runs(target: &str, program: &Path) -> Result<Command, String> {
    let (here, there) = (std::env::consts::ARCH, target.split('-').next().unwrap_or_default());
    if here == there {
        return Ok(Command::new(program));
    }
    let qemu = format!("qemu-{there}-static");
    debian::qemu(&qemu, run)?;
    let mut command = Command::new(qemu);
    command.arg(program);
    Ok(command)
}

/// The plugins, into a folder, each called as its crate.
pub(super) fn plugins(packages: &[String]) -> Result<PathBuf, String> {
    crate::add_target()?;
    // What the tests use was built with paths of this machine in it.
    let target = Path::new("target/plugins-of-release");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--locked", "--quiet", "--profile=guest", "--target", crate::TARGET]);
    cargo.arg("--target-dir").arg(target);
    cargo.args(packages.iter().map(|name| format!("--package={name}")));
    cargo.env("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", flags("--remap-path-prefix")?);
    run(&mut cargo)?;
    Ok(root().join(target).join(crate::TARGET).join("guest"))
}
