//! What would have been offered, when, and why not: recorded events through the real triggers and the real core, with
//! the recorded times. No platform is asked and nothing is sent: every call to one succeeds at once.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use super::service::asked_about;
use super::sessions::Sessions;
use crate::clock::Timestamp;
use crate::engine::core::event::What;
use crate::engine::core::helping::{OfferWish, Turn};
use crate::engine::core::{
    Answer, Call, Command, Core, Counters, Ended, Gate, Missing, Outcome, PageOf, Plugins,
    Settings, Tx, View, Work,
};
use crate::engine::link::{Identity, LinkCommand, LinkError, LinkMode, Who, Word};
use crate::ids::{ConversationId, PluginName, ProductId, SessionId, SessionKey};
use crate::offers::log::Decision;
use crate::offers::refusal::Refusal;
use crate::outbox::attempt::Course;
use crate::outbox::message::Sending;
use crate::outbox::note::{Posted, Redaction};
use crate::outbox::sink_delivery::Roles;
use crate::plugin::TriggerContext;
use crate::rules::History;
use crate::session::payload::{ActionsPayload, Payload};
use crate::session::state::{Covers, Target};
use crate::session::turn::Meaning;
use crate::store::{Change, Key};
use crate::triggers::{self, Answers, Mode, Outcome as Says};

/// More steps than any moment takes.
const MANY: usize = 100_000;

/// A rehearsal of a configuration.
pub struct Rehearsal {
    core: Core,
    settings: Arc<Settings>,
    sessions: Sessions,
    rows: BTreeMap<Key, Vec<u8>>,
    now: Timestamp,
    judge_says_yes: bool,
    ask: Box<AskPlugin>,
    links: Links,
    /// Where sessions are linked to.
    targets: HashMap<SessionKey, Target>,
    decisions: Vec<Rehearsed>,
    /// Triggers that failed, how often and why last.
    failures: BTreeMap<String, (u64, String)>,
}

/// Asks a plugin that exports `trigger`.
pub type AskPlugin = dyn FnMut(&PluginName, &TriggerContext) -> triggers::Answer + Send;

/// What is known of which session had which conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Nothing: every session counts as linked from its first event on, to a conversation of its own.
    Assumed,
    /// All: a session is linked where that was recorded, and not before.
    Recorded,
}

/// What was decided in a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsed {
    /// When.
    pub at: Timestamp,
    /// Of which session.
    pub key: SessionKey,
    /// What.
    pub decision: Decision,
}

/// Something that was recorded.
#[derive(Debug)]
pub enum Step {
    /// An event of the stream.
    Event(Payload),
    /// Something that happened in the session's conversation.
    Turn {
        /// Of which session.
        key: SessionKey,
        /// What it means.
        meaning: Meaning,
        /// What was written.
        text: Option<String>,
    },
    /// The session was linked.
    Link {
        /// Which.
        key: SessionKey,
        /// The plugin that posts there; the product's first one where it isn't said.
        plugin: Option<PluginName>,
        /// To which conversation.
        conversation: String,
    },
}

/// Why a step can't be rehearsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoStep {
    /// Its session has no name.
    #[error("it names no session that can be used; give it a session_id")]
    NoSession,
    /// Its product isn't configured.
    #[error("its product `{0}` isn't configured; check product_id against [products]")]
    NoProduct(String),
    /// Its product has no plugin to offer help by.
    #[error("its product `{0}` has no plugin; name one in `plugins`")]
    NoPlugin(String),
    /// Its product doesn't have the plugin.
    #[error("its product `{0}` doesn't have the plugin `{1}`; check `plugins` of the product")]
    OtherPlugin(String, PluginName),
    /// Something happened in a conversation that nobody knows.
    #[error("its session isn't linked at that moment; record its link before")]
    NotLinked,
    /// The link that was recorded isn't one.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// Every plugin does what a messenger does.
struct Willing;

impl Plugins for Willing {
    fn redacts(&self, _: &PluginName) -> Option<bool> {
        Some(true)
    }

    fn is_coming(&self, _: &PluginName) -> bool {
        false
    }

    fn offers(&self, _: &PluginName) -> Option<bool> {
        Some(true)
    }

    fn roles(&self, _: &PluginName) -> Option<Roles> {
        Some(Roles::WRITER)
    }
}

