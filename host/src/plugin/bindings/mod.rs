//! The plugin interface, generated: one module per frozen version of `wit/`, each with every interface
//! that a plugin may export, and every import.
//!
//! `wit/README.md` says how a version is added.

pub(super) mod v0_1;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    use sha2::{Digest, Sha256};

    /// The digest of each frozen version's sums, as they were when it was frozen. A released version never
    /// changes: add a line, never edit one.
    const FROZEN: [(&str, &str); 1] =
        [("0.1.0", "483e2725c4662a164c51efbc3fd859d9eb81837bdb6c0b768c0c292b0d420122")];

    /// Interfaces that came to a frozen version afterwards, each with its digest: a file of its own beside the
    /// others, which it changes nothing of. Add a line, never edit one.
    const ADDED: [(&str, &str, &str); 3] = [
        ("0.1.0", "source.wit", "c8c8b8e128630b53afe6c01bef80a664d57aa072f72e7f7ff158a4a1754162d1"),
        ("0.1.0", "kv.wit", "2a175fe278db7f178d00592be4ba7bad1c1d1ebe226173e77aa437cd5578c65f"),
        ("0.1.0", "timer.wit", "980391f616f7203f960fd240f8679be000202c4cacb367bbdb59bde4083a9159"),
    ];

    fn wit() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit")
    }

    /// The `.wit` files of a folder, by name.
    fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let wit = entries.filter(|entry| entry.path().extension().is_some_and(|it| it == "wit"));
        wit.map(|entry| {
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        })
        .collect()
    }

    fn sums(files: &BTreeMap<String, Vec<u8>>) -> String {
        let line = |(name, text): (&String, &Vec<u8>)| {
            format!("{}  {name}\n", hex::encode(Sha256::digest(text)))
        };
        files.iter().map(line).collect()
    }

    #[test]
    fn a_frozen_version_never_changes() {
        let folders = std::fs::read_dir(wit().join("frozen")).unwrap();
        let mut versions: Vec<_> =
            folders.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        versions.sort();
        assert_eq!(versions, FROZEN.map(|(version, _)| version));
        for (version, digest) in FROZEN {
            let folder = wit().join("frozen").join(version);
            let noted = std::fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
            assert_eq!(sums(&files(&folder)), noted, "a file of {version} changed");
            let mut first = files(&folder);
            for (_, name, digest) in ADDED.iter().filter(|(of, _, _)| *of == version) {
                let text = first.remove(*name).unwrap_or_default();
                assert_eq!(
                    hex::encode(Sha256::digest(text)),
                    *digest,
                    "{name} of {version} changed"
                );
            }
            let first = sums(&first);
            assert_eq!(hex::encode(Sha256::digest(first)), digest, "the sums of {version} changed");
        }
    }

    #[test]
    fn the_working_copy_is_the_frozen_version_or_one_that_is_not_frozen_yet() {
        let files_here = files(&wit());
        let package = String::from_utf8(files_here["package.wit"].clone()).unwrap();
        let line = package.lines().find(|line| line.starts_with("package ")).unwrap();
        let version = line.strip_prefix("package sidenote:plugin@").unwrap().trim_end_matches(';');
        for (name, text) in &files_here {
            let text = String::from_utf8_lossy(text);
            assert!(text.contains(line), "{name} is of another version than package.wit");
        }
        if FROZEN.iter().any(|(frozen, _)| *frozen == version) {
            let frozen = files(&wit().join("frozen").join(version));
            assert_eq!(
                files_here.keys().collect::<Vec<_>>(),
                frozen.keys().collect::<Vec<_>>(),
                "{version} is frozen: what is added goes into `ADDED`, or gets another version"
            );
            for (name, text) in &files_here {
                assert!(frozen[name] == *text, "{name} differs from frozen/{version}");
            }
        }
    }
}
