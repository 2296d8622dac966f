//! What the host's own HTTP clients have in common, of streams, of language models and of commands. Plugins have the egress.
//!
//! They send a secret to the configured address and nowhere else: redirects and proxies are off. Each asks for a
//! plain body, and says so in words where it gets another.

mod encoding;
mod retry_after;

use std::time::Duration;

use reqwest::{Client, ClientBuilder, redirect};
use url::Url;

pub(crate) use encoding::{PLAIN, encoding};
pub(crate) use retry_after::retry_after;

/// How long making a connection may take, name lookup and TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client for one address: it follows no redirect and asks no proxy, so that a secret goes nowhere else. Root certificates are only asked for where they are needed, so that plain HTTP on
/// loopback runs on a system without any.
pub fn builder(url: &Url) -> ClientBuilder {
    crate::tls::install_provider();
    let builder = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT);
    if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder }
}

/// The whole chain of a network error without its address, which may hold a secret.
pub(crate) fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
