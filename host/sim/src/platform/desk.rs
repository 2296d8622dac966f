//! The platform's memory: conversations, their notes, what was seen. No sockets in here.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use sidenote::clock::Timestamp;

use super::exchange::{Ending, Exchanges, Number};
use super::fault::{Fault, Faults};
use super::message::Message;
use super::note::{Envelope, Note, Redacted};
use super::options::{Keep, Opening, PlatformOptions};
use super::stats::PlatformStats;
use crate::tally::Tally;

pub(super) struct Desk {
    keep: Keep,
    max_conversations: usize,
    keys_per_conversation: usize,
    conversations: HashMap<String, Conversation>,
    next_conversation: u64,
    next_note: u64,
    handling: u64,
    pub(super) faults: Faults,
    pub(super) exchanges: Exchanges,
    pub(super) stats: PlatformStats,
    pub(super) tally: Tally,
    pub(super) redactions: Vec<Redacted>,
}

struct Conversation {
    opening: Opening,
    notes: VecDeque<Arc<Note>>,
    messages: Vec<Message>,
    keys: VecDeque<Key>,
    last_seq: HashMap<String, u64>,
    handling: u64,
}

/// A note accepted before, and a hash of its body: enough to recognise it.
struct Key {
    key: Box<str>,
    note_id: u64,
    body: u64,
}

/// What the handling of a note begins with.
pub(super) struct Begun {
    pub(super) fault: Option<Fault>,
    /// Where the exchange is recorded, if it is.
    pub(super) exchange: Option<Number>,
}

/// The outcome of a note.
pub(super) enum Taken {
    First { id: String, note: Option<Arc<Note>> },
    Repeat { id: String },
}

/// Most notes redacted that are recorded; they are counted all the same.
const MAX_REDACTIONS: usize = 100_000;

/// Most sessions per conversation whose order is watched.
const MAX_SESSIONS: usize = 64;

impl Desk {
    pub(super) fn new(options: &PlatformOptions) -> Self {
        Self {
            keep: options.keep,
            max_conversations: options.max_conversations,
            keys_per_conversation: options.keys_per_conversation.max(1),
            conversations: HashMap::new(),
            next_conversation: 1,
            next_note: 1,
            handling: 0,
            faults: Faults::default(),
            exchanges: Exchanges::new(options.exchanges),
            stats: PlatformStats::default(),
            tally: Tally::new(options.tally.clone()),
            redactions: Vec::new(),
        }
    }

    /// A conversation of its own for `opening`; `None` when there are too many.
    pub(super) fn open(&mut self, opening: Opening) -> Option<String> {
        if self.conversations.len() >= self.max_conversations {
            return None;
        }
        let id = format!("c-{}", self.next_conversation);
        self.next_conversation += 1;
        let conversation = Conversation {
            opening,
            notes: VecDeque::new(),
            messages: Vec::new(),
            keys: VecDeque::new(),
            last_seq: HashMap::new(),
            handling: 0,
        };
        self.conversations.insert(id.clone(), conversation);
        Some(id)
    }

    pub(super) fn opening(&self, conversation: &str) -> Option<Opening> {
        self.conversations.get(conversation).map(|found| found.opening.clone())
    }

    pub(super) fn notes(&self, conversation: &str) -> Vec<Arc<Note>> {
        self.conversations
            .get(conversation)
            .map(|found| found.notes.iter().cloned().collect())
            .unwrap_or_default()
    }

    pub(super) fn messages(&self, conversation: &str) -> Vec<Message> {
        let found = self.conversations.get(conversation);
        found.map(|found| found.messages.clone()).unwrap_or_default()
    }

    /// Takes a message, or recognises one accepted before: its id, and whether it is one.
    pub(super) fn take_message(
        &mut self,
        message: Message,
        now: Timestamp,
    ) -> Option<(String, bool)> {
        let conversation = self.conversations.get_mut(&message.conversation_id)?;
        let key = &message.idempotency_key;
        if let Some(known) = conversation.messages.iter().find(|it| it.idempotency_key == *key) {
            self.stats.message_repeats += 1;
            return Some((known.id.clone(), true));
        }
        self.stats.messages += 1;
        let id = format!("m-{}", self.stats.messages);
        conversation.messages.push(Message { id: id.clone(), received: now, ..message });
        Some((id, false))
    }

    /// What the platform calls the note or the message with this key.
    pub(super) fn find(&self, conversation: &str, key: &str) -> Option<String> {
        let found = self.conversations.get(conversation)?;
        let note = found.keys.iter().find(|known| *known.key == *key).map(|it| note_id(it.note_id));
        let message = || found.messages.iter().find(|it| it.idempotency_key == key);
        note.or_else(|| message().map(|message| message.id.clone()))
    }

    pub(super) fn conversations(&self) -> Vec<String> {
        self.conversations.keys().cloned().collect()
    }

