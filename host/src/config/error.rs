//! What can be wrong with a configuration, where, and what to do about it.

use std::fmt;
use std::path::PathBuf;

use crate::see::See;

/// Every problem that was found in a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    problems: Vec<Problem>,
}

impl ConfigErrors {
    /// `None` where there is no problem. Sorted by place, so that the text can be read along the file.
    pub(super) fn of(mut problems: Vec<Problem>) -> Option<Self> {
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        problems.dedup();
        (!problems.is_empty()).then_some(Self { problems })
    }

    /// The problems, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fmt::Display::fmt(problem, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// One problem: where, in which table, and what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {}{fault}", Bracketed(.section))]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// The table, for example `streams.main`; empty for the top of the file.
    pub section: String,
    /// What is wrong.
    pub fault: Fault,
}

struct Bracketed<'a>(&'a str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "[{}] ", self.0) }
    }
}

/// Where a problem stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole.
    File(PathBuf),
    /// A line of the file, from 1.
    Line(PathBuf, usize),
    /// A variable of the environment overlay.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Line(file, line) => write!(f, "{}:{line}", file.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file can't be read.
    #[error("the file can't be read: {cause}; name it with --config FILE")]
    Unreadable {
        /// The system's words.
        cause: String,
    },
    /// The folder of further tables, or a file in it, can't be read.
    #[error("{cause}; repair or remove it: every file of plugins.d is read with the configuration")]
    FurtherUnreadable {
        /// The system's words, or ours.
        cause: String,
    },
    /// A key that only the main file can have.
    #[error(
        "\"{key}\" can't stand in a file of plugins.d, which holds [plugins.NAME], [products.ID] and [streams.NAME]; move it to {}",
        main.display()
    )]
    OnlyInMain {
        /// The key as written.
        key: String,
        /// The main file.
        main: PathBuf,
    },
    /// A table that stands in two files.
    #[error("the table stands in {other} too; remove one of the two, or give one another name")]
    TableTwice {
        /// Where it stands first.
        other: Place,
    },
    /// The text isn't TOML.
    #[error("this isn't TOML: {cause}")]
    Syntax {
        /// The parser's words.
        cause: String,
    },
    /// A key that means nothing here.
    #[error("unknown key \"{key}\"{} Keys here: {} {}", Question(.meant), .known.join(", "), See::UnknownKey)]
    UnknownKey {
        /// The key as written.
        key: String,
        /// The key that was probably meant.
        meant: Option<String>,
        /// The keys that this table has.
        known: Vec<String>,
    },
    /// A variable of the overlay that overrides nothing.
    #[error("it overrides nothing{} A variable overrides a scalar: SIDENOTE__SERVER__LISTEN is `listen` of [server]; tables such as [streams.NAME] must stand in the file", Question(.meant))]
    UnknownVariable {
        /// The variable that was probably meant.
        meant: Option<String>,
    },
    /// A variable of the overlay that isn't text.
    #[error("its value isn't UTF-8 text; set it again")]
    VariableNotText,
    /// A variable of the overlay that fits two keys.
    #[error("it fits both {first} and {second}; rename one of them, or set the value in the file")]
    AmbiguousVariable {
        /// A key that it fits.
        first: String,
        /// Another.
        second: String,
    },
    /// A key that must be there.
    #[error("\"{key}\" is missing; write, for example, `{example}`")]
    MissingKey {
        /// The key.
        key: String,
        /// A line to write.
        example: String,
    },
    /// A table that must be there.
    #[error("no [{table}]: {cause}; add, for example:\n{example}")]
    MissingTable {
        /// The table.
        table: String,
        /// Why it must be there.
        cause: String,
        /// Lines to paste.
        example: String,
    },
    /// A value of another type.
    #[error("\"{key}\" is {found}; write {want}")]
    WrongType {
        /// The key.
        key: String,
        /// What stands there.
        found: &'static str,
        /// What should.
        want: String,
    },
    /// A value that can't be used.
    #[error("\"{key}\": {cause}; {next}")]
    BadValue {
        /// The key.
        key: String,
        /// Why not.
        cause: String,
        /// The remedy.
        next: String,
    },
    /// A name that names nothing.
    #[error("\"{key}\" names the {what} \"{name}\", which isn't there{} Configured: {}", Question(.meant), Listed(.known))]
    UnknownName {
        /// The key.
        key: String,
        /// What kind of thing is named.
        what: &'static str,
        /// The name.
        name: String,
        /// The name that was probably meant.
        meant: Option<String>,
        /// The names that there are.
        known: Vec<String>,
    },
    /// A prompt file that can't be used.
    #[error(transparent)]
    Prompt(#[from] crate::prompts::PromptFault),
    /// A secret that can't be had. Its value is never part of the text.
    #[error("\"{key}\": {fault}")]
    Secret {
        /// The key.
        key: String,
        /// Why not.
        fault: SecretFault,
    },
}

/// Something in a configuration that can be used and had better be seen to. No secret's value is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub place: Place,
    /// In which table.
    pub section: String,
    /// What, and the remedy.
    pub message: String,
    /// The file of a secret that others can read, where it is about one.
    pub exposed: Option<PathBuf>,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: [{}] {}", self.place, self.section, self.message)
    }
}

/// Why a secret can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// It stands in the file itself.
    #[error(
        "a secret doesn't belong in this file; write `{key} = {{ env = \"{suggested}\" }}` and set that variable, or `{key} = {{ file = \"{key}.secret\" }}`"
    )]
    InText {
        /// The key to write.
        key: String,
        /// A variable's name that would fit.
        suggested: String,
    },
    /// It stands in the environment overlay.
    #[error(
        "the overlay doesn't set secrets; write `{key} = {{ env = \"{suggested}\" }}` into the file and set that variable"
    )]
    InOverlay {
        /// The key to write.
        key: String,
        /// A variable's name that would fit.
        suggested: String,
    },
    /// Neither of the two forms, or both.
    #[error(
        "a secret comes from one place; write either `env = \"VARIABLE\"` or `file = \"path\"`"
    )]
    Shape,
    /// The variable isn't set.
    #[error("the environment variable {variable} isn't set; set it, or name another one")]
    NotSet {
        /// The variable.
        variable: String,
    },
    /// The file can't be read.
    #[error("the file {} can't be read: {cause}; create it, or name another one", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: String,
    },
    /// There is nothing in it.
    #[error("{source_text} is empty; put the secret's value there")]
    Empty {
        /// The variable or the file.
        source_text: String,
    },
    /// It can't be sent in a header.
    #[error(
        "the value from {source_text} has a character that a bearer token can't have: {odd}; check what was copied"
    )]
    NotAToken {
        /// The variable or the file.
        source_text: String,
        /// What it is, and where.
        odd: String,
    },
}

/// Ends a sentence with the question after what was meant, or with a full stop.
struct Question<'a>(&'a Option<String>);

impl fmt::Display for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(meant) => write!(f, "; did you mean \"{meant}\"?"),
            None => f.write_str("."),
        }
    }
}

struct Listed<'a>(&'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("none") } else { f.write_str(&self.0.join(", ")) }
    }
}
