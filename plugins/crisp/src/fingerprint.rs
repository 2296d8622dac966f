//! Ids of messages, which Crisp lets us choose: derived from the idempotency key, so that every attempt at
//! a note comes to the same ones.
//!
//! A note that is too long for a message has several. The last one, which is posted last, has the
//! fingerprint of the key itself, so that a note is whole where that one is there; the ones before it have
//! the numbers that follow.

use sidenote_plugin::{Failure, Sent};

/// What sets the fingerprints of what the person sees apart from those of notes, and from Crisp's own, which have at
/// most 15 digits: they are told from an operator's messages by it.
const VISIBLE: u64 = 1 << 52;

/// The fingerprint of what this plugin said to the person under a key: an offer, or an answer.
pub(crate) fn visible(key: &str) -> u64 {
    VISIBLE | hash(key)
}

/// Whether a fingerprint is of something that this plugin said to a person.
pub(crate) fn is_visible_of_ours(fingerprint: u64) -> bool {
    fingerprint & !((1 << 48) - 1) == VISIBLE
}

/// The ids of a note's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprints {
    /// The one of the last message.
    pub(crate) last: u64,
    /// How many there are.
    pub(crate) count: u64,
}

impl Fingerprints {
    /// The ids of a note with this key and so many messages.
    pub(crate) fn of(key: &str, count: usize) -> Self {
        Self { last: hash(key), count: u64::try_from(count).unwrap_or(u64::MAX).max(1) }
    }

    /// Reads a note's id: `FINGERPRINT` or `FINGERPRINT:COUNT`.
    pub(crate) fn read(note: &str) -> Result<Self, Failure> {
        let (last, count) = note.split_once(':').unwrap_or((note, "1"));
        match (last.parse::<u64>(), count.parse::<u64>()) {
            (Ok(last), Ok(count @ 1..1000)) if last < 1 << 53 => Ok(Self { last, count }),
            _ => {
                let message = "a note of Crisp is a fingerprint, a number";
                Err(Failure::invalid("note", message).with_sent(Sent::NotSent))
            }
        }
    }

    /// The note's id.
    pub(crate) fn note_id(self) -> String {
        match self.count {
            1 => self.last.to_string(),
            count => format!("{}:{count}", self.last),
        }
    }

    /// The fingerprints, in the order in which they are posted.
    pub(crate) fn all(self) -> impl Iterator<Item = u64> {
        (1..self.count).chain([0]).map(move |offset| self.last + offset)
    }
}

/// A number of 48 bits: JavaScript holds those exactly. It is FNV-1a, its halves folded into one; among a
/// thousand notes of a conversation two share one with a chance of one to half a billion.
fn hash(key: &str) -> u64 {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    ((hash >> 48) ^ (hash & 0xffff_ffff_ffff)).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_key_has_one_number_and_others_have_others() {
        // FNV-1a of "key-1" is 0x71135af295f27ea6.
        assert_eq!(hash("key-1"), 0x5af2_95f2_7ea6 ^ 0x7113);
        let keys = (0..100_000).map(|n| hash(&format!("01890a5d-ac96-774b-bcce-{n:012}")));
        let numbers: HashSet<u64> = keys.collect();
        assert_eq!(numbers.len(), 100_000);
        assert!(numbers.iter().all(|number| (1..1 << 48).contains(number)));
    }

    #[test]
    fn what_the_person_sees_is_told_from_notes_and_from_operators_messages() {
        let ours = visible("key-1");
        assert!(is_visible_of_ours(ours) && ours < 1 << 53 && ours != hash("key-1"));
        for other in [0, hash("key-1"), 150_698_569_649_423, 999_999_999_999_999, 1 << 53, u64::MAX]
        {
            assert!(!is_visible_of_ours(other), "{other}");
        }
        assert_eq!(Fingerprints::read(&ours.to_string()).map(|it| it.last), Ok(ours));
    }

    #[test]
    fn a_notes_id_is_read_as_it_was_written() {
        for (count, parts) in [(0, 1), (1, 1), (2, 2), (5, 5)] {
            let note = Fingerprints::of("key-1", count);
            assert_eq!(Fingerprints::read(&note.note_id()), Ok(note));
            assert_eq!(note.all().count(), parts);
            assert_eq!(note.all().last(), Some(hash("key-1")));
        }
        for wrong in
            ["", "x", "1:", ":1", "1:x", "-1", "1:2:3", "1:0", "1:1000", "9007199254740992"]
        {
            assert_eq!(Fingerprints::read(wrong).unwrap_err().sent, Sent::NotSent, "{wrong}");
        }
    }
}
