//! Marks in descriptions by which an action is known again when it arrives.

use std::fmt;

use sidenote::clock::Timestamp;

/// Names the n-th action of a session: `a-SESSION-N`, or `a-SESSION-N@MICROS` with the time at which
/// it was emitted. The session's name has no white space in it.
///
/// ```
/// use sidenote_sim::Marker;
/// let marker = Marker { session: "s1", n: 7, emitted: None };
/// assert_eq!(marker.to_string(), "a-s1-7");
/// assert_eq!(Marker::find_all("[1] a-s1-7 clicks").collect::<Vec<_>>(), [marker]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker<'a> {
    /// The session.
    pub session: &'a str,
    /// The action's number within the session, from 0.
    pub n: u64,
    /// When it was emitted, where the marker says so.
    pub emitted: Option<Timestamp>,
}

impl<'a> Marker<'a> {
    /// The markers in a text, in its order: words of their own, nothing else.
    pub fn find_all(text: &'a str) -> impl Iterator<Item = Self> {
        text.split_ascii_whitespace().filter_map(Self::parse)
    }

    /// The marker that `word` is, if it is one.
    pub fn parse(word: &'a str) -> Option<Self> {
        let rest = word.strip_prefix("a-")?;
        let (rest, emitted) = match rest.split_once('@') {
            Some((rest, micros)) => (rest, Some(Timestamp(micros.parse().ok()?))),
            None => (rest, None),
        };
        let (session, n) = rest.rsplit_once('-')?;
        Some(Self { session, n: n.parse().ok()?, emitted })
    }
}

impl fmt::Display for Marker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a-{}-{}", self.session, self.n)?;
        match self.emitted {
            Some(at) => write!(f, "@{}", at.0),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_again_as_it_was_written() {
        for emitted in [None, Some(Timestamp(1_700_000_000_123_456))] {
            let marker = Marker { session: "shop-s-12", n: 42, emitted };
            assert_eq!(Marker::parse(&marker.to_string()), Some(marker));
        }
    }

    #[test]
    fn other_words_are_no_markers() {
        let text = "session_id: s-1\n\n[1] a-s-0 a-priori a- a--1x a-s-1@soon\n[2] xa-s-3 a-s-2.";
        assert_eq!(Marker::find_all(text).map(|m| m.n).collect::<Vec<_>>(), [0]);
    }
}
