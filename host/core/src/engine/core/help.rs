//! Offers of help: whether one is made, what comes of it, and what people say to it.

use std::sync::Arc;

use crate::engine::core::Core;
use crate::engine::deliveries::keep_ended;
use crate::engine::event::What;
use crate::engine::helping::{
    HelpChange, HelpCommand, HelpError, OfferWish, Turn, times_of_person, times_of_product,
};
use crate::engine::tap::Happening;
use crate::engine::tx::Tx;
use crate::ids::SessionKey;
use crate::offers::content::Offer;
use crate::offers::help::{Heard, Offered, Standing, question, seconds};
use crate::offers::log::Decided;
use crate::offers::refusal::Refusal;
use crate::offers::tours::Tours;
use crate::offers::window::{DAY, MINUTE};
use crate::outbox::ended::EndedDelivery;
use crate::outbox::message::{Content, Ended, Job, Message};
use crate::rules::Offers as Rules;
use crate::session::fsm::Interaction;
use crate::session::state::{Session, Target};
use crate::session::tour::TourRegistry;
use crate::session::turn::Meaning;

impl Core {
    /// Makes an offer, or says why not. Its row, what it counts for and the decision are in one transaction.
    pub(super) fn offer(&mut self, wish: OfferWish, tx: &mut Tx) -> Result<u64, Refusal> {
        let OfferWish { key, offer, as_of, ask_only } = wish;
        let Some(rules) = self.settings.offers(&key.product).cloned() else {
            return Err(Refusal::Off);
        };
        let now = tx.now;
        let decided = self.check_offer(&key, &offer, as_of.as_ref(), &rules, tx);
        if ask_only && decided.is_ok() {
            return Ok(0);
        }
        let made = decided.map(|target| self.make_offer(&key, &offer, target, &rules, tx));
        let what = match made {
            Ok(seq) => {
                self.counters.offers_made.add(1);
                Decided::Made { seq }
            }
            Err(refusal) => {
                self.counters.offers_refused.add(1);
                self.counters.offer_refusals.count(refusal);
                Decided::Refused(refusal)
            }
        };
        self.sessions.touch(&key, now);
        self.note_decision(&key, offer.trigger(), what, &rules, tx);
        made
    }

    /// The gate, in its order: the session, its state, its limits, everybody's limits, the platform, the people in the
    /// conversation.
    fn check_offer(
        &mut self,
        key: &SessionKey,
        offer: &Offer,
        as_of: Option<&crate::engine::helping::AsOf>,
        rules: &Rules,
        tx: &mut Tx,
    ) -> Result<Target, Refusal> {
        let now = tx.now;
        let tours = self.registry(key);
        let record = self.sessions.record(key).ok_or(Refusal::NotLinked)?;
        let link = record.link.as_ref().ok_or(Refusal::NotLinked)?;
        let target = (link.plugin.clone(), link.conversation.clone());
        let person =
            times_of_person(&key.product, record.user_id.as_deref(), record.email.as_deref());
        // It was linked elsewhere in this very moment: what is known of that conversation wasn't read.
        let talk = self.helping.talk_mut(&target).ok_or(Refusal::MovedOn)?.clone();
        if talk.closed {
            return Err(Refusal::Ended);
        }
        if self.plugins.offers(&target.0) == Some(false) {
            return Err(Refusal::NoMessenger);
        }
        // Before time passes: that a cooldown ends by itself changes nothing of what was judged.
        let version = self.helping.get_mut(key).ok_or(Refusal::MovedOn)?.version;
        if as_of.is_some_and(|as_of| as_of.version != version || as_of.target != target) {
            return Err(Refusal::MovedOn);
        }
        self.pass_time(key, tx);
        let help = self.helping.get_mut(key).ok_or(Refusal::MovedOn)?;
        help.check_state(registry_of(&tours))?;
        talk.check_trigger(offer.trigger(), now)?;
        help.check_limits(rules, now)?;
        if let Some(person) = &person
            && let Some(until) = self.helping.times(person).full(rules.per_user_day, DAY, now)
        {
            return Err(Refusal::UserDay { until });
        }
        let product = times_of_product(&key.product);
        if let Some(until) =
            self.helping.times(&product).full(rules.per_product_minute, MINUTE, now)
        {
            return Err(Refusal::ProductMinute { until });
        }
        if !self.gate.open().allows(&target.0, now) {
            return Err(Refusal::Breaker);
        }
        talk.check_quiet(rules, now)?;
        Ok(target)
    }

