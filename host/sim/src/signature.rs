//! The generic webhook's signature: `sha256=` and the hex HMAC-SHA256 of `"{ts}.{raw body}"`.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Header with the seconds since the epoch at which the request was signed.
pub(super) const TIMESTAMP: &str = "x-sidenote-timestamp";
/// Header with the signature.
pub(super) const SIGNATURE: &str = "x-sidenote-signature";
/// Header with the key that is the same for every attempt.
pub(super) const DELIVERY: &str = "x-sidenote-delivery";

/// The value of [`SIGNATURE`].
pub(super) fn sign(secret: &str, timestamp: &str, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(mac(secret, timestamp, body).finalize().into_bytes()))
}

/// Whether `signature` is what [`sign`] gives; compared in constant time.
pub(super) fn verify(secret: &str, timestamp: &str, body: &[u8], signature: &str) -> bool {
    signature
        .strip_prefix("sha256=")
        .and_then(|digits| hex::decode(digits).ok())
        .is_some_and(|claimed| mac(secret, timestamp, body).verify_slice(&claimed).is_ok())
}

fn mac(secret: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_matches_a_known_vector() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac key
        let expected = "sha256=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae";
        assert_eq!(sign("key", "1700000000", b"{}"), expected);
    }

    #[test]
    fn any_change_breaks_the_signature() {
        let signature = sign("key", "1", b"body");
        assert!(verify("key", "1", b"body", &signature));
        assert!(!verify("other", "1", b"body", &signature));
        assert!(!verify("key", "2", b"body", &signature));
        assert!(!verify("key", "1", b"bodz", &signature));
        assert!(!verify("key", "1", b"body", signature.trim_start_matches("sha256=")));
        assert!(!verify("key", "1", b"body", "sha256=zz"));
        assert!(!verify("key", "1", b"body", &signature[..signature.len() - 2]));
    }
}
