//! What operators decide: orders about what waits, and erasures.

use sidenote::engine::erase::{Erasure as Asked, Subject};
use sidenote::engine::{Decision, LaneKind, NoteRef};
use sidenote_tests::world::product;

use crate::erasures;
use crate::history::{Erasure, History, Order, Session, key};
use crate::rows;
use crate::steps::{SESSIONS, Whom};

impl History {
    pub(crate) async fn order(
        &mut self,
        session: usize,
        lane: LaneKind,
        decision: Decision,
    ) -> Result<(), String> {
        let named = match lane {
            LaneKind::Note => rows::notes(&self.store, session).await,
            LaneKind::Sink => rows::sink_deliveries(&self.store, session).await,
            LaneKind::Timer => unreachable!("nobody sets a timer"),
        };
        if named.is_empty() {
            return Ok(());
        }
        let notes =
            named.keys().map(|seq| NoteRef { key: key(session), lane, seq: *seq }).collect();
        let done = self.world().handle.decide(decision, notes).await;
        let done = done.map_err(|error| error.to_string())?;
        if done > named.len() {
            return Err(format!("{done} of {} that were named", named.len()));
        }
        let calls = match lane {
            LaneKind::Note => self.platform.posts().len(),
            LaneKind::Sink => self.platform.sinks.handed().len(),
            LaneKind::Timer => unreachable!("nobody sets a timer"),
        };
        let (era, answered) = (self.sessions[session].era, self.platform.start().elapsed());
        self.orders.push(Order { session, era, lane, decision, named, done, calls, answered });
        Ok(())
    }

    pub(crate) async fn erase(&mut self, whom: Whom, keep_notes: bool) -> Result<(), String> {
        let (id, subject) = match whom {
            Whom::Session(session) => (SESSIONS[session].0, Subject::Session(key(session).session)),
            Whom::Person { product, user } => (product, Subject::User(user.to_owned())),
        };
        let meant: Vec<usize> = match whom {
            Whom::Session(session) => vec![session],
            Whom::Person { product, user } => (0..SESSIONS.len())
                .filter(|n| (SESSIONS[*n].0, SESSIONS[*n].2) == (product, Some(user)))
                .filter(|n| self.sessions[*n].known)
                .collect(),
        };
        let asked = self.platform.start().elapsed();
        let order = Asked { product: product(id), subject, keep_notes };
        let erased = self.world().handle.erase(&order).await.map_err(|error| error.to_string())?;
        let touched = meant.iter().filter(|n| self.sessions[**n].touched).count();
        let sessions = usize::try_from(erased.sessions).map_err(|error| error.to_string())?;
        if !(touched..=meant.len()).contains(&sessions) {
            return Err(format!("answered {erased:?}, and {touched} of {meant:?} are known"));
        }
        let (posts, handed) = (self.platform.posts().len(), self.platform.sinks.handed().len());
        for session in meant {
            let era = self.sessions[session].era;
            self.erasures.push(Erasure { session, era, keep_notes, asked, posts, handed });
            self.sessions[session] = Session::of_era(era + 1);
            self.ever.iter_mut().for_each(|ever| {
                ever.remove(&session);
            });
            self.platform.sinks.forget(&key(session));
        }
        erasures::nothing_is_left(self).await
    }
}
