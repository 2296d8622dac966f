//! The plugin and the mock that the checks work with; notes and calls.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sidenote::clock::Clock;
use sidenote::config::Delivery;
use sidenote::ids::{ConversationId, ProductId, SessionId, SessionKey};
use sidenote::kv::CallKv;
use sidenote::outbox::note::{Call, Crash, Note, NoteKind, PostError, Posted};
use sidenote::post::Post;
use sidenote::session::packed::Packed;
use sidenote::session::payload::{Action, ActionsPayload};
use sidenote_sim::{Mock, MockExchange, MockTrouble, Struck};
use tokio::time::Instant;

use super::samples::Sample;
use crate::bench::Bench;

/// How long a call may take where nothing is to make it slow.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the checks work with.
pub(super) struct Stage<'a> {
    pub(super) bench: &'a Bench,
    pub(super) mock: &'a Mock,
    /// Webhooks of the platform.
    pub(super) samples: Vec<Sample>,
    /// How the host would deliver.
    pub(super) rules: Delivery,
    pub(super) clock: Clock,
    subject: Subject,
    notes: AtomicU64,
    /// Whether a note got through to the mock.
    posts: AtomicBool,
    /// The first crash of the check that runs.
    crash: Mutex<Option<String>>,
    /// What calls wrote under keys and isn't stored yet.
    written: Mutex<Vec<CallKv>>,
}

/// Without what a check can't run.
pub(super) enum Needs {
    /// It always runs.
    Nothing,
    /// An export.
    Export(&'static str),
    /// `writer`, or of a plugin without it `sink`.
    Subject,
    /// As `Subject`, and that a note, or a batch, gets through to the mock at all.
    Posting,
    /// As `Posting`, and that what is posted has an id.
    Ids,
}

/// What the plugin is handed. A sink keeps to the same rules with batches as a writer with notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// A note, posted by `writer`.
    Note,
    /// A batch of one action that says what the note would say, handed to `sink`.
    Batch,
}

/// What came of posting a note.
pub(super) struct Try {
    pub(super) note: Note,
    /// The word by which the note is known again.
    pub(super) word: String,
    pub(super) outcome: Result<Posted, PostError>,
    /// What was said meanwhile.
    pub(super) exchanges: Vec<MockExchange>,
    pub(super) took: Duration,
}

impl<'a> Stage<'a> {
    pub(super) fn new(bench: &'a Bench, mock: &'a Mock, samples: Vec<Sample>) -> Self {
        let subject = match bench.exports("sink") && !bench.exports("writer") {
            true => Subject::Batch,
            false => Subject::Note,
        };
        Self {
            bench,
            mock,
            samples,
            subject,
            rules: Delivery::default(),
            clock: Clock::system(),
            notes: AtomicU64::new(0),
            posts: AtomicBool::new(false),
            crash: Mutex::default(),
            written: Mutex::default(),
        }
    }

    /// Why a check can't run.
    pub(super) fn lacks(&self, needs: &Needs) -> Option<String> {
        let lacks = |export: &str| {
            (!self.bench.exports(export)).then(|| format!("the plugin doesn't export `{export}`"))
        };
        match needs {
            Needs::Nothing => None,
            _ if self.bench.state().failed.is_some() => Some("the plugin isn't loaded".to_owned()),
            Needs::Export(export) => lacks(export),
            Needs::Subject => lacks(self.interface()),
            Needs::Ids => match self.subject {
                Subject::Note => self.lacks(&Needs::Posting),
                Subject::Batch => Some("a batch has no id".to_owned()),
            },
            Needs::Posting => lacks(self.interface()).or_else(|| {
                let posts = self.posts.load(Relaxed);
                (!posts).then(|| "no note gets through to the mock, see `posts a note`".to_owned())
            }),
        }
    }

    /// Whether a check is of no use: a note was tried, and none gets through.
    pub(super) fn is_moot(&self, needs: &Needs) -> bool {
        let by_notes = match needs {
            Needs::Posting => true,
            Needs::Ids => matches!(self.subject, Subject::Note),
            Needs::Nothing | Needs::Export(_) | Needs::Subject => false,
        };
        by_notes && self.bench.exports(self.interface()) && !self.posts.load(Relaxed)
    }

