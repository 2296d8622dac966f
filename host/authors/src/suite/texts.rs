//! What people can write: it must arrive, and mean nothing on the way.

use std::time::Duration;

use sidenote::outbox::note::{FailureKind, PostError};
use sidenote::session::packed::Packed;
use sidenote_sim::MockExchange;

use super::arrived::{self, Form};
use super::check::{Check, Mark, Verdict};
use super::posting::told;
use super::stage::{Needs, Stage};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// A note as long as no session makes one.
const LONG: usize = 256 << 10;

/// A text, and the pieces of it that must be there when it arrives.
struct Text {
    name: &'static str,
    text: &'static str,
    pieces: &'static [&'static str],
}

const TEXTS: &[Text] = &[
    Text {
        name: "emoji and letters of the world",
        text: "naïve ñ 日本語 한국어 👩‍👩‍👧‍👦 🏳️‍🌈 e\u{301} 𝒳𠜎",
        pieces: &["naïve ñ", "日本語 한국어", "👩‍👩‍👧‍👦", "🏳️‍🌈", "e\u{301}", "𝒳𠜎"],
    },
    Text {
        name: "text from right to left",
        text: "שלום עולם مرحبا بالعالم \u{202e}txet\u{202c} end",
        pieces: &["שלום עולם", "مرحبا بالعالم", "txet", "end"],
    },
    Text {
        name: "characters that aren't seen",
        text: "one\u{200b}two\u{2060}\u{feff} nul\u{0}bell\u{7}esc\u{1b}[31m tab\there end",
        pieces: &["one", "two", "nul", "bell", "esc", "[31m", "tab", "here end"],
    },
    Text {
        name: "HTML",
        text: "<b>bold</b> <script>alert('x')</script> a & b &amp; c <img src=x onerror=\"y\"> end",
        pieces: &[
            "<b>bold</b>",
            "<script>alert('x')</script>",
            "a & b &amp; c",
            "<img src=x onerror=\"y\">",
        ],
    },
    Text {
        name: "Markdown and marks of other formats",
        text: "*star* _under_ ~tilde~ `tick` [link](https://example.com) <@U1> <!channel> # head \\ back | pipe",
        pieces: &[
            "*star*",
            "_under_",
            "~tilde~",
            "`tick`",
            "[link](https://example.com)",
            "<!channel>",
            "\\ back | pipe",
        ],
    },
    Text {
        name: "quotes, templates and line breaks",
        text: "\"double\" 'single' ${x} %s {{user.name}} {0}\nsecond line\r\nthird line end",
        pieces: &[
            "\"double\"",
            "'single'",
            "${x}",
            "%s",
            "{{user.name}}",
            "{0}",
            "second line",
            "third line end",
        ],
    },
];

pub(super) fn checks() -> Vec<Check> {
    let check = |text: &'static Text| {
        Check::new(text.name, Needs::Posting, move |stage| Box::pin(arrives(stage, text)))
    };
    let mut checks: Vec<_> = TEXTS.iter().map(check).collect();
    checks.extend([
        Check::new("{{secret:…}} that people write", Needs::Posting, |stage| {
            Box::pin(secrets(stage))
        }),
        Check::new("a huge note", Needs::Posting, |stage| Box::pin(huge(stage))),
        Check::new("an empty note", Needs::Posting, |stage| Box::pin(empty(stage))),
    ]);
    checks
}

async fn arrives(stage: &Stage<'_>, text: &Text) -> Verdict {
    let tried = stage.post(text.text).await;
    if let Err(error) = &tried.outcome {
        return Verdict::failed(told(error)).with(tried.exchanges);
    }
    let carrying = tried.carrying();
    let found = |piece: &&str| carrying.iter().find_map(|exchange| arrived::how(exchange, piece));
    let missing: Vec<_> = text.pieces.iter().filter(|piece| found(piece).is_none()).collect();
    if !missing.is_empty() {
        let missing: Vec<_> = missing.iter().map(|piece| format!("{piece:?}")).collect();
        let text = format!("of what was written, {} didn't arrive", missing.join(", "));
        return Verdict::failed(text).with(tried.exchanges);
    }
    let how: Vec<_> = text.pieces.iter().filter_map(found).collect();
    Verdict::ok(if how.contains(&Form::Backslashes) {
        "arrives, with backslashes before what would mean something"
    } else if how.contains(&Form::Html) {
        "arrives, escaped for HTML"
    } else {
        "arrives as it was written"
    })
}

