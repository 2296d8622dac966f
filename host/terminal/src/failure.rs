//! Why a command failed, in its parts: stage, subject, cause, next step.
//!
//! Every error of the host is written as `stage: cause; next step` or `stage: cause. Next step`; those of the
//! configuration have their parts as they are.

use std::path::Path;

use sidenote::config::{ConfigErrors, Problem};
use sidenote::host::StartError;
use sidenote::plugin::AdmitError;

/// One failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where it failed: `config`, `store`, `server` and the like, or else the command.
    pub stage: String,
    /// What it is about: a line of the configuration, an address; empty where there is nothing more to name.
    pub subject: String,
    /// Why.
    pub cause: String,
    /// What to do about it, where the error says.
    pub next: Option<String>,
    /// All of it, for people.
    pub message: String,
}

impl Failure {
    /// The failures of an error: one, or of a configuration one per problem. `command` is what was run.
    pub fn of(error: &anyhow::Error, command: &str) -> Vec<Self> {
        let problems = error.chain().find_map(|cause| cause.downcast_ref::<ConfigErrors>());
        if let Some(errors) = problems {
            return errors.problems().iter().map(Self::of_problem).collect();
        }
        let message = format!("{error:#}");
        let (stage, rest) = stage(&message).unwrap_or((command, &message));
        let (cause, next) = parts(rest);
        let subject = error.chain().find_map(|cause| cause.downcast_ref().and_then(subject));
        vec![Self {
            stage: stage.to_owned(),
            subject: subject.unwrap_or_default(),
            cause: cause.to_owned(),
            next: next.map(str::to_owned),
            message,
        }]
    }

    /// A command line that can't be used.
    pub fn of_usage(message: &str) -> Self {
        let message = message.trim_end().strip_prefix("error: ").unwrap_or(message).to_owned();
        let (cause, next) = message.split_once("\n\n").unwrap_or((&message, ""));
        let next = next.split_whitespace().collect::<Vec<_>>().join(" ");
        Self {
            stage: "arguments".to_owned(),
            subject: String::new(),
            cause: cause.to_owned(),
            next: (!next.is_empty()).then_some(next),
            message,
        }
    }

    fn of_problem(problem: &Problem) -> Self {
        let text = problem.fault.to_string();
        let (cause, next) = parts(&text);
        let subject = match &*problem.section {
            "" => problem.place.to_string(),
            section => format!("{} [{section}]", problem.place),
        };
        Self {
            stage: "config".to_owned(),
            subject,
            cause: cause.to_owned(),
            next: next.map(str::to_owned),
            message: problem.to_string(),
        }
    }
}

/// The command line, or what it names, can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// An error about a file that was named on the command line, where no plugins folder is meant.
pub fn about(file: &Path, error: AdmitError) -> anyhow::Error {
    if matches!(error, AdmitError::Missing) {
        anyhow::anyhow!("{}: there is no such file; check the path", file.display())
    } else {
        anyhow::anyhow!("{}: {error}", file.display())
    }
}

/// Whether an error is about the command line or the configuration.
pub fn is_usage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<ConfigErrors>() || cause.is::<Unusable>())
}

/// What a start that failed is about.
fn subject(error: &StartError) -> Option<String> {
    match error {
        StartError::Listen { addr, .. } | StartError::OtherSocket { addr, .. } => {
            Some(addr.to_string())
        }
        StartError::NoDashboard
        | StartError::Store(_)
        | StartError::Redis(_)
        | StartError::Hold(_)
        | StartError::Journal(_)
        | StartError::Plugins(_)
        | StartError::Stream(_)
        | StartError::Context(_)
        | StartError::Llm(_)
        | StartError::OperatorEvents(_)
        | StartError::Traces(_)
        | StartError::Mute(_)
        | StartError::Summary(_)
        | StartError::Panic(_) => None,
    }
}

/// The word before the first colon, and what is behind it.
fn stage(message: &str) -> Option<(&str, &str)> {
    let (stage, rest) = message.split_once(": ")?;
    let is_word = !stage.is_empty() && stage.bytes().all(|byte| byte.is_ascii_lowercase());
    is_word.then_some((stage, rest))
}

/// The cause, and the next step behind it.
fn parts(text: &str) -> (&str, Option<&str>) {
    let split = text.split_once("; ").or_else(|| text.rsplit_once(". "));
    split.map_or((text, None), |(cause, next)| (cause, Some(next)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(error: anyhow::Error) -> Failure {
        let mut failures = Failure::of(&error, "run");
        assert_eq!(failures.len(), 1);
        failures.remove(0)
    }

    #[test]
    fn an_address_that_is_taken_is_told_in_its_parts() {
        let cause = std::io::Error::from(std::io::ErrorKind::AddrInUse);
        let addr = "127.0.0.1:8787".parse().unwrap();
        let failure = only(StartError::Listen { table: "server", addr, cause }.into());
        assert_eq!((&*failure.stage, &*failure.subject), ("server", "127.0.0.1:8787"));
        assert_eq!(
            failure.next.as_deref(),
            Some("Choose another `server.listen` (docs: errors#address-in-use)")
        );
        assert!(failure.cause.contains("can't be listened on"), "{}", failure.cause);
    }

    #[test]
    fn an_error_without_a_stage_is_the_commands() {
        let failure = only(anyhow::anyhow!("the answer broke off; ask again"));
        assert_eq!((&*failure.stage, &*failure.cause), ("run", "the answer broke off"));
        assert_eq!(failure.next.as_deref(), Some("ask again"));
    }

    #[test]
    fn every_problem_of_a_configuration_is_one_failure() {
        let text = "[server]\nlisten = 7\nport = 1\n";
        let errors = sidenote::config::Config::from_toml(text, Path::new("."), &|_| None);
        let errors = errors.unwrap_err();
        let count = errors.problems().len();
        let failures = Failure::of(&errors.into(), "run");
        assert_eq!(failures.len(), count);
        assert!(
            failures.iter().all(|failure| failure.stage == "config" && !failure.cause.is_empty())
        );
        let subjects: Vec<_> = failures.iter().map(|failure| &*failure.subject).collect();
        assert!(subjects.contains(&"sidenote.toml:2 [server]"), "{subjects:?}");
    }

    #[test]
    fn a_wrong_command_line_is_told_in_its_parts() {
        let text = "error: unexpected argument '--x' found\n\nUsage: sidenote run\n\nFor more, try '--help'.\n";
        let failure = Failure::of_usage(text);
        assert_eq!(failure.cause, "unexpected argument '--x' found");
        assert_eq!(failure.next.as_deref(), Some("Usage: sidenote run For more, try '--help'."));
    }
}
