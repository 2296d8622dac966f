//! Where a plugin's component is on this machine: in the plugins folder, or kept after it was pulled.

use std::path::PathBuf;

use super::pulled::Kept;
use super::signed::Signed;
use crate::config::{Pinned, Sha256};
use crate::oci::layout::Layer;

/// A component's file, and what is known of what it must hold.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The file.
    pub(super) path: PathBuf,
    /// What its manifest says that it holds.
    pub(super) sha256: Option<Sha256>,
    /// Where its signature is.
    pub(super) signed: Signed,
}

impl Place {
    /// What was pulled.
    pub(super) fn kept(kept: &Kept, pinned: &Pinned, layer: Layer) -> Self {
        let path = kept.component(pinned.digest);
        Self { path, sha256: Some(layer.sha256), signed: Signed::By(layer.signature) }
    }

    /// A file of the plugins folder.
    pub(super) fn file(path: PathBuf) -> Self {
        Self { path, sha256: None, signed: Signed::Beside }
    }
}
