//! The exports of sources that the host calls.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::admit::Live;
use super::calls::run;
use super::convert;
use super::exports::call;
use super::interface::Interface;
use super::pool::{Pool, Queue, Stopped};
use super::receiving::{EventsPage, EventsReceived, PollSubject, SourceError, SourceRequest};
use super::registry::{NoPool, Registry};
use super::shadow::input::{Input, of_received};
use crate::kv::{CallKv, Writes};
use crate::outbox::note::{Call, PostError};

impl Registry {
    /// Whether a plugin can be handed requests, whatever they hold.
    ///
    /// # Errors
    /// As of [`Registry::receive_events`], where it can't.
    pub fn receives_events(&self, plugin: &str) -> Result<(), SourceError> {
        self.source(plugin).map(drop)
    }

    /// Has a plugin read a request. Ends within the plugin's `call_timeout`. `kv` is what it may keep, and has what it
    /// wrote: to be stored with what it brings.
    ///
    /// # Errors
    /// [`SourceError`]; nothing may be done on account of such a request.
    pub async fn receive_events(
        &self,
        plugin: &str,
        request: &SourceRequest,
        kv: &CallKv,
    ) -> Result<EventsReceived, SourceError> {
        let pool = self.source(plugin)?;
        let (around, watch) = self.around(&pool, kv, None);
        let given = || Input::Receive(request.clone());
        let headers = convert::headers(&request.headers);
        let request = convert::source_request(request, &headers);
        let whole = pool.call_timeout();
        let mut written = Writes::default();
        let receive = async |live: &mut Live, left| {
            if let Some(watch) = &watch {
                watch.begins(left, self.clock().now());
            }
            let received = call!(live.source.call_receive(request))?;
            written = live.store.data_mut().kv.take_written();
            Ok(received)
        };
        // Whoever sends may be anyone, as with webhooks.
        let queue = (Queue::Webhooks, Interface::Source);
        let received = run(&pool, queue, whole, around, receive, |received| {
            if received.is_ok() { "answered" } else { "rejected" }
        });
        let received = received.await;
        if let Some(watch) = watch {
            watch.ends(given, received.as_ref().map(of_received), written.clone());
        }
        let received = received.map_err(source_error)?;
        let received = match received {
            Ok(received) => {
                kv.keep(written);
                convert::received(received)
            }
            Err(rejection) => Err(convert::source_rejection(rejection)),
        };
        if received.is_err() {
            pool.counters().failures.fetch_add(1, Relaxed);
        }
        received
    }

    /// Asks a plugin for what happened after `cursor`, of everybody or of one person. `call` is as for
    /// [`Post::post_note`](crate::post::Post::post_note).
    ///
    /// # Errors
    /// As of [`Post::post_note`](crate::post::Post::post_note); an answer that can't be used is a crash.
    pub async fn poll_events(
        &self,
        plugin: &str,
        call: Call,
        about: Option<&PollSubject>,
        cursor: Option<&str>,
    ) -> Result<EventsPage, PollError> {
        let given = |call| Input::Poll(call, about.cloned(), cursor.map(str::to_owned));
        let about = about.map(convert::subject);
        let found = self.ask(plugin, Interface::Source, call, given, async |live, call| {
            call!(live.source.call_poll(call, about, cursor))
        });
        let found = found.await.map_err(PollError::Call)?;
        Ok(convert::page(found)?)
    }

    fn source(&self, plugin: &str) -> Result<Arc<Pool>, SourceError> {
        let pool = self.pool(plugin, Queue::Webhooks).map_err(|missing| match missing {
            NoPool::Unknown => SourceError::NoSource,
            NoPool::Compiling | NoPool::Failed(_) => SourceError::Unavailable,
        })?;
        if pool.admitted().exports(Interface::Source) {
            Ok(pool)
        } else {
            Err(SourceError::NoSource)
        }
    }
}

/// Why a source that was asked said nothing.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The call failed, or ended without an answer.
    #[error("source: the question failed: {}", words(.0))]
    Call(PostError),
    /// Its answer can't be used.
    #[error(transparent)]
    Answer(#[from] SourceError),
}

/// A failure, for people.
fn words(error: &PostError) -> String {
    match error {
        PostError::Failed(failure) => format!("{}: {}", failure.code, failure.message),
        PostError::Crashed { message, .. } | PostError::Unavailable { message } => message.clone(),
    }
}

fn source_error(stopped: Stopped) -> SourceError {
    match stopped {
        Stopped::Busy { .. } | Stopped::Start { .. } => SourceError::Unavailable,
        Stopped::Crashed { crash, message } => {
            SourceError::Crashed { code: crash.code().to_owned(), message }
        }
    }
}
