//! The demo with a recording in place of its story: everybody in it asks for help with the first thing that they do.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sidenote::session::payload::{Payload, parse_event};
use sidenote::stream::recording::Recorded;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::screen::{Screen, Summary};
use super::stage::Stage;
use super::story::PRODUCT;
use crate::connector::{Emitted, Event};
use crate::platform::{Live, Opening, WebhookError};
use crate::recording::{Speed, is_heartbeat, open};

/// Sessions that ask for help: a person can't follow more.
const MOST_SESSIONS: usize = 64;
/// How long the last notes may take.
const SETTLES_WITHIN: Duration = Duration::from_secs(15);

/// What was done and what arrived of one session.
#[derive(Default)]
struct Tale {
    conversation: String,
    done: usize,
    arrived: usize,
}

impl Stage {
    /// Tells a recording, then waits for the last notes.
    pub(super) async fn replay<W: Write>(
        &mut self,
        screen: &mut Screen<W>,
        recording: &Path,
        speed: Speed,
    ) -> Result<Summary> {
        let mut events = open(recording)?.filter(|event| !event.as_ref().is_ok_and(is_heartbeat));
        let mut next = events.next().transpose()?;
        let (mut tales, mut announcing) =
            (HashMap::<String, Tale>::new(), JoinSet::<Result<(), WebhookError>>::new());
        let (began, mut notes, mut interrupted) = (Instant::now(), 0, false);
        let interrupt = tokio::signal::ctrl_c();
        tokio::pin!(interrupt);
        let mut settle_by = None;
        loop {
            let all_there = tales.values().all(|tale| tale.done == tale.arrived);
            if next.is_none() && announcing.is_empty() && all_there {
                break;
            }
            let due = match &next {
                Some(event) => began + speed.due(event),
                None => *settle_by.get_or_insert_with(|| Instant::now() + SETTLES_WITHIN),
            };
            tokio::select! {
                biased;
                stopped = &mut interrupt => {
                    stopped.context("demo: can't listen for Ctrl-C")?;
                    interrupted = true;
                    break;
                }
                live = self.live.recv() => match live {
                    Ok(Live::Note(note)) => {
                        let tale = tales.entry(note.session_id.clone()).or_default();
                        let first = tale.arrived == 0;
                        tale.arrived += note.actions.len();
                        notes += 1;
                        screen.note(began.elapsed(), &note, first, 0)?;
                    }
                    Ok(Live::Struck { .. } | Live::Repeat { .. }) => {}
                    Err(RecvError::Lagged(missed)) => bail!("demo: {missed} events of the platform were missed"),
                    Err(RecvError::Closed) => bail!("demo: the platform ended"),
                },
                Some(announced) = announcing.join_next() => {
                    announced.context("demo: a task of the platform failed")?.context("demo: a webhook wasn't accepted")?;
                }
                () = sleep_until(due) => {
                    let Some(event) = next.take() else { break };
                    self.happen(event, began.elapsed(), screen, &mut tales, &mut announcing).await?;
                    next = events.next().transpose()?;
                }
            }
        }
        let asked = tales.values().filter(|tale| !tale.conversation.is_empty());
        Ok(Summary {
            done: asked.clone().map(|tale| tale.done).sum(),
            arrived: tales.values().map(|tale| tale.arrived).sum(),
            faithful: tales.values().all(|tale| tale.done == tale.arrived),
            notes,
            conversations: asked.count(),
            interrupted,
        })
    }

    async fn happen<W: Write>(
        &self,
        event: Recorded,
        at: Duration,
        screen: &mut Screen<W>,
        tales: &mut HashMap<String, Tale>,
        announcing: &mut JoinSet<Result<(), WebhookError>>,
    ) -> Result<()> {
        let read = parse_event(&event.data).ok().map(|parsed| parsed.payload);
        match self.connector.emit(PRODUCT, Event::data(event.data)).await {
            Emitted::Queued => {}
            Emitted::Dropped | Emitted::Closed => bail!("demo: the connector ended"),
        }
        let Some(Payload::Actions(batch)) = read else { return Ok(()) };
        let Some(session) = batch.session_id.clone().filter(|id| !id.is_empty()) else {
            return Ok(());
        };
        let (count, new) = (batch.actions.len(), !tales.contains_key(&session));
        screen.recorded(at, &session, count)?;
        if new && tales.len() < MOST_SESSIONS {
            let opening = Opening {
                user_id: batch.user_id,
                email: batch.email,
                ..Opening::session(&batch.product_id, &session)
            };
            if let Some(conversation) = self.platform.create(opening) {
                let (platform, opened) = (self.platform.clone(), conversation.clone());
                announcing.spawn(async move { platform.announce(&opened).await });
                tales.insert(session.clone(), Tale { conversation, ..Tale::default() });
            }
        }
        if let Some(tale) = tales.get_mut(&session) {
            tale.done += count;
        }
        Ok(())
    }
}
