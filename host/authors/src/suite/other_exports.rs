//! The other exports: each does what it is there for, and nothing that the platform refused is told as
//! done.

use memchr::memmem;
use sidenote::outbox::note::{FailureKind, Found, PostError, Posted, Redaction};
use sidenote::plugin::{Offer, QuickReply};
use sidenote::post::Post;
use sidenote::session::payload::{Action, SummaryPayload};
use sidenote_sim::{MockTrouble, Struck};

use super::check::{Check, Verdict};
use super::posting::{kind, told};
use super::stage::{Needs, Stage, batch_of};

/// The code of a plugin whose platform has no offers.
const OFFERS_UNSUPPORTED: &str = "offers-unsupported";
/// A batch of so many actions, whose descriptions come to so many bytes: an event of the stream has no more.
const HUGE_ACTIONS: usize = 2000;
const HUGE_BATCH: usize = 900 << 10;

pub(super) fn checks() -> Vec<Check> {
    use Needs::Export;
    vec![
        Check::new("finds a note", Export("finder"), |stage| Box::pin(finds(stage))),
        Check::new("a platform that can't be asked", Export("finder"), |stage| {
            Box::pin(cannot_find(stage))
        }),
        Check::new("redacts a note", Export("redactor"), |stage| Box::pin(redacts(stage))),
        Check::new("a note that is gone", Export("redactor"), |stage| {
            Box::pin(redacts_gone(stage))
        }),
        Check::new("a platform that redacts nothing", Export("redactor"), |stage| {
            Box::pin(cannot_redact(stage))
        }),
        Check::new("answers a person", Export("messenger"), |stage| Box::pin(replies(stage))),
        Check::new("offers help", Export("messenger"), |stage| Box::pin(offers(stage))),
        Check::new("takes a batch", Export("sink"), |stage| Box::pin(takes_batch(stage))),
        Check::new("takes a huge batch", Export("sink"), |stage| Box::pin(takes_huge_batch(stage))),
        Check::new("takes a summary", Export("sink"), |stage| Box::pin(takes_summary(stage))),
    ]
}

async fn finds(stage: &Stage<'_>) -> Verdict {
    let tried = stage.post("clicked \"Pay\"").await;
    let call = stage.usual_call();
    let found = stage.bench.registry.find_note(call, &tried.note).await;
    stage.look_for_crash(&found);
    match found {
        Ok(Found::Yes(_)) => Verdict::ok("found"),
        Ok(Found::No | Found::Unsupported) => Verdict::skipped(
            "not found; to have the mock show notes, give the platform's answer to the search with --answer FILE",
        ),
        Err(error) => Verdict::failed(told(&error)),
    }
}

async fn cannot_find(stage: &Stage<'_>) -> Verdict {
    let (note, _) = stage.note("clicked \"Pay\"");
    for code in [500, 503, 401] {
        stage.mock.strike(Struck::All, MockTrouble::status(code));
        let found = stage.bench.registry.find_note(stage.usual_call(), &note).await;
        stage.look_for_crash(&found);
        let asked = !stage.mock.take().is_empty();
        match found {
            // The note is sent again then, which is all that can be done.
            Ok(Found::No | Found::Unsupported) if !asked => {
                return Verdict::skipped("it asks nobody, as it is configured here");
            }
            Ok(_) => {
                return Verdict::failed(format!(
                    "the platform answered {code}, and it says that it knows: the note is sent again, or counts as there"
                ));
            }
            Err(PostError::Failed(failure)) => match failure.kind {
                FailureKind::Invalid | FailureKind::Permanent => {
                    let said = kind(failure.kind);
                    return Verdict::failed(format!(
                        "the platform answered {code}, and it says {said}: the host takes that for a refused question and sends the note again"
                    ));
                }
                FailureKind::Transient
                | FailureKind::RateLimited
                | FailureKind::Auth
                | FailureKind::NotFound => {}
            },
            Err(error) => return Verdict::failed(told(&error)),
        }
    }
    Verdict::ok("a failure, and the note waits")
}

