//! The scheme of both ways: hex HMAC-SHA256 of `{timestamp}.{raw body}`, the timestamp in seconds.

use std::time::{SystemTime, UNIX_EPOCH};

use sidenote_plugin::crypto::{self, Encoding, Hash};

/// Header of the timestamp.
pub(crate) const TIMESTAMP: &str = "x-sidenote-timestamp";
/// Header of the signature, `sha256=` and hex.
pub(crate) const SIGNATURE: &str = "x-sidenote-signature";
/// How far a timestamp may be from the host's clock, in seconds, either way.
pub(crate) const WINDOW: u64 = 300;

/// Seconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a guest has no clock but the system's")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The signature's value. The error says that the secret is missing.
pub(crate) fn sign(secret: &str, timestamp: &str, body: &[u8]) -> Result<String, String> {
    let hex = crypto::hmac_sign(secret, Hash::Sha256, Encoding::Hex, &signed(timestamp, body))?;
    Ok(format!("sha256={hex}"))
}

/// Whether a signature's value fits. The error says that the secret is missing.
pub(crate) fn verify(
    secret: &str,
    timestamp: &str,
    body: &[u8],
    value: &str,
) -> Result<bool, String> {
    let Some(hex) = value.strip_prefix("sha256=") else {
        return Ok(false);
    };
    crypto::hmac_verify(secret, Hash::Sha256, Encoding::Hex, &signed(timestamp, body), hex)
}

fn signed(timestamp: &str, body: &[u8]) -> Vec<u8> {
    [timestamp.as_bytes(), b".", body].concat()
}
