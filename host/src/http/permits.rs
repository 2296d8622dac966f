//! Who has a connection: a bounded number of permits, and a few more that only health and the API are served on.
//!
//! Anybody can open a connection, and keep the host waiting on it: for a head, for a body, for an answer
//! to be had. So where all permits are in use, the one that keeps the host waiting for longest gives way.
//! Where the host itself is busy with all of them, a newcomer gets one of the reserved permits.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

/// Connections beyond `max_connections`.
pub(super) const RESERVED: usize = 64;
/// No client is taken for slow before: a head may take this long to come.
const YOUNG: Duration = Duration::from_millis(100);
/// How long a request waits for a permit before it is refused.
const PATIENCE: Duration = Duration::from_secs(2);

/// The permits of one listener. Cloning shares them.
#[derive(Clone)]
pub(super) struct Connections(Arc<Shared>);

struct Shared {
    most: usize,
    /// Of one machine that isn't this one.
    per_peer: usize,
    open: Mutex<Open>,
    /// Told whenever somebody leaves.
    freed: Notify,
}

#[derive(Default)]
struct Open {
    taken: BTreeMap<u64, Taken>,
    regular: usize,
    reserved: usize,
    peers: HashMap<IpAddr, usize>,
    last: u64,
}

struct Taken {
    /// `None` for this machine: a proxy on it stands for everybody.
    peer: Option<IpAddr>,
    reserved: bool,
    /// Since when the host waits for the client; `None` while it works for it.
    waits_since: Option<Instant>,
    gives_way: Arc<Notify>,
}

/// A connection's permit, given back when it is dropped.
pub(super) struct ConnectionPermit {
    permits: Connections,
    id: u64,
    gives_way: Arc<Notify>,
}

impl Connections {
    /// So many permits in all, and for each other machine.
    pub(super) fn new(most: usize, per_peer: usize) -> Self {
        let open = Mutex::default();
        Self(Arc::new(Shared { most, per_peer, open, freed: Notify::new() }))
    }

    /// A permit for a client, as soon as there is one.
    pub(super) async fn take(&self, peer: IpAddr) -> ConnectionPermit {
        loop {
            if let Some(permit) = self.enter(peer, Instant::now()) {
                return permit;
            }
            // Who is young will not be for long.
            tokio::select! {
                () = self.0.freed.notified() => {}
                () = sleep(YOUNG / 4) => {}
            }
        }
    }

    fn enter(&self, peer: IpAddr, now: Instant) -> Option<ConnectionPermit> {
        let peer = counted(peer);
        let mut open = self.open();
        let reserved = !self.has_capacity(&mut open, peer, now);
        if reserved && open.reserved >= RESERVED {
            open.dismiss(now, |taken| taken.reserved)?;
        }
        let gives_way = Arc::new(Notify::new());
        let taken = Taken { peer, reserved, waits_since: Some(now), gives_way: gives_way.clone() };
        let id = open.add(taken);
        Some(ConnectionPermit { permits: self.clone(), id, gives_way })
    }

    /// Whether there is a permit that isn't reserved, where somebody gave way for it.
    fn has_capacity(&self, open: &mut Open, peer: Option<IpAddr>, now: Instant) -> bool {
        let of_peer = peer.and_then(|peer| open.peers.get(&peer)).copied().unwrap_or_default();
        if of_peer >= self.0.per_peer {
            return open.dismiss(now, |taken| !taken.reserved && taken.peer == peer).is_some();
        }
        open.regular < self.0.most || open.dismiss(now, |taken| !taken.reserved).is_some()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn add(&mut self, taken: Taken) -> u64 {
        self.count(&taken);
        self.last += 1;
        self.taken.insert(self.last, taken);
        self.last
    }

    fn count(&mut self, taken: &Taken) {
        if taken.reserved {
            self.reserved += 1;
            return;
        }
        self.regular += 1;
        if let Some(peer) = taken.peer {
            *self.peers.entry(peer).or_default() += 1;
        }
    }

    fn remove(&mut self, id: u64) -> Option<Taken> {
        let taken = self.taken.remove(&id)?;
        if taken.reserved {
            self.reserved -= 1;
            return Some(taken);
        }
        self.regular -= 1;
        if let Some(peer) = taken.peer
            && let Some(count) = self.peers.get_mut(&peer)
        {
            *count -= 1;
            if *count == 0 {
                self.peers.remove(&peer);
            }
        }
        Some(taken)
    }

    /// Has the one that keeps the host waiting for longest give way.
    fn dismiss(&mut self, now: Instant, of: impl Fn(&Taken) -> bool) -> Option<()> {
        let waiting = self.taken.iter().filter(|(_, taken)| of(taken));
        let since = waiting.filter_map(|(id, taken)| Some((taken.waits_since?, *id)));
        let (since, id) = since.min()?;
        if now.duration_since(since) < YOUNG {
            return None;
        }
        self.remove(id)?.gives_way.notify_one();
        Some(())
    }
}

impl ConnectionPermit {
    /// The host works for the client from here on.
    pub(super) fn works(&self) {
        self.set(None);
    }

    /// The host waits for the client from here on.
    pub(super) fn waits(&self) {
        self.set(Some(Instant::now()));
    }

