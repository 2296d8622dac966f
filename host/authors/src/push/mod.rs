//! `sidenote plugin push`.

mod sign;
mod upload;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::json;
use sidenote::oci::layout;
use sidenote::plugin::{AdmitError, Manifest, names_of, read, read_signature, signature_file};
use sidenote_terminal::{RegistryArgs, Unusable, about, output, reference};

use upload::Upload;

/// What `plugin push` takes.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// The component. A signature beside it, FILE.minisig, goes with it
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// HOST/REPOSITORY:TAG
    #[arg(value_name = "REF")]
    reference: String,
    /// Sign it with this secret key of minisign, in the place of a signature beside it
    #[arg(long, value_name = "KEYFILE")]
    sign: Option<PathBuf>,
    /// The file with the password of the secret key. Without it the variable SIDENOTE_SIGN_PASSWORD is used, or a terminal
    /// asks; a key without a password needs none
    #[arg(long, value_name = "FILE", requires = "sign")]
    sign_password_file: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryArgs,
    /// The result as one JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Pushes a component, and tells the digest that it has there.
pub(super) async fn push(args: &PushArgs) -> anyhow::Result<()> {
    let reference = reference(&args.reference)?;
    if reference.digest.is_some() || reference.tag.is_none() {
        bail!(Unusable(format!(
            "{reference}: what is pushed gets its digest by that; write HOST/REPOSITORY:TAG"
        )));
    }
    let named = |error: AdmitError| about(&args.file, error);
    let component = read(&args.file).map_err(named)?;
    let (exports, imports) = names_of(&component).map_err(named)?;
    let manifest = Manifest::read(&component).map_err(|error| named(error.into()))?;
    let signature = signature(args, &component)?;
    let config = json!({
        // The time would make another digest of the same content.
        "created": "1970-01-01T00:00:00Z",
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [layout::name(layout::hash(&component))],
        "component": {"exports": exports, "imports": imports, "target": null},
    });
    let config = serde_json::to_vec(&config)?;
    let signed = signature.is_some();
    let annotations = manifest.as_ref().map(annotations).unwrap_or_default();
    let manifest = layout::write(&component, &config, signature, annotations);
    let digest = layout::hash(&manifest);
    let (bytes, sha256) = (component.len(), layout::hash(&component));
    let access = args.registry.access(&reference)?;
    Upload { reference: &reference, component, config, manifest }.send(&access).await?;
    let pinned = reference.at(digest);
    if args.json {
        let told = json!({
            "reference": pinned.to_string(),
            "tag": reference.tag,
            "sha256": sha256.to_string(),
            "bytes": bytes,
            "signed": signed,
        });
        return output::data(&told.to_string());
    }
    let how = if signed { "signed" } else { "not signed" };
    output::say(&format!("{reference}: {bytes} bytes, {how}, sha256 {sha256}"));
    output::say("the line for [plugins.NAME] of whoever runs it:");
    output::data(&format!("file = \"{pinned}\""))
}

/// The one that is made now, or the one that stands beside the component.
fn signature(args: &PushArgs, component: &[u8]) -> anyhow::Result<Option<String>> {
    if let Some(key) = &args.sign {
        let name = args.file.file_name().unwrap_or_default().to_string_lossy();
        return sign::sign(key, args.sign_password_file.as_deref(), component, &name).map(Some);
    }
    beside(&signature_file(&args.file))
}

fn beside(file: &Path) -> anyhow::Result<Option<String>> {
    match read_signature(file) {
        Ok(signature) => Ok(Some(signature)),
        Err(AdmitError::NotSigned) => Ok(None),
        Err(error) => Err(anyhow!("{}: {error}", file.display())),
    }
}

/// What registries show of an artifact.
fn annotations(manifest: &Manifest) -> BTreeMap<String, String> {
    let all = [
        ("title", &manifest.name),
        ("version", &manifest.version),
        ("description", &manifest.description),
    ];
    let named = all.into_iter().filter(|(_, text)| !text.is_empty());
    named.map(|(name, text)| (format!("org.opencontainers.image.{name}"), text.clone())).collect()
}
