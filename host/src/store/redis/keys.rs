//! What things are called on the server.

use std::fmt::Write as _;

use crate::ids::SessionId;
use crate::store::{Group, Table};

/// Where a layout puts rows.
pub(super) trait Places: Send + Sync {
    /// The groups of a table: a sorted set of [`member`]s, all scores 0.
    fn index(&self, table: Table) -> String;

    /// The rows of a group: a hash, number to value.
    fn rows(&self, table: Table, group: &Group) -> String;
}

/// The names of one namespace.
#[derive(Clone)]
pub(super) struct Keys {
    namespace: String,
}

impl Keys {
    pub(super) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned() }
    }

    /// Who writes.
    pub(super) fn lease(&self) -> String {
        format!("{}:lease", self.namespace)
    }

    /// The epoch and the number of the last commit.
    pub(super) fn fence(&self) -> String {
        format!("{}:fence", self.namespace)
    }
}

impl Places for Keys {
    fn index(&self, table: Table) -> String {
        format!("{}:index:{}", self.namespace, name(table))
    }

    fn rows(&self, table: Table, Group(first, second): &Group) -> String {
        let mut key = format!("{}:{{", self.namespace);
        escape(&mut key, first);
        key.push('|');
        escape(&mut key, second);
        key.push_str("}:");
        key.push_str(name(table));
        key
    }
}

/// autoplay-sdk's key of a session: its id, as it is.
pub(super) fn snapshot(session: &SessionId) -> String {
    format!("autoplay:session_state:{session}")
}

/// What a namespace must not begin with: autoplay-sdk's keys begin so.
pub(super) const SNAPSHOTS: &str = "autoplay:session_state";

/// What a table is called in keys.
pub(super) fn name(table: Table) -> &'static str {
    match table {
        Table::Session => "session",
        Table::Open => "open",
        Table::Outbox => "outbox",
        Table::Attempt => "attempt",
        Table::Dead => "dead",
        Table::Conversation => "conversation",
        Table::Person => "person",
        Table::Sent => "sent",
        Table::Account => "account",
        Table::Journal => "journal",
        Table::Redact => "redact",
        Table::SinkQueue => "parcel",
        Table::SinkAttempt => "parcel_attempt",
        Table::SinkDead => "parcel_dead",
        Table::Scrub => "scrub",
        Table::Kept => "kept",
        Table::History => "history",
        Table::Help => "help",
        Table::Talk => "talk",
        Table::OfferTimes => "offer_times",
        Table::Message => "message",
        Table::Key => "key",
        Table::Audit => "audit",
        Table::Ended => "ended",
        Table::Source => "source",
        Table::SourceSeen => "source_seen",
        Table::SourcePerson => "source_person",
        Table::PluginValue => "plugin_value",
        Table::Timer => "timer",
        Table::TimerQueue => "timer_queue",
        Table::TimerAttempt => "timer_attempt",
        Table::TimerDead => "timer_dead",
        Table::SessionValue => "session_value",
    }
}

/// Letters, digits and a few signs stay, so that a person can read the key; `|`, `%`, braces and all else
/// become `%` and two digits.
pub(super) fn escape(key: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@' | b':' | b'/') {
            key.push(char::from(byte));
        } else {
            write!(key, "%{byte:02X}").expect("a string takes everything");
        }
    }
}

/// A group as a member of an index: byte order is the order of groups. The first name ends with two zero
/// bytes; a zero byte in it is followed by 0xFF.
pub(super) fn member(Group(first, second): &Group) -> Vec<u8> {
    let mut member = Vec::with_capacity(first.len() + second.len() + 2);
    for byte in first.bytes() {
        member.push(byte);
        if byte == 0 {
            member.push(0xFF);
        }
    }
    member.extend([0, 0]);
    member.extend(second.bytes());
    member
}

/// The group of a member; `None` for what [`member`] never makes.
pub(super) fn group(member: &[u8]) -> Option<Group> {
    let mut first = Vec::new();
    let mut rest = member.iter().copied();
    loop {
        let byte = rest.next()?;
        if byte == 0 {
            match rest.next()? {
                0 => break,
                0xFF => {}
                _ => return None,
            }
        }
        first.push(byte);
    }
    let first = String::from_utf8(first).ok()?;
    let second = String::from_utf8(rest.collect()).ok()?;
    Some(Group(first.into(), second.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair(first: &str, second: &str) -> Group {
        Group(first.into(), second.into())
    }

    #[test]
    fn a_key_can_be_read_by_a_person() {
        let keys = Keys::new("sidenote");
        let key = keys.rows(Table::Outbox, &pair("acme", "s-1"));
        assert_eq!(key, "sidenote:{acme|s-1}:outbox");
        let key = keys.rows(Table::Open, &pair("a}|{", "日%"));
        assert_eq!(key, "sidenote:{a%7D%7C%7B|%E6%97%A5%25}:open");
    }

    #[test]
    fn groups_of_the_same_letters_never_meet() {
        let keys = Keys::new("ns");
        for (one, other) in [
            (pair("a", "bc"), pair("ab", "c")),
            (pair("a|b", "c"), pair("a", "b|c")),
            (pair("%7C", ""), pair("|", "")),
            (pair("", "a"), pair("a", "")),
        ] {
            assert_ne!(keys.rows(Table::Open, &one), keys.rows(Table::Open, &other));
            assert_ne!(member(&one), member(&other));
        }
    }

    #[test]
    fn d75_names_that_are_alike_when_glued_together_have_keys_of_their_own() {
        let keys = Keys::new("v1");
        let groups = [("intercom", "a:b"), ("intercom:a", "b"), ("intercom:a:b", "")];
        let groups = groups.map(|(surface, product)| pair(surface, product));
        for (n, one) in groups.iter().enumerate() {
            for other in &groups[..n] {
                assert_ne!(keys.rows(Table::Account, one), keys.rows(Table::Account, other));
                assert_ne!(member(one), member(other));
            }
        }
    }

    #[test]
    fn what_is_no_member_is_no_group() {
        for bytes in [&b""[..], b"a", b"a\0", b"a\0b", b"\xFF\0\0", b"a\0\0\xFF"] {
            assert_eq!(group(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn members_sort_as_groups_do(a in "[\0\u{1}a\u{ff}]{0,4}", b in "[\0\u{1}a\u{ff}]{0,4}", c in "[\0\u{1}a\u{ff}]{0,4}", d in "[\0\u{1}a\u{ff}]{0,4}") {
            let (one, other) = (pair(&a, &b), pair(&c, &d));
            prop_assert_eq!(member(&one).cmp(&member(&other)), one.cmp(&other));
            prop_assert_eq!(group(&member(&one)), Some(one));
        }

        #[test]
        fn all_rows_of_a_session_have_one_tag(a in any::<String>(), b in any::<String>()) {
            let keys = Keys::new("ns");
            let tag = |table| {
                let key = keys.rows(table, &pair(&a, &b));
                let (_, behind) = key.split_once('{').unwrap();
                let (tag, table) = behind.split_once('}').unwrap();
                assert!(!tag.is_empty() && !table.contains(['{', '}']));
                tag.to_owned()
            };
            let first = tag(Table::Session);
            prop_assert!(Table::ALL.into_iter().all(|table| tag(table) == first));
        }
    }
}
