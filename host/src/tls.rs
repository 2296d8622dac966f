//! The provider of TLS, one in the whole process.

/// Has TLS use the provider that is compiled in. Whoever installed one first has the say.
pub fn install_provider() {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::trace!("a TLS provider is already installed; keeping it");
    }
}
