//! The bill of materials (CycloneDX 1.5): every crate that the binary and the plugins are made of, with what it depends on,
//! its licence and its checksum.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// The crates of what is shipped.
pub(super) struct Materials {
    /// By their ids in cargo's answer.
    crates: BTreeMap<String, Crate>,
}

/// A crate.
pub(super) struct Crate {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) licence: String,
    pub(super) folder: PathBuf,
    /// `None`: it is of this workspace.
    checksum: Option<String>,
    needs: BTreeSet<String>,
}

impl Crate {
    fn reference(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }

    pub(super) fn is_ours(&self) -> bool {
        self.checksum.is_none()
    }
}

impl Materials {
    /// What these packages are made of, on any of these targets, what builds them included.
    pub(super) fn of(root: &Path, packages: &[String], targets: &[&str]) -> Result<Self, String> {
        let sums = checksums(root)?;
        let mut crates = BTreeMap::new();
        let mut cargo = Command::new("cargo");
        cargo.args(["metadata", "--locked", "--format-version=1"]).current_dir(root);
        for target in targets {
            cargo.args(["--filter-platform", target]);
        }
        let output = cargo.output().map_err(|error| format!("cargo metadata: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let told: Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("cargo metadata: {error}"))?;
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let known: BTreeMap<_, _> =
            list(&told["packages"]).into_iter().map(|it| (text(&it["id"]), it)).collect();
        let nodes: BTreeMap<_, _> = list(&told["resolve"]["nodes"])
            .into_iter()
            .map(|node| (text(&node["id"]), node))
            .collect();
        let mut waiting: Vec<_> = known
            .iter()
            .filter(|(_, package)| packages.contains(&text(&package["name"])))
            .map(|(id, _)| id.clone())
            .collect();
        if waiting.len() != packages.len() {
            return Err(format!("of {packages:?} only {} are there", waiting.len()));
        }
        while let Some(id) = waiting.pop() {
            if crates.contains_key(&id) {
                continue;
            }
            let package = known.get(&id).ok_or_else(|| format!("{id} isn't told of"))?;
            let used = |dependency: &&Value| {
                list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev")
            };
            let dependencies = list(&nodes.get(&id).unwrap_or(&Value::Null)["deps"]);
            let needs: BTreeSet<_> =
                dependencies.iter().filter(used).map(|it| text(&it["pkg"])).collect();
            waiting.extend(needs.iter().cloned());
            let (name, version) = (text(&package["name"]), text(&package["version"]));
            let manifest = PathBuf::from(text(&package["manifest_path"]));
            let made = Crate {
                checksum: sums.get(&(name.clone(), version.clone())).cloned(),
                licence: text(&package["license"]),
                folder: manifest.parent().unwrap_or(root).to_owned(),
                name,
                version,
                needs,
            };
            crates.insert(id, made);
        }
        Ok(Self { crates })
    }

    /// The crates, in the order of their names.
    pub(super) fn crates(&self) -> Vec<&Crate> {
        let mut crates: Vec<_> = self.crates.values().collect();
        crates.sort_by_key(|it| (&it.name, &it.version));
        crates
    }

    /// The document. `time` is that of the commit.
    pub(super) fn document(&self, version: &str, commit: &str, time: &str) -> Value {
        let component = |it: &&Crate| {
            let mut value = json!({
                "type": "library", "bom-ref": it.reference(), "name": it.name, "version": it.version,
                "purl": it.reference(), "licenses": [{ "expression": it.licence.replace('/', " OR ") }],
            });
            if let Some(checksum) = &it.checksum {
                value["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
            }
            value
        };
        let depends = |it: &&Crate| {
            let needs = it.needs.iter().filter_map(|id| self.crates.get(id));
            json!({ "ref": it.reference(), "dependsOn": needs.map(Crate::reference).collect::<BTreeSet<_>>() })
        };
        let crates = self.crates();
        json!({
            "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
            "metadata": {
                "timestamp": time,
                "component": {
                    "type": "application", "bom-ref": "sidenote", "name": "sidenote", "version": version,
                    "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                    "properties": [{ "name": "commit", "value": commit }],
                },
            },
            "components": crates.iter().map(component).collect::<Vec<_>>(),
            "dependencies": crates.iter().map(depends).collect::<Vec<_>>(),
        })
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The checksums of the lock file, by name and version. Crates of the workspace have none.
fn checksums(root: &Path) -> Result<BTreeMap<(String, String), String>, String> {
    let lock = root.join("Cargo.lock");
    let text =
        std::fs::read_to_string(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    let field = |package: &str, name: &str| {
        let prefix = format!("{name} = \"");
        package
            .lines()
            .find_map(|line| line.strip_prefix(&prefix)?.strip_suffix('"'))
            .map(str::to_owned)
    };
    let package = |package: &str| {
        let place = (field(package, "name")?, field(package, "version")?);
        Some((place, field(package, "checksum")?))
    };
    Ok(text.split("[[package]]").filter_map(package).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::{BINARY, shipped};

    /// The crates that `cargo tree` says something is made of: name and version.
    fn tree(package: &str, target: &str) -> BTreeSet<(String, String)> {
        let mut cargo = Command::new("cargo");
        cargo.args(["tree", "--locked", "--prefix=none", "--edges=normal,build", "--format={p}"]);
        let output = cargo
            .args(["--package", package, "--target", target])
            .current_dir(crate::root())
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        let named = |line: &str| {
            let mut words = line.split(' ');
            Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
        };
        lines.lines().filter_map(named).collect()
    }

    #[test]
    fn the_bill_names_all_that_the_lock_file_has_for_what_is_shipped_with_its_checksums() {
        let root = crate::root();
        let packages = shipped().unwrap();
        let targets = ["x86_64-unknown-linux-musl", crate::TARGET];
        let materials = Materials::of(&root, &packages, &targets).unwrap();
        let bill = materials.document("1.2.3", "abc", "2026-01-01T00:00:00Z");
        let components = bill["components"].as_array().unwrap();
        let listed: BTreeSet<_> =
            components.iter().map(|it| (text(&it["name"]), text(&it["version"]))).collect();
        assert_eq!(listed.len(), components.len(), "each once");
        let mut wanted = tree(BINARY, "x86_64-unknown-linux-musl");
        wanted.extend(
            packages.iter().filter(|it| *it != BINARY).flat_map(|it| tree(it, crate::TARGET)),
        );
        let missing: Vec<_> = wanted.difference(&listed).collect();
        assert!(missing.is_empty(), "missing: {missing:?}");
        let sums = checksums(&root).unwrap();
        assert!(sums.len() > 300, "{} crates in the lock file", sums.len());
        for component in components {
            let place = (text(&component["name"]), text(&component["version"]));
            let hash = component["hashes"][0]["content"].as_str().map(str::to_owned);
            assert_eq!(hash, sums.get(&place).cloned(), "{place:?}");
            assert!(hash.is_some() || place.0.starts_with("sidenote"), "{place:?}");
            assert_ne!(component["licenses"][0]["expression"], "", "{place:?}");
        }
        let named: BTreeSet<_> = components.iter().map(|it| text(&it["bom-ref"])).collect();
        for dependency in bill["dependencies"].as_array().unwrap() {
            for of in dependency["dependsOn"].as_array().unwrap() {
                assert!(named.contains(&text(of)), "{of}");
            }
        }
    }
}
