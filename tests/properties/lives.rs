//! The host's lives: how one ends and the next begins.

use std::collections::BTreeSet;
use std::time::Duration;

use sidenote_tests::world::BEGIN;
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

use crate::history::{End, History, action_line, start};
use crate::steps::Act;

impl History {
    /// The process is killed while batches are on their way.
    pub(crate) async fn crash(&mut self, on_the_way: &[Act], turns: u8, after: Duration) {
        let mut answers = JoinSet::new();
        for act in on_the_way {
            // Who it is counts as told only where the host said that it accepted it.
            let act = Act { says_who: false, ..act.clone() };
            let (payload, batch) = (self.batch(&act), self.batches);
            let handle = self.world().handle.clone();
            answers.spawn(async move { (batch, act, handle.accept_committed(payload, 100).await) });
        }
        for _ in 0..turns {
            yield_now().await;
        }
        if !after.is_zero() {
            sleep(after).await;
        }
        self.kill().await;
        let mut answers = answers.join_all().await;
        answers.sort_by_key(|(batch, ..)| *batch);
        let evidence = self.evidence().await;
        for (batch, act, accepted) in answers {
            let stored = self.is_stored(batch, &evidence);
            self.tell(&act, batch, accepted, stored);
        }
    }

    /// The store fails for good at a commit; the host ends and says why.
    pub(crate) async fn fail(&mut self, stored: bool) -> Result<(), String> {
        let act = Act { session: 0, actions: 2, says_who: false };
        self.store.fail(stored);
        let payload = self.batch(&act);
        let accepted = self.world().handle.accept_committed(payload, 100).await;
        if accepted.is_ok() {
            return Err("accepted, though the store has failed".to_owned());
        }
        let world = self.world.as_mut().ok_or("no host lives")?;
        if world.ended().await.is_ok() {
            return Err("the host ended well, though the store has failed".to_owned());
        }
        self.store.recover();
        self.kill().await;
        let stored = self.is_stored(self.batches, &self.evidence().await);
        self.tell(&act, self.batches, accepted, stored);
        Ok(())
    }

    /// Whether a batch was stored, though nobody was told: something of it is there.
    fn is_stored(&self, batch: usize, evidence: &BTreeSet<String>) -> bool {
        let mut of_batch = (0..self.told.len()).filter(|n| self.told[*n].batch == batch);
        of_batch.any(|n| evidence.contains(&action_line(n)))
    }

    pub(crate) async fn drain(&mut self) -> Result<(), String> {
        let mut world = self.world.take().ok_or("no host lives")?;
        world.handle.drain().await;
        world.ended().await.map_err(|error| format!("the host didn't drain: {error}"))?;
        self.dropped += world.handle.counters().dropped_window.get();
        Ok(())
    }

    async fn kill(&mut self) {
        let Some(world) = self.world.take() else { return };
        let handle = world.handle.clone();
        let behind_since = self.store.behind_since() - self.begin;
        world.crash().await;
        self.dropped += handle.counters().dropped_window.get();
        self.ends.push(End { at: self.begin.elapsed(), behind_since });
    }

    /// Starts the next host, whose clock jumped by so many seconds meanwhile. A start takes time: what the host makes
    /// after it isn't of the very moment of what it made before.
    pub(crate) async fn next_life(&mut self, jump: f64) {
        sleep(Duration::from_millis(1)).await;
        self.lives += 1;
        let jumped = Duration::from_secs_f64(jump.abs());
        if jump > 0.0 {
            self.now.forward += jumped;
        } else {
            self.now.back += jumped;
        }
        let now = self.moment();
        let wall = (now.at + now.forward).as_secs_f64() - now.back.as_secs_f64();
        let world = start(BEGIN + wall, &self.store, &self.platform, self.concurrency);
        self.world = Some(world);
    }
}