async fn redacts(stage: &Stage<'_>) -> Verdict {
    let tried = stage.post("clicked \"Pay\"").await;
    let id = match &tried.outcome {
        Ok(Posted { note_id: Some(id), .. }) => id.clone(),
        Ok(_) | Err(_) => "mock1id".to_owned(),
    };
    let redacted = redact(stage, &id).await;
    let exchanges = stage.mock.take();
    match redacted {
        Ok(Redaction::Unsupported) => Verdict::ok("the platform can't, it says"),
        Ok(Redaction::Removed | Redaction::Overwritten) if exchanges.is_empty() => {
            Verdict::failed("it says that the note is gone, and sent nothing")
        }
        Ok(Redaction::Removed) => Verdict::ok("removed"),
        Ok(Redaction::Overwritten) => Verdict::ok("overwritten"),
        Err(error) => Verdict::failed(told(&error)).with(exchanges),
    }
}

async fn redacts_gone(stage: &Stage<'_>) -> Verdict {
    stage.mock.strike(Struck::All, MockTrouble::status(404));
    match redact(stage, "mock1id").await {
        Ok(Redaction::Removed) => Verdict::ok("counts as removed"),
        Ok(Redaction::Unsupported) => Verdict::ok("the platform can't, it says"),
        Ok(Redaction::Overwritten) => {
            Verdict::failed("it says overwritten, and the platform answered 404: say removed")
        }
        Err(PostError::Failed(failure)) => Verdict::warning(format!(
            "{}; a note that isn't there counts as removed",
            told(&PostError::Failed(failure))
        )),
        Err(error) => Verdict::failed(told(&error)),
    }
}

async fn cannot_redact(stage: &Stage<'_>) -> Verdict {
    for code in [401, 500] {
        stage.mock.strike(Struck::All, MockTrouble::status(code));
        match redact(stage, "mock1id").await {
            Ok(Redaction::Removed | Redaction::Overwritten) => {
                return Verdict::failed(format!(
                    "the platform answered {code}, and it says that the note is gone"
                ));
            }
            Ok(Redaction::Unsupported) => return Verdict::ok("the platform can't, it says"),
            Err(PostError::Failed(_)) => {}
            Err(error) => return Verdict::failed(told(&error)),
        }
    }
    Verdict::ok("a failure, and it is asked again")
}

async fn redact(stage: &Stage<'_>, id: &str) -> Result<Redaction, PostError> {
    let (note, _) = stage.note("");
    let registry = &stage.bench.registry;
    let call = stage.usual_call();
    let redacted = registry.redact_note(call, &stage.bench.name, &note.conversation, id).await;
    stage.look_for_crash(&redacted);
    redacted
}

async fn replies(stage: &Stage<'_>) -> Verdict {
    let (note, word) = stage.note("");
    let (registry, text) = (&stage.bench.registry, format!("{word} <b>hello</b>"));
    let call = stage.usual_call();
    let answer = registry.reply(&stage.bench.name, call, &note.conversation, &text).await;
    said(stage, &word, answer)
}

async fn offers(stage: &Stage<'_>) -> Verdict {
    let (note, word) = stage.note("");
    let reply = |id: &str, label: &str| QuickReply { id: id.to_owned(), label: label.to_owned() };
    let offer = Offer {
        text: format!("{word} Need a hand?"),
        quick_replies: vec![reply("yes", "Yes, please"), reply("no", "No, thanks")],
    };
    let (registry, call) = (&stage.bench.registry, stage.usual_call());
    let answer = registry.offer(&stage.bench.name, call, &note.conversation, &offer).await;
    said(stage, &word, answer)
}

