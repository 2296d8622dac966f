//! A core module made into a component: toolchains such as those of C and Go stop at the module, and nobody
//! needs another tool for the rest.

use std::path::Path;

use anyhow::{Context, anyhow};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Whether these are the first bytes of a core module.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm\x01\0\0\0")
}

/// The world that a core module was built for.
pub(super) struct World<'a> {
    /// The interface's folder.
    pub(super) wit: &'a Path,
    /// The world in it.
    pub(super) name: &'a str,
    /// How the module keeps text.
    pub(super) encoding: StringEncoding,
}

/// The component. `world` is what the module was built for, where the module doesn't carry it. What the module asks of
/// WASI preview 1 is answered by way of WASI 0.2.
pub(super) fn component(mut module: Vec<u8>, world: Option<&World<'_>>) -> anyhow::Result<Vec<u8>> {
    if let Some(World { wit, name, encoding }) = world {
        let mut resolve = Resolve::default();
        let (package, _) = resolve
            .push_path(wit)
            .map_err(|error| anyhow!("--wit {}: {error:#}", wit.display()))?;
        let world = resolve
            .select_world(&[package], Some(name))
            .with_context(|| format!("--world {name} isn't in {}", wit.display()))?;
        embed_component_metadata(&mut module, &resolve, world, *encoding)
            .context("its world can't be put into it")?;
    }
    let adapter = (WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER);
    let encoded = ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.adapter(adapter.0, adapter.1))
        .and_then(|encoder| encoder.validate(true).encode());
    encoded.with_context(|| match world {
        Some(world) => format!(
            "it doesn't fit the world `{}`: its exports must be those that a bindings generator makes of it; look at them, or name another with --world",
            world.name
        ),
        None => "it may carry no world: name one with --wit DIR --world NAME (`sidenote plugin wit --out DIR` writes the interface)".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(module (func (export "f")))`
    const MODULE: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x05\x01\x01f\0\0\x0a\x04\x01\x02\0\x0b";

    #[test]
    fn a_core_module_is_told_from_a_component() {
        assert!(is_one(MODULE));
        assert!(!is_one(b"\0asm\x0d\0\x01\0"));
        assert!(!is_one(b"text"));
    }

    #[test]
    fn a_module_becomes_a_component_of_its_world() {
        let folder = tempfile::tempdir().unwrap();
        let wit = "package a:b; world w { export f: func(); } world other { export g: func(); }";
        std::fs::write(folder.path().join("w.wit"), wit).unwrap();
        let of = |name| World { wit: folder.path(), name, encoding: StringEncoding::UTF8 };
        let made = component(MODULE.to_vec(), Some(&of("w"))).unwrap();
        assert!(made.starts_with(b"\0asm\x0d\0\x01\0"));

        let unfit = component(MODULE.to_vec(), Some(&of("other"))).unwrap_err();
        assert!(format!("{unfit:#}").contains("doesn't fit the world"), "{unfit:#}");
        let nowhere = component(MODULE.to_vec(), Some(&of("third"))).unwrap_err();
        assert!(format!("{nowhere:#}").contains("--world third"), "{nowhere:#}");
    }
}
