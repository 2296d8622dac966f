//! A lease: asked for, kept while the work goes on, let go, lost.
//!
//! The server ends a lease by its own clock. This side counts from before the call that prolonged it was sent, by the
//! monotonic clock, so it always believes in less than it has. Nothing here makes a stale write harmless: that is the
//! epoch, which every script compares.

use crate::call::{Acquire, Acquired, Release, Renew, Renewed};
use crate::ids::{CommitSeq, Epoch, Mark, Member, Offset, Once, Resource};
use crate::partition::Partitions;
use crate::time::{Moment, Times};

/// A lease, as the host sees it that has it or wants it.
#[derive(Debug)]
pub struct Lease {
    times: Times,
    of: Resource,
    me: Member,
    partitions: Partitions,
    state: State,
    /// The latest epoch, as far as is known.
    seen: Epoch,
    /// Whose lease ran out without an end of its host, and since when that is known.
    expired: Option<(Member, Moment)>,
    /// When the work last took a turn.
    turn: Moment,
}

#[derive(Debug)]
enum State {
    Free {
        ask_at: Moment,
    },
    Asking {
        sent: Moment,
        /// It was let go meanwhile: it is asked for again at once.
        again: bool,
    },
    Held(Held),
    /// Nothing is done with it any more, but the server may not know yet.
    Releasing {
        epoch: Epoch,
        mark: Option<Mark>,
        send_at: Moment,
        sent: bool,
    },
}

#[derive(Debug)]
struct Held {
    epoch: Epoch,
    until: Moment,
    renewing: Option<Moment>,
    renew_at: Moment,
}

/// The outcome of asking for a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is ours.
    Ours {
        /// Since this epoch.
        epoch: Epoch,
        /// How far the stream was added.
        mark: Option<Mark>,
        /// Whether the holder before had let it go.
        released: bool,
    },
    /// Not now. How far the stream was added.
    NotYet(Option<Mark>),
    /// The namespace is laid out in another way: this host must not use it.
    Layout {
        /// How.
        layout: u32,
        /// In how many partitions.
        partitions: u16,
    },
}

/// The outcome of renewing a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nobody knows; it is tried again.
    Unknown,
    /// It is ours.
    Ours {
        /// The last entry of the inbox.
        end: Offset,
        /// Who is ready to take the stream over.
        next: Option<Member>,
    },
    /// It isn't ours any more.
    Lost(Loss),
}

/// Why a lease was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Another start of a host has it, in this epoch.
    TakenOver(Epoch),
    /// The server came back without what it had acknowledged; it is at this epoch.
    ServerLost(Epoch),
}

impl Lease {
    /// Nobody's yet, as far as is known.
    #[must_use]
    pub fn new(times: Times, of: Resource, me: Member, partitions: Partitions) -> Self {
        let state = State::Free { ask_at: Moment::default() };
        Self {
            times,
            of,
            me,
            partitions,
            state,
            seen: Epoch::default(),
            expired: None,
            turn: Moment::default(),
        }
    }

    /// The epoch, where it is held, run out or not: nothing but an answer of the server says that it is lost.
    #[must_use]
    pub const fn epoch(&self) -> Option<Epoch> {
        match &self.state {
            State::Held(held) => Some(held.epoch),
            State::Free { .. } | State::Asking { .. } | State::Releasing { .. } => None,
        }
    }

