//! What a live call was given, kept so that another version can be given the same; and how a call ended.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::difference::{Ending, Field, RETRY_AFTER};
use crate::clock::Timestamp;
use crate::ids::ConversationId;
use crate::outbox::due_timer::DueTimer;
use crate::outbox::note::{Call, Crash, Note};
use crate::plugin::admit::Live;
use crate::plugin::bindings::v0_1::exports::sidenote::plugin::{redactor, source, webhook};
use crate::plugin::bindings::v0_1::sidenote::plugin::types as wit;
use crate::plugin::convert;
use crate::plugin::exports::{Interface, call};
use crate::plugin::help::{Offer, TriggerContext};
use crate::plugin::receiving::{PollSubject, SourceRequest};
use crate::plugin::webhook::WebhookRequest;
use crate::session::payload::{ActionsPayload, SummaryPayload};

/// What a call is given.
pub(in crate::plugin) enum Input {
    /// `post-note`.
    Note(Call, Box<Note>),
    /// `find-note`: the conversation and the key.
    Find(Call, ConversationId, String),
    /// `redact-note`: the conversation and the note.
    Redact(Call, ConversationId, String),
    /// `write-actions`.
    Actions(Call, Box<ActionsPayload>),
    /// `write-summary`.
    Summary(Call, Box<SummaryPayload>),
    /// `wake`.
    Wake(Call, Box<DueTimer>),
    /// `offer`.
    Offer(Call, ConversationId, Offer),
    /// `reply`.
    Reply(Call, ConversationId, String),
    /// `evaluate`.
    Evaluate(Box<TriggerContext>),
    /// `receive` of a webhook.
    Webhook(WebhookRequest),
    /// `receive` of a source.
    Receive(SourceRequest),
    /// `poll`.
    Poll(Call, Option<PollSubject>, Option<String>),
}

