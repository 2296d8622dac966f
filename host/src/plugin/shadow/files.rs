//! The component of a shadow: kept over a restart, and put in the place of the one that runs.
//!
//! Three files for each, called by a hash of the plugins folder and the plugin's name, as several hosts may share a cache:
//! the component, its signature where it has one, and what is
//! known of it, which is written last. Where it is, the component was whole.
//!
//! A component that is put in place is copied beside the other one and renamed: whoever reads finds the old one or the new
//! one. Where it is signed, two files change. So it is written down first what is to be done, and a start that finds that
//! does the rest.

use std::fs::{File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::Digest;

use crate::config::Sha256;
use crate::ids::PluginName;
use crate::plugin::folder;
use crate::plugin::signed;
use crate::plugin::source;

/// What is kept of a shadow beside its component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::plugin) struct Kept {
    /// The plugin.
    pub(super) plugin: PluginName,
    /// The plugins folder.
    pub(super) folder: PathBuf,
    /// The content of the component.
    #[serde(with = "digest")]
    pub(super) sha256: Sha256,
    /// When it was started, in seconds since the epoch.
    pub(super) started_at: f64,
}

/// What is to be put in place.
#[derive(Debug, Serialize, Deserialize)]
struct Promotion {
    plugin: PluginName,
    folder: PathBuf,
    /// The plugin's file in the plugins folder.
    file: String,
    #[serde(with = "digest")]
    sha256: Sha256,
}

/// What is done to put a component in place, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    WriteDown,
    Copy,
    Signature,
    Rename,
    Clear,
}

/// The folder of the shadows.
#[derive(Debug, Clone)]
pub(in crate::plugin) struct Folder {
    folder: PathBuf,
    /// Where the plugins are whose shadows these are.
    plugins: PathBuf,
}

mod digest {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::config::Sha256;

    pub(super) fn serialize<S: Serializer>(of: &Sha256, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(of)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Sha256, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Sha256).ok_or_else(|| de::Error::custom("it is no SHA-256"))
    }
}

impl Folder {
    /// Shadows of the plugins of a folder in another one, which is made when something is to be kept.
    pub(in crate::plugin) fn at(folder: PathBuf, plugins: &Path) -> Self {
        let plugins = std::fs::canonicalize(plugins).unwrap_or_else(|_| plugins.to_owned());
        Self { folder, plugins }
    }

    /// What is kept of a shadow of one of these plugins.
    pub(super) fn kept(&self, plugin: PluginName, sha256: Sha256, started_at: f64) -> Kept {
        Kept { plugin, folder: self.plugins.clone(), sha256, started_at }
    }

    /// The component of a plugin's shadow.
    pub(super) fn component(&self, plugin: &str) -> PathBuf {
        self.file(plugin, "wasm")
    }

