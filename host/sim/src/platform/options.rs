//! What a platform is told at its start, and what a conversation is opened with.

use std::time::Duration;

use crate::tally::TallyOptions;

/// What a platform is told at its start.
#[derive(Clone)]
pub struct PlatformOptions {
    /// Notes are signed with this by the plugin.
    pub signing_secret: String,
    /// Webhooks to the host are signed with this.
    pub webhook_secret: String,
    /// What is kept of notes.
    pub keep: Keep,
    /// Most conversations; further ones can't be opened.
    pub max_conversations: usize,
    /// Idempotency keys remembered per conversation, to recognise repeats.
    pub keys_per_conversation: usize,
    /// How long the platform takes over each note.
    pub answers_after: Duration,
    /// How many notes sent are recorded one by one, see [`Exchange`](super::Exchange); none by default.
    pub exchanges: usize,
    /// Attempts at delivering one webhook: repeated after a 5xx, a 429 and a broken connection.
    pub webhook_attempts: u32,
    /// The pause before the second attempt; it doubles.
    pub webhook_retry: Duration,
    /// How notes are judged by the markers in their text.
    pub tally: TallyOptions,
}

impl Default for PlatformOptions {
    fn default() -> Self {
        Self {
            signing_secret: "signing-secret".to_owned(),
            webhook_secret: "webhook-secret".to_owned(),
            keep: Keep::Notes { per_conversation: 1000 },
            max_conversations: 10_000,
            keys_per_conversation: 64,
            answers_after: Duration::ZERO,
            exchanges: 0,
            webhook_attempts: 5,
            webhook_retry: Duration::from_millis(200),
            tally: TallyOptions::default(),
        }
    }
}

impl std::fmt::Debug for PlatformOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlatformOptions")
            .field("keep", &self.keep)
            .field("max_conversations", &self.max_conversations)
            .field("answers_after", &self.answers_after)
            .field("webhook_attempts", &self.webhook_attempts)
            .finish_non_exhaustive()
    }
}

/// What is kept of notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The last notes of every conversation; older ones are dropped and counted.
    Notes {
        /// So many of them.
        per_conversation: usize,
    },
    /// Only the tally: for runs with more notes than memory.
    Tally,
}

/// What a conversation is opened with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opening {
    /// The product.
    pub product: String,
    /// The session of the activity source, where the chat widget knows it.
    pub session: Option<String>,
    /// The user, where known.
    pub user_id: Option<String>,
    /// The user's e-mail address, where known.
    pub email: Option<String>,
    /// What the user wrote.
    pub text: Option<String>,
}

impl Opening {
    /// By a session of a product.
    pub fn session(product: &str, session: &str) -> Self {
        Self { product: product.to_owned(), session: Some(session.to_owned()), ..Self::default() }
    }
}
