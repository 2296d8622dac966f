//! What is known of helping the person of one session: its state machine, the offer that stands, and how often help
//! was offered.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::content::{Offer, OfferOption};
use super::launch::LaunchEvent;
use super::refusal::Refusal;
use super::tear_down::{TearDown, Torn};
use super::tours::{Decision, PendingTour, Wording};
use super::window::{HOUR, Window};
use crate::clock::Timestamp;
use crate::ids::SessionKey;
use crate::replies::question::Questions;
use crate::rules::Offers as Rules;
use crate::session::fsm::{Fsm, FsmError, Interaction, Limits, State};
use crate::session::state::Target;
use crate::session::tour::TourRegistry;
use crate::session::turn::Meaning;

/// One session's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Help {
    /// Counts its changes, from 1: whoever changes it says which one was read.
    pub version: u64,
    /// When it was stored last.
    saved_at: Timestamp,
    fsm: Fsm,
    /// The offer that the platform took, until the state ends that it began.
    offered: Option<Offered>,
    /// The number of the message that was made last. Each message has one.
    messages: u64,
    /// The message that is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Option<u64>,
    /// When offers were made, within the last hour.
    made: Window,
    /// The tour that waits for a yes or a no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tour: Option<PendingTour>,
    /// What the person wrote and waits for an answer.
    #[serde(default, skip_serializing_if = "Questions::is_empty")]
    questions: Questions,
    /// The offer that is being removed from the platform, by what that was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tear_down: Option<TearDown>,
}

/// An offer that stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Offered {
    /// Its number among the messages of its session.
    pub seq: u64,
    /// What it says.
    pub offer: Offer,
    /// Where it stands.
    pub target: Target,
    /// What the platform calls it, where it says.
    pub message_id: Option<String>,
    /// The option that was clicked last.
    pub clicked: Option<String>,
    /// Whether the person said anything to it, a click or a message.
    #[serde(default)]
    pub answered: bool,
}

/// An offer whose state time ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Over {
    /// The offer.
    pub offered: Offered,
    /// By what it would be removed from the platform: the comparison that ended the state.
    pub tear_down: Option<TearDown>,
}

/// What a turn of the conversation was to the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Heard {
    /// Nothing changed.
    Nothing,
    /// The person is there.
    Acted,
    /// The person chose an answer of the offer that stands.
    Clicked(OfferOption),
    /// The person wants to see the tour that waited for it.
    Shown(LaunchEvent),
    /// The person asked for help.
    Asked,
}

/// How a session stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// As [`Help::version`]; 0 where nothing was ever known.
    pub version: u64,
    /// Its state.
    pub state: State,
    /// When the state ends if nothing happens, or the cooldown where nobody is helped.
    pub until: Option<Timestamp>,
    /// Whether no help is offered on account of a cooldown.
    pub cooling_down: bool,
    /// The trigger of the offer that stands.
    pub trigger: Option<String>,
    /// The tour under way; empty where nobody knows which.
    pub tour: Option<String>,
}

impl Help {
    /// Of a session that nobody was helped in.
    pub fn new(now: Timestamp) -> Self {
        Self {
            version: 0,
            saved_at: now,
            fsm: Fsm::new(Limits::default(), now),
            offered: None,
            messages: 0,
            pending: None,
            made: Window::default(),
            tour: None,
            questions: Questions::default(),
            tear_down: None,
        }
    }

    /// What was stored. The clock may have been set back since: then as much remains of everything as did when it was
    /// stored.
    #[must_use]
    pub fn taken_up(mut self, now: Timestamp) -> Self {
        let set_back = self.saved_at.0.saturating_sub(now.0).max(0);
        self.fsm.set_back(set_back);
        if let Some(tear_down) = &mut self.tear_down {
            tear_down.set_back(set_back);
        }
        self.made.clamp(now);
        self.questions.take_up(now);
        self.saved_at = self.saved_at.min(now);
        self
    }

    /// Whether it was stored at a moment that is yet to come: the clock was set back since.
    pub fn is_ahead(&self, now: Timestamp) -> bool {
        self.saved_at > now
    }

    /// It changed, and is to be stored.
    pub fn changed(&mut self, now: Timestamp) {
        self.version += 1;
        self.saved_at = now;
    }

