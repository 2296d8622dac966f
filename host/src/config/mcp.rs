//! `[mcp]`.

use http::uri::Authority;

use super::model::{Context, Mcp, Server};
use super::origin::PageOrigin;
use super::scalar::{self, Refusal, Scalar};
use super::section::Section;

/// `[mcp]`: off where the table isn't there. It tells what people did, so that must be kept, and only for
/// whoever has the token.
pub(super) fn mcp(section: Section<'_>, server: &Server, context: Option<&Context>) -> Option<Mcp> {
    let enabled = section.scalar_or("enabled", section.is_present(), scalar::boolean);
    let hosts = section.list("hosts", "a list of names, for example [\"notes.example.com\"]", host);
    let origins = section.list(
        "origins",
        "a list of origins, for example [\"https://app.example.com\"]",
        origin,
    );
    if enabled && context.is_none() {
        section.refuse(
            "enabled",
            "agents are told what people did lately, and nothing of that is kept",
            "add the table [context], or write `enabled = false`",
        );
    }
    if enabled && server.token.is_none() {
        section.refuse(
            "enabled",
            "agents are told what people did lately, and no token is set",
            "add `token = { env = \"SIDENOTE_SERVER_TOKEN\" }` to [server]",
        );
    }
    section.finish();
    let hosts = hosts.unwrap_or_default().into_iter().map(|(_, host)| host).collect();
    let origins = origins.unwrap_or_default().into_iter().map(|(_, origin)| origin).collect();
    enabled.then_some(Mcp { hosts, origins })
}

pub(super) fn origin(value: Scalar<'_>) -> Result<PageOrigin, Refusal> {
    let text = scalar::text(value)?;
    PageOrigin::parse(&text).ok_or_else(|| {
        Refusal::value(
            "this is no origin of a web page",
            "write scheme, host and port as a browser sends them, without a path, for example \"https://app.example.com\" or \"http://localhost:3000\"",
        )
    })
}

fn host(value: Scalar<'_>) -> Result<String, Refusal> {
    let text = scalar::text(value)?;
    let is_host = |authority: Authority| !authority.as_str().contains('@');
    if text.parse().is_ok_and(is_host) {
        return Ok(text);
    }
    Err(Refusal::value("this is no name of a host", "write \"host\" or \"host:port\""))
}
