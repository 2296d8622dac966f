//! From hits to an offer: the first hit that passes the judge, where one is wanted, and every limit.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::engine::helping::AsOf;
use crate::engine::helping::commands::OfferWish;
use crate::engine::{Closed, Handle};
use crate::ids::{PluginName, SessionKey};
use crate::llm::Caller;
use crate::offers::content::Offer;
use crate::offers::refusal::Refusal;
use crate::plugin::{Registry, TriggerContext};
use crate::prompts::Prompts;
use crate::triggers::judge::{NoReason, Question, Verdict};
use crate::triggers::{Answer, Answers, Choice, Hit, Mode};

/// How long a plugin may take to evaluate a session.
const TRIGGER_TIME: Duration = Duration::from_secs(1);

/// Who is asked.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) engine: Handle,
    pub(super) registry: Arc<Registry>,
    /// `None`: no trigger that needs one is there.
    pub(super) judge: Option<(Caller, Arc<Prompts>)>,
}

/// What an offer is decided by.
pub(super) struct Wanted {
    pub(super) key: SessionKey,
    /// The hits, in order.
    pub(super) hits: Vec<Hit>,
    /// About those that wait for a judge.
    pub(super) question: Option<Question>,
    /// How the session stood.
    pub(super) as_of: AsOf,
}

/// Asks a plugin whether to offer help. It has its time; one that fails or takes longer says nothing else.
pub async fn ask_plugin(
    registry: &Registry,
    plugin: &PluginName,
    context: &TriggerContext,
) -> Answer {
    match registry.evaluate(plugin, context, TRIGGER_TIME).await {
        Ok(None) => Answer::Nothing,
        Ok(Some(offer)) => {
            let choice = |label| Choice { label, tour: None };
            let labels = offer.quick_replies.into_iter().map(|reply| reply.label);
            Answer::Offer { text: offer.text, options: labels.map(choice).collect() }
        }
        Err(error) => Answer::Failed(error.reason()),
    }
}

impl Parts {
    /// Asks plugins whether to offer help, all at once. One that fails or takes too long leaves the others.
    pub(super) async fn ask_plugins(
        &self,
        plugins: Vec<PluginName>,
        context: TriggerContext,
    ) -> Answers {
        let asked = plugins.into_iter().map(async |plugin| {
            let answer = match self.engine.may_ask(&plugin) {
                true => ask_plugin(&self.registry, &plugin, &context).await,
                false => Answer::Nothing,
            };
            (plugin, answer)
        });
        Answers(join_all(asked).await.into_iter().collect())
    }

    /// Has the first hit offered that may be.
    ///
    /// # Errors
    /// The engine has ended, or waits for its store: nothing is offered.
    pub(super) async fn decide(&self, wanted: Wanted) -> Result<(), Closed> {
        let Wanted { key, hits, question, as_of } = wanted;
        let mut question = question;
        for hit in hits {
            let offer = match hit.mode {
                Mode::Instant => hit.offer,
                // All that wait are judged together, in the place of the first.
                Mode::Judged => match question.take() {
                    Some(question) => match self.judge(&key, question, &as_of).await? {
                        Some(offer) => offer,
                        None => continue,
                    },
                    None => continue,
                },
            };
            let judged = (hit.mode == Mode::Judged).then(|| as_of.clone());
            match self.offer(&key, offer, judged, false).await? {
                // Another trigger may be offered all the same.
                Err(Refusal::TriggerCoolingDown { .. }) => {}
                Ok(_) | Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// What the judge wants to be offered. It is asked about nothing that would be refused anyway.
    async fn judge(
        &self,
        key: &SessionKey,
        mut question: Question,
        as_of: &AsOf,
    ) -> Result<Option<Offer>, Closed> {
        let mut open = Vec::new();
        for hit in question.candidates.drain(..) {
            if self.offer(key, hit.offer.clone(), None, true).await?.is_ok() {
                open.push(hit);
            }
        }
        question.candidates = open;
        let Some((caller, prompts)) = &self.judge else { return Ok(None) };
        if question.candidates.is_empty() {
            return Ok(None);
        }
        let counters = self.engine.counters();
        counters.judge_asked.add(1);
        let answer = match caller.ask(&prompts.judge(question.told())).await {
            Ok(answer) => answer.text,
            Err(error) => {
                counters.judge_failed.add(1);
                tracing::warn!("offers: the judge gave no answer, so nothing is offered: {error}");
                return Ok(None);
            }
        };
        match question.verdict(&answer) {
            Verdict::Yes(hit) => Ok(Some(hit.offer)),
            Verdict::No { why } => {
                match why {
                    NoReason::Unreadable(_) | NoReason::UnknownTrigger => {
                        counters.judge_failed.add(1)
                    }
                    NoReason::NotSent | NoReason::Timing | NoReason::NoText => {
                        counters.judge_refused.add(1);
                    }
                }
                tracing::debug!(?why, ?as_of.version, "offers: the judge says no");
                Ok(None)
            }
        }
    }

    async fn offer(
        &self,
        key: &SessionKey,
        offer: Offer,
        as_of: Option<AsOf>,
        ask_only: bool,
    ) -> Result<Result<u64, Refusal>, Closed> {
        self.engine.offer(OfferWish { key: key.clone(), offer, as_of, ask_only }).await
    }
}