    fn make_offer(
        &mut self,
        key: &SessionKey,
        offer: &Offer,
        target: Target,
        rules: &Rules,
        tx: &mut Tx,
    ) -> u64 {
        let now = tx.now;
        let tours = self.registry(key);
        let Some(record) = self.sessions.record(key) else { return 0 };
        let after_note = record.notes;
        let person =
            times_of_person(&key.product, record.user_id.as_deref(), record.email.as_deref());
        let product = times_of_product(&key.product);
        if let Some(person) = person.filter(|_| rules.per_user_day > 0) {
            self.helping.times(&person).push(now, DAY);
            self.helping.save_times(&person, tx);
        }
        if rules.per_product_minute > 0 {
            self.helping.times(&product).push(now, MINUTE);
            self.helping.save_times(&product, tx);
        }
        if let Some(talk) = self.helping.talk_mut(&target) {
            talk.fire(offer.trigger(), seconds(offer.cooldown_s), now);
        }
        self.helping.save_talk(&target, tx);
        let seq = self.helping.get_mut(key).map_or(0, |help| help.make_offer(rules, now));
        self.helping.save(key, registry_of(&tours), tx);
        let (plugin, conversation) = target;
        self.deliveries.add_message(
            Job::new(Arc::new(Message {
                key: key.clone(),
                seq,
                plugin,
                conversation,
                content: Content::Offer(offer.clone()),
                idempotency_key: Message::idempotency_key(key, seq, now),
                made_at: now,
                expires_at: now + rules.expires,
                after_note,
            })),
            tx,
        );
        seq
    }

    /// Takes how a message ended. The session is proactive in the transaction that puts on record that the platform
    /// took the offer, and not before.
    pub(super) fn end_message(&mut self, job: Job, ended: Ended, tx: &mut Tx) {
        let now = tx.now;
        let message = &*job.message;
        let (key, seq) = (&message.key, message.seq);
        keep_ended(key, &EndedDelivery::message(&job, Some(&ended), now), tx);
        let tours = self.registry(key);
        let offer = match &message.content {
            Content::Offer(offer) => offer,
            Content::Question(_) => return self.end_question(message, &ended, tx),
            Content::Reply(reply) => return self.end_reply(&job, reply, ended, tx),
            Content::Removal { .. } => return self.end_removal(message, ended, tx),
        };
        let target = (message.plugin.clone(), message.conversation.clone());
        self.sessions.touch(key, now);
        // Help that is over, for example since the host was down, is in nobody's way.
        self.pass_time(key, tx);
        let Some(help) = self.helping.get_mut(key) else { return };
        let (mut never_came, mut over) = (false, None);
        let (what, count) = match ended {
            Ended::Delivered(posted, at) => {
                let offered = Offered {
                    seq,
                    offer: offer.clone(),
                    target: target.clone(),
                    message_id: posted.note_id,
                    clicked: None,
                    answered: false,
                };
                over = help.take_offer(offered, registry_of(&tours), (at, now));
                (Decided::Delivered { seq }, &self.counters.offers_delivered)
            }
            Ended::Late => {
                never_came = true;
                (Decided::Late { seq }, &self.counters.offers_late)
            }
            Ended::Failed(reason) => {
                never_came = true;
                tracing::warn!(
                    plugin = %message.plugin,
                    attempts = job.attempts,
                    trigger = offer.trigger(),
                    reason = &*reason,
                    "offers: an offer could not be made; it isn't tried again"
                );
                (Decided::failed(seq, reason), &self.counters.offers_failed)
            }
            Ended::Unknown => {
                help.lose_offer(offer, now);
                tracing::warn!(
                    plugin = %message.plugin,
                    trigger = offer.trigger(),
                    "offers: nobody knows whether an offer came to the person; it isn't made again"
                );
                (Decided::Unknown { seq }, &self.counters.offers_unknown)
            }
        };
        count.add(1);
        if never_came {
            help.drop_offer(Some(message.made_at), now);
            if let Some(talk) = self.helping.talk_mut(&target) {
                talk.undo(offer.trigger(), now);
                self.helping.save_talk(&target, tx);
            }
        }
        self.helping.save(key, registry_of(&tours), tx);
        self.tell_help(key, tx);
        let rules = self.settings.offers(&key.product).cloned().unwrap_or_default();
        self.note_decision(key, offer.trigger(), what, &rules, tx);
        if let Some(over) = over {
            self.tear_down(key, over, tx);
        }
    }

