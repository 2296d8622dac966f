use std::time::Duration;

use super::*;
use crate::access::{Actor, KeyId, KeyName, Products, Scopes};
use crate::clock::Timestamp;
use crate::engine::audit::{Act, Outcome};
use crate::engine::command::{PollMark, SourcePage, SourceRows};
use crate::engine::erase::{EraseOrder, Erased};
use crate::engine::helping::{AsOf, HelpChange, HelpCommand, HelpError, OfferWish, Turn};
use crate::engine::keys::{KeyChange, KeyError, KeyRow};
use crate::engine::link::{Identity, LinkCommand, LinkError, LinkEvent, LinkMode, Linked, Vouched};
use crate::engine::link::{Who, Word};
use crate::engine::order::{Decision, NoteRef};
use crate::engine::resend::{ResendError, ResendOrder, Resent};
use crate::engine::rows::Person;
use crate::engine::switch::{PluginSwitch, SwitchError, SwitchTo, Switched};
use crate::ids::{ConversationId, ProductId, SessionId, SessionKey};
use crate::kv::{Scope, Writes};
use crate::offers::content::Offer;
use crate::offers::help::{Heard, Standing};
use crate::offers::launch::LaunchEvent;
use crate::offers::refusal::Refusal;
use crate::outbox::account::Disabled;
use crate::outbox::redaction::ErasureId;
use crate::replies::answer::{HandOver, NotReplied, Replied, ReplyText, ReplyWish, Response};
use crate::rows::{Change, Group, Key, Table};
use crate::rules::History;
use crate::session::fsm::{FsmError, Interaction, State};
use crate::session::payload::{Action, ActionsPayload};
use crate::session::state::{Covers, Summarized};
use crate::session::turn::Meaning;

const AT: Timestamp = Timestamp(1_700_000_000_123);

pub(in crate::engine) fn key(session: &str) -> SessionKey {
    SessionKey {
        product: ProductId::new("acme").unwrap(),
        session: SessionId::new(session).unwrap(),
    }
}

fn conversation() -> ConversationId {
    ConversationId::new("c-1").unwrap()
}

fn batch() -> ActionsPayload {
    let action = Action { description: "Looked at 日本".into(), ..Action::default() };
    ActionsPayload {
        product_id: "acme".into(),
        session_id: Some("s1".into()),
        email: Some("ann@example.com".into()),
        actions: vec![action],
        forwarded_at: 1.5,
        ..ActionsPayload::default()
    }
}

fn link(who: Who, word: Word) -> Command {
    Command::Link(LinkCommand {
        plugin: "bot".into(),
        conversation: conversation(),
        who,
        mode: LinkMode::Reply,
        told: Identity { user_id: Some("u".into()), ..Identity::default() },
        word,
    })
}

fn key_row() -> KeyRow {
    KeyRow {
        name: KeyName::new("ops").unwrap(),
        hash: [255; 32],
        scopes: Scopes::all(),
        products: Products::Only([key("s1").product].into()),
        made_at: AT,
        made_by: Actor::Token,
        expires_at: Some(AT),
        used_at: None,
    }
}

