//! Whether the hosts of the configuration can be reached.

use crate::doctor::facts::{Facts, HostFacts, Way};
use crate::doctor::finding::Finding;

/// Days before a certificate ends in which somebody should see to it.
const SOON: u64 = 14;

/// Judges the way to each host.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    facts.hosts.iter().map(|host| one(host, facts.offline)).collect()
}

fn one(host: &HostFacts, offline: bool) -> Finding {
    let name = host.name.clone();
    match &host.way {
        Way::NotTried if offline => Finding::not_checked(name, "--offline"),
        Way::NotTried => Finding::not_checked(name, "it couldn't be tried"),
        Way::NoName(cause) => Finding::error(
            name,
            format!("its name can't be resolved: {cause}"),
            "check the name, and this machine's DNS",
        ),
        Way::NoConnection(cause) => Finding::error(
            name,
            format!("no connection: {cause}"),
            "check host, port and the firewall; no proxy of the environment is used",
        ),
        Way::NoTls(cause) => Finding::error(
            name,
            format!("no TLS: {cause}"),
            "renew its certificate, or have this machine trust who issued it",
        ),
        Way::Plain => Finding::ok(name, "a connection is made, without TLS"),
        Way::Tls { days } if *days < SOON => Finding::warning(
            name,
            format!("its certificate ends within {} days", days + 1),
            "have its owner renew it",
        ),
        Way::Tls { .. } => Finding::ok(name, "a connection is made, its certificate is valid"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Mark;

    #[test]
    fn each_way_that_ends_early_has_its_treatment() {
        let of = |way| one(&HostFacts { name: "h".into(), way, ..HostFacts::default() }, false);
        assert_eq!(of(Way::Tls { days: 30 }).result, Mark::Ok);
        assert_eq!(of(Way::Tls { days: 13 }).result, Mark::Warning);
        assert_eq!(of(Way::Plain).result, Mark::Ok);
        for way in [Way::NoName("x".into()), Way::NoConnection("x".into()), Way::NoTls("x".into())]
        {
            let found = of(way);
            assert!(found.result == Mark::Error && !found.next.is_empty(), "{found:?}");
        }
        assert_eq!(of(Way::NotTried).result, Mark::NotChecked);
    }
}