    /// The person is asked whether to see the tour that their answer leads to.
    fn ask_about_tour(&mut self, key: &SessionKey, target: &Target, question: Offer, tx: &mut Tx) {
        let now = tx.now;
        let rules = self.settings.offers(&key.product).cloned().unwrap_or_default();
        let after_note = self.sessions.record(key).map_or(0, |record| record.notes);
        let seq = self.helping.get_mut(key).map_or(0, |help| help.number_message(now));
        let (plugin, conversation) = target.clone();
        self.deliveries.add_message(
            Job::new(Arc::new(Message {
                key: key.clone(),
                seq,
                plugin,
                conversation,
                content: Content::Question(question),
                idempotency_key: Message::idempotency_key(key, seq, now),
                made_at: now,
                expires_at: now + rules.expires,
                after_note,
            })),
            tx,
        );
    }

    /// The question about a tour came to the person, or not: then there is nothing to answer.
    fn end_question(&mut self, message: &Message, ended: &Ended, tx: &mut Tx) {
        let (key, now) = (&message.key, tx.now);
        let tours = self.registry(key);
        match ended {
            Ended::Delivered(..) | Ended::Unknown => {}
            Ended::Late | Ended::Failed(_) => {
                let Some(help) = self.helping.get_mut(key) else { return };
                help.drop_tour(now);
                self.helping.save(key, registry_of(&tours), tx);
                tracing::warn!(
                    plugin = %message.plugin,
                    "offers: a person could not be asked whether to see a tour; it isn't shown"
                );
            }
        }
    }

    /// The tours of a session's product.
    pub(super) fn registry(&self, key: &SessionKey) -> Option<Arc<Tours>> {
        self.settings.tours(&key.product).cloned()
    }

    /// Takes something that happened in a conversation, for each session that is linked to it.
    pub(super) fn turn(&mut self, turn: Turn, tx: &mut Tx) -> Vec<(SessionKey, Heard)> {
        let Turn { plugin, conversation, meaning, option_id, text, message_id } = turn;
        let target = (plugin, conversation);
        let (mut heard, mut is_answer) = (Vec::new(), false);
        for key in self.directory.sessions_in(&target) {
            let linked = self.sessions.get(&key);
            if !linked.is_some_and(|session| session.is_linked_to(&target.0, &target.1)) {
                continue;
            }
            self.pass_time(&key, tx);
            let tours = self.registry(&key);
            let wording = self.settings.tours(&key.product).map(|it| it.wording.clone());
            let wording = wording.unwrap_or_default();
            let Some(help) = self.helping.get_mut(&key) else { continue };
            let said = (option_id.as_deref(), text.as_deref());
            let asked = help.pending_tour().is_some();
            let what = help.on_turn(meaning, said, (&key, &target), &wording, tx.now);
            is_answer |= asked && help.pending_tour().is_none();
            is_answer |= matches!(what, Heard::Clicked(_) | Heard::Shown(_));
            if what == Heard::Nothing {
                continue;
            }
            self.cancel_removals(&key, tx);
            let Some(help) = self.helping.get_mut(&key) else { continue };
            let ask = match &what {
                Heard::Clicked(_) => {
                    self.counters.options_chosen.add(1);
                    let pending = help.pending_tour();
                    pending.and_then(|pending| question(pending.tour(), &wording))
                }
                Heard::Shown(launch) => {
                    self.counters.tours_shown.add(1);
                    tx.tell(&key, What::Launch(launch.clone()));
                    None
                }
                Heard::Nothing | Heard::Acted | Heard::Asked => None,
            };
            if let Some(question) = ask {
                self.ask_about_tour(&key, &target, question, tx);
            }
            self.helping.save(&key, registry_of(&tours), tx);
            self.tell_help(&key, tx);
            heard.push((key, what));
        }
        let now = tx.now;
        if self.helping.talk_mut(&target).is_some_and(|talk| talk.on_turn(meaning, now)) {
            self.helping.save_talk(&target, tx);
        }
        match meaning {
            Meaning::PersonWrote if !is_answer => {
                self.ask(&target, message_id.as_deref(), text.as_deref(), tx);
            }
            Meaning::AgentWrote | Meaning::Closed => self.leave_questions(&target, meaning, tx),
            Meaning::PersonWrote
            | Meaning::PersonTypes
            | Meaning::PersonReacted
            | Meaning::AgentTypes
            | Meaning::Reopened
            | Meaning::Nothing => {}
        }
        heard
    }

