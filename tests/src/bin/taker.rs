//! A host that is fed through its standard input and says which batches are *taken*: the exact side of what
//! the kills are judged by.
//!
//! | command, a line | answer, a line |
//! |---|---|
//! | `take N EVENT`: a batch as on the stream | `taken N`, after the commit that took it |
//! | `counters` | `counters {…}` |
//! | `dead` | `dead […]`: the dead letters |
//!
//! Batches of one session are handed over one after the other, those of different sessions at once. At the end
//! of its input, and on SIGTERM, it stops in order. The log goes to stderr.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sidenote::config::Config;
use sidenote::engine::Handle;
use sidenote::host::Host;
use sidenote::session::payload::{ActionsPayload, Payload, parse_event};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// As `sidenote` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long it may take to post what is queued at the end.
const STOPS_WITHIN: Duration = Duration::from_secs(30);
/// Batches of one session that wait for the one before.
const WAITING: usize = 1024;
/// Dead letters that are told of.
const MAX_DEAD: usize = 100_000;

fn main() -> ExitCode {
    sidenote::telemetry::init(true, tracing::Level::INFO);
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    let done = runtime.block_on(run());
    // A thread may still wait for standard input.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let file = std::env::args_os().nth(1).context("usage: taker CONFIG")?;
    let config = Config::load(&PathBuf::from(file))?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM can't be listened for")?;
    let mut host = Host::start(config).await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut sessions =
        Sessions { engine: host.engine().clone(), queues: HashMap::new(), takers: JoinSet::new() };
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line.context("standard input")?,
            _ = terminate.recv() => None,
            failure = host.failed() => return Err(failure.into()),
        };
        let Some(line) = line else { break };
        match line.split_once(' ') {
            Some(("take", rest)) => sessions.take(rest).await?,
            None if line == "counters" => {
                say(&format!("counters {}", serde_json::to_string(&host.counters())?));
            }
            None if line == "dead" => {
                let letters = host.dead_letters(MAX_DEAD).await?;
                say(&format!("dead {}", serde_json::to_string(&letters)?));
            }
            _ => bail!("there is no such command: {line}"),
        }
    }
    sessions.end().await?;
    host.shutdown(STOPS_WITHIN).await?;
    Ok(())
}

/// One task per session keeps the order of its batches.
struct Sessions {
    engine: Handle,
    queues: HashMap<String, mpsc::Sender<(String, ActionsPayload, usize)>>,
    takers: JoinSet<()>,
}

impl Sessions {
    async fn take(&mut self, command: &str) -> Result<()> {
        let (number, event) = command.split_once(' ').context("usage: take N EVENT")?;
        let Payload::Actions(batch) = parse_event(event)?.payload else {
            bail!("only actions are taken");
        };
        let session = batch.session_id.clone().context("a batch names its session")?;
        let queue = self.queues.entry(session).or_insert_with(|| {
            let (queue, batches) = mpsc::channel(WAITING);
            self.takers.spawn(take_in_order(self.engine.clone(), batches));
            queue
        });
        // A closed queue: the engine has ended, of which the host tells.
        drop(queue.send((number.to_owned(), batch, event.len())).await);
        Ok(())
    }

    async fn end(mut self) -> Result<()> {
        self.queues.clear();
        while let Some(ended) = self.takers.join_next().await {
            ended.context("a session's task")?;
        }
        Ok(())
    }
}

async fn take_in_order(
    engine: Handle,
    mut batches: mpsc::Receiver<(String, ActionsPayload, usize)>,
) {
    while let Some((number, batch, bytes)) = batches.recv().await {
        if engine.accept_committed(batch, bytes).await.is_err() {
            return;
        }
        say(&format!("taken {number}"));
    }
}

/// A line on stdout, in one write: whoever reads half of it reads that of a killed process.
#[expect(clippy::print_stdout, reason = "this is a command line")]
fn say(line: &str) {
    println!("{line}");
}
