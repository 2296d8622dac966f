//! What a hostile plugin is asked to try, and what may come of it.

use sidenote::outbox::note::{PostError, Posted};

use crate::server::Server;

/// What may come of a call.
#[derive(Debug, Clone)]
pub(crate) enum May {
    /// It ends in one of these ways.
    Crash(&'static [&'static str]),
    /// It is answered with this id, or ends at a deadline or the CPU budget: it is a lot of work.
    Answer(&'static str),
    /// The plugin reports a failure with one of these codes, or is stopped at the deadline.
    Fail(&'static [&'static str]),
}

/// Everything that is tried, with a server to try it on.
pub(crate) fn wishes(server: &Server) -> Vec<(String, May)> {
    let (url, authority) = (|path: &str| server.url(path), server.address.to_string());
    let trap = May::Crash(&["trap"]);
    let stopped = May::Crash(&["timeout", "cpu"]);
    vec![
        ("panic".to_owned(), trap.clone()),
        ("exit".to_owned(), trap.clone()),
        ("recurse".to_owned(), trap.clone()),
        ("handles".to_owned(), trap.clone()),
        ("random".to_owned(), trap.clone()),
        ("spin".to_owned(), stopped.clone()),
        ("sleep".to_owned(), May::Crash(&["timeout"])),
        ("memory".to_owned(), May::Crash(&["memory", "timeout", "cpu"])),
        ("answer 67108864".to_owned(), May::Crash(&["memory", "timeout", "cpu"])),
        ("answer 6000000".to_owned(), May::Crash(&["trap", "timeout", "cpu"])),
        ("stdout".to_owned(), May::Answer("written")),
        ("log".to_owned(), May::Answer("logged")),
        ("escapes".to_owned(), May::Fail(&[])),
        (format!("smuggle {}", url("/")), May::Answer("[false, false, false]")),
        (format!("smuggle-wasi {authority}"), May::Answer("[false, false, false, false]")),
        (format!("get {}", url("/drip")), May::Fail(&["http-timeout"])),
        (format!("get {}", url("/hang")), May::Fail(&["http-timeout"])),
        (format!("get {}", url("/large/20000000")), May::Answer("200 65536")),
        (format!("send {} 6000000", url("/")), May::Crash(&["trap", "timeout", "cpu"])),
        (format!("fork {authority}"), May::Crash(&["trap", "timeout", "cpu"])),
        ("get http://127.0.0.1:9/".to_owned(), May::Fail(&["http-denied"])),
    ]
}

impl May {
    /// Checks what came of it.
    pub(crate) fn check(&self, wish: &str, outcome: &Result<Posted, PostError>) {
        let stopped = |code: &str| ["timeout", "cpu"].contains(&code);
        let fine = match (self, outcome) {
            (Self::Crash(codes), Err(PostError::Crashed { crash, .. })) => {
                codes.contains(&crash.code())
            }
            (Self::Answer(id), Ok(posted)) => posted.note_id.as_deref() == Some(*id),
            (Self::Answer(_) | Self::Fail(_), Err(PostError::Crashed { crash, .. })) => {
                stopped(crash.code())
            }
            (Self::Answer(_), Err(PostError::Failed(failure))) => failure.code == "http-timeout",
            (Self::Fail(codes), Err(PostError::Failed(failure))) => {
                codes.is_empty() || codes.contains(&&*failure.code)
            }
            _ => false,
        };
        assert!(fine, "{wish}: {outcome:?}");
        let text = match outcome {
            Ok(posted) => posted.note_id.clone().unwrap_or_default(),
            Err(PostError::Failed(failure)) => format!("{}{}", failure.code, failure.message),
            Err(PostError::Crashed { message, .. } | PostError::Unavailable { message }) => {
                message.clone()
            }
        };
        let steers = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!text.contains(steers), "{wish}: {text:?}");
        assert!(text.len() < 2000, "{wish}: {} bytes", text.len());
    }
}
