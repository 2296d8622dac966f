//! `sidenote plugin pull`: a component out of a registry, as files.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use sidenote::config::Reference;
use sidenote::oci::Pulled;
use sidenote::plugin::{MAX_COMPONENT_BYTES, signature_file};
use sidenote_terminal::{RegistryArgs, output, reference};

/// What `plugin pull` takes.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// HOST/REPOSITORY with :TAG or @sha256:DIGEST
    #[arg(value_name = "REF")]
    reference: String,
    /// Where it goes; its signature goes beside it, with .minisig behind the name. By default the last part of the
    /// repository's name and .wasm
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Put it in the place of files that are there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    registry: RegistryArgs,
    /// The result as one JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Pulls it. What doesn't fit its digest is written nowhere.
pub(super) async fn pull(args: &PullArgs) -> anyhow::Result<()> {
    let reference = reference(&args.reference)?;
    let component = args.out.clone().unwrap_or_else(|| named(&reference));
    let signature = signature_file(&component);
    if let Some(there) = [&component, &signature].into_iter().find(|it| !args.force && it.exists())
    {
        bail!("{} is there already; add --force, or name another with --out", there.display());
    }
    let access = args.registry.access(&reference)?;
    let pulled = Pulled::pull(&reference, &access, MAX_COMPONENT_BYTES).await?;
    write(&component, &pulled.component)?;
    match &pulled.layer.signature {
        Some(text) => write(&signature, text.as_bytes())?,
        // That of what was there would be another content's.
        None if signature.exists() => {
            std::fs::remove_file(&signature).with_context(|| signature.display().to_string())?;
        }
        None => {}
    }
    let pinned = reference.at(pulled.digest);
    let signed = pulled.layer.signature.is_some();
    if args.json {
        let told = json!({
            "reference": pinned.to_string(),
            "sha256": pulled.layer.sha256.to_string(),
            "bytes": pulled.layer.size,
            "file": component,
            "signature": signed.then_some(signature),
        });
        return output::data(&told.to_string());
    }
    let how = if signed { "signed, which isn't verified" } else { "not signed" };
    output::say(&format!(
        "{}: {} bytes, {how}, sha256 {}",
        component.display(),
        pulled.layer.size,
        pulled.layer.sha256
    ));
    if let Some(tag) = &reference.tag {
        output::say(&format!("{tag} stands for this now; the line for [plugins.NAME]:"));
    }
    output::data(&format!("file = \"{pinned}\""))
}

fn named(reference: &Reference) -> PathBuf {
    let last = reference.repository.rsplit('/').next().unwrap_or("plugin");
    format!("{last}.wasm").into()
}

/// Whole or not at all: a host may watch the folder.
fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut part = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        part.write_all(bytes)?;
        part.as_file().sync_all()?;
        part.as_file().set_permissions(Permissions::from_mode(0o644))?;
        part.persist(file)?;
        Ok(())
    };
    write().with_context(|| format!("{} can't be written", file.display()))
}