/// A text to a person goes out once.
fn said(stage: &Stage<'_>, word: &str, answer: Result<Posted, PostError>) -> Verdict {
    stage.look_for_crash(&answer);
    let exchanges = stage.mock.take();
    let carrying = exchanges.iter().filter(|it| it.carries(word)).count();
    match (answer, carrying) {
        (Ok(_), 1) => Verdict::ok("one request with its text"),
        (Ok(_), times) => {
            Verdict::failed(format!("the text went out {times} times, and once is right"))
                .with(exchanges)
        }
        (Err(PostError::Failed(failure)), _)
            if failure.kind == FailureKind::Invalid && exchanges.is_empty() =>
        {
            let said = told(&PostError::Failed(failure));
            Verdict::skipped(format!("it can't, as it is configured here: {said}"))
        }
        // Its manifest says so too, and then the host never asks.
        (Err(PostError::Failed(failure)), _)
            if failure.code == OFFERS_UNSUPPORTED && exchanges.is_empty() =>
        {
            Verdict::skipped(format!("the platform has no offers, it says: {}", failure.message))
        }
        (Err(error), _) => Verdict::failed(told(&error)).with(exchanges),
    }
}

async fn takes_batch(stage: &Stage<'_>) -> Verdict {
    let (note, word) = stage.note("");
    let call = stage.usual_call();
    let batch = batch_of(&note);
    let taken = stage.bench.registry.write_actions(&stage.bench.name, call, &batch).await;
    written(stage, &word, taken)
}

/// As much as the stream takes at most, and more actions than any note has.
async fn takes_huge_batch(stage: &Stage<'_>) -> Verdict {
    let (note, word) = stage.note("");
    let mut batch = batch_of(&note);
    let filling = "x".repeat(HUGE_BATCH / HUGE_ACTIONS);
    let marker = |n: usize| format!("{word}n{n}n");
    let action = |n| Action {
        index: n as i64,
        description: format!("{} {filling}", marker(n)),
        ..note.actions.unpack().into_iter().next().unwrap_or_default()
    };
    batch.actions = (0..HUGE_ACTIONS).map(action).collect();
    let call = stage.usual_call();
    let taken = stage.bench.registry.write_actions(&stage.bench.name, call, &batch).await;
    stage.look_for_crash(&taken);
    let exchanges = stage.mock.take();
    if let Err(error) = taken {
        return Verdict::failed(told(&error));
    }
    let sent: Vec<u8> = exchanges.iter().flat_map(|it| it.body.to_vec()).collect();
    let mut from = 0;
    for n in 0..HUGE_ACTIONS {
        let marker = marker(n);
        let places: Vec<usize> = memmem::find_iter(&sent, &marker).collect();
        match places[..] {
            [at] if at >= from => from = at,
            [] if n == 0 => {
                return Verdict::warning("accepted, and nothing of it went out in plain text");
            }
            _ => {
                let times = places.len();
                return Verdict::failed(format!(
                    "of {HUGE_ACTIONS} actions, the one at place {n} went out {times} times, or before an earlier one"
                ));
            }
        }
    }
    let requests = exchanges.len();
    Verdict::ok(format!("{HUGE_ACTIONS} actions, each once and in order, requests: {requests}"))
}

async fn takes_summary(stage: &Stage<'_>) -> Verdict {
    let (note, word) = stage.note("");
    let summary = SummaryPayload {
        product_id: note.key.product.as_str().to_owned(),
        session_id: Some(note.key.session.as_str().to_owned()),
        summary: format!("{word} looked at the cart"),
        ..SummaryPayload::default()
    };
    let call = stage.usual_call();
    let taken = stage.bench.registry.write_summary(&stage.bench.name, call, &summary).await;
    written(stage, &word, taken)
}

fn written(stage: &Stage<'_>, word: &str, taken: Result<(), PostError>) -> Verdict {
    stage.look_for_crash(&taken);
    let exchanges = stage.mock.take();
    let carrying = exchanges.iter().filter(|it| it.carries(word)).count();
    match (taken, carrying) {
        (Ok(()), 0) => Verdict::warning("accepted, and nothing of it went out in plain text"),
        (Ok(()), 1) => Verdict::ok("one request with its text"),
        (Ok(()), times) => {
            Verdict::failed(format!("the text went out {times} times, and once is right"))
                .with(exchanges)
        }
        (Err(error), _) => Verdict::failed(told(&error)).with(exchanges),
    }
}
