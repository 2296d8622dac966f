//! The SDK for Rust as a folder beside a plugin: it is on no registry, and a plugin that was begun must build
//! anywhere.

use anyhow::{Context, anyhow};
use toml::{Table, Value};

use super::templates::{File, SDK};

const SDK_MANIFEST: &str = include_str!("../../../../sdk-guest/Cargo.toml");
/// Where the crate has the interface's files.
const OWN_WIT: &str = "path: \"wit\"";
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");

/// The SDK's files, with a `Cargo.toml` that needs no workspace.
pub(super) fn files() -> anyhow::Result<Vec<File<String>>> {
    let mut files: Vec<_> = SDK.iter().map(File::owned).collect();
    for file in &mut files {
        // A plugin has the interface's files already.
        file.text = file.text.replace(OWN_WIT, "path: \"../wit\"");
    }
    let text = standalone(SDK_MANIFEST, WORKSPACE).context("the SDK's Cargo.toml")?;
    files.push(File { path: "sidenote-plugin/Cargo.toml", text });
    Ok(files)
}

/// A package's manifest with what it inherits of its workspace written out, and without lints, which are the
/// workspace's own business.
fn standalone(package: &str, workspace: &str) -> anyhow::Result<String> {
    let mut package: Table = package.parse()?;
    let workspace: Table = workspace.parse()?;
    let shared = workspace.get("workspace").context("no [workspace]")?;
    package.remove("lints");
    let about = package.get_mut("package").and_then(Value::as_table_mut).context("no [package]")?;
    inherit(about, shared.get("package"))?;
    for table in dependencies(&mut package) {
        inherit(table, shared.get("dependencies"))?;
    }
    Ok(toml::to_string(&package)?)
}

/// The tables of dependencies, those of targets included.
fn dependencies(package: &mut Table) -> Vec<&mut Table> {
    let mut tables = Vec::new();
    for (key, value) in package.iter_mut() {
        match (key.as_str(), value) {
            ("dependencies", Value::Table(table)) => tables.push(table),
            ("target", Value::Table(targets)) => {
                for (_, target) in targets.iter_mut() {
                    tables.extend(target.get_mut("dependencies").and_then(Value::as_table_mut));
                }
            }
            _ => {}
        }
    }
    tables
}

/// Puts what the workspace says in the place of each `KEY.workspace = true`.
fn inherit(table: &mut Table, shared: Option<&Value>) -> anyhow::Result<()> {
    for (key, value) in table.iter_mut() {
        let inherits = value.get("workspace").and_then(Value::as_bool) == Some(true);
        if inherits {
            let said = shared.and_then(|shared| shared.get(key));
            *value = said.ok_or_else(|| anyhow!("the workspace has no {key}"))?.clone();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_needs_no_workspace() {
        let files = files().unwrap();
        let cargo = files.iter().find(|file| file.path.ends_with("Cargo.toml")).unwrap();
        assert!(!cargo.text.contains("workspace"), "{}", cargo.text);
        let table: Table = cargo.text.parse().unwrap();
        assert_eq!(table["package"]["edition"].as_str(), Some("2024"));
        assert!(table["dependencies"]["wit-bindgen"].is_str(), "{}", cargo.text);
        let native = &table["target"]["cfg(not(target_arch = \"wasm32\"))"]["dependencies"];
        assert!(native["sha2"].is_str(), "{}", cargo.text);
    }

    #[test]
    fn the_copy_has_the_interface_of_the_plugin_beside_it() {
        let files = files().unwrap();
        let file = files.iter().find(|file| file.path.ends_with("bindings.rs")).unwrap();
        assert_eq!(file.text.matches("path: \"../wit\"").count(), 2, "{}", file.text);
        assert!(!file.text.contains(OWN_WIT));
    }

    #[test]
    fn what_the_workspace_does_not_say_is_an_error() {
        let error = standalone("[package]\nedition.workspace = true", "[workspace]").unwrap_err();
        assert_eq!(error.to_string(), "the workspace has no edition");
    }
}
