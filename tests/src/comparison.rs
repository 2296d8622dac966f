//! What a host takes and costs beside the same job done by hand, row by row.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::store_kind::StoreKind;
use crate::throughput::{Load, NOTE_ACTIONS, Outcome, Place, Triggers, run};

/// The same work for a host and for its peer.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// People.
    pub sessions: u32,
    /// Events of each.
    pub events: u32,
    /// Actions in an event.
    pub batch: u32,
    /// Actions in a second; 0 for as many as are read.
    pub rate: u64,
    /// Whether they open their conversations when all is sent.
    pub linked_after: bool,
    /// What is compared.
    pub of: Of,
}

/// What a row compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Actions that arrive in a second: more is better.
    Actions,
    /// Notes that arrive in a second: more is better.
    Notes,
    /// Processor time of a note: less is better.
    Cost,
}

/// The rows.
pub const ROWS: [Row; 6] = [
    Row { name: "burst", sessions: 1000, events: 10, batch: 5, of: Of::Actions, ..PLAIN },
    Row { name: "flood", sessions: 5000, events: 20, batch: 10, of: Of::Actions, ..PLAIN },
    Row { name: "linked after", sessions: 20_000, linked_after: true, of: Of::Notes, ..PLAIN },
    Row { name: "2,000 notes/s", sessions: 5000, events: 4, batch: 1, rate: 2000, ..PLAIN },
    Row { name: "4,800 notes/s", sessions: 12_000, events: 4, batch: 1, rate: 4800, ..PLAIN },
    Row { name: "250 notes/s", sessions: 1000, events: 5, batch: 1, rate: 250, ..PLAIN },
];

const PLAIN: Row =
    Row { name: "", sessions: 0, events: 1, batch: 5, rate: 0, linked_after: false, of: Of::Cost };

/// What a run came to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Figures {
    /// Actions that arrived in a second.
    pub actions_per_second: f64,
    /// Notes that arrived in a second.
    pub notes_per_second: f64,
    /// Notes.
    pub notes: u64,
    /// Processor time of the program under test for a note, in microseconds.
    pub micros_per_note: f64,
    /// Half of the notes came at most so long after they were due, in milliseconds.
    pub late_median: f64,
    /// 99 of 100 did.
    pub late_p99: f64,
    /// The longest time without an arrival, in milliseconds.
    #[serde(default)]
    pub longest_pause: f64,
    /// The largest resident size of the program under test, in MiB.
    pub peak: f64,
    /// Commits of its store for a note, where that is known.
    pub commits_per_note: Option<f64>,
}

/// Who does the work.
#[derive(Debug, Clone)]
pub enum Worker {
    /// The program that does it by hand.
    Peer,
    /// A host on this store.
    Host(StoreKind),
}

/// The programs that are beside the benchmark's own.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The host.
    pub taker: PathBuf,
    /// The peer.
    pub peer: PathBuf,
    /// The folder with the components, where it isn't the usual one.
    pub components: Option<PathBuf>,
}

impl Programs {
    /// Those in a folder.
    pub fn in_folder(folder: &Path, components: Option<PathBuf>) -> Self {
        Self { taker: folder.join("taker"), peer: folder.join("peer"), components }
    }
}

impl Row {
    /// Has the work done once.
    ///
    /// # Errors
    /// When something was lost or out of order.
    pub async fn run(&self, worker: &Worker, programs: &Programs) -> Result<Figures> {
        let (host, store) = match worker {
            Worker::Peer => (Place::Peer(programs.peer.clone()), StoreKind::Memory),
            Worker::Host(store) => (Place::Taker(programs.taker.clone()), store.clone()),
        };
        let load = Load {
            components: programs.components.clone(),
            store,
            host,
            sessions: self.sessions,
            rate: self.rate,
            time: Duration::from_secs(600),
            events: Some(self.events),
            linked_after: self.linked_after,
            batch: self.batch,
            note_actions: NOTE_ACTIONS,
            concurrency: 8,
            platform_takes: Duration::ZERO,
            context: false,
            triggers: Triggers::None,
        };
        let outcome = run(&load).await?;
        outcome.check().with_context(|| format!("{}, {}", self.name, worker.name()))?;
        Ok(Figures::of(&outcome))
    }

    /// How a host compares with its peer: above 1 it takes more, or costs more.
    pub fn ratio(&self, host: &Figures, peer: &Figures) -> f64 {
        let part = |host: f64, peer: f64| host / peer.max(f64::MIN_POSITIVE);
        match self.of {
            Of::Actions => part(host.actions_per_second, peer.actions_per_second),
            Of::Notes => part(host.notes_per_second, peer.notes_per_second),
            Of::Cost => part(host.micros_per_note, peer.micros_per_note),
        }
    }
}

impl Worker {
    /// What it is called.
    pub fn name(&self) -> &str {
        match self {
            Self::Peer => "by hand",
            Self::Host(store) => store.name(),
        }
    }
}

impl Figures {
    fn of(outcome: &Outcome) -> Self {
        let millis = |late: Duration| late.as_secs_f64() * 1e3;
        let notes = outcome.totals.notes;
        let commits = outcome.commits.map(|commits| commits as f64 / (notes as f64).max(1.0));
        Self {
            actions_per_second: outcome.actions_per_second(),
            notes_per_second: outcome.notes_per_second(),
            notes,
            micros_per_note: outcome.cost_of_a_note().unwrap_or_default().as_secs_f64() * 1e6,
            late_median: millis(outcome.late[0]),
            late_p99: millis(outcome.late[1]),
            longest_pause: millis(outcome.longest_pause),
            peak: outcome.peak_memory.unwrap_or_default() as f64 / f64::from(1 << 20),
            commits_per_note: commits,
        }
    }

    /// The middle of several runs, figure by figure.
    pub fn middle(runs: &[Self]) -> Option<Self> {
        let first = runs.first()?;
        let of = |figure: fn(&Self) -> f64| {
            let mut figures: Vec<_> = runs.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        Some(Self {
            actions_per_second: of(|run| run.actions_per_second),
            notes_per_second: of(|run| run.notes_per_second),
            notes: of(|run| run.notes as f64) as u64,
            micros_per_note: of(|run| run.micros_per_note),
            late_median: of(|run| run.late_median),
            late_p99: of(|run| run.late_p99),
            longest_pause: of(|run| run.longest_pause),
            peak: of(|run| run.peak),
            commits_per_note: first
                .commits_per_note
                .map(|_| of(|run| run.commits_per_note.unwrap_or_default())),
        })
    }
}
