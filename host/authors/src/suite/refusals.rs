//! What a platform can answer instead of taking a note: which failure the plugin makes of it, and
//! whether the host then does what is right.

use std::time::{Duration, SystemTime};

use sidenote::outbox::note::FailureKind::{
    self, Auth, Invalid, NotFound, Permanent, RateLimited, Transient,
};
use sidenote::outbox::note::{Crash, PostError, Sent};
use sidenote_sim::MockTrouble;

use super::check::{Check, Verdict};
use super::next_step::{Fate, NextStep, next_step, time};
use super::posting::{kind, told};
use super::stage::{Needs, Stage, Try};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the platform asks for.
const WAIT: Duration = Duration::from_secs(30);
/// A date has no fractions of a second, and the answer takes its time.
const ROUNDING: Duration = Duration::from_secs(3);

/// One answer of a platform.
struct Refusal {
    status: u16,
    wait: Wait,
    /// Kinds that are right.
    right: &'static [FailureKind],
    /// Kinds that do no harm.
    harmless: &'static [FailureKind],
    /// Whether success is right too: the platform has the note already.
    done: bool,
    /// Why.
    why: &'static str,
}

/// How the platform says how long to wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    No,
    Seconds,
    Date,
}

const GIVE_UP: &[FailureKind] = &[Invalid, Permanent];
const RETRY: &str = "it passes, and the note must be sent again";
const WRONG: &str = "the same request is refused again and again";

const REFUSALS: &[Refusal] = &[
    refusal(302, GIVE_UP, &[Auth, NotFound, Transient], "redirects aren't followed"),
    refusal(400, GIVE_UP, &[NotFound], WRONG),
    refusal(401, &[Auth], &[], "someone must renew the credentials, and the note waits for that"),
    refusal(403, &[Auth, NotFound, Invalid, Permanent], &[], "the platform forbids it"),
    refusal(404, &[NotFound], &[Invalid, Permanent], "the conversation isn't there"),
    refusal(408, &[Transient], &[], RETRY),
    Refusal {
        done: true,
        ..refusal(
            409,
            &[Invalid, Permanent, Transient],
            &[NotFound],
            "it is there already, or in the way of another",
        )
    },
    refusal(410, &[NotFound], &[Invalid, Permanent], "the conversation is gone"),
    refusal(413, GIVE_UP, &[], "it will always be too large"),
    refusal(422, GIVE_UP, &[NotFound], WRONG),
    refusal(429, &[RateLimited], &[], "the platform has too much to do"),
    Refusal {
        wait: Wait::Seconds,
        ..refusal(429, &[RateLimited], &[], "it must not be asked before")
    },
    Refusal {
        wait: Wait::Date,
        ..refusal(429, &[RateLimited], &[], "it must not be asked before")
    },
    refusal(500, &[Transient], &[], RETRY),
    refusal(502, &[Transient], &[], RETRY),
    refusal(503, &[Transient], &[RateLimited], RETRY),
    Refusal {
        wait: Wait::Seconds,
        ..refusal(503, &[Transient, RateLimited], &[], "it must not be asked before")
    },
    refusal(504, &[Transient], &[], RETRY),
];

const fn refusal(
    status: u16,
    right: &'static [FailureKind],
    harmless: &'static [FailureKind],
    why: &'static str,
) -> Refusal {
    Refusal { status, wait: Wait::No, right, harmless, done: false, why }
}

pub(super) fn checks() -> Vec<Check> {
    let check = |refusal: &'static Refusal| {
        let name = match refusal.wait {
            Wait::No => format!("answer {}", refusal.status),
            Wait::Seconds => format!("answer {}, Retry-After in seconds", refusal.status),
            Wait::Date => format!("answer {}, Retry-After as a date", refusal.status),
        };
        Check::new(name, Needs::Posting, move |stage| Box::pin(refused(stage, refusal)))
    };
    REFUSALS.iter().map(check).collect()
}

async fn refused(stage: &Stage<'_>, refusal: &Refusal) -> Verdict {
    let retry_after = match refusal.wait {
        Wait::No => None,
        Wait::Seconds => Some(WAIT.as_secs().to_string()),
        Wait::Date => {
            let at =
                SystemTime::UNIX_EPOCH + Duration::from_micros(stage.clock.now().0.unsigned_abs());
            Some(httpdate::fmt_http_date(at + WAIT))
        }
    };
    let trouble = MockTrouble::Status { code: refusal.status, retry_after };
    let tried = stage.post_into(trouble, PATIENCE).await;
    let looks = next_step(&tried.note, &tried.outcome, stage.bench.exports("finder"), &stage.rules);
    let verdict = judge(&tried, refusal, &looks);
    let text = format!("{}{}", verdict.detail, tail(&tried, &looks));
    Verdict { detail: text, ..verdict }
}

/// What the plugin made of it and what comes of that.
fn tail(tried: &Try, looks: &NextStep) -> String {
    match &tried.outcome {
        Err(PostError::Failed(_)) => format!("; {}", looks.text),
        Ok(_) | Err(PostError::Crashed { .. } | PostError::Unavailable { .. }) => String::new(),
    }
}

fn judge(tried: &Try, refusal: &Refusal, looks: &NextStep) -> Verdict {
    let Refusal { status, why, .. } = refusal;
    let failed = |text: String| Verdict::failed(text).with(tried.exchanges.clone());
    if tried.carrying().is_empty() {
        return failed("the note's text didn't go out".to_owned());
    }
    let failure = match &tried.outcome {
        Ok(_) if refusal.done => return Verdict::ok("counts as posted: it is there already"),
        Ok(_) => {
            return failed(format!(
                "it says that it posted the note, and the platform answered {status}: the note is lost"
            ));
        }
        Err(PostError::Crashed { crash: Crash::Timeout, .. }) => {
            return failed("it didn't come back before its deadline".to_owned());
        }
        Err(error @ (PostError::Crashed { .. } | PostError::Unavailable { .. })) => {
            return failed(told(error));
        }
        Err(PostError::Failed(failure)) => failure,
    };
    let said = kind(failure.kind);
    if failure.sent == Sent::NotSent {
        return failed(format!("{said}, and it says that nothing was sent: {status} is an answer"));
    }
    if refusal.wait != Wait::No {
        let waits = match looks.fate {
            Fate::Again { after, .. } => after,
            Fate::Posted | Fate::Dead => Duration::ZERO,
        };
        if waits + ROUNDING < WAIT {
            return failed(format!(
                "{said}, and the platform asked for {}: {why}; tell `retry-after-ms`",
                time(WAIT)
            ));
        }
        if waits > WAIT * 2 {
            return failed(format!(
                "{said}, and it asks for a longer wait than the platform's {}",
                time(WAIT)
            ));
        }
    }
    if refusal.right.contains(&failure.kind) {
        return Verdict::ok(said.to_owned());
    }
    let right: Vec<_> = refusal.right.iter().map(|right| kind(*right)).collect();
    let text = format!("{said}, and {} is right: {why}", right.join(" or "));
    if refusal.harmless.contains(&failure.kind) { Verdict::warning(text) } else { failed(text) }
}
