//! How a session stands, worked out anew from what was told and answered. It shares no code with the state machine that
//! it judges. What a host did at a moment that nobody outside knows exactly may have been at any of a [`Span`]; what may
//! have been done or not has the session stand in several ways, until the store is looked at.

use std::time::Duration;

use sidenote::clock::Timestamp;
use sidenote::engine::helping::HelpChange;
use sidenote::offers::help::{Heard, Standing};
use sidenote::offers::refusal::Refusal;
use sidenote::session::turn::Meaning;

/// The smallest step of time: help ends when nothing happened for longer than its time-out.
const STEP: Duration = Duration::from_micros(1);
/// The session's own time-out and cooldown, where no offer brings others.
const OWN: Times = Times { timeout: Duration::from_secs(20), cooldown: Duration::from_secs(60) };

/// The first and the last moment at which something can have been.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span(pub(super) Timestamp, pub(super) Timestamp);

/// How long help waits for the person, and how long none is offered afterwards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Times {
    pub(super) timeout: Duration,
    pub(super) cooldown: Duration,
}

/// What a session can be in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Is {
    /// Nobody is helped; no offers before this moment.
    Thinking(Option<Span>),
    /// Help was offered, or asked for; nothing happened since this moment.
    Helped { proactive: bool, since: Span, times: Times },
}

/// What happened to a session.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// Something in its conversation; what it was to the session, where that was answered.
    Turn(Meaning, Option<Option<Heard>>),
    /// A change from outside; whether it was made, where that was answered.
    Change(HelpChange, Option<bool>),
    /// An offer was refused.
    Refused(Refusal),
    /// An offer was made: nothing may be in its way.
    Made,
    /// The platform accepted an offer between these moments.
    Delivered(Times, Span),
    /// Nobody knows whether the person has an offer.
    Unknown(Times),
    /// An offer is over that never came, or something of one that has no consequence.
    Nothing,
}

/// One session: all the ways in which it can stand.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Model(Vec<Is>);

impl Span {
    pub(super) fn at(now: Timestamp) -> Self {
        Self(now, now)
    }

    fn later(self, by: Duration) -> Self {
        Self(self.0 + by, self.1 + by)
    }

    fn has(self, at: Timestamp) -> bool {
        self.0 <= at && at <= self.1
    }

    fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0), self.1.max(other.1))
    }
}

impl Model {
    pub(super) fn new() -> Self {
        Self(vec![Is::Thinking(None)])
    }

    /// What it is after an event at a moment within `now`.
    pub(super) fn after(&self, event: &Event, now: Span) -> Self {
        if let Event::Refused(refusal) = event {
            // It changes nothing: an end that nobody saw may come again where the clock is set back.
            let agree = |is| passed(is, now).into_iter().any(|is| agrees(is, *refusal));
            return self.each(|is| if agree(is) { vec![is] } else { Vec::new() });
        }
        self.each(|is| passed(is, now).into_iter().flat_map(|is| after(is, event, now)).collect())
    }

    /// It is in one of two.
    pub(super) fn or(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self.each(|is| vec![is])
    }

    pub(super) fn is_impossible(&self) -> bool {
        self.0.is_empty()
    }

    /// Those ways of standing that show this at `now`.
    pub(super) fn seen(&self, standing: &Standing, now: Timestamp) -> Self {
        self.each(|is| {
            let shows = passed(is, Span::at(now)).into_iter().any(|is| shows(is, standing));
            if shows { vec![narrowed(is, standing)] } else { Vec::new() }
        })
    }

    /// The clock was set back by something within `by`: as much remains of everything as did.
    pub(super) fn set_back(&self, by: (Duration, Duration)) -> Self {
        let earlier = |span: Span| Span(span.0 - by.1, span.1 - by.0);
        self.each(|is| {
            vec![match is {
                Is::Thinking(until) => Is::Thinking(until.map(earlier)),
                Is::Helped { proactive, since, times } => {
                    Is::Helped { proactive, since: earlier(since), times }
                }
            }]
        })
    }

    /// In whichever way it stands, nobody is helped in the end.
    pub(super) fn is_thinking(&self, now: Timestamp) -> bool {
        let mut all = self.0.iter().flat_map(|is| passed(*is, Span::at(now)));
        all.all(|is| matches!(is, Is::Thinking(_)))
    }

    fn each(&self, f: impl Fn(Is) -> Vec<Is>) -> Self {
        let mut all: Vec<Is> = Vec::new();
        for is in self.0.iter().flat_map(|is| f(*is)) {
            if !all.contains(&is) {
                all.push(is);
            }
        }
        Self(all)
    }
}

/// The same at a later moment: each end counts from when it was due.
fn passed(is: Is, now: Span) -> Vec<Is> {
    match is {
        Is::Thinking(None) => vec![is],
        Is::Thinking(Some(until)) => {
            let over = (until.0 <= now.1).then_some(Is::Thinking(None));
            let lasts = (until.1 > now.0).then_some(is);
            over.into_iter().chain(lasts).collect()
        }
        Is::Helped { since, times, .. } => {
            let end = since.later(times.timeout);
            let mut all = Vec::new();
            if end.0 < now.1 {
                let until = end.later(STEP + times.cooldown);
                all.extend(passed(Is::Thinking(Some(until)), now));
            }
            if end.1 >= now.0 {
                all.push(is);
            }
            all
        }
    }
}

