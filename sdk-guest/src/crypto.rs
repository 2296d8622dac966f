//! Signatures by the name of a secret: the plugin never sees the key.

use crate::bindings::host::sidenote::plugin::crypto as wit;

pub use wit::{Encoding, Hash};

/// Signs data with the secret of this name. The error says which secret is missing.
pub fn hmac_sign(
    secret: &str,
    hash: Hash,
    encoding: Encoding,
    data: &[u8],
) -> Result<String, String> {
    #[cfg(target_arch = "wasm32")]
    return wit::hmac_sign(secret, hash, encoding, data);
    #[cfg(not(target_arch = "wasm32"))]
    crate::test::hmac_sign(secret, hash, encoding, data)
}

/// Checks a signature in constant time. The error says which secret is missing.
pub fn hmac_verify(
    secret: &str,
    hash: Hash,
    encoding: Encoding,
    data: &[u8],
    signature: &str,
) -> Result<bool, String> {
    #[cfg(target_arch = "wasm32")]
    return wit::hmac_verify(secret, hash, encoding, data, signature);
    #[cfg(not(target_arch = "wasm32"))]
    crate::test::hmac_verify(secret, hash, encoding, data, signature)
}
