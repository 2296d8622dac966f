//! One note: that it gets through once, its id, its key.

use std::time::Duration;

use futures_util::future::BoxFuture;
use sidenote::outbox::note::{PostError, Posted, Sent};
use sidenote_sim::MockExchange;

use super::check::{Check, Verdict};
use super::next_step::time;
use super::stage::{Needs, Stage, Try};

/// How long a call may take where the suite doesn't wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn checks() -> Vec<Check> {
    vec![
        Check::new("posts a note", Needs::Subject, |stage| Box::pin(posts(stage))),
        Check::new("tells the note's id", Needs::Ids, |stage| Box::pin(tells_id(stage))),
        Check::new("hands the key on", Needs::Posting, |stage| Box::pin(hands_key_on(stage))),
        Check::new("the same key again", Needs::Posting, |stage| Box::pin(same_key(stage))),
    ]
}

/// That the host takes the component at all.
pub(super) fn loads<'a>(stage: &'a Stage<'a>) -> BoxFuture<'a, Verdict> {
    let state = stage.bench.state();
    Box::pin(async move {
        match state.failed {
            Some(why) => Verdict::failed(why),
            None => Verdict::ok(state.interfaces.join(", ")),
        }
    })
}

async fn posts(stage: &Stage<'_>) -> Verdict {
    let tried = stage.post("clicked \"Pay\"").await;
    let carrying = tried.carrying();
    if !carrying.is_empty() {
        stage.notes_get_through();
    }
    let others = tried.exchanges.len() - carrying.len();
    let pointed = if stage.bench.pointed || !tried.exchanges.is_empty() {
        String::new()
    } else {
        "; nothing that it was given leads to the mock: give it the address with --set KEY={mock}, or lead its host there with --host HOST={mock}".to_owned()
    };
    let problem = match (&tried.outcome, carrying.len()) {
        (Ok(_), 1) => {
            let others = match others {
                0 => String::new(),
                _ => format!(", {others} others without it"),
            };
            let took = time(tried.took);
            return Verdict::ok(format!("one request with its text{others}, {took}"));
        }
        (Ok(_), 0) if tried.exchanges.is_empty() => {
            format!("it says that it posted the note, and sent nothing{pointed}")
        }
        (Ok(_), 0) => "it says that it posted the note, and no request had its text".to_owned(),
        (Ok(_), times) => format!("the text went out {times} times, and once is right"),
        (Err(PostError::Failed(failure)), 1) if failure.sent != Sent::NotSent => format!(
            "{}; if the platform's answers have another form than {{\"id\": …}}, give it with --answer FILE",
            told(&PostError::Failed(failure.clone()))
        ),
        (Err(error), _) => format!("{}{pointed}", told(error)),
    };
    Verdict::failed(problem).with(tried.exchanges)
}

async fn tells_id(stage: &Stage<'_>) -> Verdict {
    let tried = stage.post("clicked \"Pay\"").await;
    let id = match &tried.outcome {
        Ok(Posted { note_id, .. }) => note_id,
        Err(error) => return Verdict::failed(told(error)).with(tried.exchanges),
    };
    let Some(id) = id else {
        return Verdict::warning(
            "no id came back, so the note can't be redacted; if the platform's answers have another form than {\"id\": …}, give it with --answer FILE",
        );
    };
    let given: Vec<_> = tried.carrying().into_iter().cloned().collect();
    let is_given = |exchange: &MockExchange| {
        id.contains(&exchange.id) || id.contains(&exchange.number.to_string())
    };
    if given.iter().any(is_given) {
        return Verdict::ok(format!("{id:?}"));
    }
    if tried.exchanges.iter().any(is_given) {
        let text = format!("{id:?} is the id of another request's answer, not of the note's");
        return Verdict::failed(text).with(tried.exchanges);
    }
    let text = format!(
        "{id:?} isn't in what the platform answered; if its answers have another form than {{\"id\": …}}, give it with --answer FILE"
    );
    Verdict::failed(text).with(tried.exchanges)
}