    /// Lets time pass. `true`: something ended. The offer that stood is returned where its state ended with it.
    pub fn advance(
        &mut self,
        tours: Option<&TourRegistry>,
        now: Timestamp,
    ) -> (bool, Option<Over>) {
        let due = self.fsm.poll_timeout(tours).filter(|due| *due <= now);
        let own_s = self.fsm.limits().interaction_timeout_s;
        let tear_down = due.and_then(|due| TearDown::decide(&self.fsm, tours, own_s, due));
        let ended = self.fsm.advance(tours, now);
        let over = match self.fsm.state() {
            State::Proactive => None,
            State::Thinking | State::Reactive => {
                self.tour = None;
                self.offered.take().map(|offered| Over { offered, tear_down })
            }
        };
        if over.is_some() {
            // The offer's own times go with it.
            self.fsm.set_limits(Limits::default());
        }
        (ended || over.is_some(), over)
    }

    /// When time ends something.
    pub fn next_timer(&self, tours: Option<&TourRegistry>) -> Option<Timestamp> {
        self.fsm.poll_timeout(tours)
    }

    /// Whether an offer may be made as far as the session is concerned. Time was let pass.
    ///
    /// # Errors
    /// Why not.
    pub fn check_state(&self, tours: Option<&TourRegistry>) -> Result<(), Refusal> {
        if self.pending.is_some() {
            return Err(Refusal::Pending);
        }
        match (self.fsm.state(), self.fsm.cooldown()) {
            (State::Thinking, None) => Ok(()),
            (State::Thinking, Some(cooldown)) => {
                let until = self.fsm.poll_timeout(tours).unwrap_or(cooldown.started_at);
                Err(Refusal::CoolingDown { until })
            }
            (state @ (State::Proactive | State::Reactive), _) => Err(Refusal::State { state }),
        }
    }

    /// Whether the session's own limits have capacity for an offer.
    ///
    /// # Errors
    /// Which one hasn't.
    pub fn check_limits(&self, rules: &Rules, now: Timestamp) -> Result<(), Refusal> {
        let soon = self.made.last().map(|at| at + rules.min_interval);
        if let Some(until) = soon.filter(|until| *until > now) {
            return Err(Refusal::TooSoon { until });
        }
        match self.made.full(rules.per_session_hour, HOUR, now) {
            Some(until) => Err(Refusal::SessionHour { until }),
            None => Ok(()),
        }
    }

    /// An offer is on its way from here on. Returns its number.
    pub fn make_offer(&mut self, rules: &Rules, now: Timestamp) -> u64 {
        self.made.push(now, HOUR.max(rules.min_interval));
        self.messages += 1;
        self.pending = Some(self.messages);
        self.changed(now);
        self.messages
    }

    /// A message that isn't an offer is made. Returns its number.
    pub fn number_message(&mut self, now: Timestamp) -> u64 {
        self.messages += 1;
        self.changed(now);
        self.messages
    }

    /// Numbers up to this one are in the store, whatever is known.
    pub fn numbers_taken(&mut self, last: u64) {
        self.messages = self.messages.max(last);
    }

    /// The platform took the offer at `at`: the session is proactive, with the offer's own time-out and cooldown. Where
    /// the person was helped otherwise meanwhile, that goes on. Returned is the offer where it was accepted so long ago that
    /// it is over.
    pub fn take_offer(
        &mut self,
        offered: Offered,
        tours: Option<&TourRegistry>,
        (at, now): (Timestamp, Timestamp),
    ) -> Option<Over> {
        self.pending = None;
        self.tear_down = None;
        self.changed(now);
        let limits = Limits {
            interaction_timeout_s: offered.offer.interaction_timeout_s,
            cooldown_period_s: offered.offer.cooldown_s,
        };
        self.fsm.clear_cooldown();
        if self.fsm.to_proactive(at) != Ok(true) {
            return None;
        }
        self.fsm.set_limits(limits);
        self.offered = Some(offered);
        self.advance(tours, now).1
    }

    /// An offer is being removed from the platform.
    pub fn begin_tear_down(&mut self, decided: TearDown, now: Timestamp) {
        self.tear_down = Some(decided);
        self.changed(now);
    }

    /// The call that was to remove an offer is over, or isn't made. `removed`: the platform says that the offer is gone.
    pub fn end_tear_down(&mut self, removed: bool, now: Timestamp) -> Torn {
        self.changed(now);
        match self.tear_down.take() {
            Some(decided) => decided.finish(&mut self.fsm, removed),
            // Another offer stands meanwhile.
            None if removed => Torn::Completed,
            None => Torn::RemovalFailed,
        }
    }

    /// The person answered the offer that stands.
    pub fn answered(&mut self) {
        if let Some(offered) = &mut self.offered {
            offered.answered = true;
        }
    }

