//! The manifest of a component, as CNCF's TAG runtime describes it for wasm: one config, one layer.
//!
//! A signature is an annotation of the layer: it is signed what the layer holds, the manifest's digest covers it, it is
//! there wherever the manifest is, and registries need know nothing of it. That of another signer is another manifest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::config::Sha256;

/// The media type of the manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of the config.
pub const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// The media type of the component.
pub const WASM: &str = "application/wasm";
/// The annotation of the layer that holds a signature as a file `.minisig` has it.
pub const SIGNATURE: &str = "dev.sidenote.plugin.minisig";
/// Largest manifest, in bytes: what is in it is small.
pub const MAX_MANIFEST_BYTES: u64 = 256 << 10;
/// Longest signature, in bytes, with its comments.
pub const MAX_SIGNATURE_BYTES: usize = 4 << 10;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// What a manifest says of its component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The component's SHA-256.
    pub sha256: Sha256,
    /// Its size, in bytes.
    pub size: u64,
    /// Its signature, as a file `.minisig` has it.
    pub signature: Option<String>,
}

/// Reads a manifest.
///
/// # Errors
/// Why it isn't that of a component, in words that go on from "it is no component in the wasm layout".
pub fn read(manifest: &[u8]) -> Result<Layer, String> {
    let manifest: Manifest = serde_json::from_slice(manifest)
        .map_err(|error| format!("its manifest can't be read: {error}"))?;
    if manifest.schema_version != 2 {
        return Err(format!("its manifest is of version {}, not 2", manifest.schema_version));
    }
    let odd = manifest.media_type.filter(|found| found != MANIFEST);
    if let Some(odd) = odd {
        return Err(format!("it is {}, and one manifest is wanted", quoted(&odd)));
    }
    let config = manifest.config.ok_or("its manifest has no config")?;
    if config.media_type != CONFIG {
        let found = quoted(&config.media_type);
        return Err(format!(
            "its config is {found}, not \"{CONFIG}\": it may be a container's image"
        ));
    }
    let mut layers = manifest.layers;
    let (Some(layer), true) = (layers.pop(), layers.is_empty()) else {
        return Err(format!("it has {} layers, not one", layers.len()));
    };
    if layer.media_type != WASM {
        return Err(format!("its layer is {}, not \"{WASM}\"", quoted(&layer.media_type)));
    }
    let sha256 = digest(&layer.digest)
        .ok_or_else(|| format!("its layer is named {}, not by a SHA-256", quoted(&layer.digest)))?;
    let Descriptor { size, mut annotations, .. } = layer;
    let signature = annotations.remove(SIGNATURE);
    if signature.as_ref().is_some_and(|it| it.len() > MAX_SIGNATURE_BYTES) {
        return Err(format!("its signature has more than {MAX_SIGNATURE_BYTES} bytes"));
    }
    Ok(Layer { sha256, size, signature })
}

/// The manifest of a component. The same parts make the same bytes.
pub fn write(
    component: &[u8],
    config: &[u8],
    signature: Option<String>,
    annotations: BTreeMap<String, String>,
) -> Vec<u8> {
    let descriptor = |media_type: &str, bytes: &[u8], annotations| Descriptor {
        media_type: media_type.to_owned(),
        digest: name(hash(bytes)),
        size: bytes.len() as u64,
        annotations,
    };
    let signed = signature.map(|signature| (SIGNATURE.to_owned(), signature));
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MANIFEST.to_owned()),
        config: Some(descriptor(CONFIG, config, BTreeMap::new())),
        layers: vec![descriptor(WASM, component, signed.into_iter().collect())],
        annotations,
    };
    serde_json::to_vec(&manifest).expect("text and numbers can always be written as JSON")
}

/// A digest as registries write it.
pub fn name(digest: Sha256) -> String {
    format!("sha256:{digest}")
}

/// The SHA-256 of bytes.
pub fn hash(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

fn digest(text: &str) -> Option<Sha256> {
    let digits = text.strip_prefix("sha256:")?;
    let mut digest = [0; 32];
    hex::decode_to_slice(digits, &mut digest).ok()?;
    // Anything else would be another name for the same.
    (name(Sha256(digest)) == text).then_some(Sha256(digest))
}

/// A stranger's text, cut and on one line.
fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(100).collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn manifest() -> Value {
        let annotations = BTreeMap::from([("org.opencontainers.image.title".into(), "x".into())]);
        let text = write(b"component", b"{}", Some("signed".to_owned()), annotations);
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let layer = read(manifest().to_string().as_bytes()).unwrap();
        assert_eq!(layer.sha256, hash(b"component"));
        assert_eq!((layer.size, layer.signature.as_deref()), (9, Some("signed")));
        let unsigned = read(&write(b"", b"", None, BTreeMap::new())).unwrap();
        assert_eq!(unsigned.signature, None);
    }

    #[test]
    fn what_is_no_component_is_told() {
        let digest = json!(name(hash(b"x")).to_uppercase());
        let cases = [
            ("/schemaVersion", json!(1), "version 1"),
            (
                "/mediaType",
                json!("application/vnd.oci.image.index.v1+json"),
                "one manifest is wanted",
            ),
            ("/config", Value::Null, "no config"),
            (
                "/config/mediaType",
                json!("application/vnd.oci.image.config.v1+json"),
                "container's image",
            ),
            ("/layers", json!([]), "0 layers"),
            ("/layers/0/mediaType", json!("application/\u{1b}[1m"), r#""application/\u{1b}[1m""#),
            ("/layers/0/digest", json!("sha512:00"), "not by a SHA-256"),
            ("/layers/0/digest", json!("sha256:../../x"), "not by a SHA-256"),
            ("/layers/0/digest", digest, "not by a SHA-256"),
            ("/layers/0/size", json!(-1), "can't be read"),
            (
                "/layers/0/annotations/dev.sidenote.plugin.minisig",
                json!("x".repeat(5000)),
                "its signature",
            ),
        ];
        for (pointer, value, wanted) in cases {
            let mut odd = manifest();
            *odd.pointer_mut(pointer).unwrap() = value;
            let told = read(odd.to_string().as_bytes()).unwrap_err();
            assert!(told.contains(wanted), "{pointer}: {told}");
        }
        let mut two = manifest();
        let layer = two["layers"][0].clone();
        two["layers"].as_array_mut().unwrap().push(layer);
        assert!(read(two.to_string().as_bytes()).is_err());
        assert!(read(b"<html>").is_err());
    }
}
