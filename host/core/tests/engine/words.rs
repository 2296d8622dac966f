//! What a core is told, in short.

use std::time::Duration;

use sidenote_core::engine::erase::EraseOrder;
use sidenote_core::engine::link::{Identity, LinkCommand, LinkMode, Who, Word};
use sidenote_core::engine::{
    Answer, Call, Command, Decision, Ended, LaneKind, NoteRef, Outcome, Settings, Work,
};
use sidenote_core::ids::{ConversationId, ProductId, SessionId, SessionKey};
use sidenote_core::kv::Writes;
use sidenote_core::outbox::attempt::Course;
use sidenote_core::outbox::message::Sending;
use sidenote_core::outbox::note::{
    Crash, Failure, FailureKind, LimitScope, Note, PostError, Posted, Redaction, Sent,
};
use sidenote_core::outbox::redaction::ErasureId;
use sidenote_core::outbox::sink_delivery::Roles;
use sidenote_core::rows::Table;
use sidenote_core::rules::{Delivery, Product};
use sidenote_core::session::payload::{Action, ActionsPayload};
use sidenote_core::session::state::{Covers, Summarized};

use crate::world::{MOMENT, World};

pub(crate) const CHAT: &str = "chat";
/// What all plugins are said to be.
pub(crate) const VERSION: &str = "1.2.0+0123abcd";
pub(crate) const ERASURE: ErasureId = ErasureId(7);

pub(crate) fn product(id: &str) -> ProductId {
    ProductId::new(id).expect("it is short")
}

pub(crate) fn key(session: &str) -> SessionKey {
    key_of("p", session)
}

pub(crate) fn key_of(of: &str, session: &str) -> SessionKey {
    SessionKey { product: product(of), session: SessionId::new(session).expect("it is short") }
}

pub(crate) fn conversation(id: &str) -> ConversationId {
    ConversationId::new(id).expect("it is short")
}

/// One product `p` with these plugins.
pub(crate) fn settings_of(plugins: &[&str], delivery: Delivery) -> Settings {
    let plugins = plugins.iter().map(|name| (*name).into()).collect();
    Settings::of_products([(product("p"), Product::of(plugins, delivery))])
}

pub(crate) fn settings() -> Settings {
    settings_of(&[CHAT], Delivery::default())
}

/// What is done in a session, by nobody who is known.
pub(crate) fn acts(session: &str, what: &[&str]) -> Command {
    acts_of(session, (None, None), what)
}

pub(crate) fn acts_of(
    session: &str,
    (user_id, email): (Option<&str>, Option<&str>),
    what: &[&str],
) -> Command {
    let action = |what: &&str| Action { description: (*what).to_owned(), ..Action::default() };
    let batch = ActionsPayload {
        product_id: "p".to_owned(),
        session_id: Some(session.to_owned()),
        user_id: user_id.map(str::to_owned),
        email: email.map(str::to_owned),
        actions: what.iter().map(action).collect(),
        ..ActionsPayload::default()
    };
    Command::Actions { key: key(session), batch, bytes: 100 * what.len(), accepted_at: None }
}

pub(crate) fn summary(session: &str, text: &str, covers: Covers) -> Command {
    let text = text.to_owned();
    Command::Summary { key: key(session), text, covers, forwarded_at: 0.0, accepted_at: None }
}

/// An operator's link.
pub(crate) fn link(session: &str, to: &str) -> LinkCommand {
    LinkCommand {
        plugin: CHAT.into(),
        conversation: conversation(to),
        who: Who::Session(key(session)),
        mode: LinkMode::Auto,
        told: Identity::default(),
        word: Word::Operator,
    }
}

pub(crate) fn erase(sessions: &[&str], keep_notes: bool) -> Command {
    let keys = sessions.iter().map(|session| key(session)).collect();
    let (persons, remembered) = (Vec::new(), Vec::new());
    Command::Erase(EraseOrder { keys, persons, remembered, keep_notes, id: ERASURE })
}

pub(crate) fn decide(decision: Decision, session: &str, seqs: &[u64]) -> Command {
    Command::Decide(decision, seqs.iter().map(|seq| NoteRef::note(key(session), *seq)).collect())
}

pub(crate) fn decide_timer(decision: Decision, session: &str, seqs: &[u64]) -> Command {
    let named = |seq: &u64| NoteRef { key: key(session), lane: LaneKind::Timer, seq: *seq };
    Command::Decide(decision, seqs.iter().map(named).collect())
}

pub(crate) fn decide_sink(decision: Decision, session: &str, seqs: &[u64]) -> Command {
    let named = |seq: &u64| NoteRef { key: key(session), lane: LaneKind::Sink, seq: *seq };
    Command::Decide(decision, seqs.iter().map(named).collect())
}

/// What a plugin answers.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    /// Done; the platform calls the note so.
    Took(Option<&'static str>),
    /// As [`Said::Took`], and nothing more for a while.
    Pauses(Posted),
    /// The outcome of a note that was to be redacted.
    Redacted(Redaction),
    /// It failed.
    Failed(PostError),
}

pub(crate) fn took() -> Said {
    Said::Took(Some("id"))
}

pub(crate) fn fails(kind: FailureKind) -> Said {
    Said::Failed(failed(failure(kind)))
}

