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

const WITHOUT: [Without; 7] = [
    ("sidenote-cluster", &[], &[OF_SHELLS, OF_AUTHORS]),
    ("sidenote-core", &[], &[OF_SHELLS, OF_AUTHORS]),
    ("sidenote-sources", &[], &[OF_SHELLS, OF_AUTHORS]),
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

#[test]
fn nothing_is_published_by_accident_and_everything_says_what_it_is() {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--offline", "--locked", "--no-deps", "--format-version=1"]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = told["packages"].as_array().expect("packages");
    assert!(packages.len() > 15, "{} packages", packages.len());
    for package in packages {
        let name = &package["name"];
        // The interface's folder is outside of the crates that are built from it: a package of one couldn't be built.
        assert_eq!(package["publish"], serde_json::json!([]), "{name} could be published");
        assert_eq!(package["license"], "MIT OR Apache-2.0", "{name}");
        let is_guest = name.as_str().is_some_and(|name| name.starts_with("guest-"));
        assert!(is_guest || package["description"].is_string(), "{name} has no description");
    }
}
