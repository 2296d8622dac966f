//! Who is there: every host beats, and the answer to its beat says who else does.

use std::collections::BTreeMap;

use crate::call::{Beat, Seen, Standing};
use crate::ids::{HostId, Member};
use crate::placement::Weight;
use crate::time::{Moment, Times, millis};

/// The members, as one of them knows of them.
#[derive(Debug)]
pub struct Members {
    times: Times,
    me: Member,
    weight: Weight,
    standing: Standing,
    known: BTreeMap<HostId, Known>,
    asked: Option<Moment>,
    beat_at: Moment,
    answered: Option<Moment>,
    /// Nobody could beat for a while: until then, who was alive before counts as alive.
    spared: Moment,
    /// A later start of this host was seen.
    replaced: bool,
}

#[derive(Debug)]
struct Known {
    member: Member,
    standing: Standing,
    weight: Weight,
    /// Until when its last beat counts.
    until: Moment,
}

impl Members {
    /// `me`, who knows of nobody else yet.
    #[must_use]
    pub fn new(times: Times, me: Member, weight: Weight) -> Self {
        Self {
            times,
            me,
            weight,
            standing: Standing::Working,
            known: BTreeMap::new(),
            asked: None,
            beat_at: Moment::default(),
            answered: None,
            spared: Moment::default(),
            replaced: false,
        }
    }

    /// Tells the others at the next beat, which is due at once.
    pub fn stand(&mut self, standing: Standing) {
        self.standing = standing;
        self.beat_at = Moment::default();
    }

    /// The beat that is due.
    pub fn tick(&mut self, now: Moment) -> Option<Beat> {
        if self.asked.is_some() || now < self.beat_at {
            return None;
        }
        self.asked = Some(now);
        self.beat_at = now + self.times.beat();
        let weight = self.weight.get();
        Some(Beat { by: self.me.clone(), standing: self.standing, weight })
    }

    /// A beat was answered, or wasn't.
    pub fn answered(&mut self, now: Moment, seen: Option<Vec<Seen>>) {
        // What the answer says is as old as the question.
        let asked = self.asked.take().unwrap_or(now);
        let Some(seen) = seen else { return };
        // Without the server nobody's beat arrived: that is no sign that they are gone.
        if self.answered.is_some_and(|before| before + self.times.lease() / 2 < now) {
            self.spared = now + self.times.lease();
        }
        self.answered = Some(now);
        let lease = millis(self.times.lease());
        for Seen { member, standing, weight, age } in seen {
            let is_later = member.incarnation() > self.me.incarnation();
            self.replaced |= member.host() == self.me.host() && is_later;
            let left = std::time::Duration::from_millis(lease.saturating_sub(age));
            let until = asked + left;
            let new = Known { standing, weight: Weight::new(weight), until, member };
            match self.known.get_mut(new.member.host()) {
                Some(known) if known.member.incarnation() > new.member.incarnation() => {}
                Some(known) => *known = new,
                None => {
                    self.known.insert(new.member.host().clone(), new);
                }
            }
        }
        let (spared, long_ago) = (self.spared, self.times.forget());
        self.known.retain(|_, known| now < spared || now < known.until + long_ago);
    }

    /// Whether a member counts as alive.
    #[must_use]
    pub fn is_alive(&self, now: Moment, member: &Member) -> bool {
        *member == self.me
            || self
                .known
                .get(member.host())
                .is_some_and(|known| known.member == *member && self.counts(now, known))
    }

    fn counts(&self, now: Moment, known: &Known) -> bool {
        match known.standing {
            Standing::Leaving => false,
            Standing::Working | Standing::Draining => now < known.until || now < self.spared,
        }
    }

    /// The hosts that are alive, each with what it is to have.
    #[must_use]
    pub fn hosts(&self, now: Moment) -> BTreeMap<HostId, Weight> {
        let weight = |standing, weight| match standing {
            Standing::Working => weight,
            Standing::Draining | Standing::Leaving => Weight::DRAINING,
        };
        let others = self
            .known
            .iter()
            .filter(|(host, known)| *host != self.me.host() && self.counts(now, known));
        others
            .map(|(host, known)| (host.clone(), weight(known.standing, known.weight)))
            .chain([(self.me.host().clone(), weight(self.standing, self.weight))])
            .collect()
    }