pub(crate) fn failure(kind: FailureKind) -> Failure {
    Failure {
        kind,
        code: "418".to_owned(),
        message: "no".to_owned(),
        retry_after: None,
        scope: LimitScope::Account,
        sent: Sent::Sent,
    }
}

pub(crate) fn failed(failure: Failure) -> PostError {
    PostError::Failed(failure)
}

/// A limit that the platform names.
pub(crate) fn limited(scope: LimitScope, time: Duration) -> Said {
    let failure = failure(FailureKind::RateLimited);
    Said::Failed(failed(Failure { scope, retry_after: Some(time), ..failure }))
}

pub(crate) fn crashed(crash: Crash) -> Said {
    Said::Failed(PostError::Crashed { crash, message: "boom".to_owned() })
}

/// What came of a call.
pub(crate) fn ended(call: &Call, said: Said) -> Command {
    wrote(call, said, Writes::default())
}

/// What came of a call that wrote something under keys.
pub(crate) fn wrote(call: &Call, said: Said, written: Writes) -> Command {
    let outcome = match call.work.clone() {
        Work::Note { note, .. } => Outcome::Note { note, result: said.posted() },
        Work::Sink(delivery) => Outcome::Sink { delivery, result: said.posted().map(drop) },
        Work::Timer(timer) => Outcome::Timer { timer, result: said.posted().map(drop) },
        Work::Message { message, .. } => {
            Outcome::Message { message, result: said.posted().map(Sending::Posted) }
        }
        Work::Redaction { key, seq, note, .. } => {
            let result = match said {
                Said::Redacted(redaction) => Ok(redaction),
                Said::Took(_) | Said::Pauses(_) => Ok(Redaction::Removed),
                Said::Failed(error) => Err(error),
            };
            Outcome::Redaction { key, seq, note, result }
        }
    };
    Command::Ended(Ended {
        outcome,
        course: Course {
            took: Duration::from_millis(80),
            version: Some(VERSION.into()),
            ..Course::of(call.probe, 0.5)
        },
        written,
    })
}

impl Said {
    fn posted(self) -> Result<Posted, PostError> {
        match self {
            Self::Took(id) => Ok(Posted { note_id: id.map(str::to_owned), pause: None }),
            Self::Pauses(posted) => Ok(posted),
            Self::Redacted(redaction) => panic!("nothing was to be redacted: {redaction:?}"),
            Self::Failed(error) => Err(error),
        }
    }
}

/// The note of a call.
pub(crate) fn note(call: &Call) -> &Note {
    match &call.work {
        Work::Note { note, .. } => note,
        Work::Sink(_) | Work::Timer(_) | Work::Message { .. } | Work::Redaction { .. } => {
            panic!("it is no post")
        }
    }
}

/// What a call does, in short.
pub(crate) fn name(call: &Call) -> String {
    match &call.work {
        Work::Note { note, unknown } => {
            let asked = if *unknown { ", asked for first" } else { "" };
            format!("post {}/{}{asked}", note.key.session, note.seq)
        }
        Work::Sink(delivery) => {
            let (session, seq) = (&delivery.key.session, delivery.seq);
            format!("send {session}/{seq} to {}", delivery.plugin)
        }
        Work::Timer(timer) => {
            format!("wake {}/{} for {}", timer.key.session, timer.seq, timer.name)
        }
        Work::Message { message, unknown } => {
            let what = if *unknown { "ask for" } else { "say" };
            format!("{what} {}/{}", message.key.session, message.seq)
        }
        Work::Redaction { key, seq, .. } => format!("redact {}/{seq}", key.session),
    }
}

pub(crate) fn names(calls: &[Call]) -> Vec<String> {
    calls.iter().map(name).collect()
}

pub(crate) fn summarized(answer: Answer) -> Summarized {
    let Answer::Summarized(summarized) = answer else { panic!("{answer:?}") };
    summarized
}

pub(crate) fn decided(answer: Answer) -> usize {
    let Answer::Decided(done) = answer else { panic!("{answer:?}") };
    done
}

impl World {
    /// A world in which these sessions are linked, each to a conversation of its name.
    pub(crate) fn linked(settings: Settings, sessions: &[&str]) -> Self {
        let mut world = Self::new(settings);
        sessions.iter().for_each(|session| world.link(session));
        world
    }

    pub(crate) fn link(&mut self, session: &str) {
        let answer = self.tell(Command::Link(link(session, session)));
        assert!(matches!(answer, Answer::Linked(Ok(_))), "{answer:?}");
    }

    /// A note of a linked session is sealed, whether its turn has come or not.
    pub(crate) fn seal(&mut self, session: &str) {
        self.tell(acts(session, &["it"]));
        self.pass(MOMENT);
        if self.count(Table::Open) > 0 {
            self.tell(Command::Drain);
        }
    }

    /// As many notes of a linked session are on record as sent.
    pub(crate) fn post(&mut self, session: &str, notes: usize) {
        for _ in 0..notes {
            self.seal(session);
            self.answer_all(took);
        }
    }

    /// Has a plugin be a sink, and a writer too where that is said.
    pub(crate) fn sink(&self, plugin: &str, writer: bool) {
        self.plugins.set(plugin, |it| it.roles = Some(Roles { writer, sink: true }));
    }
}