/// One of every kind that is sent, at least.
pub(in crate::engine) fn commands() -> Vec<Command> {
    let offer = Offer::new("pricing", "Shall I explain?", []).unwrap();
    let target = || ("bot".into(), conversation());
    let row = Key { table: Table::SourceSeen, group: Group("web".into(), "".into()), number: 3 };
    let mut written = Writes::default();
    written.put(Scope::Plugin, "cursor", Some(vec![0, 255]));
    written.put(Scope::Plugin, "gone", None);
    let beside = SourceRows {
        mark: Some(("web".into(), PollMark { cursor: Some("next".into()), at: AT })),
        remembered: vec![Change::Put(row.clone(), vec![0, 255]), Change::Delete(row)],
        erases: true,
        written: Some(("web".into(), written)),
    };
    let batches = ["s1", "s2", "s1"].map(|session| (key(session), batch(), 9)).to_vec();
    let wish = |what| ReplyWish { key: key("s1"), message_id: "m".into(), what };
    let id = KeyId::new("0123456789").unwrap();
    vec![
        Command::Actions { key: key("s1"), batch: batch(), bytes: 9, accepted_at: Some(AT) },
        Command::Page(SourcePage { batches, beside }),
        Command::Summary {
            key: key("s1"),
            text: "They looked".into(),
            covers: Covers::Through(4),
            forwarded_at: 0.0,
            accepted_at: None,
        },
        link(Who::Session(key("s1")), Word::Operator),
        link(
            Who::SessionOf(vec![key("s1").product], key("s1").session),
            Word::Platform(Vouched { email: true, ..Vouched::default() }),
        ),
        link(
            Who::Person {
                products: vec![key("s1").product],
                user_id: Some("u".into()),
                email: Some("ann@example.com".into()),
            },
            Word::Operator,
        ),
        Command::Decide(Decision::Retry, vec![NoteRef::note(key("s1"), 7)]),
        Command::Erase(EraseOrder {
            keys: vec![key("s1")],
            persons: vec![Person::User("u".into()), Person::Email("ann@example.com".into())],
            remembered: Vec::new(),
            keep_notes: true,
            id: ErasureId(77),
        }),
        Command::Offer(OfferWish {
            key: key("s1"),
            offer,
            as_of: Some(AsOf { version: 3, target: target() }),
            ask_only: false,
        }),
        Command::Reply(wish(Response::Text(ReplyText::new("Here.").unwrap()))),
        Command::Reply(wish(Response::HandOver { why: HandOver::Unsure, draft: None })),
        Command::Turn(Turn {
            plugin: "bot".into(),
            conversation: conversation(),
            meaning: Meaning::PersonWrote,
            option_id: None,
            text: Some("Hello?".into()),
            message_id: Some("m".into()),
        }),
        Command::Help(HelpCommand {
            key: key("s1"),
            expect: Some(4),
            change: HelpChange::Interaction(Interaction::TourStep),
        }),
        Command::Help(HelpCommand {
            key: key("s1"),
            expect: None,
            change: HelpChange::StartCooldown(Some(2.5)),
        }),
        Command::Resend(ResendOrder { key: key("s1"), seq: 4 }),
        Command::Key(KeyChange::New { id: id.clone(), row: key_row() }),
        Command::Key(KeyChange::Revoke(id.clone())),
        Command::ClearKv("web".into()),
        Command::RemoveTimers("bot".into(), vec![key("s1"), key("s2")]),
        Command::Switch(PluginSwitch {
            plugin: "bot".into(),
            to: SwitchTo::Disabled { reason: Some("it is down".into()) },
        }),
        Command::KeysUsed(vec![(id, AT)]),
        Command::Audit(
            Deed { by: Actor::Machine, act: Act::Reload, product: None, order: Some(5) },
            Outcome::Done { affected: None },
        ),
    ]
}

fn answers() -> Vec<Answer> {
    let linked = |event| Linked { key: key("s1"), conversation: conversation(), event };
    let standing = Standing {
        version: 4,
        state: State::Proactive,
        until: Some(AT),
        cooling_down: false,
        trigger: Some("pricing".into()),
        tour: None,
    };
    let launch = LaunchEvent {
        product_id: "acme".into(),
        flow_id: "f".into(),
        reason: None,
        user_id: Some("u".into()),
        session_id: Some("s2".into()),
    };
    let kept = History { keep: Duration::from_secs(60), max_actions: 5, max_bytes: 7 };
    let transition = FsmError::Transition { from: State::Thinking, to: State::Reactive };
    vec![
        Answer::None,
        Answer::Accepted,
        Answer::Summarized(Summarized::Queued { seq: 4 }),
        Answer::Summarized(Summarized::Stale),
        Answer::Linked(Ok(linked(LinkEvent::Moved))),
        Answer::Linked(Err(LinkError::NotFound("no session of this person is known"))),
        Answer::Linked(Err(LinkError::Nobody("session"))),
        Answer::Linked(Err(LinkError::Foreign)),
        Answer::Decided(3),
        Answer::Erased(Erased { sessions: 2, erasure: Some(ErasureId(9)), ..Erased::default() }),
        Answer::Offered(Ok(4)),
        Answer::Offered(Err(Refusal::TooSoon { until: AT })),
        Answer::Offered(Err(Refusal::State { state: State::Reactive })),
        Answer::Replied(Ok(Replied::Noted(4))),
        Answer::Replied(Err(NotReplied::Late)),
        Answer::Heard(vec![(key("s1"), Heard::Acted), (key("s2"), Heard::Shown(launch))]),
        Answer::Resent(Ok(Resent { seq: 4, target: ("bot".into(), conversation()) })),
        Answer::Resent(Err(ResendError::NotKept(Some(kept)))),
        Answer::Helped(Ok(standing)),
        Answer::Helped(Err(HelpError::State(transition))),
        Answer::Helped(Err(HelpError::Version(4))),
        Answer::Keyed(Ok(key_row())),
        Answer::Cleared(3),
        Answer::Keyed(Err(KeyError::Product(key("s1").product))),
        Answer::Switched(Ok(Switched {
            changed: true,
            disabled: Some(Disabled { since: AT, reason: None }),
        })),
        Answer::Switched(Err(SwitchError::Unknown)),
    ]
}

