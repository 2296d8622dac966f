//! The results of reloads, as they are reported.

use serde::{Deserialize, Serialize};

use crate::config::{Place, Plan, Problem};

/// What `GET /reload` answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reloads {
    /// Their results since the start.
    pub totals: ReloadCounts,
    /// The last one; `None` before the first.
    pub last: Option<Reload>,
    /// Whether one is under way.
    pub under_way: bool,
}

/// How many reloads ended how. Of those by which the host looks after a change of `plugins.d`, only what changes
/// something or is refused counts.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct ReloadCounts {
    /// Something was swapped.
    pub applied: u64,
    /// Nothing was to be swapped.
    pub unchanged: u64,
    /// Nothing was swapped, for the reason that is told.
    pub refused: u64,
}

/// One reload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reload {
    /// When it ended, in seconds since the Unix epoch.
    pub at: f64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Who asked for it.
    pub by: AskedBy,
    /// Its result.
    #[serde(flatten)]
    pub outcome: ReloadOutcome,
}

/// Who asked for a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AskedBy {
    /// `POST /reload`.
    Api,
    /// SIGHUP.
    Signal,
    /// A file of `plugins.d` changed.
    Folder,
}

/// The result of a reload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// This was swapped.
    Applied {
        /// What.
        changes: Box<Plan>,
    },
    /// The configuration is the one that is in force.
    Unchanged,
    /// Nothing was swapped: the host goes on by the configuration before.
    Refused(ReloadRefusal),
}

/// Why a reload is refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReloadRefusal {
    /// The kind.
    pub code: RefusalCode,
    /// Everything that is wrong.
    pub problems: Vec<ReloadProblem>,
}

/// The kinds of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The configuration has mistakes.
    Configuration,
    /// Something is changed that can't be swapped while the host runs.
    NeedsRestart,
    /// A plugin can't be loaded with what is configured for it.
    Plugin,
    /// A part of the host can't be built with what is configured for it.
    Part,
    /// The store keeps the host busy.
    Busy,
    /// The host is shutting down.
    Closing,
    /// The host was started with no file that could be read again.
    NoFile,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReloadProblem {
    /// The file, where it is one's.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<usize>,
    /// The variable of the environment, where it is one's.
    pub variable: Option<String>,
    /// The table; empty for none.
    pub section: String,
    /// What is wrong, and the remedy.
    pub message: String,
}

impl ReloadProblem {
    /// Something that stands in no one place.
    pub fn of(section: impl Into<String>, message: impl ToString) -> Self {
        let (section, message) = (section.into(), message.to_string());
        Self { file: None, line: None, variable: None, section, message }
    }
}

impl From<&Problem> for ReloadProblem {
    fn from(problem: &Problem) -> Self {
        let (file, line, variable) = match &problem.place {
            Place::File(file) => (Some(file.display().to_string()), None, None),
            Place::Line(file, line) => (Some(file.display().to_string()), Some(*line), None),
            Place::Variable(name) => (None, None, Some(name.clone())),
        };
        let (section, message) = (problem.section.clone(), problem.fault.to_string());
        Self { file, line, variable, section, message }
    }
}

impl std::fmt::Display for ReloadProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.file, self.line, &self.variable) {
            (Some(file), Some(line), _) => write!(f, "{file}:{line}: ")?,
            (Some(file), None, _) => write!(f, "{file}: ")?,
            (None, _, Some(variable)) => write!(f, "environment variable {variable}: ")?,
            (None, _, None) => {}
        }
        if !self.section.is_empty() {
            write!(f, "[{}] ", self.section)?;
        }
        f.write_str(&self.message)
    }
}

impl std::fmt::Display for ReloadRefusal {
    /// One line per problem.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<_> = self.problems.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl RefusalCode {
    /// The remedy.
    pub fn next(self) -> &'static str {
        match self {
            Self::Configuration | Self::Plugin | Self::Part => {
                "repair that and reload again; the host goes on by the configuration before"
            }
            Self::NeedsRestart => {
                "restart the host, or undo that change and reload again; the host goes on by the configuration before"
            }
            Self::Busy => "reload again when the store answers",
            Self::Closing => "the next start reads the configuration",
            Self::NoFile => "start the host with `sidenote run --config FILE`",
        }
    }
}
