//! `sidenote plugin watch`: builds again what changed, swaps it in, and has the last event happen again.

mod build;
mod sources;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use sidenote_sim::Mock;
use sidenote_terminal::output;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use self::build::Build;
use self::sources::Sources;
use super::bench::{Bench, BenchArgs};
use super::call::{EventArgs, happen};
use super::exchange::{Masks, shown};
use super::suite::form;

/// How often the sources are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How often the registry looks at its copy of the component.
const RELOAD: Duration = Duration::from_millis(50);
/// How long a component may take to be compiled and loaded.
const SWAP: Duration = Duration::from_secs(180);

/// What `plugin watch` takes.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// A folder of sources, or a component that something else builds
    #[arg(value_name = "FOLDER|FILE.wasm")]
    path: PathBuf,
    /// The build command, run by `sh` in the folder; default: build.sh, a Makefile, the script
    /// `build` of package.json, build.py or Cargo.toml
    #[arg(long, value_name = "COMMAND")]
    build: Option<String>,
    /// The built component; default: the newest .wasm in the folder
    #[arg(long, value_name = "FILE.wasm")]
    component: Option<PathBuf>,
    #[command(flatten)]
    event: EventArgs,
    #[command(flatten)]
    bench: BenchArgs,
    /// The mock platform's responses, as for `plugin test`
    #[arg(long, value_name = "FILE")]
    answer: Option<PathBuf>,
}

/// Watches until Ctrl-C.
pub(super) async fn watch(args: WatchArgs) -> anyhow::Result<ExitCode> {
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    tokio::select! {
        stopped = &mut interrupt => stopped.context("can't listen for Ctrl-C")?,
        ended = watching(args) => ended?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn watching(args: WatchArgs) -> anyhow::Result<()> {
    let folder = match args.path.is_dir() {
        true => args.path.clone(),
        false => parent(&args.path),
    };
    let build = Build::find(&args.path, &folder, args.build.as_deref())?;
    let mut sources = match &build {
        Some(_) => Sources::below(&folder),
        None => Sources::one(&args.path),
    };
    if let Some(build) = &build {
        output::say(&format!("building with: {build}"));
        // A first version that doesn't build is waited for like any other.
        while !build.run().await? {
            changed(&mut sources).await;
        }
        sources.look();
    }
    let component = match (&args.component, &build) {
        (Some(file), _) => file.clone(),
        (None, Some(_)) if args.path.is_dir() => build::youngest(&folder)?,
        (None, _) => args.path.clone(),
    };
    let mock = Mock::start(form(args.answer.as_deref())?)
        .await
        .context("the mock platform can't listen on this machine")?;
    let bench = Bench::with_mock(&component, &args.bench, &mock.url(), None).await?;
    output::say(&format!(
        "{} at {}, mock platform at {}",
        bench.name,
        component.display(),
        mock.url()
    ));
    bench.chosen.iter().for_each(|line| output::say(line));
    output::say("a line that is typed is posted as a note; Ctrl-C ends");
    let bound = Watched { bench: &bench, mock: &mock, masks: Masks::of(&bench), component, build };
    tokio::select! {
        // It ends with this function.
        () = bench.registry.watch(RELOAD, CancellationToken::new()) => bail!("the component isn't watched any more"),
        ended = bound.go_on(args.event, sources) => ended,
    }
}

/// What is watched, and where it runs.
struct Watched<'a> {
    bench: &'a Bench,
    mock: &'a Mock,
    masks: Masks,
    component: PathBuf,
    build: Option<Build>,
}

impl Watched<'_> {
    async fn go_on(self, mut event: EventArgs, mut sources: Sources) -> anyhow::Result<()> {
        let mut bytes = std::fs::read(&self.component).unwrap_or_default();
        let mut typed = Typed::new();
        self.show(&event).await?;
        loop {
            tokio::select! {
                () = changed(&mut sources) => {}
                line = typed.next() => {
                    event = EventArgs { text: line, request: None, ..event };
                    self.show(&event).await?;
                    continue;
                }
            }
            if let Some(build) = &self.build {
                let built = build.run().await?;
                sources.built();
                if !built {
                    continue;
                }
            }
            let component = match sidenote::plugin::read(&self.component) {
                Ok(component) => component,
                Err(error) => {
                    output::say(&format!("{}: {error}", self.component.display()));
                    continue;
                }
            };
            if component == bytes {
                output::say("the component is the same");
            } else {
                self.swap(&component).await?;
                bytes = component;
            }
            self.show(&event).await?;
        }
    }

    /// Puts a version in and waits until it is loaded, or refused.
    async fn swap(&self, component: &[u8]) -> anyhow::Result<()> {
        let registry = &self.bench.registry;
        let ends = || {
            let totals = registry.reloads();
            totals.swapped + totals.refused
        };
        let (before, began) = (ends(), Instant::now());
        self.bench.replace(component)?;
        while ends() == before {
            if began.elapsed() > SWAP {
                bail!("the component wasn't loaded within {SWAP:?}");
            }
            sleep(RELOAD).await;
        }
        let state = self.bench.state();
        match state.refused.or(state.failed) {
            Some(why) => output::say(&format!("not loaded, the one before goes on: {why}")),
            None => output::say(&format!("swapped in: {}", state.version.unwrap_or_default())),
        }
        Ok(())
    }

    /// Has the event happen and shows what the mock got.
    async fn show(&self, event: &EventArgs) -> anyhow::Result<()> {
        self.mock.take();
        let answer = happen(self.bench, event).await?;
        for exchange in self.mock.take() {
            output::data(&shown(&exchange, &self.masks))?;
        }
        output::data(&self.masks.mask(&answer.text()))
    }
}

/// Waits until sources changed and have come to rest.
async fn changed(sources: &mut Sources) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut restless = false;
    loop {
        looks.tick().await;
        match sources.look() {
            true => restless = true,
            false if restless => return,
            false => {}
        }
    }
}

/// The lines of standard input. When it ends, nothing more is typed.
struct Typed(mpsc::Receiver<String>);

impl Typed {
    /// Reads on a thread that nobody waits for: a read of a terminal can't be called off, and the runtime's
    /// own would keep the command from ending.
    fn new() -> Self {
        let (sender, lines) = mpsc::channel(16);
        std::thread::spawn(move || {
            for line in std::io::stdin().lines().map_while(Result::ok) {
                if sender.blocking_send(line).is_err() {
                    break;
                }
            }
        });
        Self(lines)
    }

    async fn next(&mut self) -> String {
        match self.0.recv().await {
            Some(line) => line,
            None => std::future::pending().await,
        }
    }
}

fn parent(file: &Path) -> PathBuf {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}
