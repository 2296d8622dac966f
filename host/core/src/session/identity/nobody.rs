//! Values that name nobody.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::{Identity, anonymous};
use crate::session::payload::ActionsPayload;

/// What programs write for a person, a session or a conversation of which they know nothing: the ids that
/// PostHog, Amplitude and Mixpanel never take for a person, and what else stands for "none" in languages,
/// databases and templates. In small letters: none of them is somebody's name in capitals.
const NOBODY: [&str; 53] = [
    // PostHog's.
    "anonymous",
    "guest",
    "distinctid",
    "distinct_id",
    "id",
    "not_authenticated",
    "email",
    "undefined",
    "true",
    "false",
    "[object object]",
    "nan",
    "none",
    "null",
    "0",
    "$posthog_cookieless",
    // Amplitude's and Mixpanel's.
    "-1",
    "00000000-0000-0000-0000-000000000000",
    "<nil>",
    "[]",
    "{}",
    "anon",
    "lmy47d",
    "n/a",
    "na",
    "nil",
    "unknown",
    // Others' words for the same.
    "anonymous_id",
    "anonymoususer",
    "anonymous user",
    "guest user",
    "guest_user",
    "user_id",
    "userid",
    "session_id",
    "sessionid",
    "conversation_id",
    "not authenticated",
    "not_set",
    "not set",
    "(not set)",
    "(null)",
    "<null>",
    "(none)",
    "<none>",
    "dbnull",
    "nobody",
    "unset",
    "empty",
    "0.0",
    "infinity",
    "-",
    "--",
];

/// What stands before the @ of an address that is nobody's, whatever stands behind it.
const NO_MAILBOX: [&str; 15] = [
    "undefined",
    "null",
    "nan",
    "nil",
    "[object object]",
    "noemail",
    "no-email",
    "no_email",
    "no.email",
    "nomail",
    "noreply",
    "no-reply",
    "no_reply",
    "donotreply",
    "do-not-reply",
];

/// What a template leaves where nothing was filled in.
const TEMPLATES: [(&str, &str); 4] = [("{{", "}}"), ("${", "}"), ("<%", "%>"), ("%{", "}")];

/// The values that are known to name nobody.
static KNOWN: LazyLock<HashSet<&'static str>> = LazyLock::new(|| NOBODY.into_iter().collect());

/// Which values name somebody (`[identity]`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Further values that name nobody, folded.
    nobody: HashSet<String>,
    /// Values that name somebody although they are on the list, folded.
    somebody: HashSet<String>,
    /// Whether the product's own user ids are UUIDs, so that none of these is an analytics tool's.
    uuids_are_people: bool,
}

impl Names {
    /// The list with further values, and without others.
    #[must_use]
    pub fn with_list<'a>(
        mut self,
        nobody: impl IntoIterator<Item = &'a str>,
        somebody: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.nobody.extend(nobody.into_iter().map(fold));
        self.somebody.extend(somebody.into_iter().map(fold));
        self
    }

    /// Takes UUIDs for people's ids.
    #[must_use]
    pub fn with_uuids_of_people(mut self, are_people: bool) -> Self {
        self.uuids_are_people = are_people;
        self
    }

    /// Whether an id names somebody, be it a person, a session or a conversation.
    pub fn names_somebody(&self, id: &str) -> bool {
        let id = fold(id);
        let is_template =
            || TEMPLATES.iter().any(|(begin, end)| id.starts_with(begin) && id.ends_with(end));
        if id.is_empty() || self.nobody.contains(&id) {
            return false;
        }
        self.somebody.contains(&id) || !(KNOWN.contains(&*id) || is_template())
    }

    /// Whether an address is somebody's.
    pub fn is_somebodys_address(&self, address: &str) -> bool {
        let address = fold(address);
        if !self.names_somebody(&address) {
            return false;
        }
        if self.somebody.contains(&address) {
            return true;
        }
        let Some((mailbox, domain)) = address.rsplit_once('@') else { return false };
        let label = domain.split('.').next().unwrap_or_default();
        let says_nothing = |part: &str| !self.names_somebody(part);
        let is_nobodys = domain.is_empty()
            || mailbox.is_empty()
            || NO_MAILBOX.contains(&mailbox)
            || says_nothing(domain)
            || says_nothing(mailbox) && (says_nothing(label) || NO_MAILBOX.contains(&label));
        !is_nobodys
    }

    /// Whether an id was made by an analytics tool for a browser: it says nothing against another name.
    pub fn is_anonymous(&self, id: &str) -> bool {
        !self.uuids_are_people && anonymous::is_made(id)
    }

    /// Takes out of a batch what names nobody. Returns how many of its values did.
    pub fn clean_batch(&self, batch: &mut ActionsPayload) -> u64 {
        let mut cleaned = self.clean(&mut batch.user_id, &mut batch.email);
        for action in &mut batch.actions {
            cleaned += self.clean(&mut action.user_id, &mut action.email);
        }
        cleaned
    }

    /// Takes out of a person's names what names nobody. Returns how many of them did.
    pub fn clean_identity(&self, who: &mut Identity) -> u64 {
        let cleaned = self.clean(&mut who.user_id, &mut who.email);
        if who.user_id.is_none() {
            who.told_by = None;
        }
        cleaned
    }

    /// Takes out of a user id and an address what names nobody. Returns how many of them did; an empty one
    /// is none, and doesn't count.
    pub fn clean(&self, user_id: &mut Option<String>, email: &mut Option<String>) -> u64 {
        let by_id = drop_unless(user_id, |id| self.names_somebody(id));
        let by_address = drop_unless(email, |address| self.is_somebodys_address(address));
        u64::from(by_id) + u64::from(by_address)
    }

    /// As [`Names::clean`], of a session's or a conversation's id.
    pub fn clean_id(&self, id: &mut Option<String>) -> u64 {
        u64::from(drop_unless(id, |id| self.names_somebody(id)))
    }
}

fn drop_unless(name: &mut Option<String>, is_good: impl Fn(&str) -> bool) -> bool {
    match name.as_deref() {
        None => false,
        Some(text) if is_good(text) => false,
        Some(text) => {
            let says_something = !text.is_empty();
            *name = None;
            says_something
        }
    }
}

/// A value without what isn't seen, the blanks and quotes around it, and its capitals.
fn fold(value: &str) -> String {
    let mut folded: String = value.chars().filter(|c| !is_invisible(*c)).collect();
    loop {
        let bare = folded.trim_matches(|c: char| c.is_whitespace());
        let bare = unquoted(bare).unwrap_or(bare);
        if bare.len() == folded.len() {
            return folded.to_lowercase();
        }
        folded = bare.to_owned();
    }
}

fn unquoted(value: &str) -> Option<&str> {
    const QUOTES: [(&str, &str); 7] = [
        ("\\\"", "\\\""),
        ("\"", "\""),
        ("'", "'"),
        ("`", "`"),
        ("“", "”"),
        ("‘", "’"),
        ("«", "»"),
    ];
    QUOTES
        .iter()
        .find_map(|(begin, end)| value.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end)))
}

/// Characters that nothing is seen of and that aren't blanks: control and format characters, fillers,
/// variation selectors and tags.
fn is_invisible(c: char) -> bool {
    (c.is_control() && !c.is_whitespace())
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}
