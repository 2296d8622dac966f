//! Making calls: what the core put on record, done by the plugins.

use futures_util::future::BoxFuture;

use crate::clock::Clock;
use crate::engine::core::{Call, Ended, Outcome, Work};
use crate::engine::traced::Traced;
use crate::ids::SessionKey;
use crate::kv::CallKv;
use crate::outbox::attempt::{Asked, Course};
use crate::outbox::message::{Content, Message, Sending};
use crate::outbox::note::{
    self, Crash, FailureKind, Found, Note, NoteKind, PostError, Posted, Redaction, SentNote,
};
use crate::post::Post;
use crate::session::packed::Packed;
use std::sync::Arc;

/// Makes a call; it ends with what came of it. `jitter` is of the pause that may follow.
pub(super) fn make(
    post: Arc<dyn Post>,
    call: Call,
    jitter: fn() -> f64,
    clock: Clock,
    traced: Traced,
) -> BoxFuture<'static, Ended> {
    Box::pin(async move {
        let (probe, began) = (call.probe, clock.now());
        // Another may take over while it runs: a call is answered by the one that it began with.
        let version = post.version(call.work.plugin());
        let kv = CallKv::stored(Some(call.work.session().clone()));
        let (outcome, asked) = run(&*post, call, traced.traceparent(), &kv).await;
        let took = clock.now().since(began);
        traced.end(&outcome);
        let course = Course { probe, random: jitter(), version, took, asked };
        Ended { outcome, course, written: kv.written() }
    })
}

/// What came of it, and of the question before it whether the platform has it already.
async fn run(
    post: &dyn Post,
    call: Call,
    traceparent: String,
    kv: &CallKv,
) -> (Outcome, Option<Asked>) {
    let attempt = |idempotency_key: &str| note::Call {
        idempotency_key: idempotency_key.to_owned(),
        attempt: call.attempt,
        timeout: call.timeout,
        traceparent: traceparent.clone(),
        kv: kv.clone(),
    };
    match call.work {
        Work::Note { note, unknown } => {
            let attempt = attempt(&note.idempotency_key);
            // Where an earlier attempt ended without an outcome, the platform is asked first.
            let (answer, asked) = match unknown {
                true => find(post, attempt.clone(), &note).await,
                false => (None, None),
            };
            let result = match answer {
                Some(answer) => answer,
                None => post.post_note(attempt, &note).await,
            };
            (Outcome::Note { note, result }, asked)
        }
        Work::Sink(delivery) => {
            let result = post.write_sink(attempt(&delivery.idempotency_key), &delivery).await;
            (Outcome::Sink { delivery, result }, None)
        }
        Work::Timer(timer) => {
            let result = post.wake(attempt(&timer.idempotency_key), &timer).await;
            (Outcome::Timer { timer, result }, None)
        }
        Work::Message { message, unknown } => {
            let attempt = attempt(&message.idempotency_key);
            let result = match (&message.content, unknown) {
                (Content::Removal { message_id, .. }, _) => {
                    remove_offer(post, attempt, &message, message_id).await
                }
                (Content::Offer(_) | Content::Question(_) | Content::Reply(_), true) => {
                    find_message(post, attempt, &message).await
                }
                (Content::Offer(_) | Content::Question(_) | Content::Reply(_), false) => {
                    post.send_message(attempt, &message).await.map(Sending::Posted)
                }
            };
            let asked = (unknown && !message.content.is_repeatable()).then_some(match &result {
                Ok(Sending::Posted(_)) => Asked::Found,
                Ok(Sending::NotThere) => Asked::NotFound,
                Ok(Sending::CantTell) => Asked::CannotTell,
                Err(_) => Asked::Failed,
            });
            (Outcome::Message { message, result }, asked)
        }
        Work::Redaction { key, seq, note, idempotency_key } => {
            let id = match &note.note_id {
                Some(id) => Ok(Ok(id.clone())),
                None => name(post, attempt(&note.idempotency_key), &key, seq, &note).await,
            };
            let result = match id {
                Ok(Ok(id)) => {
                    let attempt = attempt(&idempotency_key);
                    post.redact_note(attempt, &note.plugin, &note.conversation, &id).await
                }
                Ok(Err(redaction)) => Ok(redaction),
                Err(error) => Err(error),
            };
            (Outcome::Redaction { key, seq, note, result }, None)
        }
    }
}