    /// Keeps one. Waits for the disk, as all of these do.
    pub(super) fn keep(
        &self,
        kept: &Kept,
        component: &[u8],
        signature: Option<&str>,
    ) -> std::io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        self.remove(&kept.plugin)?;
        let path = self.component(&kept.plugin);
        write(&path, component, None)?;
        if let Some(signature) = signature {
            write(&signed::beside(&path), signature.as_bytes(), None)?;
        }
        write(&self.file(&kept.plugin, "json"), &serde_json::to_vec(kept)?, None)
    }

    /// All that are kept. What can't be read is left out with a line in the log.
    pub(super) fn all(&self) -> Vec<Kept> {
        let paths = self.with_extension("json");
        let read = |path: PathBuf| {
            let kept = std::fs::read(&path).ok();
            let kept = kept.and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
            if kept.is_none() {
                tracing::warn!(file = %path.display(), "shadow: what was kept can't be read, and isn't used");
            }
            kept
        };
        let all = paths.into_iter().filter_map(read);
        all.filter(|kept| kept.folder == self.plugins).collect()
    }

    /// Removes the one of a plugin.
    pub(super) fn remove(&self, plugin: &str) -> std::io::Result<()> {
        let component = self.component(plugin);
        for file in [self.file(plugin, "json"), signed::beside(&component), component] {
            gone(&file)?;
        }
        Ok(())
    }

    /// Puts the component of a plugin's shadow in the place of its file. Where that fails, everything is as it was.
    pub(super) fn promote(&self, kept: &Kept, file: &str) -> std::io::Result<()> {
        let promotion = Promotion {
            plugin: kept.plugin.clone(),
            folder: kept.folder.clone(),
            file: file.to_owned(),
            sha256: kept.sha256,
        };
        let target = path(&self.plugins, file)?;
        let signature = std::fs::read(signed::beside(&target)).ok();
        let done = self.carry_out(&promotion, |_| Ok(()));
        if done.is_err() {
            let is_new = source::read(&target).is_ok_and(|it| source::sha256(&it) == kept.sha256);
            if !is_new {
                if let Some(signature) = signature {
                    drop(write(&signed::beside(&target), &signature, None));
                }
                drop(gone(&self.file(&kept.plugin, "promote")));
            }
        }
        done
    }

    /// Does what was begun and cut off by the end of a process. Called before a plugin is read.
    pub(super) fn finish(&self) {
        for path in self.with_extension("promote") {
            let read = std::fs::read(&path).ok();
            let promotion = read.and_then(|text| serde_json::from_slice::<Promotion>(&text).ok());
            let Some(promotion) = promotion else {
                drop(gone(&path));
                continue;
            };
            if promotion.folder != self.plugins {
                continue;
            }
            let plugin = &promotion.plugin;
            match self.carry_out(&promotion, |_| Ok(())) {
                Ok(()) => {
                    tracing::info!(%plugin, "shadow: its promotion was cut off, and is done now")
                }
                Err(error) => {
                    tracing::error!(%plugin, %error, "shadow: its promotion was cut off and can't be done; the plugin's file is as it was");
                    drop(gone(&path));
                }
            }
        }
    }

    /// Steps that were done before do no harm.
    fn carry_out(
        &self,
        promotion: &Promotion,
        mut before: impl FnMut(Step) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let Promotion { plugin, file, sha256, .. } = promotion;
        let (from, target) = (self.component(plugin), path(&self.plugins, file)?);
        let marker = self.file(plugin, "promote");
        before(Step::WriteDown)?;
        write(&marker, &serde_json::to_vec(promotion)?, None)?;
        before(Step::Copy)?;
        let is_in_place = source::read(&target).is_ok_and(|it| source::sha256(&it) == *sha256);
        let mode = std::fs::metadata(&target).map(|about| about.permissions()).ok();
        let signature = match std::fs::read(signed::beside(&from)) {
            Ok(signature) => Some(signature),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if !is_in_place {
            let component = std::fs::read(&from)?;
            if source::sha256(&component) != *sha256 {
                return Err(std::io::Error::other("what is kept isn't what was compared"));
            }
            let copy = copied(&target, &component, mode)?;
            before(Step::Signature)?;
            if let Some(signature) = signature {
                let readable = Some(Permissions::from_mode(0o644));
                write(&signed::beside(&target), &signature, readable)?;
            }
            before(Step::Rename)?;
            copy.persist(&target)?;
            sync_folder(&target)?;
        }
        before(Step::Clear)?;
        self.remove(plugin)?;
        gone(&marker)
    }

    fn file(&self, plugin: &str, extension: &str) -> PathBuf {
        let mut hash = sha2::Sha256::new();
        for part in [self.plugins.as_os_str().as_encoded_bytes(), plugin.as_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let stem = hex::encode(&hash.finalize()[..16]);
        self.folder.join(format!("{stem}.{extension}"))
    }

    fn with_extension(&self, extension: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        paths.filter(|path| path.extension().is_some_and(|it| it == extension)).collect()
    }
}

fn path(plugins: &Path, file: &str) -> std::io::Result<PathBuf> {
    folder::path(plugins, file).map_err(std::io::Error::other)
}

fn gone(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A whole file beside another, which is there after a power loss.
fn copied(
    beside: &Path,
    bytes: &[u8],
    mode: Option<Permissions>,
) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = beside.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".shadow-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    if let Some(mode) = mode {
        file.as_file().set_permissions(mode)?;
    }
    file.as_file().sync_all()?;
    Ok(file)
}

fn write(path: &Path, bytes: &[u8], mode: Option<Permissions>) -> std::io::Result<()> {
    copied(path, bytes, mode)?.persist(path)?;
    sync_folder(path)
}