    /// The offer didn't come to the person. `made_at`: it certainly did not, so that it doesn't count.
    pub fn drop_offer(&mut self, made_at: Option<Timestamp>, now: Timestamp) {
        self.pending = None;
        if let Some(at) = made_at {
            self.made.undo(at);
        }
        self.changed(now);
    }

    /// Nobody knows whether the person has the offer: they are left alone as after one, and no shorter than they are
    /// already.
    pub fn lose_offer(&mut self, offer: &Offer, now: Timestamp) {
        self.pending = None;
        let until = now + seconds(offer.cooldown_s);
        let longer = self.fsm.cooldown().is_some() && self.fsm.poll_timeout(None) > Some(until);
        if self.fsm.state() == State::Thinking && !longer {
            self.fsm.start_cooldown(Some(offer.cooldown_s), now);
        }
        self.changed(now);
    }

    /// Something happened in the session's conversation. Time was let pass.
    pub fn on_turn(
        &mut self,
        meaning: Meaning,
        (option, text): (Option<&str>, Option<&str>),
        (key, target): (&SessionKey, &Target),
        wording: &Wording,
        now: Timestamp,
    ) -> Heard {
        let helping = self.fsm.state() != State::Thinking;
        let heard = match meaning {
            Meaning::PersonWrote => {
                let asked = self.answer_tour((option, text), (key, target), wording, now);
                if let Some(heard) = asked {
                    self.changed(now);
                    return heard;
                }
                let standing = self.offered.as_mut().filter(|offered| offered.target == *target);
                let chosen = standing.and_then(|offered| {
                    offered.answered = true;
                    let option = offered.offer.chosen(option, text)?.clone();
                    offered.clicked = Some(option.id.clone());
                    Some(option)
                });
                match chosen {
                    Some(option) => {
                        self.fsm.record(Interaction::OptionClick, now);
                        let tour = option.tour.as_deref();
                        self.tour = tour.and_then(|tour| {
                            PendingTour::ask(tour, key.clone(), target.clone(), now)
                        });
                        Heard::Clicked(option)
                    }
                    None if helping => {
                        self.fsm.record(Interaction::Message, now);
                        Heard::Acted
                    }
                    None => {
                        self.fsm.set_limits(Limits::default());
                        match self.fsm.to_reactive(now) {
                            Ok(()) => Heard::Asked,
                            Err(FsmError::Transition { .. } | FsmError::Guidance) => Heard::Nothing,
                        }
                    }
                }
            }
            Meaning::PersonReacted if helping => {
                self.fsm.record(Interaction::Reaction, now);
                Heard::Acted
            }
            Meaning::PersonTypes if helping => {
                self.fsm.record(Interaction::Other, now);
                Heard::Acted
            }
            Meaning::PersonReacted
            | Meaning::PersonTypes
            | Meaning::AgentWrote
            | Meaning::AgentTypes
            | Meaning::Closed
            | Meaning::Reopened
            | Meaning::Nothing => Heard::Nothing,
        };
        if heard != Heard::Nothing {
            self.changed(now);
        }
        heard
    }

    /// What an answer is to the tour that waits; `None`: nothing.
    fn answer_tour(
        &mut self,
        (option, text): (Option<&str>, Option<&str>),
        (key, target): (&SessionKey, &Target),
        wording: &Wording,
        now: Timestamp,
    ) -> Option<Heard> {
        let pending = self.tour.as_ref()?;
        let question = question(pending.tour(), wording);
        let clicked = question.as_ref().and_then(|question| question.chosen(option, text));
        let said = clicked.map(|option| option.label.as_str()).or(text)?;
        match pending.decide((key, target), self.fsm.state(), wording, said) {
            Decision::Accepted(launch) => {
                let tour = self.tour.take()?;
                self.fsm.record(Interaction::OptionClick, now);
                let begun = self.fsm.start_guidance(Some(tour.tour().to_owned()), now);
                Some(if begun.is_ok() { Heard::Shown(launch) } else { Heard::Acted })
            }
            Decision::Declined => {
                self.tour = None;
                self.fsm.record(Interaction::OptionClick, now);
                Some(Heard::Acted)
            }
            Decision::Waits => None,
            Decision::Over => {
                self.tour = None;
                None
            }
        }
    }

    /// The tour that waits for a yes or a no.
    pub fn pending_tour(&self) -> Option<&PendingTour> {
        self.tour.as_ref()
    }

    /// The person couldn't be asked whether to see the tour.
    pub fn drop_tour(&mut self, now: Timestamp) {
        self.tour = None;
        self.changed(now);
    }