impl Rehearsal {
    /// A rehearsal of these settings. What waits for a judge is offered as if it said yes, or no. Plugins that triggers
    /// rest on are asked by `ask`, about a moment that was recorded.
    pub fn new(
        mut settings: Settings,
        judge_says_yes: bool,
        links: Links,
        ask: Box<AskPlugin>,
    ) -> Self {
        settings.history.get_or_insert(History::default());
        settings.jitter = || 0.5;
        let settings = Arc::new(settings);
        let gate = Gate::new(settings.clone());
        let engine = gate.admit(|| ());
        let (counters, now) = (Arc::new(Counters::default()), Timestamp::default());
        let core = Core::new(settings.clone(), counters, Arc::new(Willing), (gate, engine), now);
        Self {
            core,
            settings,
            sessions: Sessions::default(),
            rows: BTreeMap::new(),
            now,
            judge_says_yes,
            ask,
            links,
            targets: HashMap::new(),
            decisions: Vec::new(),
            failures: BTreeMap::new(),
        }
    }

    /// Takes a step at its moment: what is due before it comes first. A moment that is before the last one counts as
    /// the last one.
    ///
    /// # Errors
    /// Nothing can be done with it. The others aren't affected.
    pub fn step(&mut self, at: Timestamp, step: Step) -> Result<(), NoStep> {
        self.pass_to(at.max(self.now));
        match step {
            Step::Event(Payload::Actions(batch)) => {
                let key = self.key(&batch.product_id, batch.session_id.as_deref())?;
                let bytes = batch.actions.len();
                if self.links == Links::Assumed && !self.targets.contains_key(&key) {
                    let own = key.session.as_str().to_owned();
                    let target = self.target(&key, None, own)?;
                    let who = ActionsPayload { actions: Vec::new(), ..batch.clone() };
                    self.accept(&key, who, 0);
                    self.link(&key, target)?;
                }
                self.accept(&key, batch, bytes);
            }
            Step::Event(Payload::Summary(summary)) => {
                let key = self.key(&summary.product_id, summary.session_id.as_deref())?;
                let (text, covers) = (summary.summary, Covers::Next(summary.replaces));
                let forwarded_at = summary.forwarded_at;
                let accepted_at = None;
                self.tell(Command::Summary { key, text, covers, forwarded_at, accepted_at });
            }
            Step::Link { key, plugin, conversation } => {
                let target = self.target(&key, plugin, conversation)?;
                self.link(&key, target)?;
            }
            Step::Turn { key, meaning, text } => {
                let linked = self.targets.get(&key).cloned();
                let (plugin, conversation) = match (linked, self.links) {
                    (Some(target), _) => target,
                    (None, Links::Recorded) => return Err(NoStep::NotLinked),
                    (None, Links::Assumed) => {
                        self.target(&key, None, key.session.as_str().to_owned())?
                    }
                };
                let option_id = None;
                self.tell(Command::Turn(Turn {
                    plugin,
                    conversation,
                    meaning,
                    option_id,
                    text,
                    message_id: None,
                }));
            }
        }
        self.pass_to(self.now);
        Ok(())
    }

    /// Lets time pass up to this moment.
    pub fn pass_to(&mut self, at: Timestamp) {
        for _ in 0..MANY {
            // Nothing expires here.
            let due = [self.core.next_due(self.now), self.sessions.next_look()];
            let Some(next) = due.into_iter().flatten().min().filter(|next| *next <= at) else {
                break;
            };
            self.now = next.max(self.now);
            for key in self.sessions.take_due(self.now) {
                self.evaluate(&key);
            }
            self.round(Vec::new());
        }
        self.now = at;
    }

    /// What was decided so far, in order.
    pub fn take_decisions(&mut self) -> Vec<Rehearsed> {
        std::mem::take(&mut self.decisions)
    }

    /// Triggers that failed: how often, and why last.
    pub fn failures(&self) -> impl Iterator<Item = (&str, u64, &str)> {
        self.failures.iter().map(|(trigger, (times, why))| (trigger.as_str(), *times, why.as_str()))
    }

    /// The moment.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The session of a step.
    ///
    /// # Errors
    /// It isn't said, or can't be used.
    pub fn key(&self, product: &str, session: Option<&str>) -> Result<SessionKey, NoStep> {
        let named = |id: &&str| self.settings.names().names_somebody(id);
        let session = session.filter(named).and_then(|id| SessionId::new(id).ok());
        let product_id = ProductId::new(product).ok();
        let configured = |id: &ProductId| self.settings.product(id).is_some();
        let product_id = product_id.filter(configured);
        Ok(SessionKey {
            product: product_id.ok_or_else(|| NoStep::NoProduct(product.to_owned()))?,
            session: session.ok_or(NoStep::NoSession)?,
        })
    }

