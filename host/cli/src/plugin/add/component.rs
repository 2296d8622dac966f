//! Where a component comes from that is added: a file, or a registry that the host then pulls it from.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use sidenote::config::{Config, Pinned, TrustedKey};
use sidenote::oci::Pulled;
use sidenote::plugin::{
    AdmitError, Compiler, Inspection, MAX_COMPONENT_BYTES, read, read_signature, signature_file,
    signed_by,
};
use sidenote_terminal::{about, output, reference};

use crate::plugin::is_file;

/// A component to be added.
pub(super) struct Component {
    /// As it is told.
    pub(super) told: String,
    /// The name that it comes with, for the plugin.
    pub(super) stem: String,
    pub(super) bytes: Vec<u8>,
    /// Beside it, where it has one.
    pub(super) signature: Option<String>,
    /// Where the host pulls it from, by its digest; else it is a file.
    pinned: Option<Pinned>,
}

/// Its file in the plugins folder.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) file: PathBuf,
    /// Whether it isn't there yet.
    pub(super) is_new: bool,
}

impl Component {
    /// Reads a file, or pulls it as the host will: with what `[registries]` says.
    pub(super) async fn fetch(subject: &str, config: &Config) -> anyhow::Result<Self> {
        if is_file(subject) {
            return Self::of_file(Path::new(subject));
        }
        let reference = reference(subject)?;
        let access = config.supply.access(&reference.host);
        let pulled = Pulled::pull(&reference, &access, MAX_COMPONENT_BYTES).await?;
        Ok(Self {
            told: reference.to_string(),
            stem: reference.repository.rsplit('/').next().unwrap_or_default().to_owned(),
            pinned: Some(reference.at(pulled.digest)),
            bytes: pulled.component,
            signature: pulled.layer.signature,
        })
    }

    fn of_file(file: &Path) -> anyhow::Result<Self> {
        let signature = match read_signature(&signature_file(file)) {
            Ok(text) => Some(text),
            Err(AdmitError::NotSigned) => None,
            Err(refused) => return Err(anyhow!("{}: {refused}", file.display())),
        };
        Ok(Self {
            told: file.display().to_string(),
            stem: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            bytes: read(file).map_err(|error| about(file, error))?,
            signature,
            pinned: None,
        })
    }

    /// What it is, and whether this host takes it.
    pub(super) async fn inspect(&self, compiler: Compiler) -> anyhow::Result<Inspection> {
        let mut file = tempfile::NamedTempFile::new().context("a temporary file")?;
        file.write_all(&self.bytes).context("a temporary file")?;
        let inspected = sidenote::plugin::inspect_by(compiler, file.path()).await;
        inspected.with_context(|| self.told.clone())
    }

    /// The host runs nothing unsigned where it trusts keys: then neither is it added.
    pub(super) fn verify(&self, keys: &[TrustedKey]) -> anyhow::Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let signature = self.signature.as_deref().ok_or(AdmitError::NotSigned);
        let signed = signature.and_then(|signature| signed_by(keys, signature, &self.bytes));
        let key = signed.map_err(|refused| anyhow!("{}: {refused}", self.told))?;
        output::say(&format!("signed by {key}, which is trusted"));
        Ok(())
    }

    /// Its file in the plugins folder; none where the host pulls it.
    pub(super) fn place(&self, name: &str, folder: &Path) -> anyhow::Result<Option<Place>> {
        if self.pinned.is_some() {
            return Ok(None);
        }
        let name = format!("{name}.wasm");
        let file = folder.join(&name);
        let is_new = match std::fs::read(&file) {
            Ok(there) if there == self.bytes => false,
            Ok(_) => bail!(
                "{} is there already, and is another component; choose another name",
                file.display()
            ),
            Err(_) => true,
        };
        Ok(Some(Place { name, file, is_new }))
    }

    /// Its lines in the table: what is loaded, and by which hash.
    pub(super) fn written(&self, name: &str, sha256: &str) -> String {
        match &self.pinned {
            // Its digest says what is in it.
            Some(pinned) => format!("file = \"{pinned}\"\n"),
            None => format!("file = \"{name}.wasm\"\nsha256 = \"{sha256}\"\n"),
        }
    }

    /// Where the host pulls it from.
    pub(super) fn reference(&self) -> Option<String> {
        self.pinned.as_ref().map(ToString::to_string)
    }
}
