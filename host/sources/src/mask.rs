//! Personal data and secrets in texts, masked before anything else sees them.
//!
//! A mask says what stood there (`[email]`, `[phone]`, `[card]`, `[iban]`, `[id]`, `[secret]`), and masking twice
//! changes nothing more.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use crate::address;
use crate::forms::{masked, may_hold_any, pattern, replace};

/// What stands for what a pattern of the operator matched.
const OWN: &str = "[masked]";

/// So often a text is gone through until nothing changes any more.
const PASSES: usize = 8;

/// Further patterns of the operator's, masked everywhere.
#[derive(Debug, Clone, Default)]
pub struct Masks {
    own: Vec<Regex>,
}

impl Masks {
    /// With the operator's patterns.
    pub(crate) fn new(own: Vec<Regex>) -> Self {
        Self { own }
    }

    /// A text without personal data and secrets.
    ///
    /// ```
    /// let masks = sidenote_sources::Masks::default();
    /// assert_eq!(masks.text("Invite mara.lind@example.test"), "Invite [email]");
    /// assert_eq!(masks.text("Rechnung löschen"), "Rechnung löschen");
    /// ```
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut masked = self.once(text);
        // What is left around a mask can have another form than before.
        for _ in 0..PASSES {
            let Cow::Owned(before) = &masked else { break };
            match self.once(before) {
                Cow::Owned(after) if after != *before => masked = Cow::Owned(after),
                Cow::Owned(_) | Cow::Borrowed(_) => break,
            }
        }
        masked
    }

    fn once<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for own in &self.own {
            replace(&mut text, own, |_| OWN.into());
        }
        if !may_hold_any(&text) {
            return text;
        }
        replace(&mut text, &URL, |found| address::bare(&found[0]).into());
        masked(text)
    }
}

static URL: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(?i)\b(?:https?|wss?)://(?:[^\s"'<>\[\]]|\[[a-z]+\])+"#));

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forms::is_sensitive_name;

    #[test]
    fn what_has_the_form_of_personal_data_or_of_a_secret_is_masked() {
        for (text, masked) in [
            ("Invite mara.lind@example.test", "Invite [email]"),
            ("Invite mara.lind%40example.test now", "Invite [email] now"),
            ("Invite mara%2540example.test", "Invite [email]"),
            ("an jörg@müller.example, bitte", "an [email], bitte"),
            ("Call +49 30 555 0100", "Call [phone]"),
            ("Call 030 555 0100", "Call [phone]"),
            ("Call (555) 010-0199", "Call [phone]"),
            ("Card 4242 4242 4242 4242", "Card [card]"),
            ("Pay to DE89 3704 0044 0532 0130 00", "Pay to [iban]"),
            ("API key: key_invented_7f3a", "API key: [secret]"),
            ("password=hunter2", "password=[secret]"),
            ("Bearer abc123", "Bearer [secret]"),
            ("x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln y", "x [secret] y"),
            ("sk_live_51H8xYzAbCdEf", "[secret]"),
            ("01a2268d-1164-7315-a6ec-2a28ab00dac8 opened", "[id] opened"),
            ("Copy 9f86d081884c7d659a2feaa0c55ad015", "Copy [secret]"),
            (
                "See https://a.example/x?invite_token=tok_invented_query_31c#frag",
                "See https://a.example/x",
            ),
            ("See https://a.example/u/mara%40example.test/x", "See https://a.example/u/[email]/x"),
        ] {
            assert_eq!(Masks::default().text(text), masked);
        }
    }

    #[test]
    fn what_people_read_stays() {
        for text in [
            "View invoice INV-2041",
            "Rechnung löschen",
            "Upgrade plan Save 20 %",
            "Due 2026-11-29 10:30",
            "Fällig am 01.02.2026 10:30",
            "12/24/2026",
            "Rename \"Q3; draft:v2\" to C:\\reports",
            "Order 10002",
            "EUR 1,290.50",
            "getting-started-with-version-2-of-the-api",
            "Password",
            "Token expired",
            "API key: none",
            "3.5 × 4",
            "日本語のボタン 12",
        ] {
            assert_eq!(Masks::default().text(text), text);
        }
    }

    #[test]
    fn names_of_fields_that_hold_secrets_are_known() {
        for name in [
            "password",
            "pw_password",
            "card_number",
            "cc-number",
            "csrf_token",
            "otp",
            "user_pin",
            "cvc",
        ] {
            assert!(is_sensitive_name(name), "{name}");
        }
        for name in
            ["full_name", "email", "cycle", "comment", "accept", "pinned", "passenger", "author"]
        {
            assert!(!is_sensitive_name(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn masking_twice_changes_nothing_more(
            text in r#"(?s)(.|[a-z]{1,9}@[a-z]{1,5}\.[a-z]{2}|\[[a-z]{2,6}\]|[0-9 +()/-]{1,22}|token[=: ]{1,2}|https?://[a-z.]{1,9}/|[A-Za-z0-9_%=-]{1,40}){0,12}"#
        ) {
            let masks = Masks::default();
            let once = masks.text(&text).into_owned();
            let twice = masks.text(&once).into_owned();
            prop_assert_eq!(once, twice);
        }
    }
}
