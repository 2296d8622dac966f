//! Typed failures: what went wrong, and what the host is to do about it.

use std::time::{Duration, SystemTime};

use crate::{Failure, FailureKind, Posted, Sent};

/// What a platform's limit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitScope {
    /// All that is sent with these credentials.
    Account,
    /// The one conversation.
    Conversation,
}

impl LimitScope {
    fn extra(self) -> (String, String) {
        let value = match self {
            Self::Account => "account",
            Self::Conversation => "conversation",
        };
        ("limit-scope".to_owned(), value.to_owned())
    }
}

/// What asking again can change about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// It passes by itself: the platform is away, busy, or says that it has had enough for the moment.
    Passing,
    /// The same question has the same answer until a person changes something.
    Final,
}

impl FailureKind {
    /// Whether it passes by itself. Refused credentials don't, although a note waits for them to be mended.
    pub fn outlook(self) -> Outlook {
        match self {
            Self::Transient | Self::RateLimited => Outlook::Passing,
            Self::Auth | Self::NotFound | Self::Invalid | Self::Permanent => Outlook::Final,
        }
    }
}

impl Posted {
    /// The platform took the note and said what it calls it.
    pub fn with_id(note_id: impl Into<String>) -> Self {
        Self { note_id: Some(note_id.into()), extras: Vec::new() }
    }

    /// The platform took the note and didn't say what it calls it.
    pub fn without_id() -> Self {
        Self { note_id: None, extras: Vec::new() }
    }

    /// Says that the platform takes nothing more for so long, and of what: for platforms that tell how
    /// much of a limit is left.
    pub fn with_pause(mut self, pause: Duration, scope: LimitScope) -> Self {
        self.extras.push(("pause-ms".to_owned(), millis(pause).to_string()));
        self.extras.push(scope.extra());
        self
    }
}

