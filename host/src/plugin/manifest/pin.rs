//! A file that must be the one that was looked at: `sha256` in `[plugins.NAME]`.

use sha2::{Digest, Sha256};

/// The SHA-256 of a file's bytes, in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Checks a file against the sum that the operator noted, in hex of either case.
///
/// # Errors
/// [`PinError`].
pub fn verify_pin(bytes: &[u8], pin: &str) -> Result<(), PinError> {
    if pin.len() != 64 || !pin.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(PinError::NoSum);
    }
    let found = sha256(bytes);
    if found.eq_ignore_ascii_case(pin) {
        Ok(())
    } else {
        Err(PinError::Differs { pinned: pin.to_ascii_lowercase(), found })
    }
}

/// Why a file isn't the one that was pinned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// The pin is no sum.
    #[error("pin: `sha256` must be 64 hex digits, as `sidenote plugin inspect` prints them")]
    NoSum,
    /// The file is another one.
    #[error(
        "pin: `sha256` is {pinned} and the file's is {found}; put the file back that you looked at, or look at this one with `sidenote plugin inspect` and write its sum"
    )]
    Differs {
        /// What the operator noted.
        pinned: String,
        /// What the file has.
        found: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_only_with_its_own_sum() {
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(verify_pin(b"abc", sum), Ok(()));
        assert_eq!(verify_pin(b"abc", &sum.to_uppercase()), Ok(()));
        let error = verify_pin(b"abd", sum).unwrap_err();
        assert!(matches!(&error, PinError::Differs { pinned, .. } if pinned == sum), "{error}");
        for pin in ["", "abc", &sum[1..], &format!("{}g", &sum[1..]), &format!("{sum} ")] {
            assert_eq!(verify_pin(b"abc", pin), Err(PinError::NoSum), "{pin}");
        }
    }
}
