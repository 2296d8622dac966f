//! Ids of quick replies: Intercom wants a UUID, and tells it when the reply is clicked. The host's ids, `o` and 20 hex
//! digits, stand in it, so that the click leads back to the id with nothing remembered.

use crate::marker;

/// Hex digits of an id of the host's.
const DIGITS: usize = 20;

/// The UUID of a quick reply: version 8 of RFC 9562, whose bits are the maker's own. An id of another form is in it as
/// a digest, and doesn't come back.
pub(crate) fn of(id: &str) -> String {
    let digits = match digits(id) {
        Some(digits) => digits.to_owned(),
        None => {
            let text = format!("{:016x}{:016x}", marker::digest(1, id), marker::digest(2, id));
            text[..DIGITS].to_owned()
        }
    };
    let check = match self::digits(id) {
        Some(digits) => check(digits),
        None => !check(&digits) & CHECK,
    };
    format!(
        "{}-{}-8{}-8{}-{}{check:010x}",
        &digits[..8],
        &digits[8..12],
        &digits[12..15],
        &digits[15..18],
        &digits[18..]
    )
}

/// The host's id in a UUID of ours.
pub(crate) fn id(uuid: &str) -> Option<String> {
    let groups: Vec<_> = uuid.split('-').collect();
    let [one, two, three, four, five] = *groups else { return None };
    let (three, four) = (three.strip_prefix('8')?, four.strip_prefix('8')?);
    let (last, said) = (five.get(..2)?, five.get(2..)?);
    let id = format!("o{one}{two}{three}{four}{last}");
    let fits = format!("{:010x}", check(digits(&id)?)) == said;
    fits.then_some(id)
}

/// The bits of a check.
const CHECK: u64 = (1 << 40) - 1;

fn check(digits: &str) -> u64 {
    marker::digest(3, digits) & CHECK
}

fn digits(id: &str) -> Option<&str> {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    id.strip_prefix('o').filter(|digits| digits.len() == DIGITS && digits.bytes().all(hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_uuid(text: &str) -> bool {
        let lengths: Vec<_> = text.split('-').map(str::len).collect();
        let hex = |byte: u8| byte == b'-' || byte.is_ascii_hexdigit();
        lengths == [8, 4, 4, 4, 12] && text.bytes().all(hex) && &text[14..15] == "8"
    }

    #[test]
    fn an_id_of_the_hosts_comes_back_from_its_uuid() {
        for n in 0..1000_u64 {
            let id = format!("o{:020x}", u128::from(n) * 0x0012_3456_789a_bcde_f013);
            let uuid = of(&id);
            assert!(is_uuid(&uuid), "{uuid}");
            assert_eq!(super::id(&uuid), Some(id));
        }
    }

    #[test]
    fn other_ids_have_uuids_too_and_lead_nowhere() {
        let others = ["yes", "no", "", "o123", "O0000000000000000000a", &"x".repeat(256)];
        for other in others {
            assert!(is_uuid(&of(other)), "{other}");
            assert_eq!(id(&of(other)), None, "{other}");
        }
        assert_ne!(of("yes"), of("no"));
        let genuine = of("o0123456789abcdef0123");
        let last = if genuine.ends_with('0') { "1" } else { "0" };
        let changed = format!("{}{last}", &genuine[..genuine.len() - 1]);
        for foreign in [
            "",
            "123e4567-e89b-12d3-a456-426614174000",
            "a-b-8c-8d-e",
            "-----",
            "ü-ü-8ü-8ü-üüü",
            &changed,
        ] {
            assert_eq!(id(foreign), None, "{foreign}");
        }
    }
}