/// Asks whether the platform has a note whose outcome isn't known, and says what came of that. Without a result it is
/// to be sent, because the platform doesn't have it, or because nobody can say.
async fn find(
    post: &dyn Post,
    call: note::Call,
    note: &Note,
) -> (Option<Result<Posted, PostError>>, Option<Asked>) {
    let (result, asked) = match post.find_note(call, note).await {
        Ok(Found::Yes(note_id)) => (Some(Ok(Posted { note_id, pause: None })), Asked::Found),
        Ok(Found::No) => (None, Asked::NotFound),
        Ok(Found::Unsupported) => (None, Asked::CannotTell),
        Err(error) => (unanswered(error), Asked::Failed),
    };
    (result, Some(asked))
}

/// What a question that failed comes to. `None`: the note is to be sent all the same.
fn unanswered(error: PostError) -> Option<Result<Posted, PostError>> {
    match error {
        PostError::Failed(failure) => match failure.kind {
            FailureKind::Transient
            | FailureKind::RateLimited
            | FailureKind::Auth
            | FailureKind::NotFound => Some(Err(PostError::Failed(failure))),
            // The question is refused, not the note.
            FailureKind::Invalid | FailureKind::Permanent => None,
        },
        error @ PostError::Unavailable { .. } => Some(Err(error)),
        error @ PostError::Crashed { crash: Crash::Timeout, .. } => Some(Err(error)),
        PostError::Crashed { .. } => None,
    }
}

/// Asks whether the platform has a message whose outcome isn't known, by its key: as a note's. It isn't sent again,
/// whatever the answer.
async fn find_message(
    post: &dyn Post,
    call: note::Call,
    message: &Message,
) -> Result<Sending, PostError> {
    let note = Note {
        key: message.key.clone(),
        seq: message.seq,
        plugin: message.plugin.clone(),
        conversation: message.conversation.clone(),
        user_id: None,
        email: None,
        kind: NoteKind::Actions,
        body: String::new(),
        actions: Packed::default(),
        through: 0,
        idempotency_key: message.idempotency_key.clone(),
        sealed_at: message.made_at,
        waits_since: None,
        begun: false,
        resent_of: None,
    };
    Ok(match post.find_note(call, &note).await? {
        Found::Yes(note_id) => Sending::Posted(Posted { note_id, pause: None }),
        Found::No => Sending::NotThere,
        Found::Unsupported => Sending::CantTell,
    })
}

/// Removes an offer from the platform. One that isn't there is removed.
async fn remove_offer(
    post: &dyn Post,
    call: note::Call,
    message: &Message,
    message_id: &str,
) -> Result<Sending, PostError> {
    let gone = Ok(Sending::Posted(Posted { note_id: None, pause: None }));
    let (plugin, conversation) = (&message.plugin, &message.conversation);
    match post.redact_note(call, plugin, conversation, message_id).await {
        Ok(Redaction::Removed | Redaction::Overwritten) => gone,
        Ok(Redaction::Unsupported) => Ok(Sending::CantTell),
        Err(PostError::Failed(failure)) if failure.kind == FailureKind::NotFound => gone,
        Err(error) => Err(error),
    }
}

/// Asks what the platform calls a note of which it isn't known whether the platform has it; or says what
/// that comes to where it can't be redacted.
async fn name(
    post: &dyn Post,
    call: note::Call,
    key: &SessionKey,
    seq: u64,
    sent: &SentNote,
) -> Result<Result<String, Redaction>, PostError> {
    let note = Note {
        key: key.clone(),
        seq,
        plugin: sent.plugin.clone(),
        conversation: sent.conversation.clone(),
        user_id: None,
        email: None,
        kind: sent.kind,
        body: String::new(),
        actions: Packed::default(),
        through: sent.through,
        idempotency_key: sent.idempotency_key.clone(),
        sealed_at: sent.at,
        waits_since: None,
        begun: false,
        resent_of: None,
    };
    Ok(match post.find_note(call, &note).await? {
        Found::Yes(Some(id)) => Ok(id),
        Found::No => Err(Redaction::Removed),
        Found::Yes(None) | Found::Unsupported => Err(Redaction::Unsupported),
    })
}
