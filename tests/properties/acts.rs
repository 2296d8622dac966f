//! Handing over actions and summaries, and writing down what is answered.

use std::collections::BTreeSet;

use sidenote::engine::link::{LinkError, Linked};
use sidenote::engine::{Closed, Summary as Answer};
use sidenote::session::payload::{ActionsPayload, Payload, SummaryPayload};
use sidenote::session::state::Summarized;
use sidenote_tests::world::{action, batch};
use tokio::task::JoinSet;

use crate::history::{History, Summary, Told, action_line, key, summary_line};
use crate::links::request;
use crate::steps::{Act, Ask, Cover, SESSIONS};

enum Answered {
    Act(usize, Result<(), Closed>),
    Link(Result<Linked, LinkError>),
    /// A summary of the host's own is told what became of it.
    Summary(usize, Result<Option<Answer>, Closed>),
}

impl History {
    /// A batch of the next actions.
    pub(crate) fn batch(&mut self, act: &Act) -> ActionsPayload {
        let (product, session, user) = SESSIONS[act.session];
        self.batches += 1;
        let first = self.told.len();
        let told = Told {
            session: act.session,
            era: self.sessions[act.session].era,
            batch: self.batches,
            placed: false,
            accepted: false,
            ordinal: 0,
            when: (self.moment(), self.moment()),
            belongs: None,
            or: None,
            linked: None,
        };
        self.told.extend(std::iter::repeat_n(told, act.actions));
        ActionsPayload {
            product_id: product.to_owned(),
            user_id: user.filter(|_| act.says_who).map(str::to_owned),
            ..batch(session, (first..self.told.len()).map(|n| action(&action_line(n))))
        }
    }

    /// Writes down the answer to a batch. `stored`: the host died before it could answer, and had it stored.
    pub(crate) fn tell(
        &mut self,
        act: &Act,
        batch: usize,
        accepted: Result<(), Closed>,
        stored: bool,
    ) {
        let now = self.moment();
        let session = &mut self.sessions[act.session];
        for told in self.told.iter_mut().filter(|told| told.batch == batch) {
            told.placed = true;
            told.when.1 = now;
            told.belongs = session.linked;
            if accepted.is_ok() || stored {
                session.accepted += 1;
                (told.accepted, told.ordinal) = (true, session.accepted);
            }
        }
        session.active = accepted.is_ok().then_some((self.begun.at, now.at));
        session.touched |= accepted.is_ok() || stored;
        session.known |= accepted.is_ok() && act.says_who && SESSIONS[act.session].2.is_some();
    }

    /// All are on their way before any is answered.
    pub(crate) async fn together(&mut self, asks: &[Ask]) -> Result<(), String> {
        // While the disk is full, a link may be answered before it is made; for as long as the host hasn't
        // seen that there is room again, none is taken.
        let takes = self.world().handle.counters().store_full.get() == 0;
        let links = takes && self.store.full_for().is_zero();
        let mut answers = JoinSet::new();
        for (n, ask) in asks.iter().enumerate() {
            let handle = self.world().handle.clone();
            match ask {
                Ask::Act(act) => {
                    let (payload, batch) = (self.batch(act), self.batches);
                    answers.spawn(async move {
                        (n, Answered::Act(batch, handle.accept_committed(payload, 100).await))
                    });
                }
                Ask::Link(link) if links && self.is_asked(*link) => {
                    let request = request(*link);
                    answers.spawn(async move { (n, Answered::Link(handle.link(request).await)) });
                }
                Ask::Link(_) => {}
                // Of a session that nobody knows nothing is remembered, the numbers of its deliveries neither.
                Ask::Summarize { session, covers: Cover::Next(_) }
                    if !self.sessions[*session].touched => {}
                Ask::Summarize { session, covers } => {
                    let (key, summary) = (key(*session), self.summary(*session));
                    let text = summary_line(summary);
                    let through = match self.through(*session, *covers) {
                        Ok(ordinal) => ordinal,
                        Err(next) => {
                            let payload = Payload::Summary(SummaryPayload {
                                product_id: key.product.as_str().to_owned(),
                                session_id: Some(key.session.as_str().to_owned()),
                                summary: text,
                                replaces: next,
                                ..SummaryPayload::default()
                            });
                            answers.spawn(async move {
                                let answered = handle.accept_through(payload, 100, None).await;
                                (n, Answered::Summary(summary, answered.map(|_| None)))
                            });
                            continue;
                        }
                    };
                    answers.spawn(async move {
                        let answered = handle.summarize(key, text, through).await;
                        (n, Answered::Summary(summary, answered.map(Some)))
                    });
                }
            }
        }
        let mut answers = answers.join_all().await;
        answers.sort_by_key(|(n, _)| *n);
        let before: Vec<u64> = self.sessions.iter().map(|session| session.accepted).collect();
        for (n, answered) in answers {
            match (&asks[n], answered) {
                (Ask::Act(act), Answered::Act(batch, accepted)) => {
                    self.tell(act, batch, accepted, false);
                    accepted.map_err(|error| error.to_string())?;
                }
                (Ask::Link(link), Answered::Link(linked)) => {
                    self.linked(*link, linked, false)?;
                }
                (Ask::Summarize { session, covers }, Answered::Summary(summary, answered)) => {
                    let answered = answered.map_err(|error| error.to_string())?;
                    self.summarized(summary, *covers, before[*session], answered)?;
                }
                (ask, _) => return Err(format!("the answer isn't that to {ask:?}")),
            }
        }
        Ok(())
    }

