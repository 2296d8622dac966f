//! What is particular to a platform.

use sidenote::clock::Timestamp;

use super::desk::{Conversation, Desk};
use super::exchange::{Answer, Hook, Received};
use super::limit::Scope;

/// A chat platform: its rules, and no memory of its own.
pub trait Vendor: Send + Sync + 'static {
    /// The plugin's name: of its component, of its table `[plugins.NAME]` and of its webhook address.
    fn name(&self) -> &'static str;

    /// The tables `[plugins.NAME…]` of a host that reaches the platform at `url`, which has no path.
    fn configuration(&self, url: &str) -> String;

    /// The environment variables that those tables name.
    fn secrets(&self) -> Vec<(&'static str, String)>;

    /// What the platform calls its `number`-th conversation.
    fn conversation_id(&self, number: u64) -> String;

    /// The conversation that a request is about, where it names one: for limits of a conversation.
    fn conversation_of(&self, request: &Received) -> Option<String>;

    /// Checks who calls and how, before anything else is looked at. The answer is the refusal.
    fn check(&self, request: &Received) -> Result<(), Answer>;

    /// Does what a request that passed [`Self::check`] asks for.
    fn answer(&self, desk: &mut Desk, request: &Received) -> Answer;

    /// Says no because of a limit that holds until `until`, and the moment that the answer names, which may be
    /// later: who calls again before it calls too early.
    fn limited(&self, scope: &Scope, until: Timestamp, now: Timestamp) -> (Answer, Timestamp);

    /// The headers that tell of a limit before it is met: so many calls are left until then. None where the
    /// platform doesn't tell.
    fn quota(&self, _left: u64, _until: Timestamp, _now: Timestamp) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The platform is in trouble of its own.
    fn broken(&self, status: u16) -> Answer;

    /// The signed webhook that tells of something; none where the platform doesn't tell.
    fn webhook(
        &self,
        conversation: &Conversation,
        happening: &Happening,
        now: Timestamp,
    ) -> Option<Hook>;

    /// What is sent to an address before it is used: each must be answered 2xx. None by default.
    fn greetings(&self, _now: Timestamp) -> Vec<Hook> {
        Vec::new()
    }

    /// What a person reads of a text that is kept as `kept`.
    fn readable(&self, kept: &str) -> String;
}

/// What a webhook tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A person opened the conversation, with the text of its opening.
    Opened,
    /// A person wrote this.
    Replied(String),
    /// A note was written, by whoever. Platforms that tell of that do so although nobody wants to know.
    Noted(String),
    /// A human agent wrote this for the person to see.
    AgentReplied(String),
    /// What the host wrote under this id for the person to see, told of as of any other message.
    Posted(String),
    /// The person clicked the option of this id, of the latest offer.
    Clicked(String),
    /// The conversation was closed.
    Closed,
    /// The conversation was opened again.
    Reopened,
    /// The person is writing.
    Typing,
    /// A human agent is writing.
    AgentTyping,
}