    /// Whether a later start of this host is there: two hosts have one name, or this one stood still while it was started
    /// again.
    #[must_use]
    pub const fn is_replaced(&self) -> bool {
        self.replaced
    }

    /// Whether this host ever heard of the others. Before that it would want everything.
    #[must_use]
    pub const fn has_heard(&self) -> bool {
        self.answered.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::Incarnation;

    fn member(host: &str, incarnation: u64) -> Member {
        Member::new(HostId::new(host).unwrap(), Incarnation::new(incarnation))
    }

    fn seen(host: &str, incarnation: u64, age: u64) -> Seen {
        Seen { member: member(host, incarnation), standing: Standing::Working, weight: 1, age }
    }

    fn at(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    fn members() -> Members {
        Members::new(Times::of_lease(Duration::from_secs(10)), member("a", 1), Weight::ONE)
    }

    fn beat(members: &mut Members, ms: u64, answer: Option<Vec<Seen>>) {
        members.tick(at(ms)).unwrap();
        members.answered(at(ms), answer);
    }

    #[test]
    fn who_is_silent_for_a_lease_is_gone() {
        let mut all = members();
        assert!(!all.has_heard());
        beat(&mut all, 1000, Some(vec![seen("a", 1, 0), seen("b", 1, 4000)]));
        assert!(all.has_heard() && all.is_alive(at(6999), &member("b", 1)));
        assert!(!all.is_alive(at(7000), &member("b", 1)));
        assert!(all.is_alive(at(99_000), &member("a", 1)), "this one");
    }

    #[test]
    fn one_beat_waits_for_its_answer_and_comes_every_tenth_of_a_lease() {
        let mut all = members();
        assert!(all.tick(at(0)).is_some() && all.tick(at(5000)).is_none());
        all.answered(at(5000), None);
        assert!(all.tick(at(5000)).is_some());
        all.answered(at(5010), Some(vec![]));
        assert!(all.tick(at(5999)).is_none() && all.tick(at(6000)).is_some());
    }

    #[test]
    fn a_host_that_started_again_is_another_member() {
        let mut all = members();
        beat(&mut all, 0, Some(vec![seen("b", 1, 0), seen("b", 2, 0)]));
        assert!(!all.is_alive(at(1), &member("b", 1)) && all.is_alive(at(1), &member("b", 2)));
        beat(&mut all, 1000, Some(vec![seen("b", 1, 0)]));
        assert!(all.is_alive(at(1001), &member("b", 2)), "the older one is no news");
    }

    #[test]
    fn a_start_that_was_replaced_hears_of_it() {
        let mut all = members();
        beat(&mut all, 0, Some(vec![seen("a", 1, 0), seen("b", 9, 0)]));
        assert!(!all.is_replaced());
        beat(&mut all, 1000, Some(vec![seen("a", 1, 0), seen("a", 2, 0)]));
        assert!(all.is_replaced());
    }

    #[test]
    fn an_outage_of_the_beats_makes_nobody_gone_for_one_more_lease() {
        let mut all = members();
        beat(&mut all, 0, Some(vec![seen("b", 1, 0)]));
        beat(&mut all, 2000, None);
        beat(&mut all, 20_000, Some(vec![seen("b", 1, 20_000)]));
        assert!(all.is_alive(at(29_999), &member("b", 1)));
        assert!(!all.is_alive(at(30_000), &member("b", 1)));
    }

    #[test]
    fn who_drains_is_there_and_who_leaves_is_not() {
        let mut all = members();
        let stands = |standing| Seen { standing, ..seen("b", 1, 0) };
        beat(&mut all, 0, Some(vec![stands(Standing::Draining)]));
        assert_eq!(all.hosts(at(1))[&HostId::new("b").unwrap()], Weight::DRAINING);
        assert!(all.is_alive(at(1), &member("b", 1)));
        beat(&mut all, 1000, Some(vec![stands(Standing::Leaving)]));
        assert!(!all.is_alive(at(1001), &member("b", 1)));
        all.stand(Standing::Draining);
        assert!(all.tick(at(1001)).is_some_and(|beat| beat.standing == Standing::Draining));
        assert_eq!(all.hosts(at(1001))[&HostId::new("a").unwrap()], Weight::DRAINING);
    }
}
