//! `sidenote plugin verify`: whose signature a component has.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde_json::json;
use sidenote::config::{Config, Reference, TrustedKey};
use sidenote::oci::Pulled;
use sidenote::plugin::{
    AdmitError, MAX_COMPONENT_BYTES, read, read_signature, sha256, signature_file, signed_by,
};
use sidenote_terminal::{RegistryArgs, Unusable, about, output, reference};

use super::is_file;

/// What `plugin verify` takes.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The component: a file with its signature beside it, FILE.minisig, or HOST/REPOSITORY with :TAG or @sha256:DIGEST
    #[arg(value_name = "FILE|REF")]
    subject: String,
    /// A public key of minisign, or the file of one; can be given several times
    #[arg(long = "key", value_name = "KEY", required_unless_present = "config")]
    keys: Vec<String>,
    /// The configuration whose `trusted_keys` are used
    #[arg(long, value_name = "FILE", conflicts_with = "keys")]
    config: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryArgs,
    /// The result as one JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// What is verified.
struct Subject {
    /// As it is told.
    name: String,
    bytes: Vec<u8>,
    signature: Result<String, AdmitError>,
    /// By its digest, where it came from a registry.
    pinned: Option<String>,
}

/// Verifies a component: success where one of the keys made its signature.
pub(super) async fn verify(args: &VerifyArgs) -> anyhow::Result<()> {
    let (keys, config) = keys(args)?;
    let subject = match is_file(&args.subject) {
        true => of_file(Path::new(&args.subject))?,
        false => pulled(&reference(&args.subject)?, args, config.as_ref()).await?,
    };
    let Subject { name, bytes, signature, pinned } = subject;
    let key = signature.and_then(|signature| signed_by(&keys, &signature, &bytes));
    let key = key.map_err(|refused| {
        if matches!(refused, AdmitError::NotSigned) {
            anyhow!("signature: {name} has none; ask its author for one")
        } else if matches!(refused, AdmitError::NotTrusted) {
            anyhow!(
                "signature: that of {name} is by none of these keys; look up whose key its author uses"
            )
        } else {
            anyhow!("{name}: {refused}")
        }
    })?;
    let digest = sha256(&bytes);
    if args.json {
        let told = json!({"subject": pinned.as_ref().unwrap_or(&name), "sha256": digest.to_string(), "key": key.to_string()});
        return output::data(&told.to_string());
    }
    output::data(&format!("{name}: signed by {key}, sha256 {digest}"))?;
    if let Some(pinned) = pinned {
        output::say(&format!("the line for [plugins.NAME]: file = \"{pinned}\""));
    }
    Ok(())
}

fn keys(args: &VerifyArgs) -> anyhow::Result<(Vec<TrustedKey>, Option<Config>)> {
    if let Some(file) = &args.config {
        let config = Config::load(file)?;
        let keys = config.supply.trusted_keys.clone();
        if keys.is_empty() {
            bail!(Unusable(format!(
                "{} has no `trusted_keys`; add some, or name a key with --key",
                file.display()
            )));
        }
        return Ok((keys, Some(config)));
    }
    Ok((args.keys.iter().map(|key| one(key)).collect::<anyhow::Result<_>>()?, None))
}

/// A key as it is written, or the second line of its file.
fn one(text: &str) -> anyhow::Result<TrustedKey> {
    if let Some(key) = TrustedKey::parse(text) {
        return Ok(key);
    }
    let file = std::fs::read_to_string(text).with_context(|| {
        format!("{} is no key of minisign and no file of one", output::escaped(text))
    })?;
    file.lines().find_map(|line| TrustedKey::parse(line.trim())).ok_or_else(|| {
        anyhow!(Unusable(format!("{} holds no public key of minisign", output::escaped(text))))
    })
}

fn of_file(file: &Path) -> anyhow::Result<Subject> {
    let bytes = read(file).map_err(|error| about(file, error))?;
    let signature = read_signature(&signature_file(file));
    Ok(Subject { name: file.display().to_string(), bytes, signature, pinned: None })
}

async fn pulled(
    reference: &Reference,
    args: &VerifyArgs,
    config: Option<&Config>,
) -> anyhow::Result<Subject> {
    let access = match config.and_then(|config| config.supply.registries.get(&reference.host)) {
        Some(access) => access.clone(),
        None => args.registry.access(reference)?,
    };
    let pulled = Pulled::pull(reference, &access, MAX_COMPONENT_BYTES).await?;
    let signature = pulled.layer.signature.ok_or(AdmitError::NotSigned);
    let pinned = Some(reference.at(pulled.digest).to_string());
    Ok(Subject { name: reference.to_string(), bytes: pulled.component, signature, pinned })
}
