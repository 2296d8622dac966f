//! The stage that runs: reads what is stored, then follows what is committed.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::recent::Recent;
use crate::engine::Handle;
use crate::engine::feed::Next;
use crate::store::StoreError;

/// Sessions whose history is read at once.
const TOGETHER: usize = 64;
/// How often what is old is forgotten.
const SWEEP: Duration = Duration::from_secs(30);
/// Pause before a store that can't be read is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps `recent` up to date until the engine ends. Safe to be dropped at any moment.
pub async fn follow(engine: Handle, recent: Recent) {
    let mut feed = engine.feed();
    read_all(&engine, &recent).await;
    recent.knows(feed.position());
    let mut sweep = interval_at(Instant::now() + SWEEP, SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = tokio::select! {
            next = feed.next() => next,
            _ = sweep.tick() => {
                recent.sweep();
                engine.counters().context_forgotten.set(recent.forgotten());
                continue;
            }
        };
        match next {
            Ok(Next::Committed(committed)) => recent.apply(&committed),
            Ok(Next::Behind) => {
                tracing::warn!("context: it fell behind what is committed; it is read again");
                engine.counters().context_reread.add(1);
                read_all(&engine, &recent).await;
            }
            Err(_) => return,
        }
        recent.knows(feed.position());
    }
}

async fn read_all(engine: &Handle, recent: &Recent) {
    while let Err(error) = try_read(engine, recent).await {
        if engine.has_ended() {
            return;
        }
        tracing::warn!("context: what is stored can't be read: {error}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reads the sessions that were active last, as many as there is capacity for, the latest last: where there are
/// more, the others are those that would be forgotten first.
async fn try_read(engine: &Handle, recent: &Recent) -> Result<(), StoreError> {
    let sessions = engine.latest_sessions(recent.max_sessions()).await?;
    let mut state = recent.empty();
    for sessions in sessions.chunks(TOGETHER) {
        let keys: Vec<_> = sessions.iter().map(|(key, _)| key.clone()).collect();
        let histories = engine.histories(&keys).await?;
        for ((key, record), history) in sessions.iter().zip(&histories) {
            recent.read(&mut state, key, record, history);
        }
    }
    recent.replace(state);
    Ok(())
}