/// No secret stands in a request only because somebody wrote its placeholder.
async fn secrets(stage: &Stage<'_>) -> Verdict {
    let usual = stage.post("plain").await;
    let mut names: Vec<_> = stage.bench.secrets().map(|(name, _)| name.to_owned()).collect();
    // Those that go somewhere first: they show more than a refusal.
    names.sort_by_key(|name| stage.bench.config.secrets[name].hosts.is_empty());
    if !names.iter().any(|name| name == "token") {
        names.push("token".to_owned());
    }
    let mut arrived = Verdict::ok("stays what it is, a text");
    for name in names {
        let placeholder = format!("{{{{secret:{name}}}}}");
        let verdict = written(stage, &usual.exchanges, &placeholder).await;
        match verdict.mark {
            Mark::Failed => return verdict,
            Mark::Warning => arrived = verdict,
            Mark::Ok | Mark::Skipped => {}
        }
    }
    arrived
}

async fn written(stage: &Stage<'_>, usual: &[MockExchange], placeholder: &str) -> Verdict {
    let tried = stage.post(placeholder).await;
    if let Err(error) = &tried.outcome {
        let text = format!("{placeholder} in a note makes it fail: {}", told(error));
        return Verdict::failed(text).with(tried.exchanges);
    }
    let count = |exchanges: &[MockExchange]| {
        let times = |secret: &str| -> usize {
            let places = |it: &MockExchange| memchr::memmem::find_iter(&it.body, secret).count();
            exchanges.iter().map(places).sum()
        };
        stage.bench.secrets().map(|(_, value)| times(value)).sum::<usize>()
    };
    if count(&tried.exchanges) > count(usual) {
        return Verdict::failed(
            "a secret was put into the note's text, where somebody had written its placeholder: never set `secrets-in-body` on a body that holds what people wrote",
        )
        .with(tried.exchanges);
    }
    if tried.carrying().iter().all(|it| arrived::how(it, placeholder).is_some()) {
        Verdict::ok("arrives")
    } else {
        Verdict::warning(format!(
            "{placeholder} didn't arrive as it was written; no secret went out"
        ))
    }
}

async fn huge(stage: &Stage<'_>) -> Verdict {
    let line = "clicked \"Pay\" on the page of the cart, once more\n";
    let text = line.repeat(LONG / line.len()) + "lastwords";
    let tried = stage.post(&text).await;
    let failed = |text: String| Verdict::failed(text);
    match &tried.outcome {
        Ok(_) if tried.exchanges.iter().any(|it| it.carries("lastwords")) => {
            Verdict::ok(format!("{} KiB arrive", LONG >> 10))
        }
        Ok(_) => Verdict::ok(format!("of {} KiB the beginning arrives", LONG >> 10)),
        Err(PostError::Failed(failure)) => match failure.kind {
            FailureKind::Invalid | FailureKind::Permanent => Verdict::warning(format!(
                "{}; cut it, or post it in pieces",
                told(&PostError::Failed(failure.clone()))
            )),
            FailureKind::Transient
            | FailureKind::RateLimited
            | FailureKind::Auth
            | FailureKind::NotFound => failed(format!(
                "{}; it will always be too large",
                told(&PostError::Failed(failure.clone()))
            )),
        },
        Err(error @ (PostError::Crashed { .. } | PostError::Unavailable { .. })) => {
            failed(told(error))
        }
    }
}

async fn empty(stage: &Stage<'_>) -> Verdict {
    let mut note = stage.note("").0;
    note.body.clear();
    note.actions = Packed::default();
    let (outcome, _) = stage.attempt(&note, 1, PATIENCE).await;
    match &outcome {
        Ok(_) => Verdict::ok("posted"),
        Err(PostError::Failed(failure)) => match failure.kind {
            FailureKind::Invalid | FailureKind::Permanent => {
                Verdict::ok(format!("refused, {}", failure.code))
            }
            FailureKind::Transient
            | FailureKind::RateLimited
            | FailureKind::Auth
            | FailureKind::NotFound => Verdict::failed(told(&PostError::Failed(failure.clone()))),
        },
        Err(error @ (PostError::Crashed { .. } | PostError::Unavailable { .. })) => {
            Verdict::failed(told(error))
        }
    }
}