    fn target(
        &self,
        key: &SessionKey,
        plugin: Option<PluginName>,
        conversation: String,
    ) -> Result<Target, NoStep> {
        let of_product = self.settings.product(&key.product).map(|product| &product.plugins);
        let of_product = of_product.map_or(&[][..], Vec::as_slice);
        let product = || key.product.to_string();
        let plugin = match plugin {
            Some(plugin) if of_product.contains(&plugin) => plugin,
            Some(plugin) => return Err(NoStep::OtherPlugin(product(), plugin)),
            None => of_product.first().cloned().ok_or_else(|| NoStep::NoPlugin(product()))?,
        };
        let conversation = ConversationId::new(conversation);
        Ok((plugin, conversation.map_err(|_| LinkError::Nobody("conversation"))?))
    }

    fn accept(&mut self, key: &SessionKey, batch: ActionsPayload, bytes: usize) {
        self.tell(Command::Actions { key: key.clone(), batch, bytes, accepted_at: None });
    }

    fn link(&mut self, key: &SessionKey, target: Target) -> Result<(), LinkError> {
        let (plugin, conversation) = target.clone();
        let answer = self.tell(Command::Link(LinkCommand {
            plugin,
            conversation,
            who: Who::Session(key.clone()),
            mode: LinkMode::Move,
            told: Identity::default(),
            word: Word::Operator,
        }));
        if let Some(Answer::Linked(linked)) = answer {
            linked?;
        }
        self.targets.insert(key.clone(), target);
        Ok(())
    }

    fn tell(&mut self, command: Command) -> Option<Answer> {
        self.round(vec![command]).pop()
    }

    /// One transaction, and the calls that come of it.
    fn round(&mut self, commands: Vec<Command>) -> Vec<Answer> {
        let mut tx = Tx::new(self.now);
        while let Err(missing) = self.core.prepare(&commands, &mut tx).map(drop) {
            fetch(&self.rows, missing, &mut tx.view);
        }
        let answers = commands.into_iter().map(|it| self.core.handle(it, &mut tx)).collect();
        self.core.run_due(&mut tx);
        let spent = self.core.finish(tx);
        for change in spent.changes {
            match change {
                Change::Put(key, value) => drop(self.rows.insert(key, value)),
                Change::Delete(key) => drop(self.rows.remove(&key)),
            }
        }
        for (key, what) in spent.events {
            self.hear(key, what);
        }
        for call in spent.calls {
            self.round(vec![Command::Ended(succeeded(call))]);
        }
        answers
    }

    fn hear(&mut self, key: SessionKey, what: What) {
        let now = self.now;
        match what {
            What::Batch(kept) => {
                self.sessions.on_batch(&key, kept, now);
                self.sessions.look_at(&key, Some(now));
            }
            What::Summary(summary) => self.sessions.on_summary(&key, &summary.text),
            What::Linked(target) => {
                self.sessions.watch(&key, now).target = target;
                self.sessions.look_at(&key, Some(now));
            }
            What::Help(standing) => self.sessions.watch(&key, now).standing = Some(standing),
            What::Offer(decision) => self.decisions.push(Rehearsed { at: now, key, decision }),
            What::Gone => self.sessions.on_gone(&key),
            What::Person { .. } | What::Asked(_) | What::Launch(_) => {}
        }
    }

