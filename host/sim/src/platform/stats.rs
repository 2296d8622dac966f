//! What a platform has seen and done.

/// What a platform has seen and done since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlatformStats {
    /// Notes accepted.
    pub notes: u64,
    /// Notes answered as before because their idempotency key was known.
    pub repeats: u64,
    /// Repeats whose body differs from the note accepted first: a sealed note must not change.
    pub changed_repeats: u64,
    /// Offers and replies accepted.
    pub messages: u64,
    /// Offers and replies answered as before because their idempotency key was known: the person saw one.
    pub message_repeats: u64,
    /// Offers and replies removed again.
    pub messages_removed: u64,
    /// Notes redacted.
    pub redactions: u64,
    /// Redactions of notes that are not there.
    pub redactions_of_nothing: u64,
    /// Notes dropped from memory to stay within the bound.
    pub forgotten: u64,
    /// Notes of another session, or product, than the one that opened the conversation.
    pub foreign: u64,
    /// Notes whose `seq` isn't higher than that of the session's note before.
    pub seq_out_of_order: u64,
    /// Requests with a wrong path, method, content type or JSON, or with fields that contradict each other.
    pub malformed: u64,
    /// Requests with a wrong signature or timestamp.
    pub unsigned: u64,
    /// Notes for a conversation that isn't there.
    pub unknown_conversation: u64,
    /// Faults that struck, limits included.
    pub faults: u64,
    /// Notes refused because of a limit.
    pub limited: u64,
    /// Exchanges dropped from the record to stay within the bound.
    pub exchanges_forgotten: u64,
    /// Most notes handled at the same time.
    pub most_concurrent: u64,
    /// Most notes of one conversation handled at the same time.
    pub most_concurrent_per_conversation: u64,
    /// Attempts at delivering webhooks.
    pub webhook_attempts: u64,
    /// Webhooks that the host took.
    pub webhooks_accepted: u64,
    /// Webhooks that aren't sent any more.
    pub webhooks_given_up: u64,
}
