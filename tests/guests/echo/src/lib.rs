//! Exports every interface. What it was given is the id that it answers, or in the log where an answer
//! has no id. It misbehaves where the conversation, the session, the person or the text says so: `trap`, `sleep`,
//! `fail`, `limit`, `odd`; a source's body also says `hoard`, or which bound is passed.

use std::time::Duration;

use sidenote_plugin::help::{Offer, TriggerContext};
use sidenote_plugin::sink::{Batch, Summary};
use sidenote_plugin::source::{self, EventKind, Merge, Page, Received, Response, Subject};
use sidenote_plugin::webhook::{Answer, Event, Rejection, Request};
use sidenote_plugin::{
    Action, Call, Failure, Finder, LimitScope, Messenger, Note, Posted, Redaction, Redactor, Sent,
    Sink, Source, Trigger, Webhook, Writer,
};

/// The plugin.
pub struct Echo;

/// Does what a word asks for, if it is one.
fn obey(word: &str) -> Result<(), Failure> {
    match word {
        "trap" => panic!("asked to trap"),
        "sleep" => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
        "fail" => Err(Failure::permanent("asked", "asked to fail").with_sent(Sent::Sent)),
        "limit" => Err(Failure::rate_limited("429", "slow down", Some(Duration::from_secs(7)))
            .with_limit_scope(LimitScope::Conversation)),
        _ => Ok(()),
    }
}

fn told(call: &Call, given: &[&str]) -> String {
    format!("{}#{} {}", call.idempotency_key, call.attempt, given.join("|"))
}

fn actions(actions: &[Action]) -> String {
    actions
        .iter()
        .map(|it| format!("{}:{}", it.index, it.description))
        .collect::<Vec<_>>()
        .join(",")
}

impl Writer for Echo {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        obey(&note.body)?;
        let posted = Posted::with_id(told(&call, &[&note.conversation_id, &note.body]));
        Ok(posted.with_pause(Duration::from_millis(1500), LimitScope::Conversation))
    }
}

impl Redactor for Echo {
    fn redact_note(_: Call, conversation: String, note_id: String) -> Result<Redaction, Failure> {
        obey(&conversation)?;
        Ok(match &*note_id {
            "removable" => Redaction::Removed,
            "editable" => Redaction::Overwritten,
            _ => Redaction::Unsupported,
        })
    }
}

impl Finder for Echo {
    fn find_note(call: Call, conversation: String, key: String) -> Result<Option<String>, Failure> {
        obey(&conversation)?;
        Ok(match &*conversation {
            "empty" => None,
            "nameless" => Some(String::new()),
            _ => Some(told(&call, &[&conversation, &key])),
        })
    }
}

impl Webhook for Echo {
    fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
        obey(&String::from_utf8_lossy(&request.body))
            .map_err(|failure| Rejection::new(422, failure.code, failure.message))?;
        Ok(vec![Event::Challenge(Answer::text(request.url))])
    }
}

impl Messenger for Echo {
    fn offer(call: Call, conversation: String, offer: Offer) -> Result<Posted, Failure> {
        obey(&conversation)?;
        let replies: Vec<_> =
            offer.quick_replies.iter().map(|it| format!("{}={}", it.id, it.label)).collect();
        Ok(Posted::with_id(told(&call, &[&conversation, &offer.text, &replies.join(",")])))
    }

    fn reply(call: Call, conversation: String, text: String) -> Result<Posted, Failure> {
        obey(&conversation)?;
        Ok(Posted::with_id(told(&call, &[&conversation, &text])))
    }
}

impl Sink for Echo {
    fn write_actions(call: Call, batch: Batch) -> Result<(), Failure> {
        obey(&batch.session_id)?;
        let person = format!("{:?} {:?} {:?}", batch.user_id, batch.email, batch.conversation_id);
        let actions = actions(&batch.actions);
        let at = format!("{:?}", batch.forwarded_at);
        Err(echoed(told(&call, &[&batch.product_id, &batch.session_id, &person, &actions, &at])))
    }

    fn write_summary(call: Call, summary: Summary) -> Result<(), Failure> {
        obey(&summary.session_id)?;
        if summary.text == "fine" {
            return Ok(());
        }
        let rest = format!("{} {:?}", summary.replaces, summary.forwarded_at);
        Err(echoed(told(&call, &[&summary.product_id, &summary.session_id, &summary.text, &rest])))
    }
}

/// What a sink was given: its success says nothing.
fn echoed(text: String) -> Failure {
    Failure::transient("echo", text)
}

impl Trigger for Echo {
    fn evaluate(context: TriggerContext) -> Option<Offer> {
        let text = context.summary.unwrap_or_default();
        match &*text {
            "no" => return None,
            "odd" => return Some(Offer::new("\n")),
            _ => obey(&text).expect("only words that trap are asked for"),
        }
        let person =
            format!("{:?} {:?} {:?}", context.user_id, context.email, context.conversation_id);
        let session = format!("{}/{}", context.product_id, context.session_id);
        let given = [session, person, actions(&context.actions), context.now_ms.to_string()];
        Some(Offer::new(given.join("|")).quick_reply("yes", "Yes, please"))
    }
}

/// An event that says what was given, of a person.
fn event(given: &[&str]) -> source::Event {
    let mut event = source::Event::new(EventKind::Custom, given.join("|"));
    event.id = given.join("|");
    event.identity.user_id = Some("u".to_owned());
    event
}

impl Source for Echo {
    fn receive(request: source::Request) -> Result<Received, source::Rejection> {
        let body = String::from_utf8_lossy(&request.body);
        obey(&body).map_err(|failure| source::Rejection::malformed(failure.message))?;
        let told = event(&[&request.method, &request.path, &request.query, &body]);
        let mut received = Received::new(Response::ok());
        let one = || source::Batch::of([event(&["one"])]);
        match &*body {
            "hoard" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(std::hint::black_box(vec![1_u8; 1 << 20]));
                }
            }
            "batches" => received.batches = (0..1001).map(|_| one()).collect(),
            "events" => {
                let nameless = || source::Event::new(EventKind::Custom, "");
                received.batches = vec![source::Batch::of((0..100_001).map(|_| nameless()))];
            }
            "merges" => {
                let merge = |n: u32| Merge { from: format!("v{n}"), into: "u".to_owned() };
                received.batches =
                    vec![source::Batch { merges: (0..10_001).map(merge).collect(), ..one() }];
            }
            "answer" => received.response.body = vec![b' '; (1 << 20) + 1],
            "odd" => received.response.status = 99,
            _ => received.batches = vec![source::Batch::of([told])],
        }
        Ok(received)
    }

    fn poll(call: Call, about: Option<Subject>, cursor: Option<String>) -> Result<Page, Failure> {
        let person = about.map_or(String::new(), |it| format!("{}/{}", it.product_id, it.user_id));
        let word = person.rsplit('/').next().unwrap_or_default();
        obey(word)?;
        let mut page = Page::default();
        match word {
            "cursor" => page.cursor = Some("c".repeat((64 << 10) + 1)),
            _ => {
                let cursor = cursor.unwrap_or_default();
                let told = told(&call, &[&person, &cursor]);
                page.batches = vec![source::Batch::of([event(&[&told])])];
                page.cursor = Some(format!("{cursor}+"));
            }
        }
        Ok(page)
    }
}

sidenote_plugin::export!(Echo: Writer, Redactor, Finder, Webhook, Messenger, Sink, Trigger, Source);
