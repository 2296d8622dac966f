//! Erasing a person, or a session, of a product.
//!
//! What is found of them goes in one transaction per few sessions: open batches, queued and dead notes,
//! what was remembered of sent ones, the index, what sources know of them. Notes at the platform are redacted like those that a
//! summary replaces; what that needs to know (plugin, conversation, the note's name) is all that is left,
//! and goes with the last note. What stays at the platform is put on record by the same three, so that it can
//! be looked up. Then the store's files are written anew, so that free pages tell nothing.
//!
//! What came in and isn't stored yet is not part of it: it begins a session that nobody knew before.

mod find;
pub mod kept;

pub use crate::engine::core::erase::Erased;

use sidenote_sources::Whom;
use tokio::sync::oneshot;

use crate::engine::core::Command;
use crate::engine::core::audit::{Act, Deed, Outcome, Subject as SubjectHash, SubjectKind};
use crate::engine::core::erase::EraseOrder;
use crate::engine::core::rows::Person;
use crate::engine::handle::Handle;
use crate::engine::inbox::Closed;
use crate::engine::inbox::Reply;
use crate::ids::{ProductId, SessionId};
use crate::outbox::redaction::ErasureId;
use crate::session::identity::Names;
use crate::store::StoreError;

/// Sessions that are erased in one transaction: each can have some thousand rows.
const CHUNK: usize = 16;

/// Who is to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Of which product.
    pub product: ProductId,
    /// Who.
    pub subject: Subject,
    /// Whether the notes at the platform are left there.
    pub keep_notes: bool,
}

/// Who is erased.
#[derive(Clone, PartialEq, Eq)]
pub enum Subject {
    /// One session.
    Session(SessionId),
    /// Every session of the person with this user id of the activity source.
    User(String),
    /// Every session of the person with this e-mail address, capitals or not.
    Email(String),
}

impl std::fmt::Debug for Subject {
    /// The person is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Session(_) => "Session(..)",
            Self::User(_) => "User(..)",
            Self::Email(_) => "Email(..)",
        })
    }
}

/// Why an erasure wasn't carried out to its end. What was erased before is erased; it can be asked for
/// again.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine has ended.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The user id or address names nobody, so that it isn't known whom to erase. Nothing was erased.
    #[error(
        "erase: this {0} names nobody: programs write it where they know of no one, so nothing is kept under it, and nothing was erased; name the person's session, or take the value off the list in [identity]"
    )]
    Nobody(&'static str),
}

impl Handle {
    /// Erases somebody. Returns after the last commit: from then on nothing of them is in any row but what
    /// is needed to redact notes. The store's files follow within moments; [`Handle::scrubbed`] waits
    /// for them.
    ///
    /// # Errors
    /// Whom it names is nobody, the store can't be read, or the engine has ended.
    pub async fn erase(&self, erasure: &Erasure) -> Result<Erased, EraseError> {
        let (subject, keep_notes) = (erasure.hashed(), erasure.keep_notes);
        self.erase_as(erasure, Act::Erase { subject, keep_notes }).await
    }

    /// As [`Handle::erase`], where autoplay-sdk's reset is wanted: it is on record as that.
    ///
    /// # Errors
    /// As there.
    pub async fn reset(&self, erasure: &Erasure) -> Result<Erased, EraseError> {
        self.erase_as(erasure, Act::Reset { subject: erasure.hashed() }).await
    }

    async fn erase_as(&self, erasure: &Erasure, act: Act) -> Result<Erased, EraseError> {
        erasure.subject.check(self.settings().names())?;
        let keys = find::sessions(&*self.store, erasure).await?;
        let mut remembered = find::remembered(&*self.store, erasure).await?;
        let mut erased = Erased::default();
        let id = ErasureId(rand::random());
        let deed = self.deed(act, Some(&erasure.product));
        let deed = deed.map(|deed| Deed { order: Some(rand::random()), ..deed });
        let mut chunks: Vec<_> = keys.chunks(CHUNK).map(<[_]>::to_vec).collect();
        if chunks.is_empty() && !remembered.is_empty() {
            chunks.push(Vec::new());
        }
        if let Some(deed) = deed.clone().filter(|_| chunks.is_empty()) {
            self.record(deed, Outcome::Done { affected: Some(0) }).await?;
        }
        for keys in chunks {
            let (reply, answer) = oneshot::channel();
            let persons = erasure.subject.person().into_iter().collect();
            let (keep_notes, remembered) = (erasure.keep_notes, std::mem::take(&mut remembered));
            let order = EraseOrder { keys, persons, remembered, keep_notes, id };
            self.order(Command::Erase(order), deed.clone(), Reply::Erased(reply)).await?;
            erased.add(answer.await.map_err(|_| Closed)?);
        }
        erased.erasure = (erased.sessions > 0).then_some(id);
        tracing::info!(
            product = %erasure.product,
            sessions = erased.sessions,
            actions = erased.actions,
            notes = erased.notes,
            sink_deliveries = erased.sink_deliveries,
            timers = erased.timers,
            redactions = erased.redactions,
            left = erased.left,
            erasure = erased.erasure.map(tracing::field::display),
            "erase: carried out"
        );
        Ok(erased)
    }

    /// What [`Handle::erase`] would do; changes nothing.
    ///
    /// # Errors
    /// Whom it names is nobody, or the store can't be read.
    pub async fn preview_erase(&self, erasure: &Erasure) -> Result<Erased, EraseError> {
        erasure.subject.check(self.settings().names())?;
        let keys = find::sessions(&*self.store, erasure).await?;
        let mut erased = Erased::default();
        for keys in keys.chunks(CHUNK) {
            for rows in find::load(&*self.store, keys).await? {
                let redacts = |plugin: &_| self.post.redacts(plugin);
                erased.add(rows.preview(erasure.keep_notes, &redacts));
            }
        }
        Ok(erased)
    }

    /// Waits until nothing of what was erased is left in the store's files.
    pub async fn scrubbed(&self) {
        // An engine that ended leaves it to the next one.
        drop(self.scrub_due.clone().wait_for(|due| !due).await);
    }
}

impl Erasure {
    /// Whom it is about, as it is put on record.
    fn hashed(&self) -> SubjectHash {
        let of = |kind, name: &str| SubjectHash::of(self.product.as_str(), kind, name);
        match &self.subject {
            Subject::Session(id) => of(SubjectKind::Session, id.as_str()),
            Subject::User(id) => of(SubjectKind::User, id),
            Subject::Email(address) => of(SubjectKind::Email, address),
        }
    }
}

impl Subject {
    fn check(&self, names: &Names) -> Result<(), EraseError> {
        match self {
            Self::User(id) if !names.names_somebody(id) => Err(EraseError::Nobody("user id")),
            Self::Email(address) if !names.is_somebodys_address(address) => {
                Err(EraseError::Nobody("address"))
            }
            // An earlier version may have stored a session under any id.
            Self::Session(_) | Self::User(_) | Self::Email(_) => Ok(()),
        }
    }

    /// As sources know them.
    pub(crate) fn whom(&self) -> Whom<'_> {
        match self {
            Self::User(id) => Whom::User(id),
            Self::Email(address) => Whom::Email(address),
            Self::Session(id) => Whom::Session(id.as_str()),
        }
    }

    fn person(&self) -> Option<Person> {
        match self {
            Self::Session(_) => None,
            Self::User(id) => Person::of(Some(id), None).next(),
            Self::Email(address) => Person::of(None, Some(address)).next(),
        }
    }
}
