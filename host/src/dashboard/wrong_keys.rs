//! Slows those who guess keys: so many wrong ones a minute of one machine, and then none is looked at.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;

/// Wrong keys of one machine within [`WINDOW`].
pub(super) const MOST: u32 = 10;
/// So long they count.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// Machines that are counted apart; beyond it all others are counted as one.
const MOST_PEERS: usize = 1024;

/// Wrong keys, by who sent them.
#[derive(Default)]
pub(super) struct WrongKeys(Mutex<HashMap<IpAddr, Counted>>);

#[derive(Clone, Copy)]
struct Counted {
    since: Timestamp,
    count: u32,
}

impl WrongKeys {
    /// How long none of this machine's keys is looked at; `None`: they are.
    pub(super) fn waits(&self, peer: IpAddr, now: Timestamp) -> Option<Duration> {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = name(peer, &counted);
        let of_peer = counted.get(&name).filter(|it| it.count >= MOST)?;
        let left = WINDOW.saturating_sub(now.since(of_peer.since));
        (!left.is_zero()).then_some(left)
    }

    /// A key was wrong.
    pub(super) fn add(&self, peer: IpAddr, now: Timestamp) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.retain(|_, it| now.since(it.since) < WINDOW);
        let name = name(peer, &counted);
        counted.entry(name).or_insert(Counted { since: now, count: 0 }).count += 1;
    }
}

/// What a machine is counted by: in IPv6 its network, in which it has as many addresses as it likes.
fn name(peer: IpAddr, counted: &HashMap<IpAddr, Counted>) -> IpAddr {
    let name = match peer.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    };
    if counted.len() < MOST_PEERS || counted.contains_key(&name) {
        return name;
    }
    // No network ends in these bits.
    IpAddr::V6(Ipv6Addr::from(u128::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

    #[test]
    fn ten_wrong_keys_a_minute_of_one_machine_and_no_more() {
        let wrong = WrongKeys::default();
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..MOST {
            assert_eq!(wrong.waits(one, NOW), None);
            wrong.add(one, NOW);
        }
        assert_eq!(wrong.waits(one, NOW), Some(WINDOW));
        assert_eq!(wrong.waits("::ffff:192.0.2.1".parse().unwrap(), NOW), Some(WINDOW));
        assert_eq!(wrong.waits(other, NOW), None);
        assert_eq!(wrong.waits(one, NOW + WINDOW), None);
    }

    #[test]
    fn the_number_of_machines_is_bounded() {
        let wrong = WrongKeys::default();
        for n in 0..3 * MOST_PEERS as u32 {
            wrong.add(IpAddr::from(n.to_be_bytes()), NOW);
        }
        assert!(wrong.0.lock().unwrap().len() <= MOST_PEERS + 1);
        assert!(wrong.waits("203.0.113.9".parse().unwrap(), NOW).is_some(), "counted as one");
    }
}
