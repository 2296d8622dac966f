//! The signature of Segment's webhook destination: HMAC-SHA1 of the body, in hexadecimal digits. Batches have none.

use sidenote_plugin::config;
use sidenote_plugin::crypto::{self, Encoding, Hash};
use sidenote_plugin::source::{Rejection, RejectionKind, Request};

/// Checks the signature, where there is one or must be one.
///
/// # Errors
/// It is missing although the operator asks for it, or it doesn't fit.
pub(crate) fn check(request: &Request) -> Result<(), Rejection> {
    let refused = |message: &str| Rejection::new(RejectionKind::Unauthorized, message);
    let must = config::flag("signed").map_err(|_| {
        Rejection::new(RejectionKind::Unavailable, "the setting `signed` is neither true nor false")
    })?;
    if !must {
        return Ok(());
    }
    let signature =
        request.header("x-signature").ok_or_else(|| refused("the signature is missing"))?;
    match crypto::hmac_verify("webhook", Hash::Sha1, Encoding::Hex, &request.body, signature) {
        Ok(true) => Ok(()),
        Ok(false) => Err(refused("the signature doesn't fit the body")),
        Err(_) => Err(Rejection::new(RejectionKind::Unavailable, "the secret `webhook` isn't set")),
    }
}
