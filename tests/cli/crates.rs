//! What each of the workspace's crates is built with: a crate that must do without something names it in no way, not
//! through others either.

use std::collections::BTreeSet;
use std::process::Command;

/// What makes components, for authors.
const OF_AUTHORS: &[&str] = &[
    "sidenote-authors",
    "wit-component",
    "wit-parser",
    "wasi-preview1-component-adapter-provider",
];

/// What has a runtime, a socket, a store or a component in it.
const OF_SHELLS: &[&str] =
    &["tokio", "axum", "hyper", "reqwest", "redis", "redb", "wasmtime", "rand", "getrandom"];

/// A crate, how it is built, and what isn't in it.
type Without = (&'static str, &'static [&'static str], &'static [&'static [&'static str]]);

const WITHOUT: [Without; 5] = [
    ("sidenote-core", &[], &[OF_SHELLS, OF_AUTHORS]),
    ("sidenote-cli", &["--no-default-features"], &[OF_AUTHORS, &["sidenote-sim"]]),
    ("sidenote-cli", &["--no-default-features", "--features", "demo"], &[OF_AUTHORS]),
    ("sidenote-sim", &[], &[OF_AUTHORS]),
    ("sidenote", &[], &[OF_AUTHORS, &["sidenote-sim", "sidenote-terminal", "clap"]]),
];

/// The packages that are linked into a crate, by name: what runs while it is built isn't among them.
fn linked(package: &str, how: &[&str]) -> BTreeSet<String> {
    let mut tree = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    tree.args(["tree", "--offline", "--locked", "--package", package]).args(how);
    tree.args(["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]);
    let output = tree.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{package}: {said}");
    let packages = String::from_utf8_lossy(&output.stdout);
    packages.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn a_crate_is_built_without_what_it_must_do_without() {
    for (package, how, without) in WITHOUT {
        let linked = linked(package, how);
        assert!(linked.contains(package), "{package}: {linked:?}");
        for name in without.iter().copied().flatten() {
            assert!(!linked.contains(*name), "{package} {how:?} has {name} in it");
        }
    }
}

#[test]
fn a_host_has_what_the_core_does_without() {
    let linked = linked("sidenote", &[]);
    for name in OF_SHELLS {
        assert!(
            linked.contains(*name),
            "{name} isn't there; the test above looks for what is gone"
        );
    }
}

#[test]
fn a_build_for_authors_has_what_serves_them() {
    let linked = linked("sidenote-cli", &[]);
    for name in OF_AUTHORS.iter().chain(&["sidenote-sim", "clap"]) {
        assert!(
            linked.contains(*name),
            "{name} isn't there; the test above looks for a name that is gone"
        );
    }
}
