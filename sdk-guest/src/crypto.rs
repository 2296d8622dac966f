//! Signatures by the name of a secret: the plugin never sees the key.
//!
//! ```
//! use sidenote_plugin::crypto::{self, Encoding, Hash};
//! # sidenote_plugin::test::Host::new().secret("signing", "Jefe").install();
//! let data = b"what do ya want for nothing?";
//! let signature = crypto::hmac_sign("signing", Hash::Sha1, Encoding::Hex, data)?;
//! assert_eq!(signature, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
//! assert!(crypto::hmac_verify("signing", Hash::Sha1, Encoding::Hex, data, &signature)?);
//! # Ok::<(), String>(())
//! ```

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
