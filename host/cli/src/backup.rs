//! `sidenote backup`: a copy of the store, while the host runs.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Args;
use serde_json::json;
use sha2::{Digest, Sha256};
use sidenote::engine::core::rows::is_packed;
use sidenote::store::{FileReport, inspect};
use sidenote_terminal::output;
use tempfile::NamedTempFile;

use super::client::Client;
use super::outbox::args::SourceArgs;
use super::outbox::way::Way;

/// How much is read at once, in bytes.
const PIECE: usize = 64 << 10;

/// What `backup` takes.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// The copy, on this machine; an existing file isn't overwritten
    #[arg(value_name = "FILE")]
    to: PathBuf,
    /// The result, as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Copies the store. The copy has its name once all of it is on the disk.
pub(super) async fn backup(args: BackupArgs) -> anyhow::Result<ExitCode> {
    let BackupArgs { source, to, json: as_json } = args;
    if to.symlink_metadata().is_ok() {
        bail!("{} is there, and isn't replaced: name another file, or move it away", to.display());
    }
    // Readable to its owner alone: it holds what people did.
    let part = NamedTempFile::new_in(folder_of(&to)).with_context(|| {
        format!(
            "no file can be made in {}; make the folder, or name another",
            folder_of(&to).display()
        )
    })?;
    let copied = match Way::choose(&source).await? {
        Way::Host(client) => fetched(&client, part.as_file()).await?,
        Way::Offline(offline) => {
            let copied = offline.backup().await;
            offline.let_go().await;
            written(&mut copied?, part.as_file()).context(UNWRITTEN)?
        }
    };
    part.as_file().sync_all().context(UNWRITTEN)?;
    let found = inspect(part.path(), is_packed).context("what was copied can't be read")?;
    part.persist_noclobber(&to).map_err(|error| error.error).with_context(|| {
        format!("the copy can't be named {}; is there such a file by now?", to.display())
    })?;
    File::open(folder_of(&to)).and_then(|folder| folder.sync_all()).context(UNWRITTEN)?;
    let Copied { bytes, sha256 } = copied;
    if as_json {
        let FileReport { format, rows, .. } = found;
        let value =
            json!({"file": to, "bytes": bytes, "sha256": sha256, "format": format, "rows": rows});
        output::data(&value.to_string())?;
    }
    output::say(&format!("{}: {} rows, {bytes} bytes, SHA-256 {sha256}", to.display(), found.rows));
    Ok(ExitCode::SUCCESS)
}

const UNWRITTEN: &str = "the copy can't be written; there is none. Check the disk that it goes to";

/// What was copied.
struct Copied {
    bytes: u64,
    /// In hexadecimal digits.
    sha256: String,
}

/// A file on its way, with its hash so far.
struct Writing<'f> {
    to: &'f File,
    bytes: u64,
    hash: Sha256,
}

impl<'f> Writing<'f> {
    fn of(to: &'f File) -> Self {
        Self { to, bytes: 0, hash: Sha256::new() }
    }

    fn add(&mut self, piece: &[u8]) -> io::Result<()> {
        self.to.write_all(piece)?;
        self.hash.update(piece);
        self.bytes += piece.len() as u64;
        Ok(())
    }
}

/// A running host's copy. What isn't all of it, or something else on the way, is no copy.
async fn fetched(client: &Client, to: &File) -> anyhow::Result<Copied> {
    let mut answer = client.have_sent("/backup").await?;
    let digest = answer.headers().get("content-digest").and_then(|value| value.to_str().ok());
    let digest = digest.map(str::to_owned).context("what answers isn't a host of this version")?;
    let mut writing = Writing::of(to);
    let broke_off = "the copy broke off; there is none. Ask again";
    while let Some(piece) =
        answer.chunk().await.map_err(reqwest::Error::without_url).context(broke_off)?
    {
        writing.add(&piece).context(UNWRITTEN)?;
    }
    let sum = writing.hash.finalize();
    if digest != format!("sha-256=:{}:", BASE64.encode(sum)) {
        bail!("what arrived isn't what the host sent; there is no copy. Ask again");
    }
    Ok(Copied { bytes: writing.bytes, sha256: hex::encode(sum) })
}

/// A copy that this process made.
fn written(from: &mut File, to: &File) -> io::Result<Copied> {
    let (mut writing, mut piece) = (Writing::of(to), vec![0; PIECE]);
    loop {
        match from.read(&mut piece)? {
            0 => break,
            read => writing.add(&piece[..read])?,
        }
    }
    Ok(Copied { bytes: writing.bytes, sha256: hex::encode(writing.hash.finalize()) })
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    }
}
