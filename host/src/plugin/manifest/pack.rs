//! Putting a manifest into a component.

use wasm_encoder::{ComponentSection, RawSection, Section};

use super::error::ManifestError;
use super::model::Manifest;
use crate::plugin::component_info::{ComponentError, ComponentInfo, SECTION, Section as Found};

/// The component with its manifest at the top level, its `interfaces` filled in. Without a manifest the
/// one that it brings along is used, from a core module too. The same input gives the same bytes.
///
/// # Errors
/// [`PackError`].
pub fn pack(
    component: &[u8],
    manifest: Option<Manifest>,
    replace: bool,
) -> Result<Vec<u8>, PackError> {
    let component_info = ComponentInfo::of(component)?;
    let manifest = match (manifest, &*component_info.manifests) {
        (Some(_), [_, ..]) if !replace => return Err(PackError::Present),
        (Some(manifest), _) => manifest,
        (None, []) => return Err(PackError::None),
        (None, [section]) => Manifest::from_section(section.data)?,
        (None, several) => return Err(ManifestError::Several(several.len()).into()),
    };
    let interfaces = component_info.interfaces();
    if interfaces.is_empty() {
        return Err(PackError::NoExports);
    }
    let section = Manifest { interfaces, ..manifest }.to_section()?;
    let mut packed = without_manifests(component, &component_info);
    let custom = wasm_encoder::CustomSection { name: SECTION.into(), data: section.into() };
    custom.append_to_component(&mut packed);
    Ok(packed)
}

/// The component without its manifest sections. All else stays as it is, byte for byte, except for the
/// size of a core module that had one.
fn without_manifests(component: &[u8], component_info: &ComponentInfo<'_>) -> Vec<u8> {
    let header = component_info.sections.first().map_or(component.len(), |first| first.range.start);
    let mut out = component[..header].to_vec();
    for section in &component_info.sections {
        let inside = |found: &&Found<'_>| {
            section.content.start <= found.range.start && found.range.end <= section.content.end
        };
        let cuts: Vec<_> =
            component_info.manifests.iter().filter(|it| it.nested).filter(inside).collect();
        let is_manifest = component_info
            .manifests
            .iter()
            .any(|found| !found.nested && found.range == section.range);
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
    Component(#[from] ComponentError),
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

#[cfg(test)]
mod tests {
    use wasm_encoder::{
        Component, ComponentExportKind, ComponentExportSection, CustomSection, Module,
        ModuleSection, TypeSection,
    };

    use super::*;

    const LEAST: &str = r#"{"name":"bot","version":"1.0.0"}"#;

    fn manifest_section() -> CustomSection<'static> {
        CustomSection { name: SECTION.into(), data: LEAST.as_bytes().into() }
    }

    /// A component with two core modules; in the second, and at the top, a manifest where wanted.
    fn component(nested: bool, top: bool) -> Vec<u8> {
        let mut module = Module::new();
        let mut types = TypeSection::new();
        types.ty().function([], []);
        module.section(&types);
        let mut component = Component::new();
        component.section(&ModuleSection(&module));
        let mut bytes = module.finish();
        if nested {
            // The section's size is written longer than it need be, as linkers do to fill it in later.
            let mut written = Vec::new();
            manifest_section().append_to(&mut written);
            let size = u8::try_from(written.len() - 2).unwrap();
            bytes.extend([0, size | 0x80, 0x80, 0x80, 0x80, 0]);
            bytes.extend(&written[2..]);
        }
        let after = CustomSection { name: "after".into(), data: (&b"kept"[..]).into() };
        after.append_to(&mut bytes);
        component.section(&RawSection { id: 1, data: &bytes });
        if top {
            component.section(&manifest_section());
        }
        let mut exports = ComponentExportSection::new();
        let name = "sidenote:plugin/writer@0.1.0";
        exports.export(name, ComponentExportKind::Instance, 0, None);
        component.section(&exports);
        component.finish()
    }

    fn manifest() -> Manifest {
        Manifest::from_json(LEAST).unwrap()
    }

    #[test]
    fn a_manifest_is_moved_to_the_end_and_all_else_stays_byte_for_byte() {
        let plain = component(false, false);
        let wanted = pack(&plain, Some(manifest()), false).unwrap();
        assert!(wanted.starts_with(&plain));
        for (nested, top) in [(true, false), (false, true)] {
            let bytes = component(nested, top);
            assert_eq!(pack(&bytes, None, false).unwrap(), wanted, "{nested} {top}");
        }
        let both = component(true, true);
        assert_eq!(pack(&both, None, false), Err(ManifestError::Several(2).into()));
        assert_eq!(pack(&both, Some(manifest()), true).unwrap(), wanted);
    }

    #[test]
    fn a_broken_component_is_refused_or_packed_and_nothing_panics() {
        let whole = component(true, true);
        for at in 8..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut broken = whole.clone();
                broken[at] = value;
                drop(pack(&broken, Some(manifest()), true));
                drop(pack(&broken[..at], Some(manifest()), true));
            }
        }
    }
}
