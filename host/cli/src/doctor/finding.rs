//! What a check finds, and what to do about it.

use std::path::PathBuf;

use serde::Serialize;

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mark {
    /// As it should be.
    Ok,
    /// It couldn't be looked at, or wasn't to be.
    NotChecked,
    /// It works, and had better be seen to.
    Warning,
    /// It doesn't work, or it is dangerous.
    Error,
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at: a stream, a file, a setting; empty where there is one only.
    pub(crate) subject: String,
    /// How it stands.
    pub(crate) result: Mark,
    /// What was found.
    pub(crate) found: String,
    /// What to do about it; empty where nothing is to be done.
    pub(crate) next: String,
    /// What `--fix` does about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<Fix>,
}

/// A treatment that harms nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Fix {
    /// Takes others' rights to a file or folder away: `chmod`.
    Chmod {
        /// Which.
        path: PathBuf,
        /// The rights that it has then, as `chmod` takes them.
        mode: u32,
    },
    /// Makes a folder that isn't there.
    MakeFolder {
        /// Which.
        path: PathBuf,
        /// Its rights.
        mode: u32,
    },
}

impl Fix {
    /// As an operator would type it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Chmod { path, mode } => format!("chmod {mode:o} {}", path.display()),
            Self::MakeFolder { path, mode } => format!("mkdir -p -m {mode:o} {}", path.display()),
        }
    }
}

impl Finding {
    /// All is well.
    pub(crate) fn ok(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self::of(Mark::Ok, subject, found, "")
    }

    /// It wasn't looked at, and why not.
    pub(crate) fn not_checked(subject: impl Into<String>, why: impl Into<String>) -> Self {
        Self::of(Mark::NotChecked, subject, why, "")
    }

    /// It had better be seen to.
    pub(crate) fn warning(
        subject: impl Into<String>,
        found: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::of(Mark::Warning, subject, found, next)
    }

    /// It must be seen to.
    pub(crate) fn error(
        subject: impl Into<String>,
        found: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::of(Mark::Error, subject, found, next)
    }

    /// The same, with a treatment that `--fix` applies.
    pub(crate) fn with_fix(self, fix: Fix) -> Self {
        Self {
            next: format!("{}, or `sidenote doctor --fix`", fix.shown()),
            fix: Some(fix),
            ..self
        }
    }

    fn of(
        result: Mark,
        subject: impl Into<String>,
        found: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        let (subject, found, next) = (subject.into(), found.into(), next.into());
        Self { subject, result, found, next, fix: None }
    }
}