    /// Whether nothing is held, asked for or being let go.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        matches!(self.state, State::Free { .. })
    }

    /// Whether it is on its way back.
    #[must_use]
    pub const fn is_releasing(&self) -> bool {
        matches!(self.state, State::Releasing { .. })
    }

    /// Whether a call that ends by `deadline` may be begun: the lease outlives it. To be asked right before each call.
    #[must_use]
    pub fn covers(&self, deadline: Moment) -> bool {
        match &self.state {
            State::Held(held) => deadline + self.times.margin() < held.until,
            State::Free { .. } | State::Asking { .. } | State::Releasing { .. } => false,
        }
    }

    /// The work took a turn: it isn't hung.
    pub fn worked(&mut self, now: Moment) {
        self.turn = now;
    }

    /// Whether the work hangs: it took no turn for so long that the lease isn't renewed.
    #[must_use]
    pub fn hangs(&self, now: Moment) -> bool {
        self.epoch().is_some() && self.turn + self.times.stall() < now
    }

    /// Somebody let it go: it is asked for at once, also where an answer to an earlier question is still to come.
    pub fn freed(&mut self, now: Moment) {
        match &mut self.state {
            State::Free { ask_at } => *ask_at = now,
            State::Asking { again, .. } => *again = true,
            State::Held(_) | State::Releasing { .. } => {}
        }
    }

    /// Asks for it, where it is due. `from`: see [`Acquire`]; `is_gone`: whether a member's host isn't there any more.
    pub fn acquire(
        &mut self,
        now: Moment,
        from: Option<Once>,
        is_gone: impl Fn(&Member) -> bool,
    ) -> Option<Acquire> {
        let State::Free { ask_at } = self.state else { return None };
        if now < ask_at {
            return None;
        }
        self.state = State::Asking { sent: now, again: false };
        // A host that beats and doesn't renew may be in a failover; after one more lease it is hung.
        let over = self.expired.as_ref().and_then(|(member, since)| {
            (is_gone(member) || *since + self.times.lease() <= now).then(|| member.clone())
        });
        let (of, by, partitions) = (self.of.clone(), self.me.clone(), self.partitions);
        Some(Acquire { of, by, seen: self.seen, over, ready: from.is_none(), from, partitions })
    }

    /// It was asked for, and this is the answer, or there is none.
    pub fn acquired(&mut self, now: Moment, answer: Option<Acquired>) -> Asked {
        let State::Asking { sent, again } = self.state else { return Asked::NotYet(None) };
        let ask_at = if again { now } else { now + self.times.ask() };
        self.state = State::Free { ask_at };
        match answer {
            None => Asked::NotYet(None),
            Some(Acquired::Ours { epoch, mark, released }) => {
                let until = sent + self.times.lease();
                let renew_at = sent + self.times.renewal();
                self.state = State::Held(Held { epoch, until, renewing: None, renew_at });
                (self.seen, self.expired, self.turn) = (epoch, None, now);
                Asked::Ours { epoch, mark, released }
            }
            Some(Acquired::Expired { by, epoch, mark }) => {
                self.seen = epoch;
                let is_known = self.expired.as_ref().is_some_and(|(member, _)| *member == by);
                if !is_known {
                    // Perhaps it is known already that it is gone.
                    self.state = State::Free { ask_at: now };
                    self.expired = Some((by, now));
                }
                Asked::NotYet(mark)
            }
            Some(Acquired::Held { epoch, mark, .. }) => {
                (self.seen, self.expired) = (epoch, None);
                Asked::NotYet(mark)
            }
            Some(Acquired::Free { epoch, mark }) => {
                self.seen = epoch;
                Asked::NotYet(mark)
            }
            Some(Acquired::Moved { epoch, mark }) => {
                self.seen = epoch;
                self.state = State::Free { ask_at: now };
                Asked::NotYet(mark)
            }
            Some(Acquired::Layout { layout, partitions }) => Asked::Layout { layout, partitions },
        }
    }

    /// The renewal that is due, where the work goes on. `acknowledged`: the last commit that was.
    pub fn renew(
        &mut self,
        now: Moment,
        acknowledged: CommitSeq,
        mark: Option<Mark>,
    ) -> Option<Renew> {
        let State::Held(held) = &mut self.state else { return None };
        if held.renewing.is_some() || now < held.renew_at || self.turn + self.times.stall() < now {
            return None;
        }
        held.renewing = Some(now);
        Some(Renew {
            of: self.of.clone(),
            by: self.me.clone(),
            epoch: held.epoch,
            acknowledged,
            mark,
        })
    }

    /// A renewal of `epoch` was answered, or wasn't.
    pub fn renewed(&mut self, now: Moment, epoch: Epoch, answer: Option<Renewed>) -> Kept {
        let State::Held(held) = &mut self.state else { return Kept::Unknown };
        if held.epoch != epoch {
            return Kept::Unknown;
        }
        let sent = held.renewing.take();
        match answer {
            None => {
                held.renew_at = now + self.times.retry();
                Kept::Unknown
            }
            Some(Renewed::Ours { end, next }) => {
                if let Some(sent) = sent {
                    self.prolonged(epoch, sent);
                }
                Kept::Ours { end, next }
            }
            Some(Renewed::TakenOver(stored)) => {
                self.lost(now);
                Kept::Lost(Loss::TakenOver(stored))
            }
            Some(Renewed::ServerLost(stored)) => {
                self.lost(now);
                Kept::Lost(Loss::ServerLost(stored))
            }
        }
    }

    /// A commit of `epoch` that was sent at `sent` was stored: it prolonged the lease, too.
    pub fn prolonged(&mut self, epoch: Epoch, sent: Moment) {
        if let State::Held(held) = &mut self.state
            && held.epoch == epoch
        {
            held.until = held.until.max(sent + self.times.lease());
            held.renew_at = held.renew_at.max(sent + self.times.renewal());
        }
    }

    /// The server said that it isn't ours.
    pub fn lost(&mut self, now: Moment) {
        self.state = State::Free { ask_at: now + self.times.ask() };
    }

    /// Lets it go. From now on nothing may be done with it.
    pub fn let_go(&mut self, now: Moment, mark: Option<Mark>) {
        if let State::Held(held) = &self.state {
            self.state = State::Releasing { epoch: held.epoch, mark, send_at: now, sent: false };
        }
    }

    /// The release that is due.
    pub fn release(&mut self, now: Moment) -> Option<Release> {
        let State::Releasing { epoch, mark, send_at, sent } = &mut self.state else { return None };
        if *sent || now < *send_at {
            return None;
        }
        *sent = true;
        let (of, by) = (self.of.clone(), self.me.clone());
        Some(Release { of, by, epoch: *epoch, mark: *mark })
    }

    /// A release of `epoch` was answered, or wasn't: then it is sent again.
    pub fn released(&mut self, now: Moment, of: Epoch, answer: Option<bool>) {
        let again = now + self.times.retry();
        let later = now + self.times.ask();
        if let State::Releasing { epoch, send_at, sent, .. } = &mut self.state
            && *epoch == of
        {
            match answer {
                None => (*send_at, *sent) = (again, false),
                Some(_) => self.state = State::Free { ask_at: later },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::{HostId, Incarnation, Partition};

    fn at(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    fn member(host: &str) -> Member {
        Member::new(HostId::new(host).unwrap(), Incarnation::new(1))
    }

    fn lease() -> Lease {
        let of = Resource::Partition(Partition::new(0));
        Lease::new(Times::of_lease(Duration::from_secs(10)), of, member("a"), Partitions::default())
    }

    fn ours(epoch: u64) -> Option<Acquired> {
        Some(Acquired::Ours { epoch: Epoch::new(epoch), mark: None, released: false })
    }

    fn held() -> Lease {
        let mut lease = lease();
        assert!(lease.acquire(at(0), None, |_| false).is_some());
        lease.acquired(at(2000), ours(5));
        lease
    }

    #[test]
    fn a_lease_is_counted_from_before_it_was_asked_for() {
        let lease = held();
        assert!(lease.covers(at(8999)) && !lease.covers(at(9000)), "10 s from 0, a margin of 1 s");
    }

    #[test]
    fn a_renewal_that_is_answered_late_covers_less() {
        let mut lease = held();
        lease.worked(at(3000));
        assert!(
            lease.renew(at(3000), CommitSeq::default(), None).is_some()
                && lease.renew(at(3001), CommitSeq::default(), None).is_none()
        );
        let answer = Some(Renewed::Ours { end: Offset::default(), next: None });
        lease.renewed(at(30_000), Epoch::new(5), answer);
        assert_eq!(lease.epoch(), Some(Epoch::new(5)), "the server hasn't said otherwise");
        assert!(!lease.covers(at(30_000)), "but nothing may be begun");
    }

    #[test]
    fn a_hung_host_doesn_t_renew() {
        let mut lease = held();
        assert!(lease.renew(at(7001), CommitSeq::default(), None).is_none(), "no turn since 2000");
        lease.worked(at(7002));
        assert!(lease.renew(at(7002), CommitSeq::default(), None).is_some());
    }

    #[test]
    fn a_commit_spares_the_renewal() {
        let mut lease = held();
        lease.worked(at(2900));
        lease.prolonged(Epoch::new(5), at(2900));
        lease.prolonged(Epoch::new(4), at(9000));
        assert!(
            lease.renew(at(3000), CommitSeq::default(), None).is_none() && lease.covers(at(11_000))
        );
    }

    #[test]
    fn who_holds_it_in_another_epoch_has_it() {
        for answer in [Renewed::TakenOver(Epoch::new(6)), Renewed::ServerLost(Epoch::new(3))] {
            let mut lease = held();
            lease.renew(at(3000), CommitSeq::default(), None);
            assert_eq!(lease.renewed(at(3001), Epoch::new(4), Some(answer.clone())), Kept::Unknown);
            assert!(matches!(lease.renewed(at(3001), Epoch::new(5), Some(answer)), Kept::Lost(_)));
            assert!(lease.is_free() && !lease.covers(at(3001)));
        }
    }

    #[test]
    fn a_release_is_sent_until_it_is_answered_and_covers_nothing() {
        let mut lease = held();
        lease.let_go(at(3000), None);
        assert!(!lease.covers(at(3000)) && lease.acquire(at(9000), None, |_| true).is_none());
        assert!(lease.release(at(3000)).is_some() && lease.release(at(3000)).is_none());
        lease.released(at(3100), Epoch::new(5), None);
        assert!(lease.release(at(3350)).is_some());
        lease.released(at(3400), Epoch::new(5), Some(true));
        assert!(lease.is_free());
    }

    #[test]
    fn an_epoch_is_named_that_the_server_said() {
        let mut lease = lease();
        let asked = lease.acquire(at(0), None, |_| false).unwrap();
        assert_eq!(asked.seen, Epoch::default());
        lease.acquired(at(0), Some(Acquired::Moved { epoch: Epoch::new(7), mark: None }));
        let asked = lease.acquire(at(0), None, |_| false).unwrap();
        assert_eq!(asked.seen, Epoch::new(7), "at once");
    }

    #[test]
    fn a_notice_is_never_swallowed() {
        let mut lease = lease();
        lease.acquire(at(0), None, |_| false);
        lease.freed(at(1));
        lease.acquired(
            at(2),
            Some(Acquired::Held { by: member("b"), epoch: Epoch::new(4), mark: None }),
        );
        assert!(
            lease.acquire(at(2), None, |_| false).is_some(),
            "the answer was older than the notice"
        );
        lease.acquired(
            at(3),
            Some(Acquired::Held { by: member("b"), epoch: Epoch::new(4), mark: None }),
        );
        assert!(lease.acquire(at(4), None, |_| false).is_none());
        lease.freed(at(4));
        assert!(lease.acquire(at(4), None, |_| false).is_some());
    }

    #[test]
    fn a_holder_that_beats_is_spared_for_one_more_lease() {
        let mut lease = lease();
        let expired = Some(Acquired::Expired { by: member("b"), epoch: Epoch::new(4), mark: None });
        lease.acquire(at(0), None, |_| false);
        lease.acquired(at(0), expired.clone());
        let asks = |lease: &mut Lease, ms, gone| {
            let asked = lease.acquire(at(ms), None, |_| gone).unwrap();
            lease.acquired(at(ms), expired.clone());
            asked.over
        };
        assert_eq!(asks(&mut lease, 1, false), None);
        assert_eq!(asks(&mut lease, 1001, true), Some(member("b")), "its host is gone");
        assert_eq!(asks(&mut lease, 9999, false), None);
        assert_eq!(asks(&mut lease, 10_999, false), Some(member("b")), "it is hung");
    }
}