impl Failure {
    /// A failure whose outcome is unknown; say better with [`Failure::with_sent`] where you know.
    pub fn new(kind: FailureKind, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.into(),
            message: message.into(),
            retry_after_ms: None,
            sent: Sent::Unknown,
            extras: Vec::new(),
        }
    }

    /// The host tries again later.
    pub fn transient(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Transient, code, message)
    }

    /// The host waits and tries again; no attempt is used up.
    pub fn rate_limited(
        code: impl Into<String>,
        message: impl Into<String>,
        retry_after: Option<Duration>,
    ) -> Self {
        let failure = Self::new(FailureKind::RateLimited, code, message);
        match retry_after {
            Some(pause) => failure.with_retry_after(pause),
            None => failure,
        }
    }

    /// The credentials were refused: the host tells the operator.
    pub fn auth(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Auth, code, message)
    }

    /// The conversation isn't there: the host gives the note up.
    pub fn not_found(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureKind::NotFound, code, message)
    }

    /// The request or the configuration is wrong: the host gives the note up.
    pub fn invalid(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Invalid, code, message)
    }

    /// It will never succeed: the host gives the note up.
    pub fn permanent(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Permanent, code, message)
    }

    /// The plugin's configuration can't be used: nothing was sent.
    pub fn config(message: impl Into<String>) -> Self {
        Self::invalid("config", message).with_sent(Sent::NotSent)
    }

    /// Says whether the platform may have the note all the same.
    pub fn with_sent(mut self, sent: Sent) -> Self {
        self.sent = sent;
        self
    }

    /// Says how long to wait at least.
    pub fn with_retry_after(mut self, pause: Duration) -> Self {
        self.retry_after_ms = Some(millis(pause));
        self
    }

    /// Says what a rate limit is for. The host holds back all that the account sends where it isn't
    /// said.
    pub fn with_limit_scope(mut self, scope: LimitScope) -> Self {
        self.extras.push(scope.extra());
        self
    }

    /// What a status that isn't a success means, with `Retry-After` read from the headers, in seconds
    /// or as a date.
    ///
    /// | status | kind |
    /// |---|---|
    /// | 429 | rate-limited |
    /// | 401, 403 | auth |
    /// | 404, 410 | not-found |
    /// | 408, 5xx | transient |
    /// | other | invalid |
    ///
    /// ```
    /// use sidenote_plugin::{Failure, FailureKind};
    /// let failure = Failure::from_status(429, &[("retry-after".into(), "7".into())]);
    /// assert_eq!((failure.kind, failure.retry_after_ms), (FailureKind::RateLimited, Some(7000)));
    /// ```
    pub fn from_status(status: u16, headers: &[(String, String)]) -> Self {
        let kind = match status {
            429 => FailureKind::RateLimited,
            401 | 403 => FailureKind::Auth,
            404 | 410 => FailureKind::NotFound,
            408 | 500.. => FailureKind::Transient,
            _ => FailureKind::Invalid,
        };
        // A gateway answers 408 or 5xx for a request that the platform behind it may have accepted; 503
        // says that it was turned away.
        let sent = match status {
            503 => Sent::Sent,
            408 | 500.. => Sent::Unknown,
            _ => Sent::Sent,
        };
        let failure =
            Self::new(kind, status.to_string(), format!("the platform answered {status}"))
                .with_sent(sent);
        match crate::http::find_header(headers, "retry-after").and_then(retry_after) {
            Some(pause) => failure.with_retry_after(pause),
            None => failure,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The pause that a `Retry-After` value asks for; `None` where it says nothing usable.
fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    // Fractions occur in the wild; they are rounded up.
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if !whole.is_empty()
        && (whole.bytes().chain(fraction.bytes())).all(|byte| byte.is_ascii_digit())
    {
        let seconds: u64 = whole.parse().ok()?;
        let more = u64::from(fraction.bytes().any(|digit| digit != b'0'));
        return Some(Duration::from_secs(seconds.saturating_add(more)));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    #[expect(clippy::disallowed_methods, reason = "a guest has no clock but the system's")]
    let now = SystemTime::now();
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_map_to_kinds() {
        use FailureKind::*;
        let cases = [
            (429, RateLimited, Sent::Sent),
            (401, Auth, Sent::Sent),
            (403, Auth, Sent::Sent),
            (404, NotFound, Sent::Sent),
            (410, NotFound, Sent::Sent),
            (408, Transient, Sent::Unknown),
            (500, Transient, Sent::Unknown),
            (503, Transient, Sent::Sent),
            (504, Transient, Sent::Unknown),
            (301, Invalid, Sent::Sent),
            (400, Invalid, Sent::Sent),
            (422, Invalid, Sent::Sent),
        ];
        for (status, kind, sent) in cases {
            let failure = Failure::from_status(status, &[]);
            assert_eq!((failure.kind, failure.sent), (kind, sent), "{status}");
        }
    }

    #[test]
    fn what_passes_by_itself_is_told_from_what_stays() {
        use Outlook::*;
        for (statuses, outlook) in [
            (&[408, 429, 500, 502, 503, 504, 599][..], Passing),
            (&[301, 400, 401, 403, 404, 405, 409, 410, 422], Final),
        ] {
            for status in statuses {
                let kind = Failure::from_status(*status, &[]).kind;
                assert_eq!(kind.outlook(), outlook, "{status}");
            }
        }
    }

    #[test]
    fn limits_are_told_in_the_extras() {
        let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let posted =
            Posted::without_id().with_pause(Duration::from_millis(1500), LimitScope::Conversation);
        assert_eq!(
            posted.extras,
            [("pause-ms", "1500"), ("limit-scope", "conversation")].map(pair)
        );
        let failure = Failure::rate_limited("429", "", None).with_limit_scope(LimitScope::Account);
        assert_eq!(failure.extras, [("limit-scope", "account")].map(pair));
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_a_date() {
        assert_eq!(retry_after(" 30 "), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("0.5"), Some(Duration::from_secs(1)));
        assert_eq!(retry_after("7.0"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(".5"), None);
        assert_eq!(retry_after("99999999999999999999"), None);
        assert_eq!(retry_after("-1"), None);
        assert_eq!(retry_after("soon"), None);
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let far = retry_after("Fri, 31 Dec 2100 23:59:59 GMT").unwrap();
        assert!(far > Duration::from_secs(86_400 * 365));
    }
}