async fn hands_key_on(stage: &Stage<'_>) -> Verdict {
    let tried = stage.post("clicked \"Pay\"").await;
    let key = &tried.note.idempotency_key;
    match tried.carrying().into_iter().find_map(|exchange| place(exchange, key)) {
        Some(place) => Verdict::ok(format!("the platform gets the idempotency key {place}")),
        None if stage.bench.exports("finder") => Verdict::ok(
            "the platform doesn't get the idempotency key; the plugin is asked for a note before it is sent again (`finder`)",
        ),
        None => Verdict::warning(
            "the platform doesn't get the idempotency key and there is no `finder`: a note that is sent again can be there twice; hand the key on where the platform takes one",
        ),
    }
}

/// Where a key stands in a request.
fn place(exchange: &MockExchange, key: &str) -> Option<String> {
    let header = exchange.headers.iter().find(|(_, value)| value.contains(key));
    match header {
        Some((name, _)) => Some(format!("in the header `{name}`")),
        None if exchange.target.contains(key) => Some("in the address".to_owned()),
        None => exchange.carries(key).then(|| "in the body".to_owned()),
    }
}

async fn same_key(stage: &Stage<'_>) -> Verdict {
    let (note, word) = stage.note("clicked \"Pay\"");
    let first = stage.post_note(note.clone(), word.clone(), 1, PATIENCE).await;
    let again = stage.post_note(note, word, 2, PATIENCE).await;
    for tried in [&first, &again] {
        if let Err(error) = &tried.outcome {
            return Verdict::failed(told(error)).with(tried.exchanges.clone());
        }
    }
    let key = &first.note.idempotency_key;
    let place = |tried: &Try| tried.carrying().into_iter().find_map(|it| place(it, key));
    let both: Vec<_> = first.exchanges.iter().chain(&again.exchanges).cloned().collect();
    let header = |tried: &Try| {
        let headers = tried.carrying().into_iter().flat_map(|it| it.headers.clone());
        headers.map(|(_, value)| value).find(|value| value.contains(key))
    };
    if let (Some(one), Some(other)) = (header(&first), header(&again))
        && one != other
    {
        let text = format!(
            "the first attempt sends the key as {one:?}, the second as {other:?}: the platform takes them for two notes"
        );
        return Verdict::failed(text).with(both);
    }
    match (place(&first), place(&again)) {
        (Some(first), Some(again)) if first == again => {
            Verdict::ok("a second attempt has the same key and the same text")
        }
        (None, None) if again.exchanges.is_empty() => {
            Verdict::failed("the second attempt sent nothing: whether the platform has a note is the host's to ask, with `finder`").with(both)
        }
        (None, None) => Verdict::ok("a second attempt has the same text"),
        (first, again) => {
            let at = |place: Option<String>| place.unwrap_or_else(|| "nowhere".to_owned());
            let text = format!(
                "the key of the first attempt is {}, in the second it is {}",
                at(first),
                at(again)
            );
            Verdict::failed(text).with(both)
        }
    }
}

/// Why a note wasn't posted.
pub(crate) fn told(error: &PostError) -> String {
    match error {
        PostError::Failed(failure) => {
            let kind = kind(failure.kind);
            format!("it isn't posted: {kind}, {}: {}", failure.code, failure.message)
        }
        PostError::Crashed { crash, message } => {
            format!("the plugin crashed, {}: {message}", crash.code())
        }
        PostError::Unavailable { message } => message.clone(),
    }
}

/// A kind of failure as the interface calls it.
pub(crate) fn kind(kind: sidenote::outbox::note::FailureKind) -> &'static str {
    use sidenote::outbox::note::FailureKind;
    match kind {
        FailureKind::Transient => "transient",
        FailureKind::RateLimited => "rate-limited",
        FailureKind::Auth => "auth",
        FailureKind::NotFound => "not-found",
        FailureKind::Invalid => "invalid",
        FailureKind::Permanent => "permanent",
    }
}