    /// The next summary.
    fn summary(&mut self, session: usize) -> usize {
        self.summaries.push(Summary {
            session,
            era: self.sessions[session].era,
            behind: self.told.len(),
            through: 0,
            conversation: None,
            stale: true,
        });
        self.summaries.len() - 1
    }

    /// The ordinal through which a summary is said to cover its session, or how many more than before.
    fn through(&self, session: usize, covers: Cover) -> Result<u64, u64> {
        let accepted = self.sessions[session].accepted;
        match covers {
            Cover::Next(more) => Err(more),
            Cover::AllBut(few) => Ok(accepted.saturating_sub(few).max(1)),
            Cover::TooMany => Ok(accepted + 100),
        }
    }

    /// Compares what a summary was answered with what was told, and writes it down. `accepted` are the actions of
    /// its session when it was sent.
    fn summarized(
        &mut self,
        summary: usize,
        covers: Cover,
        accepted: u64,
        answered: Option<Answer>,
    ) -> Result<(), String> {
        let session = &mut self.sessions[self.summaries[summary].session];
        let wanted = match covers {
            Cover::Next(more) => session.covered + more,
            Cover::AllBut(few) => accepted.saturating_sub(few).max(1),
            Cover::TooMany => accepted + 100,
        };
        let erased = !matches!(covers, Cover::Next(_)) && wanted > session.accepted;
        let stale = wanted < session.covered || erased;
        if !stale {
            session.covered = wanted.min(session.accepted).max(session.covered);
            session.touched = true;
        }
        let fits = match answered {
            None => true,
            Some(Answer::Accepted(Summarized::Stale)) => stale,
            Some(Answer::Accepted(Summarized::Unlinked)) => !stale && session.linked.is_none(),
            Some(Answer::Accepted(Summarized::Queued { .. })) => !stale && session.linked.is_some(),
            // One host, one partition, and each summary is sent once.
            Some(Answer::Journalled | Answer::Unusable | Answer::Known | Answer::Unanswered) => {
                false
            }
        };
        if !fits {
            return Err(format!("answered {answered:?}, and of the session is known {session:?}"));
        }
        let told = &mut self.summaries[summary];
        (told.stale, told.through) = (stale, session.covered);
        told.conversation = session.linked.filter(|_| !stale);
        if told.conversation.is_some() {
            session.active = Some((self.begun.at, self.begin.elapsed()));
        }
        Ok(())
    }

    /// What the store and those outside have of what was told: the lines.
    pub(crate) async fn evidence(&self) -> BTreeSet<String> {
        let mut lines = crate::rows::lines(&self.store).await;
        for seen in self.platform.posts() {
            lines.extend(seen.note.actions.unpack().into_iter().map(|action| action.description));
        }
        for handed in self.platform.sinks.handed() {
            lines.extend(sidenote_tests::sinks::lines(&handed.delivery.content));
        }
        lines
    }
}