    /// The state machine, for what an operator or the program around the product does to it. Followed by
    /// [`Help::changed`].
    pub fn fsm_mut(&mut self) -> &mut Fsm {
        &mut self.fsm
    }

    /// The state machine.
    pub fn fsm(&self) -> &Fsm {
        &self.fsm
    }

    /// The offer that stands.
    pub fn offered(&self) -> Option<&Offered> {
        self.offered.as_ref()
    }

    /// Whether a message is on its way.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some() || self.questions.is_being_answered()
    }

    /// What the person wrote and waits for an answer.
    pub fn questions(&self) -> &Questions {
        &self.questions
    }

    /// The same, to be changed. It doesn't count as a change of how the session stands.
    pub fn questions_mut(&mut self) -> &mut Questions {
        &mut self.questions
    }

    /// How the session stands at `now`, whatever was looked at before.
    pub fn standing(&self, tours: Option<&TourRegistry>, now: Timestamp) -> Standing {
        let mut then = self.clone();
        then.advance(tours, now);
        let guidance = then.fsm.guidance();
        Standing {
            version: self.version,
            state: then.fsm.state(),
            until: then.fsm.poll_timeout(tours),
            cooling_down: then.fsm.cooldown().is_some(),
            trigger: then.offered.as_ref().map(|offered| offered.offer.trigger().to_owned()),
            tour: guidance.map(|guidance| guidance.tour_id.clone().unwrap_or_default()),
        }
    }
}

/// The question whether to see a tour, as it is offered. Its answers are called the same each time.
pub fn question(tour: &str, wording: &Wording) -> Option<Offer> {
    let labels = wording.labels().map(|label| (label, None));
    Offer::new(&format!("tour {tour}"), &wording.question, labels).ok()
}