fn sync_folder(of: &Path) -> std::io::Result<()> {
    File::open(of.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Step; 5] =
        [Step::WriteDown, Step::Copy, Step::Signature, Step::Rename, Step::Clear];

    struct Place {
        _root: tempfile::TempDir,
        folder: Folder,
        plugins: PathBuf,
    }

    /// A plugin with its signature, and a shadow of it.
    fn place() -> Place {
        let root = tempfile::tempdir().unwrap();
        let plugins = root.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        std::fs::write(plugins.join("bot.wasm"), b"old").unwrap();
        std::fs::write(plugins.join("bot.wasm.minisig"), b"old's").unwrap();
        let folder = Folder::at(root.path().join("shadows"), &plugins);
        let place = Place { _root: root, folder, plugins };
        place.folder.keep(&place.kept(b"new"), b"new", Some("new's")).unwrap();
        place
    }

    impl Place {
        fn kept(&self, component: &[u8]) -> Kept {
            let sha256 = source::sha256(component);
            self.folder.kept("bot".into(), sha256, 1.5)
        }

        fn stands(&self) -> [String; 2] {
            ["bot.wasm", "bot.wasm.minisig"]
                .map(|file| std::fs::read_to_string(self.plugins.join(file)).unwrap())
        }

        fn others(&self) -> Vec<String> {
            let entries = std::fs::read_dir(&self.plugins).unwrap().map(Result::unwrap);
            let names = entries.map(|entry| entry.file_name().into_string().unwrap());
            names.filter(|name| !name.starts_with("bot.wasm")).collect()
        }
    }

    #[test]
    fn what_is_kept_is_found_again_and_goes_whole() {
        let place = place();
        let other = Kept { plugin: "../odd name".into(), ..place.kept(b"other") };
        place.folder.keep(&other, b"other", None).unwrap();
        let mut all = place.folder.all();
        all.sort_by(|a, b| a.plugin.cmp(&b.plugin));
        assert_eq!(all, [other, place.kept(b"new")]);
        let elsewhere = Folder::at(place.folder.folder.clone(), Path::new("/elsewhere"));
        assert_eq!(elsewhere.all(), []);
        place.folder.remove("bot").unwrap();
        place.folder.remove("../odd name").unwrap();
        assert_eq!(std::fs::read_dir(&place.folder.folder).unwrap().count(), 0);
    }

    #[test]
    fn a_promotion_replaces_component_and_signature_and_leaves_nothing_else() {
        let place = place();
        place.folder.promote(&place.kept(b"new"), "bot.wasm").unwrap();
        assert_eq!(place.stands(), ["new", "new's"]);
        assert_eq!(place.others(), Vec::<String>::new());
        assert_eq!(std::fs::read_dir(&place.folder.folder).unwrap().count(), 0);
    }

    /// A process that ends between two steps drops nothing by itself: what it wrote lies there.
    #[test]
    fn a_process_that_ends_at_any_step_leaves_the_old_one_or_the_new_one_and_the_next_start_the_new_one()
     {
        for step in STEPS {
            let place = place();
            let promotion = Promotion {
                plugin: "bot".into(),
                folder: place.kept(b"new").folder,
                file: "bot.wasm".to_owned(),
                sha256: source::sha256(b"new"),
            };
            let cut = |at| match at == step {
                true => Err(std::io::Error::other("cut off")),
                false => Ok(()),
            };
            place.folder.carry_out(&promotion, cut).unwrap_err();
            let [component, _] = place.stands();
            let is_old = component == "old";
            assert_eq!(is_old, step != Step::Clear, "{step:?}");
            place.folder.finish();
            let begun = step != Step::WriteDown;
            let stands = if begun { ["new", "new's"] } else { ["old", "old's"] };
            assert_eq!(place.stands(), stands, "{step:?}");
            assert_eq!(place.folder.all().is_empty(), begun, "{step:?}");
        }
    }

    #[test]
    fn a_promotion_that_fails_leaves_everything_as_it_was() {
        let place = place();
        std::fs::write(place.folder.component("bot"), b"changed").unwrap();
        place.folder.promote(&place.kept(b"new"), "bot.wasm").unwrap_err();
        assert_eq!(place.stands(), ["old", "old's"]);
        place.folder.finish();
        assert_eq!(place.stands(), ["old", "old's"]);
        for odd in ["../bot.wasm", ".."] {
            place.folder.promote(&place.kept(b"new"), odd).unwrap_err();
        }
    }
}