#[test]
fn every_command_is_read_as_it_was_written() {
    let reply = Some(ReplyTo { host: "a#1".into(), number: 7 });
    for (n, command) in commands().into_iter().enumerate() {
        let place = command.place();
        let deed = Deed { by: Actor::Token, act: Act::Backup, product: None, order: None };
        let request = Request { command, deed: Some(deed.clone()), reply: reply.clone() };
        let bytes = request.encode().unwrap();
        let read = Request::decode(&bytes).unwrap_or_else(|error| panic!("{n}: {error}"));
        assert!(read.command.place() == place, "{n}");
        assert_eq!((&read.reply, &read.deed), (&reply, &Some(deed)), "{n}");
        // Nothing of it is missing: it would be missing in what is written of it, too, or in the texts below.
        assert_eq!(read.encode().unwrap(), bytes, "{n}");
        let names = String::from_utf8_lossy(&bytes).into_owned();
        assert!(
            names.contains("acme") || place == Place::Namespace || names.contains("c-1"),
            "{n}"
        );
    }
    let alone =
        Request { command: link(Who::Session(key("s1")), Word::Operator), deed: None, reply: None };
    let read = Request::decode(&alone.encode().unwrap()).unwrap();
    assert!(read.deed.is_none() && read.reply.is_none());
    let (Command::Link(sent), Command::Link(read)) = (alone.command, read.command) else {
        panic!()
    };
    assert_eq!(sent, read);
}

#[test]
fn every_answer_is_read_as_it_was_written() {
    for answer in answers() {
        let bytes = answer.encode();
        let read = Answer::decode(&bytes).unwrap_or_else(|error| panic!("{answer:?}: {error}"));
        assert_eq!(format!("{read:?}"), format!("{answer:?}"));
        assert_eq!(read.encode(), bytes);
    }
}

#[test]
fn what_is_of_one_host_is_never_sent() {
    for command in [Command::Drain, Command::Stop, Command::Scrubbed(Ok(()))] {
        let request = Request { command, deed: None, reply: None };
        assert_eq!(request.encode(), Err(NotSent::Here));
    }
}

#[test]
fn what_is_too_large_is_never_sent() {
    let text = "x".repeat(MOST_BYTES);
    let covers = Covers::Next(1);
    let command =
        Command::Summary { key: key("s1"), text, covers, forwarded_at: 0.0, accepted_at: None };
    let refused = Request { command, deed: None, reply: None }.encode();
    assert!(matches!(refused, Err(NotSent::TooLarge(bytes)) if bytes > MOST_BYTES));
}

#[test]
fn what_another_release_wrote_is_read_where_it_can_be_and_else_refused() {
    let bytes = Answer::Accepted.encode();
    for wrong in [&[][..], &[2], &[FORM], &[FORM + 1, 0xC0], &bytes[..bytes.len() - 1]] {
        assert_eq!(Answer::decode(wrong).err(), Some(Unreadable));
    }
    // A field that this release doesn't know is passed over.
    let more = serde_json::json!({
        "command": { "Resend": { "key": key("s1"), "seq": 4, "later": true } },
        "later": 1,
    });
    let read = Request::decode(&written(&more)).unwrap();
    assert!(matches!(read.command, Command::Resend(ResendOrder { seq: 4, .. })));
    // A command that it doesn't know isn't.
    let unknown = serde_json::json!({ "command": { "Dance": {} } });
    assert_eq!(Request::decode(&written(&unknown)).err(), Some(Unreadable));
}