    fn interface(&self) -> &'static str {
        match self.subject {
            Subject::Note => "writer",
            Subject::Batch => "sink",
        }
    }

    /// What is said of notes, in the words of what the plugin is handed.
    pub(super) fn in_words(&self, text: &str) -> String {
        match self.subject {
            Subject::Note => text.to_owned(),
            Subject::Batch => text.replace("notes", "batches").replace("note", "batch"),
        }
    }

    /// A note gets through to the mock.
    pub(super) fn notes_get_through(&self) {
        self.posts.store(true, Relaxed);
    }

    /// Readies everything for the next check.
    pub(super) fn reset(&self) {
        self.mock.heal();
        self.mock.take();
        *self.crash.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How the plugin crashed during the check, if it did.
    pub(super) fn crash(&self) -> Option<String> {
        self.crash.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers that the plugin crashed.
    pub(super) fn crashed(&self, code: &str, message: &str) {
        let mut crash = self.crash.lock().unwrap_or_else(PoisonError::into_inner);
        crash.get_or_insert_with(|| format!("the plugin crashed, {code}: {message}"));
    }

    /// A note whose text begins with a word of its own.
    pub(super) fn note(&self, text: &str) -> (Note, String) {
        let count = self.notes.fetch_add(1, Relaxed) + 1;
        // The same however it is written: JSON, HTML, a form.
        let word = format!("sidenotecheck{count}x");
        let body = if text.is_empty() { word.clone() } else { format!("{word} {text}") };
        (self.plain_note(count, body), word)
    }

    /// A note with this body.
    pub(super) fn plain_note(&self, count: u64, body: String) -> Note {
        let key = session();
        let sealed_at = self.clock.now();
        Note {
            idempotency_key: Note::idempotency_key(&key, count, sealed_at),
            key,
            seq: count,
            plugin: self.bench.name.clone(),
            conversation: ConversationId::new("conversation-1").expect("it is an id"),
            user_id: Some("user-1".to_owned()),
            email: Some("user@example.com".to_owned()),
            kind: NoteKind::Actions,
            actions: Packed::of(&[Action {
                title: "Click".to_owned(),
                description: body.clone(),
                canonical_url: "https://app.example.com/cart".to_owned(),
                raw_url: "https://app.example.com/cart".to_owned(),
                kind: "click".to_owned(),
                timestamp_start: Some(sealed_at.as_secs_f64()),
                timestamp_end: Some(sealed_at.as_secs_f64()),
                ..Action::default()
            }]),
            body,
            through: count,
            sealed_at,
            waits_since: None,
            begun: false,
            resent_of: None,
        }
    }

    /// A call at a note.
    pub(super) fn call(&self, key: &str, attempt: u32, timeout: Duration) -> Call {
        let kv = CallKv::stored(Some(session()));
        self.written.lock().unwrap_or_else(PoisonError::into_inner).push(kv.clone());
        Call {
            idempotency_key: key.to_owned(),
            attempt,
            timeout,
            traceparent: format!(
                "00-{:032x}-{:016x}-01",
                rand::random::<u128>(),
                rand::random::<u64>()
            ),
            kv,
        }
    }

    /// Stores what calls wrote under keys, as the host does with their outcomes.
    pub(super) async fn keep_written(&self) {
        let written =
            std::mem::take(&mut *self.written.lock().unwrap_or_else(PoisonError::into_inner));
        for kv in written {
            // While the store is away nothing is stored, as it would be.
            drop(self.bench.kept.keep(&self.bench.name, &kv).await);
        }
    }

    /// A call that nothing makes slow.
    pub(super) fn usual_call(&self) -> Call {
        let key = format!("{:032x}", rand::random::<u128>());
        self.call(&key, 1, PATIENCE)
    }

    /// Posts a note with this text.
    pub(super) async fn post(&self, text: &str) -> Try {
        let (note, word) = self.note(text);
        self.post_note(note, word, 1, PATIENCE).await
    }

    /// Posts a note that meets trouble.
    pub(super) async fn post_into(&self, trouble: MockTrouble, timeout: Duration) -> Try {
        let (note, word) = self.note("clicked \"Pay\"");
        self.mock.strike(Struck::Carrying(word.clone()), trouble);
        self.post_note(note, word, 1, timeout).await
    }

    /// Posts a note; what was said before is forgotten.
    pub(super) async fn post_note(
        &self,
        note: Note,
        word: String,
        attempt: u32,
        timeout: Duration,
    ) -> Try {
        self.mock.take();
        let (outcome, took) = self.attempt(&note, attempt, timeout).await;
        Try { note, word, outcome, exchanges: self.mock.take(), took }
    }

    /// One attempt at a note.
    pub(super) async fn attempt(
        &self,
        note: &Note,
        attempt: u32,
        timeout: Duration,
    ) -> (Result<Posted, PostError>, Duration) {
        let call = self.call(&note.idempotency_key, attempt, timeout);
        let began = Instant::now();
        let registry = &self.bench.registry;
        let outcome = match self.subject {
            Subject::Note => registry.post_note(call, note).await,
            Subject::Batch => {
                let taken = registry.write_actions(&self.bench.name, call, &batch_of(note)).await;
                taken.map(|()| Posted { note_id: None, pause: None })
            }
        };
        let took = began.elapsed();
        self.keep_written().await;
        self.look_for_crash(&outcome);
        (outcome, took)
    }

    /// Remembers a crash. To be stopped at the deadline is none: a platform can cause it.
    pub(super) fn look_for_crash<T>(&self, outcome: &Result<T, PostError>) {
        match outcome {
            Err(PostError::Crashed { crash: Crash::Timeout, .. }) => {}
            Err(PostError::Crashed { crash, message }) => self.crashed(crash.code(), message),
            Ok(_) | Err(PostError::Failed(_) | PostError::Unavailable { .. }) => {}
        }
    }
}

/// Whose all of it is.
pub(super) fn session() -> SessionKey {
    SessionKey {
        product: ProductId::new("product-1").expect("it is an id"),
        session: SessionId::new("session-1").expect("it is an id"),
    }
}

/// The actions of a note as a batch.
pub(crate) fn batch_of(note: &Note) -> ActionsPayload {
    ActionsPayload {
        product_id: note.key.product.as_str().to_owned(),
        session_id: Some(note.key.session.as_str().to_owned()),
        user_id: note.user_id.clone(),
        email: note.email.clone(),
        actions: note.actions.unpack(),
        forwarded_at: note.sealed_at.as_secs_f64(),
        ..ActionsPayload::default()
    }
}

impl Try {
    /// The requests that carry the note's text.
    pub(super) fn carrying(&self) -> Vec<&MockExchange> {
        self.exchanges.iter().filter(|exchange| exchange.carries(&self.word)).collect()
    }
}
