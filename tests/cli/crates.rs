//! What each of the workspace's crates is built with: a crate that must do without something names it in no way, not
//! through others either.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// The crate that a registry has: the SDK.
const PUBLISHED: &str = "sidenote-plugin";

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
fn nothing_but_the_sdk_can_be_published_and_everything_says_what_it_is() {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--offline", "--locked", "--no-deps", "--format-version=1"]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = told["packages"].as_array().expect("packages");
    assert!(packages.len() > 15, "{} packages", packages.len());
    for package in packages {
        let name = &package["name"];
        // `null`: anywhere.
        let publish = if name == PUBLISHED { Value::Null } else { json!([]) };
        assert_eq!(package["publish"], publish, "{name}");
        assert_eq!(package["license"], "MIT OR Apache-2.0", "{name}");
        let is_guest = name.as_str().is_some_and(|name| name.starts_with("guest-"));
        assert!(is_guest || package["description"].is_string(), "{name} has no description");
    }
}

/// As a registry would get it: nothing that it needs lies outside of the package. With `SIDENOTE_RELEASE` it is built from
/// there as well, which takes a minute.
#[test]
fn the_sdk_can_be_published() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = |args: &[&str]| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Without the compiler of the lints, which may have built this test.
        cargo.env_remove("RUSTC_WORKSPACE_WRAPPER").current_dir(&root);
        cargo.args(args).args(["--locked", "--allow-dirty", "--package", PUBLISHED]);
        let output = cargo.output().expect("cargo runs");
        let said =
            [output.stdout, output.stderr].map(|said| String::from_utf8(said).expect("text"));
        assert!(output.status.success(), "{}", said[1]);
        said.concat()
    };
    let listed = cargo(&["package", "--list"]);
    for file in ["README.md", "src/lib.rs", "wit/source.wit", "wit/types.wit"] {
        assert!(listed.lines().any(|line| line == file), "{file} is missing:\n{listed}");
    }
    for line in listed.lines() {
        let is_anothers = line.starts_with("js/") || line.starts_with("python/");
        assert!(!is_anothers, "{line} is another package's");
    }
    let verify = std::env::var_os("SIDENOTE_RELEASE").is_some();
    let rest = if verify { &[][..] } else { &["--no-verify"] };
    let said = cargo(&[&["publish", "--dry-run"], rest].concat());
    assert!(said.contains("aborting upload due to dry run"), "{said}");
}