    fn set(&self, waits_since: Option<Instant>) {
        if let Some(taken) = self.permits.open().taken.get_mut(&self.id) {
            taken.waits_since = waits_since;
        }
    }

    /// Ends when the permit is to be given back.
    pub(super) async fn given_up(&self) {
        self.gives_way.notified().await;
    }

    /// Whether it is one of those for health and the API.
    pub(super) fn is_reserved(&self) -> bool {
        self.permits.open().taken.get(&self.id).is_none_or(|taken| taken.reserved)
    }

    /// Waits a moment for a permit on which everything is served. Meanwhile this one may have to be given back.
    pub(super) async fn promoted(&self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        self.waits();
        loop {
            let now = Instant::now();
            if self.promote(now) {
                return true;
            }
            if now >= deadline {
                return false;
            }
            // Somebody leaves, or has kept the host waiting for long enough by then.
            let next = deadline.min(now + YOUNG / 2);
            drop(timeout_at(next, self.permits.0.freed.notified()).await);
        }
    }

    fn promote(&self, now: Instant) -> bool {
        let mut open = self.permits.open();
        let Some(taken) = open.taken.get(&self.id) else { return false };
        let (reserved, peer) = (taken.reserved, taken.peer);
        if !reserved {
            return true;
        }
        if !self.permits.has_capacity(&mut open, peer, now) {
            return false;
        }
        let Some(mut taken) = open.remove(self.id) else { return false };
        taken.reserved = false;
        taken.waits_since = None;
        open.count(&taken);
        open.taken.insert(self.id, taken);
        true
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.permits.open().remove(self.id);
        self.permits.0.freed.notify_waiters();
    }
}

/// What connections are counted by: the machine, and in IPv6 the network, in which a machine has as many
/// addresses as it likes. This machine isn't counted.
fn counted(peer: IpAddr) -> Option<IpAddr> {
    match peer.to_canonical() {
        own if own.is_loopback() => None,
        IpAddr::V4(v4) => Some(v4.into()),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Some(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn enter(permits: &Connections, from: &str) -> Option<ConnectionPermit> {
        permits.enter(peer(from), Instant::now())
    }

    async fn is_dismissed(permit: &ConnectionPermit) -> bool {
        timeout_at(Instant::now() + Duration::from_millis(1), permit.given_up()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_keeps_the_host_waiting_for_longest_gives_way() {
        let permits = Connections::new(3, 10);
        let [first, second, third] = [(); 3].map(|()| enter(&permits, "127.0.0.1").unwrap());
        sleep(YOUNG).await;
        first.works();
        sleep(YOUNG).await;
        second.waits();
        let fourth = enter(&permits, "127.0.0.1").unwrap();
        assert!(!fourth.is_reserved());
        assert!(is_dismissed(&third).await);
        assert!(!is_dismissed(&first).await && !is_dismissed(&second).await);
        drop(third);
        assert_eq!(permits.open().regular, 3, "a permit is given up once");
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_host_is_busy_with_all_permits_newcomers_get_the_reserve() {
        let permits = Connections::new(2, 10);
        let busy = [(); 2].map(|()| enter(&permits, "127.0.0.1").unwrap());
        busy.iter().for_each(ConnectionPermit::works);
        sleep(YOUNG).await;
        let mut reserve: Vec<_> =
            (0..RESERVED).map(|_| enter(&permits, "127.0.0.1").unwrap()).collect();
        assert!(reserve.iter().all(ConnectionPermit::is_reserved));
        assert!(enter(&permits, "127.0.0.1").is_none(), "nobody is dismissed so young");
        sleep(YOUNG).await;
        let newcomer = enter(&permits, "127.0.0.1").unwrap();
        assert!(is_dismissed(&reserve.remove(0)).await);

        let begun = Instant::now();
        assert!(!newcomer.promoted().await);
        assert!(begun.elapsed() >= PATIENCE && begun.elapsed() < PATIENCE * 2);
        let [one, other] = busy;
        let (promoted, ()) = tokio::join!(newcomer.promoted(), async {
            sleep(YOUNG).await;
            drop(one);
        });
        assert!(promoted && !newcomer.is_reserved());
        drop((other, newcomer, reserve));
        let open = permits.open();
        assert_eq!((open.regular, open.reserved, open.taken.len()), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn another_machine_has_no_more_than_its_share_and_this_one_isnt_counted() {
        let permits = Connections::new(100, 2);
        let own: Vec<_> = (0..10).map(|_| enter(&permits, "::ffff:127.0.0.1").unwrap()).collect();
        assert!(own.iter().all(|permit| !permit.is_reserved()));
        let first = enter(&permits, "2001:db8::1").unwrap();
        let second = enter(&permits, "2001:db8::2").unwrap();
        assert!(enter(&permits, "2001:db8::3").unwrap().is_reserved(), "it is the same network");
        assert!(!enter(&permits, "2001:db8:0:1::1").unwrap().is_reserved());
        sleep(YOUNG).await;
        second.works();
        let third = enter(&permits, "2001:db8::4").unwrap();
        assert!(!third.is_reserved() && is_dismissed(&first).await);
        assert!(!is_dismissed(&own[0]).await);
        drop((first, second, third, own));
        assert!(permits.open().peers.is_empty());
    }
}