/// What follows from an event that comes at a moment within `now`; nothing where it can't have come.
fn after(is: Is, event: &Event, now: Span) -> Vec<Is> {
    let thinking = matches!(is, Is::Thinking(_));
    match event {
        Event::Nothing | Event::Refused(_) => vec![is],
        Event::Turn(meaning, heard) => {
            let (then, is_heard) = turn(is, *meaning, now);
            let fits = heard.as_ref().is_none_or(|heard| fits(thinking, is_heard, heard.as_ref()));
            if fits { vec![then] } else { Vec::new() }
        }
        Event::Change(change, answered) => {
            let (then, made) = changed(is, change, now);
            if answered.is_none_or(|answered| answered == made) { vec![then] } else { Vec::new() }
        }
        Event::Made if is == Is::Thinking(None) => vec![is],
        Event::Made => Vec::new(),
        Event::Delivered(times, at) if thinking => {
            passed(Is::Helped { proactive: true, since: *at, times: *times }, now)
        }
        Event::Delivered(..) => vec![is],
        Event::Unknown(times) => vec![match is {
            Is::Thinking(until) => {
                let least = now.later(times.cooldown);
                Is::Thinking(Some(until.map_or(least, |until| until.max(least))))
            }
            Is::Helped { .. } => is,
        }],
    }
}

/// Something happens in the conversation. `true`: it is something to the session.
fn turn(is: Is, meaning: Meaning, now: Span) -> (Is, bool) {
    match (meaning, is) {
        (Meaning::PersonWrote, Is::Thinking(_)) => {
            (Is::Helped { proactive: false, since: now, times: OWN }, true)
        }
        (
            Meaning::PersonWrote | Meaning::PersonTypes | Meaning::PersonReacted,
            Is::Helped { proactive, times, .. },
        ) => (Is::Helped { proactive, since: now, times }, true),
        _ => (is, false),
    }
}

/// Whether what a turn was to a session fits how it stood.
fn fits(thinking: bool, is_heard: bool, heard: Option<&Heard>) -> bool {
    match heard {
        None | Some(Heard::Nothing) => !is_heard,
        Some(Heard::Asked) => is_heard && thinking,
        Some(Heard::Acted | Heard::Clicked(_) | Heard::Shown(_)) => is_heard && !thinking,
    }
}

fn changed(is: Is, change: &HelpChange, now: Span) -> (Is, bool) {
    let helped = |proactive| Is::Helped { proactive, since: now, times: OWN };
    let act = match is {
        Is::Helped { proactive, times, .. } => Is::Helped { proactive, since: now, times },
        Is::Thinking(_) => is,
    };
    match (change, is) {
        (HelpChange::Interaction(_), _) => (act, true),
        (HelpChange::ToProactive, Is::Thinking(None)) => (helped(true), true),
        (HelpChange::ToProactive, _) => (is, false),
        (HelpChange::ToReactive, Is::Thinking(_)) => (helped(false), true),
        (HelpChange::ToReactive, Is::Helped { .. }) => (is, false),
        (HelpChange::StartTour(_), Is::Helped { .. }) => (act, true),
        (HelpChange::StopTour, Is::Helped { .. }) => (is, true),
        (HelpChange::StartTour(_) | HelpChange::StopTour, Is::Thinking(_)) => (is, false),
        // While somebody is helped it has no effect: the end of that begins a cooldown.
        (HelpChange::StartCooldown(_) | HelpChange::ClearCooldown, Is::Helped { .. }) => (is, true),
        (HelpChange::StartCooldown(period), Is::Thinking(_)) => {
            let period = period.map_or(OWN.cooldown, Duration::from_secs_f64);
            (Is::Thinking(Some(now.later(period))), true)
        }
        (HelpChange::ClearCooldown, Is::Thinking(_)) => (Is::Thinking(None), true),
    }
}

/// Whether an offer may be refused for this reason, as far as the state is concerned: it is asked before the limits.
fn agrees(is: Is, refusal: Refusal) -> bool {
    match refusal {
        Refusal::NotLinked | Refusal::Ended | Refusal::Pending => true,
        Refusal::State { .. } => !matches!(is, Is::Thinking(_)),
        Refusal::CoolingDown { until } => {
            matches!(is, Is::Thinking(Some(span)) if span.has(until))
        }
        Refusal::TriggerCoolingDown { .. }
        | Refusal::TooSoon { .. }
        | Refusal::SessionHour { .. }
        | Refusal::UserDay { .. }
        | Refusal::ProductMinute { .. }
        | Refusal::AgentWrote { .. }
        | Refusal::PersonActive { .. }
        | Refusal::Breaker => is == Is::Thinking(None),
        Refusal::Off | Refusal::NoMessenger | Refusal::MovedOn => false,
    }
}

fn shows(is: Is, standing: &Standing) -> bool {
    let until = |span: Span| standing.until.is_some_and(|at| span.has(at));
    match (is, standing.state.as_str()) {
        (Is::Thinking(None), "thinking") => !standing.cooling_down && standing.until.is_none(),
        (Is::Thinking(Some(span)), "thinking") => standing.cooling_down && until(span),
        (Is::Helped { proactive, since, times }, word) => {
            let wanted = if proactive { "proactive_assistance" } else { "reactive_assistance" };
            word == wanted && until(since.later(times.timeout + STEP))
        }
        (Is::Thinking(_), _) => false,
    }
}

/// What is shown says when it was.
fn narrowed(is: Is, standing: &Standing) -> Is {
    match (is, standing.until) {
        (Is::Thinking(Some(span)), Some(until)) if standing.cooling_down && span.has(until) => {
            Is::Thinking(Some(Span::at(until)))
        }
        (Is::Helped { proactive, times, .. }, Some(until)) if shows(is, standing) => {
            Is::Helped { proactive, since: Span::at(until - times.timeout - STEP), times }
        }
        _ => is,
    }
}
