//! Time that passes, and what may not wait for longer.

use std::collections::BTreeSet;
use std::time::Duration;

use sidenote::config::Delivery;
use sidenote::outbox::note::PostError;
use tokio::time::sleep;

use crate::history::{History, RETRY_MAX, key};
use crate::rows;
use crate::steps::CONVERSATIONS;

impl History {
    pub(crate) async fn wait(&mut self, time: Duration) -> Result<(), String> {
        let full = self.store.full_for();
        sleep(time).await;
        let may_wait = Delivery::default().max_wait + self.store.two_rounds();
        // A commit that met a full disk is tried again after a second.
        let behind = if full.is_zero() { full } else { full + Duration::from_secs(2) };
        if time < may_wait + behind {
            return Ok(());
        }
        for (n, session) in self.sessions.iter().enumerate() {
            let open = rows::open(&self.store, n).await;
            // While a note of it isn't delivered, the next one isn't sealed.
            let lane_is_free = rows::notes(&self.store, n).await.is_empty();
            let waits = session.linked.is_some() && !open.is_empty() && lane_is_free;
            if waits && !self.may_gather(n) {
                return Err(format!(
                    "session {n}: {open:?} wait for a note for longer than {may_wait:?}"
                ));
            }
        }
        Ok(())
    }

    /// Whether a pause that the platform asked for, for the session or a conversation that notes of it go to,
    /// may still last: actions may gather until it is over. A host whose clock was set back waits anew.
    fn may_gather(&self, session: usize) -> bool {
        let of_session = self.told.iter().filter(|told| told.session == session);
        let linked = self.sessions[session].linked;
        let goes_to: BTreeSet<_> =
            of_session.flat_map(|told| [told.belongs, told.or]).flatten().chain(linked).collect();
        let now = self.platform.start().elapsed();
        let is_beside =
            |conversation: &str| goes_to.iter().any(|n| conversation == CONVERSATIONS[*n]);
        let lasts = |end: Option<Duration>, error: Option<&PostError>| {
            let (Some(end), Some(error)) = (end, error) else { return false };
            let asked = error.retry_after();
            if asked.is_none() && !error.is_limit() {
                return false;
            }
            // Nothing is tried before the host's own pause.
            let pause = asked.unwrap_or_default().max(RETRY_MAX);
            // A host whose disk is full learns of the answer when it is not.
            let learned = end + self.full;
            now <= learned + pause.mul_f64(1.1) * (1 + self.lives)
        };
        self.platform.posts().iter().any(|seen| {
            let of_session = seen.note.key == key(session);
            (of_session || is_beside(seen.note.conversation.as_str()))
                && lasts(seen.end, seen.answer.as_ref().err())
        }) || self.platform.redactions().iter().any(|seen| {
            is_beside(seen.conversation.as_str()) && lasts(seen.end, seen.answer.as_ref().err())
        })
    }

    /// All troubles end, and there is time for everything that was put off.
    pub(crate) async fn settle(&mut self) -> Result<(), String> {
        self.platform.recover();
        self.platform.sinks.recover();
        sleep(self.store.full_for() + Duration::from_secs(600)).await;
        self.drain().await
    }
}