/// A number of seconds as a duration; what is none, or negative, is no time at all.
pub fn seconds(secs: f64) -> Duration {
    Duration::try_from_secs_f64(secs).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ConversationId, ProductId, SessionId};

    const T: Timestamp = Timestamp(1_700_000_000_000_000);
    const S: Duration = Duration::from_secs(1);

    fn target() -> Target {
        ("chat".into(), ConversationId::new("c").unwrap())
    }

    fn key() -> SessionKey {
        SessionKey { product: ProductId::new("p").unwrap(), session: SessionId::new("s").unwrap() }
    }

    fn offered(seq: u64) -> Offered {
        let offer = Offer::new("t", "Need help?", [("Yes", None), ("No", None)]).unwrap();
        Offered { seq, offer, target: target(), message_id: None, clicked: None, answered: false }
    }

    fn wrote(help: &mut Help, text: &str, now: Timestamp) -> Heard {
        help.advance(None, now);
        let at = (&key(), &target());
        help.on_turn(Meaning::PersonWrote, (None, Some(text)), at, &Wording::default(), now)
    }

    #[test]
    fn an_offer_has_its_own_time_out_and_cooldown() {
        let mut help = Help::new(T);
        assert_eq!(help.check_state(None), Ok(()));
        let seq = help.make_offer(&Rules::default(), T);
        assert_eq!(help.check_state(None), Err(Refusal::Pending));
        assert_eq!(help.take_offer(offered(seq), None, (T + S, T + S)), None);
        assert_eq!(help.check_state(None), Err(Refusal::State { state: State::Proactive }));
        let (ended, over) = help.advance(None, T + S * 12);
        assert!(ended && over.is_some());
        // 10 s after the platform took it, and the smallest step of time.
        let until = Timestamp((T + S * 11 + S * 30).0 + 1);
        assert_eq!(help.check_state(None), Err(Refusal::CoolingDown { until }));
        help.advance(None, until);
        assert_eq!(help.check_state(None), Ok(()));
        assert_eq!(
            help.check_limits(&Rules::default(), until),
            Err(Refusal::TooSoon { until: T + S * 300 })
        );
    }

    #[test]
    fn however_late_it_is_looked_at_what_ended_ended_when_it_was_due() {
        let mut often = Help::new(T);
        let seq = often.make_offer(&Rules::default(), T);
        often.take_offer(offered(seq), None, (T, T));
        let mut late = often.clone();
        (1..=100).for_each(|n| drop(often.advance(None, T + S * n)));
        late.advance(None, T + S * 100);
        assert_eq!(often.fsm().state(), late.fsm().state());
        assert_eq!(often.fsm().cooldown(), late.fsm().cooldown());
        let mut late = Help::new(T);
        late.take_offer(offered(1), None, (T, T));
        late.advance(None, T + S * 15);
        assert_eq!(
            late.next_timer(None),
            Some(Timestamp((T + S * 40).0 + 1)),
            "10 s and 30 s later"
        );
    }

    #[test]
    fn an_offer_that_was_taken_long_ago_is_over_when_that_is_found_out() {
        let mut help = Help::new(T);
        let seq = help.make_offer(&Rules::default(), T);
        assert!(help.take_offer(offered(seq), None, (T, T + S * 20)).is_some());
        assert_eq!(help.fsm().state(), State::Thinking);
        assert!(help.fsm().cooldown().is_some());
        assert_eq!(help.offered(), None);
    }

    #[test]
    fn an_answer_is_a_click_while_the_offer_stands_and_a_message_afterwards() {
        let mut help = Help::new(T);
        let seq = help.make_offer(&Rules::default(), T);
        help.take_offer(offered(seq), None, (T, T));
        let mut other = help.clone();
        assert!(
            matches!(wrote(&mut help, " yes ", T + S), Heard::Clicked(option) if option.label == "Yes")
        );
        assert!(help.fsm().option_clicked());
        assert_eq!(wrote(&mut other, "yes please", T + S), Heard::Acted);
        assert_eq!(wrote(&mut other, "Yes", T + S * 60), Heard::Asked, "that offer is over");
        assert_eq!(other.fsm().state(), State::Reactive);
    }

    #[test]
    fn an_answer_that_leads_to_a_tour_is_followed_by_a_yes_or_a_no() {
        let begin = || {
            let mut help = Help::new(T);
            let seq = help.make_offer(&Rules::default(), T);
            let offer = Offer::new("t", "Need help?", [("Show me", Some("flow"))]).unwrap();
            help.take_offer(Offered { offer, ..offered(seq) }, None, (T, T));
            assert!(matches!(wrote(&mut help, "show me", T + S), Heard::Clicked(_)));
            assert_eq!(help.pending_tour().unwrap().tour(), "flow");
            help
        };
        let mut yes = begin();
        let shown = LaunchEvent::of(&key(), "flow");
        assert_eq!(wrote(&mut yes, "YES", T + S * 2), Heard::Shown(shown.clone()));
        assert_eq!(yes.fsm().guidance().unwrap().tour_id.as_deref(), Some("flow"));
        let mut clicked = begin();
        let asked = question("flow", &Wording::default()).unwrap();
        let yes = Some(&*asked.options()[0].id);
        let (key, target) = (key(), target());
        let meaning = Meaning::PersonWrote;
        let heard = clicked.on_turn(meaning, (yes, None), (&key, &target), &Wording::default(), T);
        assert_eq!(heard, Heard::Shown(shown));
        let mut no = begin();
        assert_eq!(wrote(&mut no, "No", T + S * 2), Heard::Acted);
        assert_eq!((no.pending_tour(), no.fsm().guidance()), (None, None));
        let mut other = begin();
        assert_eq!(wrote(&mut other, "what is it?", T + S * 2), Heard::Acted);
        assert!(other.pending_tour().is_some(), "it waits on");
        assert_eq!(
            wrote(&mut other, "yes", T + S * 60),
            Heard::Asked,
            "the help is over, and so is it"
        );
        assert_eq!(other.pending_tour(), None);
    }

    #[test]
    fn an_offer_that_never_came_doesnt_count_and_a_lost_one_does() {
        let mut help = Help::new(T);
        help.make_offer(&Rules::default(), T);
        help.drop_offer(Some(T), T + S);
        assert_eq!(help.check_limits(&Rules::default(), T + S), Ok(()));
        help.make_offer(&Rules::default(), T + S);
        help.lose_offer(&offered(2).offer, T + S * 2);
        assert!(matches!(help.check_state(None), Err(Refusal::CoolingDown { .. })));
        assert!(help.check_limits(&Rules::default(), T + S * 2).is_err());
    }

    #[test]
    fn after_the_clock_was_set_back_as_much_remains_as_did() {
        let mut help = Help::new(T + S * 1000);
        let seq = help.make_offer(&Rules::default(), T + S * 1000);
        help.take_offer(offered(seq), None, (T + S * 1000, T + S * 1000));
        let stored = serde_json::to_vec(&help).unwrap();
        let mut help: Help = serde_json::from_slice::<Help>(&stored).unwrap().taken_up(T);
        assert_eq!(help.next_timer(None), Some(Timestamp((T + S * 10).0 + 1)));
        help.advance(None, T + S * 9);
        assert_eq!(help.fsm().state(), State::Proactive);
    }
}
