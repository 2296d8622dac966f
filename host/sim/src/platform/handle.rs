//! The platform's handle.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidenote::clock::{Clock, Timestamp};
use tokio::sync::broadcast;

use super::desk::Desk;
use super::exchange::Exchange;
use super::fault::{Fault, Scope};
use super::live::Live;
use super::message::{Message, QuickReply};
use super::note::{Note, Redacted};
use super::options::{Opening, PlatformOptions};
use super::receiver::Receiver;
use super::stats::PlatformStats;
use super::webhook::{Event, WebhookError, deliver};
use crate::serve::Server;
use crate::tally::Tally;

/// Live events kept for a slow subscriber; it is told how many it missed.
const LIVE_EVENTS: usize = 1024;

/// A running chat platform; cheap to clone. It ends when the last handle is dropped.
#[derive(Clone)]
pub struct Platform {
    receiver: Arc<Receiver>,
    server: Arc<Server>,
    webhook_url: Arc<Mutex<Option<String>>>,
}

impl Platform {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(options: PlatformOptions) -> io::Result<Self> {
        let receiver = Arc::new(Receiver {
            desk: Mutex::new(Desk::new(&options)),
            options,
            live: broadcast::Sender::new(LIVE_EVENTS),
            clock: Clock::system(),
        });
        let answering = Arc::clone(&receiver);
        let server =
            Server::start(move |request, reset| Arc::clone(&answering).answer(request, reset))
                .await?;
        Ok(Self { receiver, server: Arc::new(server), webhook_url: Arc::default() })
    }

    /// `http://127.0.0.1:PORT`: what a plugin must be granted.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Where notes are redacted.
    pub fn redact_url(&self) -> String {
        format!("{}/redact", self.server.url())
    }

    /// The notes that were redacted, in order.
    pub fn redactions(&self) -> Vec<Redacted> {
        self.receiver.desk().redactions.clone()
    }

    /// Where notes are posted.
    pub fn notes_url(&self) -> String {
        format!("{}/notes", self.server.url())
    }

    /// Sets the host's webhook address, `http://…/webhooks/{plugin}`.
    pub fn deliver_webhooks_to(&self, url: impl Into<String>) {
        *self.webhook_url.lock().expect("no holder panics") = Some(url.into());
    }

    /// Creates a conversation without telling the host; its id. `None` when there are too many.
    pub fn create(&self, opening: Opening) -> Option<String> {
        self.receiver.desk().open(opening)
    }

    /// Opens a conversation: creates it and tells the host by webhook, repeated until the host takes it.
    ///
    /// # Errors
    /// When the host doesn't take the webhook; the conversation stays.
    pub async fn open(&self, opening: Opening) -> Result<String, WebhookError> {
        let conversation = self.create(opening).ok_or(WebhookError::Full)?;
        self.announce(&conversation).await?;
        Ok(conversation)
    }

    /// Tells the host by webhook that a conversation opened; for one made with [`Self::create`].
    ///
    /// # Errors
    /// When the host doesn't take the webhook.
    pub async fn announce(&self, conversation: &str) -> Result<(), WebhookError> {
        self.tell_host(Event::Opened, conversation, None).await
    }

    /// Tells the host by webhook that the user wrote in a conversation.
    ///
    /// # Errors
    /// When the host doesn't take the webhook.
    pub async fn reply(&self, conversation: &str, text: &str) -> Result<(), WebhookError> {
        self.tell_host(Event::Replied, conversation, Some(text)).await
    }

    /// Tells the host by webhook that the user clicked an answer of an offer, by what it is called and says.
    ///
    /// # Errors
    /// When the host doesn't take the webhook.
    pub async fn click(&self, conversation: &str, reply: &QuickReply) -> Result<(), WebhookError> {
        self.tell_host(Event::Clicked(&reply.id), conversation, Some(&reply.label)).await
    }

    /// Tells the host by webhook that a human agent of support wrote.
    ///
    /// # Errors
    /// When the host doesn't take the webhook.
    pub async fn agent_writes(&self, conversation: &str, text: &str) -> Result<(), WebhookError> {
        self.tell_host(Event::AgentWrote, conversation, Some(text)).await
    }

