//! What can be wrong with a configuration of triggers, and where.

use serde_json::{Map, Value};

/// What is wrong with a configuration of triggers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reading the triggers: `{path}` {fault}")]
pub struct ConfigError {
    /// Where it stands, for example `triggers[1].options[0].label`.
    pub path: String,
    /// The row, from 0, where it is one of a list's.
    pub row: Option<usize>,
    /// The key of the row, where it is one.
    pub key: Option<String>,
    /// What is wrong there.
    pub fault: Fault,
    /// Whether a default is used in its place, so that the row can be used.
    pub has_default: bool,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It isn't what is wanted, or isn't there.
    #[error("isn't {0}; write one there")]
    Not(&'static str),
    /// A key that means nothing there.
    #[error("means nothing here; remove it (keys here: {})", .known.join(", "))]
    Unknown {
        /// The keys that mean something.
        known: Vec<&'static str>,
    },
    /// A word that isn't one of those that can stand there.
    #[error("is \"{word}\", which isn't known; write one of {}", .known.join(", "))]
    Word {
        /// The word.
        word: String,
        /// Those that can.
        known: Vec<String>,
    },
    /// A text with too many characters.
    #[error("is longer than {most} characters; shorten it")]
    TooLong {
        /// So many at most.
        most: usize,
    },
    /// A list with too many entries.
    #[error("has more than {most} entries; leave some out")]
    TooMany {
        /// So many at most.
        most: usize,
    },
    /// Groups within groups beyond what is read.
    #[error("is nested too deeply; use fewer groups within groups")]
    TooDeep,
    /// Two of one id.
    #[error("stands at another trigger too; give each an id of its own")]
    Twice,
    /// A tree of criteria as a condition of another one.
    #[error(
        "is a trigger of kind \"criteria\", which can't be a condition of another one; write its conditions here"
    )]
    Nested,
    /// Something that has no effect because of what stands beside it.
    #[error("has no effect where `hesitation` is false; remove one of the two")]
    Idle,
    /// A trigger that isn't offered alone and is no condition of any criteria.
    #[error(
        "is false, and no criteria name the trigger, so it would have no effect; remove the trigger or name it"
    )]
    Unused,
}

/// Where something stands.
#[derive(Debug, Clone)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone)]
enum Step<'a> {
    Key(&'a str),
    Nth(usize),
}

impl<'a> Path<'a> {
    /// The beginning of a path.
    pub fn top(name: &'a str) -> Self {
        Self { parent: None, step: Step::Key(name) }
    }

    /// A key of what stands here.
    pub fn at<'b>(&'b self, key: &'b str) -> Path<'b> {
        Path { parent: Some(self), step: Step::Key(key) }
    }

    /// An entry of the list that stands here, from 0.
    pub fn nth(&self, place: usize) -> Path<'_> {
        Path { parent: Some(self), step: Step::Nth(place) }
    }

    /// Something is wrong here.
    pub fn fault(&self, fault: Fault) -> ConfigError {
        let mut path = String::new();
        self.write(&mut path);
        let steps = self.steps();
        let (row, key) = match steps.as_slice() {
            [_, Step::Nth(row), Step::Key(key), ..] => (Some(*row), Some((*key).to_owned())),
            [_, Step::Nth(row), ..] => (Some(*row), None),
            [] | [Step::Key(_) | Step::Nth(_), ..] => (None, None),
        };
        ConfigError { path, row, key, fault, has_default: false }
    }

    fn steps(&self) -> Vec<&Step<'a>> {
        let mut steps = vec![&self.step];
        let mut above = self.parent;
        while let Some(path) = above {
            steps.push(&path.step);
            above = path.parent;
        }
        steps.reverse();
        steps
    }

    fn write(&self, out: &mut String) {
        if let Some(parent) = self.parent {
            parent.write(out);
        }
        match self.step {
            Step::Key(key) => {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(key);
            }
            Step::Nth(place) => out.push_str(&format!("[{place}]")),
        }
    }
}

/// A text as it stands; it may be empty.
pub(super) fn text(
    fields: &Map<String, Value>,
    key: &str,
    path: &Path<'_>,
) -> Result<String, ConfigError> {
    let text = fields.get(key).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| path.at(key).fault(Fault::Not("a text")))
}