    /// Redacts a note, or removes an offer or a reply. `false`: it isn't there.
    pub(super) fn redact(&mut self, conversation: &str, note_id: &str, now: Timestamp) -> bool {
        if let Some(found) = self.conversations.get_mut(conversation)
            && let Some(place) = found.messages.iter().position(|it| it.id == note_id)
        {
            found.messages.remove(place);
            self.stats.messages_removed += 1;
            return true;
        }
        let found = self.conversations.get_mut(conversation);
        let place = |found: &Conversation| found.notes.iter().position(|note| note.id == note_id);
        let removed = found.and_then(|found| {
            let note = found.notes.remove(place(found)?)?;
            Some((note, &found.notes))
        });
        let Some((note, left)) = removed else {
            self.stats.redactions_of_nothing += 1;
            return false;
        };
        self.stats.redactions += 1;
        if self.redactions.len() < MAX_REDACTIONS {
            self.redactions.push(Redacted {
                conversation: conversation.to_owned(),
                note_id: note_id.to_owned(),
                kind: note.kind.clone(),
                at: now,
                summaries: left.iter().filter(|note| note.kind == "summary").count(),
                left: left.len(),
            });
        }
        true
    }

    /// The handling of a note for this conversation begins: the fault that strikes it, if one does.
    /// `None` when there is no such conversation; [`Self::end`] is due otherwise.
    pub(super) fn begin(
        &mut self,
        conversation: &str,
        full: Option<&Note>,
        began: Timestamp,
    ) -> Option<Begun> {
        let Some(found) = self.conversations.get_mut(conversation) else {
            self.stats.unknown_conversation += 1;
            return None;
        };
        found.handling += 1;
        self.handling += 1;
        let stats = &mut self.stats;
        stats.most_concurrent = stats.most_concurrent.max(self.handling);
        stats.most_concurrent_per_conversation =
            stats.most_concurrent_per_conversation.max(found.handling);
        let fault = match self.faults.limited(conversation, began) {
            Some(left) => {
                stats.limited += 1;
                Some(Fault::rate_limited(left))
            }
            None => self.faults.strike(conversation),
        };
        stats.faults += u64::from(fault.is_some());
        let recorded = full.filter(|_| self.exchanges.recording());
        let exchange = recorded.map(|note| {
            let (number, forgotten) = self.exchanges.begin(note, began);
            stats.exchanges_forgotten += u64::from(forgotten);
            number
        });
        Some(Begun { fault, exchange })
    }

    /// The handling of a note ended, with or without an answer.
    pub(super) fn end(
        &mut self,
        conversation: &str,
        exchange: Option<Number>,
        ending: Ending,
        now: Timestamp,
    ) {
        if let Some(exchange) = exchange.and_then(|number| self.exchanges.get_mut(number)) {
            exchange.end = Some((now, ending));
        }
        self.handling -= 1;
        if let Some(found) = self.conversations.get_mut(conversation) {
            found.handling -= 1;
        }
    }

    /// Takes a note, or recognises one accepted before. `full` is the note in full, where notes are kept.
    pub(super) fn take(
        &mut self,
        envelope: &Envelope<'_>,
        full: Option<Note>,
        now: Timestamp,
    ) -> Option<Taken> {
        let conversation = self.conversations.get_mut(&*envelope.conversation_id)?;
        let body = hash(&envelope.body);
        if let Some(known) =
            conversation.keys.iter().find(|known| *known.key == *envelope.idempotency_key)
        {
            self.stats.repeats += 1;
            self.stats.changed_repeats += u64::from(known.body != body);
            return Some(Taken::Repeat { id: note_id(known.note_id) });
        }
        let number = self.next_note;
        self.next_note += 1;
        self.stats.notes += 1;
        if conversation.keys.len() >= self.keys_per_conversation {
            conversation.keys.pop_front();
        }
        conversation.keys.push_back(Key {
            key: (&*envelope.idempotency_key).into(),
            note_id: number,
            body,
        });
        let opening = &conversation.opening;
        let foreign = opening.product != envelope.product_id
            || opening.session.as_deref().is_some_and(|session| session != envelope.session_id);
        self.stats.foreign += u64::from(foreign);
        let seqs = &mut conversation.last_seq;
        let room = seqs.len() < MAX_SESSIONS;
        match seqs.get_mut(&*envelope.session_id) {
            Some(last) => {
                self.stats.seq_out_of_order += u64::from(envelope.seq <= *last);
                *last = envelope.seq;
            }
            None if room => {
                seqs.insert(envelope.session_id.clone().into_owned(), envelope.seq);
            }
            None => {}
        }
        if envelope.kind == "actions" {
            self.tally.note(&envelope.session_id, &envelope.body, now);
        }
        let id = note_id(number);
        let note = full.map(|note| Arc::new(Note { id: id.clone(), received: now, ..note }));
        if let (Keep::Notes { per_conversation }, Some(note)) = (self.keep, &note) {
            if conversation.notes.len() >= per_conversation {
                conversation.notes.pop_front();
                self.stats.forgotten += 1;
            }
            conversation.notes.push_back(Arc::clone(note));
        }
        Some(Taken::First { id, note })
    }
}

fn note_id(number: u64) -> String {
    format!("n-{number}")
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