    /// Tells the host by webhook that the user is writing.
    ///
    /// # Errors
    /// When the host doesn't take the webhook.
    pub async fn person_types(&self, conversation: &str) -> Result<(), WebhookError> {
        self.tell_host(Event::Types, conversation, None).await
    }

    /// Tells the host by webhook that the conversation was closed.
    ///
    /// # Errors
    /// When the host doesn't take the webhook.
    pub async fn close(&self, conversation: &str) -> Result<(), WebhookError> {
        self.tell_host(Event::Closed, conversation, None).await
    }

    /// The offers and replies in a conversation, in the order of arrival.
    pub fn messages(&self, conversation: &str) -> Vec<Message> {
        self.receiver.desk().messages(conversation)
    }

    /// Where offers are posted.
    pub fn offers_url(&self) -> String {
        format!("{}/offers", self.server.url())
    }

    /// Where replies are posted.
    pub fn replies_url(&self) -> String {
        format!("{}/replies", self.server.url())
    }

    /// Where it is asked whether something came.
    pub fn find_url(&self) -> String {
        format!("{}/find", self.server.url())
    }

    /// The notes beside a conversation, in the order of arrival, as far as they are kept.
    pub fn notes(&self, conversation: &str) -> Vec<Arc<Note>> {
        self.receiver.desk().notes(conversation)
    }

    /// All conversations, in no order.
    pub fn conversations(&self) -> Vec<String> {
        self.receiver.desk().conversations()
    }

    /// Lets the next `times` notes in scope fail. Faults strike in the order in which they were given.
    ///
    /// # Panics
    /// When 100,000 faults wait already.
    pub fn fail(&self, scope: Scope, fault: Fault, times: u32) {
        assert!(
            self.receiver.desk().faults.add(scope, fault, times),
            "at most 100,000 faults wait"
        );
    }

    /// Answers every note in scope with 429 and `Retry-After` from here on, for so long. `Retry-After` is
    /// in whole seconds, so that who obeys it comes back after the end.
    ///
    /// # Panics
    /// When there are 1,000 limits already.
    pub fn limit(&self, scope: Scope, time: Duration) {
        let until = self.now() + time;
        assert!(self.receiver.desk().faults.limit(scope, until), "at most 1,000 limits at a time");
    }

    /// Forgets all faults and limits that were given.
    pub fn heal(&self) {
        self.receiver.desk().faults.clear();
    }

    /// The notes that were sent, in the order in which they came, as far as they are recorded; see
    /// [`PlatformOptions::exchanges`].
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.receiver.desk().exchanges.all()
    }

    /// As [`Self::exchanges`], up to the first that is under way; they leave the record.
    pub fn take_exchanges(&self) -> Vec<Exchange> {
        self.receiver.desk().exchanges.take_ended()
    }

    /// The time by the platform's clock, by which notes and exchanges are dated.
    pub fn now(&self) -> Timestamp {
        self.receiver.clock.now()
    }

    /// Notes, repeats and faults from here on, as they happen.
    pub fn subscribe(&self) -> broadcast::Receiver<Live> {
        self.receiver.live.subscribe()
    }

    /// What has happened so far.
    pub fn stats(&self) -> PlatformStats {
        self.receiver.desk().stats
    }

    /// Reads the tally of the markers that arrived. Keep it short: notes wait meanwhile.
    pub fn tally<T>(&self, read: impl FnOnce(&Tally) -> T) -> T {
        read(&self.receiver.desk().tally)
    }

    /// Closes every connection and waits until all tasks have ended.
    pub async fn shutdown(&self) {
        self.server.shutdown().await;
    }

    async fn tell_host(
        &self,
        event: Event<'_>,
        conversation: &str,
        text: Option<&str>,
    ) -> Result<(), WebhookError> {
        let url = self
            .webhook_url
            .lock()
            .expect("no holder panics")
            .clone()
            .ok_or(WebhookError::NoAddress)?;
        let opening =
            self.receiver.desk().opening(conversation).ok_or(WebhookError::UnknownConversation)?;
        let text = text.or(opening.text.as_deref());
        deliver(&self.receiver, &url, event, conversation, &opening, text).await
    }
}