    /// Changes how a session is helped.
    pub(super) fn change_help(
        &mut self,
        command: HelpCommand,
        tx: &mut Tx,
    ) -> Result<Standing, HelpError> {
        let HelpCommand { key, expect, change } = command;
        let now = tx.now;
        let tours = self.registry(&key);
        if !self.sessions.get(&key).is_some_and(Session::is_known) {
            return Err(HelpError::NotFound);
        }
        self.pass_time(&key, tx);
        let help = self.helping.get_mut(&key).ok_or(HelpError::Unavailable)?;
        if expect.is_some_and(|expect| expect != help.version) {
            return Err(HelpError::Version(help.version));
        }
        let fsm = help.fsm_mut();
        let word = change.word();
        match change {
            HelpChange::Interaction(interaction) => {
                fsm.record(interaction, now);
                if matches!(interaction, Interaction::Message | Interaction::OptionClick) {
                    help.answered();
                }
            }
            HelpChange::ToProactive => match fsm.to_proactive(now) {
                Ok(true) => {}
                Ok(false) => return Err(HelpError::CoolingDown),
                Err(error) => return Err(HelpError::State(error)),
            },
            HelpChange::ToReactive => fsm.to_reactive(now).map_err(HelpError::State)?,
            HelpChange::StartTour(tour) => {
                fsm.start_guidance(tour, now).map_err(HelpError::State)?;
            }
            HelpChange::StopTour => fsm.stop_guidance().map_err(HelpError::State)?,
            HelpChange::StartCooldown(period) => fsm.start_cooldown(period, now),
            HelpChange::ClearCooldown => fsm.clear_cooldown(),
        }
        help.changed(now);
        let (version, standing) = (help.version, help.standing(registry_of(&tours), now));
        self.helping.save(&key, registry_of(&tours), tx);
        self.tell_help(&key, tx);
        tracing::info!(
            change = word,
            version,
            state = standing.state.as_str(),
            "audit: how a session is helped was changed"
        );
        Ok(standing)
    }

    /// Ends the states whose time is over.
    pub(super) fn end_states(&mut self, tx: &mut Tx) {
        for key in self.helping.take_due(tx.now) {
            self.pass_time(&key, tx);
            let tours = self.registry(&key);
            self.helping.settle(&key, registry_of(&tours));
        }
    }

    /// Lets time pass for a session, and puts on record what ended with it.
    fn pass_time(&mut self, key: &SessionKey, tx: &mut Tx) {
        let tours = self.registry(key);
        let Some(help) = self.helping.get_mut(key) else { return };
        let (ended, over) = help.advance(registry_of(&tours), tx.now);
        if ended {
            help.changed(tx.now);
            self.helping.save(key, registry_of(&tours), tx);
            self.tell_help(key, tx);
        }
        if let Some(over) = over {
            self.tear_down(key, over, tx);
        }
    }

    /// Puts down where a session's notes go, for whoever watches.
    pub(super) fn watch_link(&self, key: &SessionKey, tx: &mut Tx) {
        let link = self.sessions.record(key).and_then(|record| record.link.as_ref());
        tx.happens(key, || match link {
            Some(link) => Happening::Linked {
                plugin: link.plugin.to_string(),
                conversation: link.conversation.as_str().to_owned(),
            },
            None => Happening::Unlinked,
        });
    }

    /// Tells where a session's notes go, where somebody wants to offer help there.
    pub(super) fn tell_link(&self, key: &SessionKey, tx: &mut Tx) {
        if self.settings.offers(&key.product).is_some() {
            let link = self.sessions.record(key).and_then(|record| record.link.as_ref());
            let target = link.map(|link| (link.plugin.clone(), link.conversation.clone()));
            tx.tell(key, What::Linked(target));
        }
    }

    pub(super) fn tell_help(&mut self, key: &SessionKey, tx: &mut Tx) {
        let now = tx.now;
        let tours = self.registry(key);
        if let Some(help) = self.helping.get_mut(key) {
            let standing = help.standing(registry_of(&tours), now);
            tx.tell(key, What::Help(standing));
        }
    }

    pub(super) fn note_decision(
        &mut self,
        key: &SessionKey,
        trigger: &str,
        what: Decided,
        rules: &Rules,
        tx: &mut Tx,
    ) {
        let decision = self.helping.decide(key, trigger, what, rules.keep_decisions, tx);
        tx.tell(key, What::Offer(decision));
    }
}

pub(super) fn registry_of(tours: &Option<Arc<Tours>>) -> Option<&TourRegistry> {
    tours.as_ref().map(|tours| &tours.registry)
}