impl Input {
    /// The export, as the interface calls it.
    pub(in crate::plugin) fn export(&self) -> &'static str {
        match self {
            Self::Note(..) => "post-note",
            Self::Find(..) => "find-note",
            Self::Redact(..) => "redact-note",
            Self::Actions(..) => "write-actions",
            Self::Summary(..) => "write-summary",
            Self::Wake(..) => "wake",
            Self::Offer(..) => "offer",
            Self::Reply(..) => "reply",
            Self::Evaluate(_) => "evaluate",
            Self::Webhook(_) => "receive (webhook)",
            Self::Receive(_) => "receive (source)",
            Self::Poll(..) => "poll",
        }
    }

    /// The interface that it is of.
    pub(in crate::plugin) fn interface(&self) -> Interface {
        match self {
            Self::Note(..) => Interface::Writer,
            Self::Find(..) => Interface::Finder,
            Self::Redact(..) => Interface::Redactor,
            Self::Actions(..) | Self::Summary(..) => Interface::Sink,
            Self::Wake(..) => Interface::OnTimer,
            Self::Offer(..) | Self::Reply(..) => Interface::Messenger,
            Self::Evaluate(_) => Interface::Trigger,
            Self::Webhook(_) => Interface::Webhook,
            Self::Receive(_) | Self::Poll(..) => Interface::Source,
        }
    }

    /// What names the call to an operator: a hash, in which nothing of a person is.
    pub(super) fn example(&self) -> Option<String> {
        self.call().map(|call| call.idempotency_key.clone())
    }

    fn call(&self) -> Option<&Call> {
        match self {
            Self::Note(call, ..)
            | Self::Find(call, ..)
            | Self::Redact(call, ..)
            | Self::Actions(call, ..)
            | Self::Summary(call, ..)
            | Self::Wake(call, ..)
            | Self::Offer(call, ..)
            | Self::Reply(call, ..)
            | Self::Poll(call, ..) => Some(call),
            Self::Evaluate(_) | Self::Webhook(_) | Self::Receive(_) => None,
        }
    }

    /// Texts that are about somebody, in lower case.
    pub(super) fn private(&self) -> Vec<String> {
        let texts: Vec<Option<&str>> = match self {
            Self::Note(_, note) => vec![
                Some(note.key.session.as_str()),
                Some(note.conversation.as_str()),
                note.user_id.as_deref(),
                note.email.as_deref(),
            ],
            Self::Find(_, conversation, _)
            | Self::Redact(_, conversation, _)
            | Self::Offer(_, conversation, _)
            | Self::Reply(_, conversation, _) => vec![Some(conversation.as_str())],
            Self::Actions(_, batch) => {
                vec![batch.session_id.as_deref(), batch.user_id.as_deref(), batch.email.as_deref()]
            }
            Self::Summary(_, summary) => vec![summary.session_id.as_deref()],
            Self::Wake(_, timer) => vec![
                Some(timer.key.session.as_str()),
                timer.conversation.as_ref().map(|it| it.as_str()),
                timer.user_id.as_deref(),
                timer.email.as_deref(),
            ],
            Self::Evaluate(context) => vec![
                Some(context.key.session.as_str()),
                context.user_id.as_deref(),
                context.email.as_deref(),
                context.conversation.as_ref().map(|it| it.as_str()),
            ],
            Self::Poll(_, about, _) => vec![about.as_ref().map(|about| about.user.as_str())],
            Self::Webhook(_) | Self::Receive(_) => Vec::new(),
        };
        let texts = texts.into_iter().flatten().filter(|text| !text.is_empty());
        texts.map(str::to_ascii_lowercase).collect()
    }

    /// How much memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let of_actions = |actions: usize| 512 * actions;
        match self {
            Self::Note(_, note) => note.body.len() + of_actions(note.actions.list().len()),
            Self::Actions(_, batch) => of_actions(batch.actions.len()),
            Self::Summary(_, summary) => summary.summary.len(),
            Self::Wake(_, timer) => timer.payload.0.len(),
            Self::Offer(_, _, offer) => offer.text.len(),
            Self::Reply(_, _, text) => text.len(),
            Self::Evaluate(context) => {
                of_actions(context.actions.len()) + context.summary.as_ref().map_or(0, String::len)
            }
            Self::Webhook(request) => request.body.len() + request.url.len(),
            Self::Receive(request) => request.body.len() + request.query.len(),
            Self::Find(..) | Self::Redact(..) | Self::Poll(..) => 0,
        }
    }

    /// Calls the export of an instance with it, which has `left` of its time at `now`.
    pub(in crate::plugin) async fn make(
        &self,
        live: &mut Live,
        left: Duration,
        now: Timestamp,
    ) -> wasmtime::Result<Ending> {
        Ok(match self {
            Self::Note(about, note) => {
                let list = note.actions.list();
                let (about, actions) = (convert::call(about, left, now), convert::actions(&list));
                let note = convert::note(note, &actions);
                of_result(&call!(live.writer.call_post_note(about, note))?, good(self.interface()))
            }
            Self::Find(about, conversation, key) => {
                let (about, conversation) =
                    (convert::call(about, left, now), conversation.as_str());
                let found = call!(live.finder.call_find_note(about, conversation, key))?;
                of_result(&found, good(self.interface()))
            }
            Self::Redact(about, conversation, id) => {
                let (about, conversation) =
                    (convert::call(about, left, now), conversation.as_str());
                let redacted = call!(live.redactor.call_redact_note(about, conversation, id))?;
                of_result(&redacted, good(self.interface()))
            }
            Self::Actions(about, batch) => {
                let (about, actions) =
                    (convert::call(about, left, now), convert::actions(&batch.actions));
                let Some(batch) = convert::batch(batch, &actions) else { return Ok(no_session()) };
                of_result(
                    &call!(live.sink.call_write_actions(about, batch))?,
                    good(self.interface()),
                )
            }
            Self::Summary(about, summary) => {
                let about = convert::call(about, left, now);
                let Some(summary) = convert::summary(summary) else { return Ok(no_session()) };
                of_result(
                    &call!(live.sink.call_write_summary(about, summary))?,
                    good(self.interface()),
                )
            }
            Self::Wake(about, timer) => {
                let about = convert::call(about, left, now);
                of_result(
                    &call!(live.on_timer.call_wake(about, convert::timer(timer)))?,
                    good(self.interface()),
                )
            }
            Self::Offer(about, conversation, offer) => {
                let (about, conversation) =
                    (convert::call(about, left, now), conversation.as_str());
                let quick_replies = convert::quick_replies(&offer.quick_replies);
                let offer = convert::offer(offer, &quick_replies);
                of_result(
                    &call!(live.messenger.call_offer(about, conversation, offer))?,
                    good(self.interface()),
                )
            }
            Self::Reply(about, conversation, text) => {
                let (about, conversation) =
                    (convert::call(about, left, now), conversation.as_str());
                of_result(
                    &call!(live.messenger.call_reply(about, conversation, text))?,
                    good(self.interface()),
                )
            }
            Self::Evaluate(context) => {
                let actions = convert::actions(&context.actions);
                let context = convert::context(context, &actions);
                of_offer(&call!(live.trigger.call_evaluate(context))?)
            }
            Self::Webhook(request) => {
                let headers = convert::headers(&request.headers);
                let request = convert::request(request, &headers);
                of_webhook(&call!(live.webhook.call_receive(request))?)
            }
            Self::Receive(request) => {
                let headers = convert::headers(&request.headers);
                let request = convert::source_request(request, &headers);
                of_received(&call!(live.source.call_receive(request))?)
            }
            Self::Poll(about, subject, cursor) => {
                let about = convert::call(about, left, now);
                let subject = subject.as_ref().map(convert::subject);
                let page = call!(live.source.call_poll(about, subject, cursor.as_deref()))?;
                of_result(&page, good(self.interface()))
            }
        })
    }
}