    /// As the stage does it; a judge isn't asked.
    fn evaluate(&mut self, key: &SessionKey) {
        let now = self.now;
        let Some(product) = self.settings.product(&key.product) else { return };
        let triggers = product.triggers.clone();
        let Some(watched) = self.sessions.get_mut(key).filter(|watched| watched.is_open(now))
        else {
            return;
        };
        let Ok(context) = watched.context(key, now) else { return };
        let mut answers = Answers::default();
        for (_, says) in triggers.evaluate(&context, &answers) {
            if let Says::Ask(plugin) = says {
                let answer = (self.ask)(&plugin, &asked_about(&context, now));
                answers.0.insert(plugin, answer);
            }
        }
        let mut hits = Vec::new();
        for (trigger, says) in triggers.evaluate(&context, &answers) {
            match says {
                Says::Hit(hit) => hits.push(hit),
                Says::Failed(why) => {
                    let (times, last) = self.failures.entry(trigger.id.clone()).or_default();
                    (*times, *last) = (*times + 1, why.to_string());
                }
                Says::Ask(_) | Says::No => {}
            }
        }
        let look_at = triggers.next_look(&context);
        self.sessions.look_at(key, look_at);
        for hit in hits {
            if hit.mode == Mode::Judged && !self.judge_says_yes {
                continue;
            }
            let wish =
                OfferWish { key: key.clone(), offer: hit.offer, as_of: None, ask_only: false };
            match self.tell(Command::Offer(wish)) {
                Some(Answer::Offered(Err(Refusal::TriggerCoolingDown { .. }))) => {}
                Some(_) | None => return,
            }
        }
    }
}

/// A call that a platform would carry out.
fn succeeded(call: Call) -> Ended {
    let posted = || Posted { note_id: Some("rehearsed".to_owned()), pause: None };
    let outcome = match call.work {
        Work::Note { note, .. } => Outcome::Note { note, result: Ok(posted()) },
        Work::Sink(delivery) => Outcome::Sink { delivery, result: Ok(()) },
        Work::Timer(timer) => Outcome::Timer { timer, result: Ok(()) },
        Work::Message { message, .. } => {
            Outcome::Message { message, result: Ok(Sending::Posted(posted())) }
        }
        Work::Redaction { key, seq, note, .. } => {
            Outcome::Redaction { key, seq, note, result: Ok(Redaction::Removed) }
        }
    };
    Ended::of(outcome, Course::of(call.probe, 0.5))
}

