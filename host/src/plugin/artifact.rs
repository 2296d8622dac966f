//! A compiled component as it lies in the cache, and the one way by which native code comes in.
//!
//! An artifact is run as it is: nothing checks its instructions. So it is loaded only from a file that is
//! ours and that nobody else can write to, in a folder of which the same holds ([`super::cache`]), never
//! from the plugins folder. What the seal adds is a checksum over the key and the artifact: it finds what
//! a disk, a crash or a copying hand did to the file, and a file under another's name. A MAC would add
//! nothing: its key would have to lie in the same folder, for the same eyes and hands.

use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The first bytes of every sealed artifact; the last one is the version of this form.
const MAGIC: [u8; 18] = *b"sidenote-artifact\x01";
const CHECKSUM: usize = 32;
/// What stands before an artifact.
pub(super) const HEAD_BYTES: usize = MAGIC.len() + CHECKSUM;

/// What an artifact was made of, and with.
pub(super) type Key = [u8; 32];

/// The key of a component's artifact: the hash of the engine's version and settings, and of the component.
pub(super) fn key(environment: &Key, version: crate::config::Sha256) -> Key {
    Sha256::new().chain_update(environment).chain_update(version.0).finalize().into()
}

/// The hash of all that decides whether an artifact fits this engine.
pub(super) fn environment(engine: &Engine) -> Key {
    struct Digesting(Sha256);
    impl Hasher for Digesting {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            unreachable!("nobody asks for fewer than all bits")
        }
    }
    let mut digesting = Digesting(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut digesting);
    digesting.0.finalize().into()
}

/// Why a file of the cache isn't used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsound {
    /// It isn't what was written under this key.
    #[error("its checksum is wrong")]
    Seal,
    /// wasmtime refuses it: another version, other settings, another machine.
    #[error("it was made by another engine: {0}")]
    Foreign(String),
}

/// An artifact with what stands before it.
pub(super) fn seal(key: &Key, artifact: &[u8]) -> Vec<u8> {
    [&MAGIC[..], &checksum(key, artifact), artifact].concat()
}

/// The component in a sealed artifact.
pub(super) fn open(engine: &Engine, key: &[u8; 32], sealed: &[u8]) -> Result<Component, Unsound> {
    let artifact = checked(key, sealed).ok_or(Unsound::Seal)?;
    deserialize(engine, artifact).map_err(|error| Unsound::Foreign(super::error::cause(&error)))
}

/// The artifact, where the seal is whole.
fn checked<'a>(key: &[u8; 32], sealed: &'a [u8]) -> Option<&'a [u8]> {
    let (seal, artifact) = sealed.strip_prefix(&MAGIC)?.split_at_checked(CHECKSUM)?;
    (checksum(key, artifact)[..] == *seal).then_some(artifact)
}

fn checksum(key: &[u8; 32], artifact: &[u8]) -> [u8; CHECKSUM] {
    Sha256::new().chain_update(key).chain_update(artifact).finalize().into()
}

#[expect(unsafe_code, reason = "the only way to load what was compiled before; see SAFETY")]
fn deserialize(engine: &Engine, artifact: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes must be what `Engine::precompile_component` gave. They are:
    // - they were sealed by `compiler::artifact`, which seals nothing else, and come from it over a pipe of a
    //   process of this program that this process started, or out of a file that `cache::Cache::store` wrote:
    //   the file and its folder are owned by this user and nobody else can write to them; the file's owner
    //   and permissions were asked of the open file, not of its name;
    // - they are the bytes that were sealed: the checksum over them and their key is right;
    // - they stay what was checked: they were read into memory of our own before, and no file is mapped;
    // - they fit this engine: their key holds the hash of its version and settings, and wasmtime compares
    //   those with what the artifact itself says.
    // Who could forge all this runs as this user, and could as well change this program's memory.
    unsafe { Component::deserialize(engine, artifact) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_broken_by_any_change_and_by_another_key() {
        let (key, artifact) = ([7; 32], b"native code".as_slice());
        let sealed = seal(&key, artifact);
        assert_eq!(checked(&key, &sealed), Some(artifact));
        assert_eq!(checked(&[8; 32], &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(checked(&key, &changed), None, "byte {at}");
            assert_eq!(checked(&key, &sealed[..at]), None, "cut at {at}");
        }
        assert_eq!(checked(&key, &[&sealed[..], b"x"].concat()), None);
    }
}
