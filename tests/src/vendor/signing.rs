//! Signatures as vendors make them, by other code than the host's.

use base64::Engine as _;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};

/// Hex HMAC-SHA1 of the parts one after another.
pub fn hex_sha1(secret: &str, parts: &[&[u8]]) -> String {
    hex::encode(mac::<Hmac<sha1::Sha1>>(secret, parts))
}

/// Hex HMAC-SHA256 of the parts one after another.
pub fn hex_sha256(secret: &str, parts: &[&[u8]]) -> String {
    hex::encode(mac::<Hmac<sha2::Sha256>>(secret, parts))
}

/// Base64 HMAC-SHA256 of the parts one after another.
pub fn base64_sha256(secret: &str, parts: &[&[u8]]) -> String {
    base64::engine::general_purpose::STANDARD.encode(mac::<Hmac<sha2::Sha256>>(secret, parts))
}

fn mac<M: Mac + KeyInit>(secret: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut mac =
        <M as Mac>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}
