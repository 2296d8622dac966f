//! Looks at `plugins.d`, so that a file that is dropped in counts without anybody asking.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{Record, ReloadHandle};
use crate::config::Source;
use crate::http::AskedBy;
use crate::plugin::{Change, Stamp, Watch};

/// How long a look may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// A file of the folder, or a component.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tables,
    Component,
}

/// Looks as often as told, until it is told to stop: a file of `plugins.d` that is new, changed or gone has the
/// configuration read again, once it has come to rest. After a reload that was refused a component that comes does
/// too: it may be what was missing.
pub(in crate::host) async fn watch(
    source: Source,
    plugins_folder: PathBuf,
    reloads: ReloadHandle,
    every: Duration,
    stop: CancellationToken,
) {
    let mut folder =
        Folder { source, plugins_folder, watch: Watch::new(BTreeMap::new()), is_readable: true };
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watching = async {
        // The components that are there at the first look are nobody's news.
        folder.look(&reloads.record).await;
        loop {
            ticks.tick().await;
            if folder.look(&reloads.record).await {
                reloads.ask(AskedBy::Folder).await;
            }
        }
    };
    stop.run_until_cancelled(watching).await;
}

struct Folder {
    source: Source,
    plugins_folder: PathBuf,
    watch: Watch,
    is_readable: bool,
}

impl Folder {
    /// Whether the configuration is to be read again.
    async fn look(&mut self, record: &Record) -> bool {
        let (source, components) = (self.source.clone(), self.plugins_folder.clone());
        let looking = tokio::task::spawn_blocking(move || stamps(&source, &components));
        let looked = match tokio::time::timeout(LOOK_TIMEOUT, looking).await {
            Ok(Ok(looked)) => looked,
            Ok(Err(error)) => Err(std::io::Error::other(error)),
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        };
        let files = match looked {
            Ok(files) => files,
            Err(cause) => {
                if std::mem::take(&mut self.is_readable) {
                    tracing::error!(%cause, "plugins.d can't be read; what is configured goes on");
                }
                return false;
            }
        };
        self.is_readable = true;
        let refused = record.was_refused();
        let mut wanted = false;
        for change in self.watch.look(files) {
            wanted |= match &change {
                Change::Seen(_) => false,
                Change::Gone(file) => kind(file) == Kind::Tables,
                Change::AtRest(file) => kind(file) == Kind::Tables || refused,
            };
        }
        wanted
    }
}

/// Files of tables and components by their paths.
fn stamps(source: &Source, components: &Path) -> std::io::Result<BTreeMap<String, Stamp>> {
    let mut files = source.further()?;
    // The folder of the components is watched for itself, and told of there.
    for entry in std::fs::read_dir(components).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            files.push(path);
        }
    }
    let stamped = files.into_iter().filter_map(|file| {
        Some((file.to_string_lossy().into_owned(), Stamp::of(&file.metadata().ok()?)))
    });
    Ok(stamped.collect())
}

fn kind(file: &str) -> Kind {
    if file.ends_with(".toml") { Kind::Tables } else { Kind::Component }
}