fn fetch(rows: &BTreeMap<Key, Vec<u8>>, missing: Missing, view: &mut View) {
    for (table, groups) in missing.groups {
        for group in groups {
            let at = |number| Key { table, group: group.clone(), number };
            let of_group = rows.range(at(0)..=at(u64::MAX));
            let found = of_group.map(|(key, value)| (key.number, value.clone())).collect();
            view.put(table, group, found);
        }
    }
    for of in missing.pages {
        let PageOf { table, after, limit } = of.clone();
        let behind = after.as_ref().map_or(Unbounded, Excluded);
        let of_table = rows.range((behind, Unbounded)).filter(|(key, _)| key.table == table);
        let page = of_table.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect();
        view.put_page(of, page);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rules::{Delivery, Offers, Product};
    use crate::session::payload::Action;
    use crate::triggers::ping_pong::PingPong;
    use crate::triggers::{Kind, PING_PONG, Trigger, Triggers};

    const T: Timestamp = Timestamp(1_700_000_000_000_000);
    const S: Duration = Duration::from_secs(1);

    fn rehearsal(judge_says_yes: bool) -> Rehearsal {
        let trigger = Trigger::of(PING_PONG, Kind::PingPong(PingPong::default()));
        let product = Product::of(vec!["chat".into()], Delivery::default())
            .with_offers(Offers::default())
            .with_triggers(Triggers::of(vec![trigger]).unwrap());
        let settings = Settings::of_products([(ProductId::new("p").unwrap(), product)]);
        let ask = Box::new(|_: &PluginName, _: &TriggerContext| triggers::Answer::Nothing);
        Rehearsal::new(settings, judge_says_yes, Links::Assumed, ask)
    }

    fn visit(session: &str, page: &str) -> Step {
        let canonical_url = format!("https://a.example/{page}");
        Step::Event(Payload::Actions(ActionsPayload {
            product_id: "p".to_owned(),
            session_id: Some(session.to_owned()),
            actions: vec![Action { canonical_url, ..Action::default() }],
            ..ActionsPayload::default()
        }))
    }

    fn decided(rehearsal: &mut Rehearsal) -> Vec<(u64, &'static str)> {
        let decisions = rehearsal.take_decisions().into_iter();
        decisions.map(|it| (it.at.since(T).as_secs(), it.decision.what.word())).collect()
    }

    #[test]
    fn going_back_and_forth_is_offered_help_once_at_its_moment_and_then_left_alone() {
        let mut rehearsal = rehearsal(true);
        for (n, page) in ["a", "b", "a"].into_iter().enumerate() {
            rehearsal.step(T + S * n as u32, visit("s", page)).unwrap();
        }
        assert_eq!(decided(&mut rehearsal), [(2, "made"), (2, "delivered")]);
        let key = rehearsal.key("p", Some("s")).unwrap();
        let turn = Step::Turn { key, meaning: Meaning::AgentWrote, text: None };
        rehearsal.step(T + S * 3, turn).unwrap();
        for (n, page) in ["b", "a", "b"].into_iter().enumerate() {
            rehearsal.step(T + S * (400 + n as u32), visit("s", page)).unwrap();
        }
        assert_eq!(decided(&mut rehearsal), [(402, "agent_wrote")]);
    }

    #[test]
    fn where_links_are_recorded_nobody_is_offered_anything_before_theirs() {
        let mut rehearsal = rehearsal(true);
        rehearsal.links = Links::Recorded;
        let key = rehearsal.key("p", Some("s")).unwrap();
        let turn = || Step::Turn { key: key.clone(), meaning: Meaning::Closed, text: None };
        assert_eq!(rehearsal.step(T, turn()), Err(NoStep::NotLinked));
        for (n, page) in ["a", "b", "a"].into_iter().enumerate() {
            rehearsal.step(T + S * n as u32, visit("s", page)).unwrap();
        }
        assert_eq!(decided(&mut rehearsal), []);
        let link = |plugin: Option<PluginName>| Step::Link {
            key: key.clone(),
            plugin,
            conversation: "c".to_owned(),
        };
        let other = NoStep::OtherPlugin("p".to_owned(), "desk".into());
        assert_eq!(rehearsal.step(T + S * 5, link(Some("desk".into()))), Err(other));
        rehearsal.step(T + S * 9, link(None)).unwrap();
        assert_eq!(decided(&mut rehearsal), [(9, "made"), (9, "delivered")]);
        // Another session's conversation being closed is nothing to it.
        rehearsal.step(T + S * 10, turn()).unwrap();
        for (n, page) in ["b", "a", "b"].into_iter().enumerate() {
            rehearsal.step(T + S * (400 + n as u32), visit("s", page)).unwrap();
        }
        assert_eq!(decided(&mut rehearsal), [(402, "conversation_ended")]);
    }

    #[test]
    fn a_plugin_is_asked_about_the_recorded_moment_and_one_that_fails_is_told() {
        let trigger = |id: &str, plugin: &str| {
            let trigger = Trigger::of(id, Kind::Plugin(plugin.into()));
            Trigger { mode: Mode::Instant, ..trigger }
        };
        let triggers = vec![trigger("broken", "broken"), trigger("again", "again")];
        let product = Product::of(vec!["chat".into()], Delivery::default())
            .with_offers(Offers::default())
            .with_triggers(Triggers::of(triggers).unwrap());
        let settings = Settings::of_products([(ProductId::new("p").unwrap(), product)]);
        let ask = |plugin: &PluginName, about: &TriggerContext| {
            if **plugin == *"broken" {
                return triggers::Answer::Failed("it traps".to_owned());
            }
            assert!(about.now >= T && about.now <= T + S * 5, "{about:?}");
            match about.actions.len() {
                0 | 1 => triggers::Answer::Nothing,
                _ => triggers::Answer::Offer { text: "Help?".to_owned(), options: Vec::new() },
            }
        };
        let mut rehearsal = Rehearsal::new(settings, false, Links::Assumed, Box::new(ask));
        for n in 0..2 {
            rehearsal.step(T + S * n, visit("s", "a")).unwrap();
        }
        let decisions = rehearsal.take_decisions();
        assert_eq!(decisions[0].decision.trigger, "again");
        let failed: Vec<_> = rehearsal.failures().collect();
        assert!(failed.len() == 1 && failed[0].0 == "broken" && failed[0].1 >= 2, "{failed:?}");
        assert!(failed[0].2.contains("it traps"));
    }

    #[test]
    fn what_a_judge_would_refuse_isnt_offered_and_a_step_that_names_nothing_says_so() {
        let mut rehearsal = rehearsal(false);
        for (n, page) in ["a", "b", "a"].into_iter().enumerate() {
            rehearsal.step(T + S * n as u32, visit("s", page)).unwrap();
        }
        assert_eq!(decided(&mut rehearsal), []);
        assert_eq!(rehearsal.step(T, visit("", "a")), Err(NoStep::NoSession));
        assert!(matches!(rehearsal.key("q", Some("s")), Err(NoStep::NoProduct(_))));
    }
}
