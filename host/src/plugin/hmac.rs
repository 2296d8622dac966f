//! HMAC for guests: they name the secret, the key stays here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;

use super::bindings::v0_1::sidenote::plugin::crypto::{Encoding, Hash};

/// The signature, encoded.
pub(super) fn sign(key: &[u8], hash: Hash, encoding: Encoding, data: &[u8]) -> String {
    let mac = match hash {
        Hash::Sha1 => keyed::<Hmac<Sha1>>(key, data).finalize().into_bytes().to_vec(),
        Hash::Sha256 => keyed::<Hmac<Sha256>>(key, data).finalize().into_bytes().to_vec(),
    };
    match encoding {
        Encoding::Hex => hex::encode(mac),
        Encoding::Base64 => STANDARD.encode(mac),
    }
}

/// Whether a signature fits, in constant time. One that can't be decoded, or is cut short, doesn't.
pub(super) fn verify(
    key: &[u8],
    hash: Hash,
    encoding: Encoding,
    data: &[u8],
    signature: &str,
) -> bool {
    let decoded = match encoding {
        Encoding::Hex => hex::decode(signature).ok(),
        Encoding::Base64 => STANDARD.decode(signature).ok(),
    };
    let Some(mac) = decoded else { return false };
    match hash {
        Hash::Sha1 => keyed::<Hmac<Sha1>>(key, data).verify_slice(&mac).is_ok(),
        Hash::Sha256 => keyed::<Hmac<Sha256>>(key, data).verify_slice(&mac).is_ok(),
    }
}

fn keyed<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> M {
    let mut mac = <M as Mac>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202 and RFC 4231, test case 2.
    const DATA: &[u8] = b"what do ya want for nothing?";
    const SHA1: &str = "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79";
    const SHA256: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    #[test]
    fn known_answers_hold() {
        assert_eq!(sign(b"Jefe", Hash::Sha1, Encoding::Hex, DATA), SHA1);
        assert_eq!(sign(b"Jefe", Hash::Sha256, Encoding::Hex, DATA), SHA256);
        // Zendesk's documented vector: its secret is used as it is written.
        let secret = b"dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==";
        let data = br#"2021-03-25T05:09:27Z{"event":"ticket.updated","id":123}"#;
        let signature = "S/RDdU2ERmj7LHDDoWJ2onPYH+t7/f2+LTM4dL7UiLM=";
        assert!(verify(secret, Hash::Sha256, Encoding::Base64, data, signature));
    }

    #[test]
    fn only_the_whole_signature_fits() {
        let fits = |signature: &str| verify(b"Jefe", Hash::Sha256, Encoding::Hex, DATA, signature);
        assert!(fits(SHA256));
        assert!(fits(&SHA256.to_uppercase()));
        for wrong in [
            "",
            "zz",
            &SHA256[..62],
            &SHA256[..63],
            SHA1,
            &format!("{SHA256}00"),
            &SHA256.replace('5', "6"),
        ] {
            assert!(!fits(wrong), "{wrong}");
        }
        assert!(!verify(b"jefe", Hash::Sha256, Encoding::Hex, DATA, SHA256));
        assert!(!verify(b"Jefe", Hash::Sha1, Encoding::Hex, DATA, SHA256));
    }
}
