//! Putting a manifest into a component.

use wasm_encoder::{ComponentSection, RawSection, Section};

use super::model::{Manifest, ManifestError};
use crate::plugin::anatomy::{Anatomy, AnatomyError, SECTION, Section as Found};

/// The component with its manifest at the top level, its `interfaces` filled in. Without a manifest the
/// one that it brings along is taken, from a core module too. The same input gives the same bytes.
///
/// # Errors
/// [`PackError`].
pub fn pack(
    component: &[u8],
    manifest: Option<Manifest>,
    replace: bool,
) -> Result<Vec<u8>, PackError> {
    let anatomy = Anatomy::of(component)?;
    let manifest = match (manifest, &*anatomy.manifests) {
        (Some(_), [_, ..]) if !replace => return Err(PackError::Present),
        (Some(manifest), _) => manifest,
        (None, []) => return Err(PackError::None),
        (None, [section]) => Manifest::from_section(section.data)?,
        (None, several) => return Err(ManifestError::Several(several.len()).into()),
    };
    let interfaces = anatomy.interfaces();
    if interfaces.is_empty() {
        return Err(PackError::NoExports);
    }
    let section = Manifest { interfaces, ..manifest }.to_section()?;
    let mut packed = without_manifests(component, &anatomy);
    let custom = wasm_encoder::CustomSection { name: SECTION.into(), data: section.into() };
    custom.append_to_component(&mut packed);
    Ok(packed)
}

/// The component without its manifest sections. All else stays as it is, byte for byte, except for the
/// size of a core module that had one.
fn without_manifests(component: &[u8], anatomy: &Anatomy<'_>) -> Vec<u8> {
    let header = anatomy.sections.first().map_or(component.len(), |first| first.range.start);
    let mut out = component[..header].to_vec();
    for section in &anatomy.sections {
        let inside = |found: &&Found<'_>| {
            section.content.start <= found.range.start && found.range.end <= section.content.end
        };
        let cuts: Vec<_> = anatomy.manifests.iter().filter(|it| it.nested).filter(inside).collect();
        let is_manifest =
            anatomy.manifests.iter().any(|found| !found.nested && found.range == section.range);
        if is_manifest {
            continue;
        }
        if cuts.is_empty() {
            out.extend_from_slice(&component[section.range.clone()]);
            continue;
        }
        let mut content = Vec::with_capacity(section.content.len());
        let mut from = section.content.start;
        for cut in cuts {
            content.extend_from_slice(&component[from..cut.range.start]);
            from = cut.range.end;
        }
        content.extend_from_slice(&component[from..section.content.end]);
        Section::append_to(&RawSection { id: section.id, data: &content }, &mut out);
    }
    out
}

/// Why a component can't be packed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// The component can't be read.
    #[error("pack: {0}")]
    Component(#[from] AnatomyError),
    /// The manifest can't be used.
    #[error("pack: {0}")]
    Manifest(#[from] ManifestError),
    /// The component has a manifest already.
    #[error(
        "pack: the component has a manifest already; run it with --replace to put this one in its place"
    )]
    Present,
    /// There is no manifest to pack.
    #[error("pack: the component brings no manifest along; name one with --manifest")]
    None,
    /// The component isn't a plugin.
    #[error(
        "pack: the component exports no interface of sidenote:plugin; export one, `writer` for example"
    )]
    NoExports,
}