/// What an answer says, by field.
pub(in crate::plugin) trait Says {
    /// Adds it.
    fn say(&self, fields: &mut BTreeMap<&'static str, Field>);
}

type Fields = BTreeMap<&'static str, Field>;

fn hidden(value: &(impl std::fmt::Debug + ?Sized)) -> Field {
    let mut hash = DefaultHasher::new();
    format!("{value:?}").hash(&mut hash);
    Field::Hidden(hash.finish())
}

fn told(value: impl ToString) -> Field {
    Field::Told(value.to_string())
}

impl Says for () {
    fn say(&self, _fields: &mut Fields) {}
}

impl Says for wit::Posted {
    fn say(&self, fields: &mut Fields) {
        self.note_id.say(fields);
        if let Some(extras) = (!self.extras.is_empty()).then(|| hidden(&self.extras)) {
            fields.insert("extras", extras);
        }
    }
}

impl Says for Option<String> {
    fn say(&self, fields: &mut Fields) {
        if let Some(id) = self {
            fields.insert("note_id", hidden(id));
        }
    }
}

impl Says for redactor::Redaction {
    fn say(&self, fields: &mut Fields) {
        let word = match self {
            Self::Removed => "removed",
            Self::Overwritten => "overwritten",
            Self::Unsupported => "unsupported",
        };
        fields.insert("redaction", told(word));
    }
}

impl Says for source::Page {
    fn say(&self, fields: &mut Fields) {
        batches(&self.batches, fields);
        fields.insert("more", told(self.more));
        fields.insert("cursor", hidden(&self.cursor));
        fields.insert("ignored", hidden(&self.ignored));
    }
}

fn batches(batches: &[source::Batch], fields: &mut Fields) {
    let events: usize = batches.iter().map(|batch| batch.events.len()).sum();
    fields.insert("batches", told(batches.len()));
    fields.insert("events", told(events));
    fields.insert("content", hidden(batches));
}

/// The word for a success of an interface's exports.
pub(in crate::plugin) fn good(interface: Interface) -> &'static str {
    match interface {
        Interface::Writer | Interface::Messenger => "posted",
        Interface::Sink => "written",
        Interface::Redactor
        | Interface::Finder
        | Interface::Webhook
        | Interface::Trigger
        | Interface::Source
        | Interface::OnTimer => "answered",
    }
}

