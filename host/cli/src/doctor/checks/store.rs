//! Whether what was accepted is safe.

use sidenote::config::Store;

use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;

/// Judges the store by its kind.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let Some(config) = &facts.config else { return Vec::new() };
    match &config.store {
        Store::Memory if !config.server.listen.ip().is_loopback() => vec![Finding::error(
            "memory",
            "it is lost when the process ends, and the listener is open to others",
            "set `kind = \"embedded\"` in [store]",
        )],
        Store::Memory => vec![Finding::warning(
            "memory",
            "it is lost when the process ends",
            "set `kind = \"embedded\"` in [store] where that is more than a trial",
        )],
        Store::Embedded { path, .. } => match path.exists() {
            true => vec![Finding::ok(path.display().to_string(), "the file is there")],
            false => vec![Finding::ok(path.display().to_string(), "it is made at the first start")],
        },
        Store::Redis(_) => match &facts.redis {
            None => vec![Finding::not_checked("redis", "--offline")],
            Some(Err(cause)) => vec![Finding::error("redis", cause, "see the book, \"Redis\"")],
            Some(Ok(redis)) if redis.warnings.is_empty() => {
                vec![Finding::ok("redis", "it answers, and keeps what it is given")]
            }
            Some(Ok(redis)) => {
                let next =
                    "set it in the server's configuration; the book has them under \"Redis\"";
                redis.warnings.iter().map(|it| Finding::warning("redis", it, next)).collect()
            }
        },
    }
}

/// Whether there is space where something grows.
pub(super) fn disks(facts: &Facts) -> Vec<Finding> {
    let judged = facts.disks.iter().map(|disk| {
        let subject = format!("{} {}", disk.what, disk.path.display());
        match disk.free {
            None => Finding::not_checked(subject, "its free space can't be told"),
            Some(free) if free < disk.wanted => Finding::error(
                subject,
                format!("{} MiB are free, and {} are needed", free >> 20, disk.wanted >> 20),
                "free some: a full disk stops the host from accepting anything",
            ),
            Some(free) if free < disk.wanted * 4 => Finding::warning(
                subject,
                format!("{} MiB are free", free >> 20),
                "free some before it is full",
            ),
            Some(free) => Finding::ok(subject, format!("{} MiB are free", free >> 20)),
        }
    });
    judged.collect()
}

/// Whether what rests on a session is kept no longer than the session.
pub(super) fn retention(facts: &Facts) -> Vec<Finding> {
    let Some(config) = &facts.config else { return Vec::new() };
    let (sessions, mut found) = (config.retention.sessions, Vec::new());
    if let Some(keep) = config.context.as_ref().map(|context| context.history.keep)
        && sessions < keep
    {
        found.push(Finding::warning(
            "retention.sessions",
            format!("{} h are shorter than `context.keep`, {} h", hours(sessions), hours(keep)),
            "raise it, or lower `keep` in [context]: what is kept goes with its session",
        ));
    }
    if let Store::Redis(redis) = &config.store
        && redis.sdk_sessions
        && redis.session_ttl < sessions
    {
        found.push(Finding::warning(
            "store.session_ttl",
            format!(
                "{} h are shorter than `retention.sessions`, {} h",
                hours(redis.session_ttl),
                hours(sessions)
            ),
            "raise it: applications of the SDK lose sessions that the host still knows",
        ));
    }
    if found.is_empty() {
        found.push(Finding::ok("", format!("sessions are kept for {} h", hours(sessions))));
    }
    found
}

fn hours(time: std::time::Duration) -> u64 {
    time.as_secs() / 3600
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::checks::tests::config;
    use crate::doctor::facts::{Disk, RedisFacts};
    use crate::doctor::finding::Mark;

    #[test]
    fn what_is_kept_in_memory_is_told_and_worse_where_others_rely_on_it() {
        let of = |listen: &str| {
            let text = format!(
                "[server]\nlisten = \"{listen}\"\ntoken = {{ env = \"T\" }}\n[store]\nkind = \"memory\"\n"
            );
            judge(&Facts { config: Some(config(&text)), ..Facts::default() })[0].result
        };
        assert_eq!(of("127.0.0.1:1"), Mark::Warning);
        assert_eq!(of("0.0.0.0:1"), Mark::Error);
    }

    #[test]
    fn a_server_is_judged_by_what_it_says() {
        let text = "[store]\nkind = \"redis\"\nurl = \"redis://127.0.0.1\"\n";
        let of = |redis| judge(&Facts { config: Some(config(text)), redis, ..Facts::default() });
        assert_eq!(of(None)[0].result, Mark::NotChecked);
        assert_eq!(of(Some(Err("away".into())))[0].result, Mark::Error);
        assert_eq!(of(Some(Ok(RedisFacts::default())))[0].result, Mark::Ok);
        let warnings = vec!["appendonly is no".to_owned()];
        assert_eq!(of(Some(Ok(RedisFacts { warnings, ahead: None })))[0].result, Mark::Warning);
    }

    #[test]
    fn space_is_an_error_when_it_is_gone_and_a_warning_before() {
        let of = |free| {
            let disk = Disk { what: "store", path: "/s".into(), free, wanted: 100 << 20 };
            disks(&Facts { disks: vec![disk], ..Facts::default() })[0].result
        };
        assert_eq!([of(Some(99 << 20)), of(Some(399 << 20))], [Mark::Error, Mark::Warning]);
        assert_eq!([of(Some(400 << 20)), of(None)], [Mark::Ok, Mark::NotChecked]);
    }

    #[test]
    fn what_outlives_its_session_is_told() {
        let of = |text: &str| retention(&Facts { config: Some(config(text)), ..Facts::default() });
        assert_eq!(of("")[0].result, Mark::Ok);
        let short =
            "[store]\nkind = \"redis\"\nurl = \"redis://127.0.0.1\"\nsession_ttl = \"1h\"\n";
        assert_eq!(
            (of(short)[0].result, of(short)[0].subject.as_str()),
            (Mark::Warning, "store.session_ttl")
        );
    }
}
