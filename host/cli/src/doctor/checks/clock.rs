//! Whether this machine's clock goes by those that it talks to.

use sidenote::see::See;

use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;

/// Signatures with a time are refused beyond minutes; notes show the times of two clocks.
const ODD: f64 = 5.0;
const WRONG: f64 = 60.0;

/// Holds our clock against the streams' hosts and the store's server.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let hosts = facts.hosts.iter().filter(|host| host.is_stream);
    let hosts = hosts.filter_map(|host| Some((host.name.clone(), host.ahead?)));
    let redis = facts.redis.iter().flatten().filter_map(|it| it.ahead);
    let others = hosts.chain(redis.map(|ahead| ("the Redis server".to_owned(), ahead)));
    let judged: Vec<_> = others.map(|(name, ahead)| one(name, ahead)).collect();
    match judged.is_empty() {
        true => vec![Finding::not_checked("", "no host that is asked says what time it is")],
        false => judged,
    }
}

fn one(name: String, ahead: f64) -> Finding {
    let which = if ahead > 0.0 { "ahead of" } else { "behind" };
    let found = format!("its clock is {:.0} s {which} ours", ahead.abs());
    let next = format!(
        "set this machine's clock, best by NTP; if it is right, the other is wrong {}",
        See::ClockOff
    );
    match ahead.abs() {
        off if off > WRONG => Finding::error(name, found, next),
        off if off > ODD => Finding::warning(name, found, next),
        _ => Finding::ok(name, "within 5 s of ours"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::HostFacts;
    use crate::doctor::finding::Mark;

    #[test]
    fn five_seconds_are_odd_and_sixty_are_wrong() {
        let of = |ahead| {
            let host = HostFacts { is_stream: true, ahead, ..HostFacts::default() };
            judge(&Facts { hosts: vec![host], ..Facts::default() })[0].result
        };
        let marks = [Some(0.9), Some(-4.0), Some(6.0), Some(-59.0), Some(61.0), None].map(of);
        use Mark::{Error, NotChecked, Ok, Warning};
        assert_eq!(marks, [Ok, Ok, Warning, Warning, Error, NotChecked]);
    }
}
