//! Addresses for programs that must be told theirs before they listen.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// The kernel gives none of these to whoever asks for any port, a client included: between the look and the program's
/// start nobody has it by chance.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// How far apart programs of tests begin, which run side by side and have neighbouring process ids.
const STRIDE: u32 = 257;

/// An address of this machine at which nobody listens.
///
/// # Panics
/// When all are taken.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = std::process::id().wrapping_mul(STRIDE) % u32::from(COUNT);
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let place = (begin + step) % u32::from(COUNT);
        let address =
            SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + u16::try_from(place).unwrap_or(0)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port of this machine is free");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another_and_one_that_is_listened_at_is_left_out() {
        let first = free_address();
        let next = SocketAddr::from((first.ip(), first.port() + 1));
        let taken = TcpListener::bind(next);
        let second = free_address();
        assert!(taken.is_err() || second != next, "{second}");
        assert_ne!(first, second);
    }
}