/// How a call ends that answers a result; `good` is the word for a success.
pub(in crate::plugin) fn of_result<R: Says>(
    answer: &Result<R, wit::Failure>,
    good: &'static str,
) -> Ending {
    let mut fields = BTreeMap::new();
    let word = match answer {
        Ok(answer) => {
            answer.say(&mut fields);
            good
        }
        Err(failure) => {
            of_failure(failure, &mut fields);
            match failure.kind {
                wit::FailureKind::Transient => "transient",
                wit::FailureKind::RateLimited => "rate-limited",
                wit::FailureKind::Auth => "auth",
                wit::FailureKind::NotFound => "not-found",
                wit::FailureKind::Invalid => "invalid",
                wit::FailureKind::Permanent => "permanent",
            }
        }
    };
    Ending { word, fields }
}

fn of_failure(failure: &wit::Failure, fields: &mut Fields) {
    if let Some(ms) = failure.retry_after_ms {
        fields.insert(RETRY_AFTER, told(ms));
    }
    let sent = match failure.sent {
        wit::Sent::NotSent => "not-sent",
        wit::Sent::Unknown => "unknown",
        wit::Sent::Sent => "sent",
    };
    fields.insert("sent", told(sent));
    fields.insert("code", hidden(&failure.code));
    fields.insert("message", hidden(&failure.message));
    if !failure.extras.is_empty() {
        fields.insert("extras", hidden(&failure.extras));
    }
}

/// How a trigger's call ends.
pub(in crate::plugin) fn of_offer(offer: &Option<wit::OfferResult>) -> Ending {
    match offer {
        None => Ending { word: "no-offer", fields: BTreeMap::new() },
        Some(offer) => {
            let mut fields = BTreeMap::from([("text", hidden(&offer.text))]);
            fields.insert("quick_replies", told(offer.quick_replies.len()));
            fields.insert("content", hidden(offer));
            Ending { word: "offer", fields }
        }
    }
}

/// How the call of a webhook ends.
pub(in crate::plugin) fn of_webhook(
    answer: &Result<Vec<webhook::Event>, webhook::Rejection>,
) -> Ending {
    match answer {
        Ok(events) => {
            let kind = |event: &webhook::Event| match event {
                webhook::Event::Opened(_) => "opened",
                webhook::Event::Replied(_) => "replied",
                webhook::Event::Challenge(_) => "challenge",
                webhook::Event::Ignored => "ignored",
            };
            let kinds: Vec<_> = events.iter().take(8).map(kind).collect();
            let fields = BTreeMap::from([
                ("events", told(events.len())),
                ("kinds", told(kinds.join(" "))),
                ("content", hidden(events)),
            ]);
            Ending { word: "answered", fields }
        }
        Err(rejection) => {
            let fields = BTreeMap::from([
                ("status", told(rejection.status)),
                ("code", hidden(&rejection.code)),
                ("message", hidden(&rejection.message)),
            ]);
            Ending { word: "rejected", fields }
        }
    }
}

/// How the call of a source ends.
pub(in crate::plugin) fn of_received(
    answer: &Result<source::Received, source::Rejection>,
) -> Ending {
    match answer {
        Ok(received) => {
            let mut fields = BTreeMap::new();
            batches(&received.batches, &mut fields);
            fields.insert("status", told(received.response.status));
            fields.insert("response", hidden(&received.response));
            fields.insert("key", hidden(&received.key));
            fields.insert("keyless", told(received.keyless));
            fields.insert("ignored", hidden(&received.ignored));
            Ending { word: "answered", fields }
        }
        Err(rejection) => {
            let fields = BTreeMap::from([
                ("kind", hidden(&rejection.kind)),
                ("message", hidden(&rejection.message)),
            ]);
            Ending { word: "rejected", fields }
        }
    }
}

/// How a call ends that has no answer.
pub(in crate::plugin) fn of_crash(crash: Crash) -> Ending {
    let word = match crash {
        Crash::Trap => "trap",
        Crash::Timeout => "timeout",
        Crash::Cpu => "cpu",
        Crash::Memory => "memory",
    };
    Ending { word, fields: BTreeMap::new() }
}

/// How a call ends of a version that lacks the export.
pub(super) fn no_export() -> Ending {
    Ending { word: "no export", fields: BTreeMap::new() }
}

fn no_session() -> Ending {
    Ending { word: "no session", fields: BTreeMap::new() }
}
