//! What every request passes before anything of its body is read: the one place where head, `Host`,
//! `Origin`, `Sec-Fetch-Site` and the caller's right are judged, by the rule of its route.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{HOST, HeaderValue, ORIGIN};
use http::request::Parts;
use http::uri::{Authority, Uri};
use http::{Extensions, HeaderMap, Method, StatusCode, Version};

use super::answer::Refused;
use super::auth::{Logins, Rule, SEC_FETCH_SITE, is_this_machine};
use super::backend::Backend;
use super::page::Asking;
use super::permits::ConnectionPermit;
use super::products;
use crate::access::{Actor, Caller, Scope};
use crate::config::{PageOrigin, Server};
use crate::see::See;

/// Most bytes of a request's head: its first line and its headers, with their line breaks.
pub(crate) const MAX_HEAD_BYTES: usize = 64 * 1024;

/// When to come again while all connections are in use.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The client's address, put into each request by the accept loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Anyone, by any name: it tells nothing that isn't for everybody.
    Anyone,
    /// Anyone but web pages, by any name: what is signed tells whose it is. Proxies call the host by many
    /// names, and a signature fits by none but its own bytes.
    Signed,
    /// Anyone, by any name: the source judges keys, and which web pages may send.
    Source,
    /// Web pages of the configured origins, and programs; the address has a token of its own.
    Browser,
    /// Whoever has this scope, and may ask about the product that the request names so.
    Needs(Scope, Of),
    /// The same, by a name of this host; agents' programs are driven by pages, too.
    Agents(Scope, Of),
}

/// How a request names the product that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// By `{product_id}` of its address.
    Path,
    /// By this field of its body. A caller with one product may leave it out where anybody may.
    Body(&'static str),
    /// By this name in its query. Without it, the list is narrowed to the caller's products.
    Filter(&'static str),
    /// By `product` in its query. Without it, the only product of the caller's is meant.
    User,
    /// By the argument `product_id` of a tool, likewise.
    Tool,
    /// By none: it is about no product and tells nothing of the host.
    AnyProduct,
    /// By none: it is about the whole host, which only callers for all products may ask about.
    Host,
}

impl Access {
    /// What is needed, where something is.
    pub(super) fn needs(self) -> Option<(Scope, Of)> {
        match self {
            Self::Needs(scope, of) | Self::Agents(scope, of) => Some((scope, of)),
            Self::Anyone | Self::Signed | Self::Source | Self::Browser => None,
        }
    }
}

/// Who asks, as the gate has put it into the request.
///
/// # Errors
/// Nobody is known: the route's rule needs no scope, so that nobody was asked for.
pub(super) fn caller(extensions: &Extensions) -> Result<&Caller, Refused> {
    extensions.get().ok_or_else(|| {
        Refused::unauthorized("nobody is known to ask", "send `Authorization: Bearer KEY`")
    })
}

/// What is answered to a caller who lacks a scope.
pub(super) fn lacks(caller: &Caller, needed: Scope) -> Refused {
    if caller.actor == Actor::Machine {
        return Refused::new(
            StatusCode::FORBIDDEN,
            "context_needs_token",
            "what people did is told to the bearer of a token only",
            "set `token` in [server] and send `Authorization: Bearer TOKEN`, or make a key that has the scope `text`",
        );
    }
    let (has, needed) = (caller.scopes.names().join(", "), needed.name());
    Refused::new(
        StatusCode::FORBIDDEN,
        "scope",
        format!("this needs the scope {needed}, and the key has {has}"),
        format!("use a key that has it; `sidenote key new` makes one {}", See::ScopeMissing),
    )
}

/// The judge of one listener.
#[derive(Clone)]
pub(super) struct Gate(Arc<Judge>);

struct Judge {
    rule: Rule,
    backend: Arc<dyn Backend>,
    names: Names,
    /// The web pages that may ask as agents do.
    origins: Vec<PageOrigin>,
    /// The web pages that may be told what to show.
    event_origins: Vec<PageOrigin>,
}

/// The names that agents may call the host by, or operators its dashboard.
pub(crate) struct Names {
    /// The listener's address and the host of `public_url`.
    own: Vec<String>,
    /// As configured, with or without a port.
    configured: Vec<Authority>,
}

impl Gate {
    /// The judge of a listener at `local`.
    pub(super) fn of(server: &Server, local: SocketAddr, backend: Arc<dyn Backend>) -> Self {
        let origins = server.mcp.iter().flat_map(|mcp| mcp.origins.iter().cloned()).collect();
        let (rule, names) = (Rule::of(server, local), Names::of(server, local));
        let event_origins = server.event_origins.clone();
        Self(Arc::new(Judge { rule, backend, names, origins, event_origins }))
    }

    /// Lets a request pass to a route, and says who asks, where that matters; or says why not.
    pub(super) fn admit(
        &self,
        access: Access,
        peer: SocketAddr,
        head: &Parts,
    ) -> Result<Option<Caller>, Refused> {
        let host = checked_host(head)?;
        let page = self.page(access, &head.headers);
        // A browser asks first whether a page may, and doesn't send the page's token then.
        let asks_first = matches!(page, Asking::Page(_)) && head.method == Method::OPTIONS;
        let mut caller = None;
        match access {
            Access::Anyone | Access::Source => return Ok(None),
            Access::Signed | Access::Browser => {}
            Access::Agents(..) if asks_first => {}
            Access::Needs(scope, of) | Access::Agents(scope, of) => {
                caller = Some(self.asking(scope, of, peer, head, host.as_ref())?);
            }
        }
        let is_agents = matches!(access, Access::Agents(..));
        if is_agents && !host.is_some_and(|host| self.0.names.have(&host)) {
            return Err(Refused::new(
                StatusCode::FORBIDDEN,
                "foreign_host",
                "the host isn't served under this name",
                "call it by its own address, or add the name to `hosts` in [mcp]",
            ));
        }
        let next = match (page, access) {
            (Asking::Page(_), _) => return Ok(caller),
            (Asking::Stranger, Access::Agents(..)) => {
                "add the page's origin to `origins` in [mcp], for example \"https://app.example.com\""
            }
            (Asking::Stranger, Access::Browser) => {
                "add the page's origin to `event_origins` in [server], for example \"https://app.example.com\""
            }
            (Asking::Stranger | Asking::Program, _) => {
                "have a program of your own ask, and the page ask that"
            }
        };
        not_of_a_page(head, next).map(|()| caller)
    }

    /// Who asks, where they may: by scope here, and by product as far as the head alone says which it is.
    fn asking(
        &self,
        scope: Scope,
        of: Of,
        peer: SocketAddr,
        head: &Parts,
        host: Option<&Authority>,
    ) -> Result<Caller, Refused> {
        let logins = Logins::of(&*self.0.backend);
        let caller = self.0.rule.caller(&logins, peer, head, host)?;
        if !caller.scopes.allow(scope) {
            return Err(lacks(&caller, scope));
        }
        match of {
            Of::Host if caller.products.limit().is_some() => {
                Err(products::whole_host(&caller.products))
            }
            Of::Host
            | Of::AnyProduct
            | Of::Path
            | Of::Body(_)
            | Of::Filter(_)
            | Of::User
            | Of::Tool => Ok(caller),
        }
    }

    /// Whether it is a web page that asks, and one that may: only agents' pages and those that are told what to show.
    fn page(&self, access: Access, headers: &HeaderMap) -> Asking {
        let origins = match access {
            Access::Agents(..) => &*self.0.origins,
            Access::Browser => &*self.0.event_origins,
            Access::Anyone | Access::Signed | Access::Source | Access::Needs(..) => &[],
        };
        Asking::of(headers, origins)
    }
}

impl Names {
    fn of(server: &Server, local: SocketAddr) -> Self {
        let configured = server.mcp.iter().flat_map(|mcp| &mcp.hosts);
        let configured = configured.filter_map(|host| host.parse().ok()).collect();
        Self { configured, ..Self::of_listener(server.public_url.as_deref(), local) }
    }

    /// Those of a listener at `local`.
    pub(crate) fn of_listener(public_url: Option<&str>, local: SocketAddr) -> Self {
        let public = public_url.and_then(|url| url.parse::<Uri>().ok());
        let public = public.as_ref().and_then(Uri::host).map(str::to_owned);
        let listener = (!local.ip().is_unspecified()).then(|| match local {
            SocketAddr::V4(v4) => v4.ip().to_string(),
            SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
        });
        Self { own: public.into_iter().chain(listener).collect(), configured: Vec::new() }
    }

    pub(crate) fn have(&self, host: &Authority) -> bool {
        let is_configured = |it: &Authority| {
            it.host().eq_ignore_ascii_case(host.host())
                && (it.port().is_none() || it.port_u16() == host.port_u16())
        };
        is_this_machine(host)
            || self.own.iter().any(|own| own.eq_ignore_ascii_case(host.host()))
            || self.configured.iter().any(is_configured)
    }
}

/// The host that a request names, where its head is within the bounds.
pub(crate) fn checked_host(head: &Parts) -> Result<Option<Authority>, Refused> {
    if head_bytes(head) > MAX_HEAD_BYTES {
        return Err(Refused::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head_too_large",
            format!("the request's head is larger than {MAX_HEAD_BYTES} bytes"),
            "send less in the address and the headers",
        ));
    }
    named_host(head)
}

/// The host that a request names. There are no two of them, whether in two headers or in the target.
fn named_host(head: &Parts) -> Result<Option<Authority>, Refused> {
    let refused = |message: &'static str| {
        let next = "send exactly one Host header, with the host that is called";
        Refused::new(StatusCode::BAD_REQUEST, "host", message, next)
    };
    let mut values = head.headers.get_all(HOST).iter();
    let header = match (values.next(), values.next()) {
        (Some(value), None) => {
            let read = |value: &HeaderValue| value.to_str().ok()?.parse::<Authority>().ok();
            let host = read(value).filter(|host| !host.as_str().contains('@'));
            Some(host.ok_or_else(|| refused("the Host header holds no host"))?)
        }
        (None, _) if head.version < Version::HTTP_11 => None,
        (None, _) => return Err(refused("the request has no Host header")),
        (Some(_), Some(_)) => return Err(refused("the request has several Host headers")),
    };
    match (head.uri.authority(), &header) {
        (Some(target), Some(host)) if !target.as_str().eq_ignore_ascii_case(host.as_str()) => {
            Err(refused("the request's target names another host than its Host header"))
        }
        _ => Ok(header),
    }
}

/// Refuses what a web page has a browser send: no page is part of this host.
fn not_of_a_page(head: &Parts, next: &'static str) -> Result<(), Refused> {
    let own = |site: &HeaderValue| matches!(site.as_bytes(), b"none" | b"same-origin");
    let sites = head.headers.get_all(SEC_FETCH_SITE);
    if !head.headers.contains_key(ORIGIN) && sites.iter().all(own) {
        return Ok(());
    }
    Err(Refused::new(
        StatusCode::FORBIDDEN,
        "web_page",
        "requests of web pages aren't served",
        next,
    ))
}

/// The size of a head as it is usually written: one blank between the parts, and line breaks of two bytes.
fn head_bytes(head: &Parts) -> usize {
    let target = |uri: &Uri| {
        let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
        let scheme = uri.scheme_str().map_or(0, |scheme| scheme.len() + "://".len());
        scheme + uri.authority().map_or(0, |authority| authority.as_str().len()) + path
    };
    let first = head.method.as_str().len() + target(&head.uri) + "  HTTP/1.1\r\n".len();
    let lines = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    first + lines.sum::<usize>() + 2
}

/// The gate before one route.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) gate: Gate,
    pub(super) access: Access,
}

/// Judges a request, and finds it a permit. The answer has the route's path: what is logged of an address.
pub(super) async fn pass(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let Guard { gate, access } = guard;
    let (mut head, body) = request.into_parts();
    let path = head.extensions.get::<MatchedPath>().cloned();
    let page = gate.page(access, &head.headers);
    let mut answer = match admitted(&gate, access, &mut head).await {
        Ok(()) => next.run(Request::from_parts(head, body)).await,
        Err(refused) => refused.into_response(),
    };
    page.mark(answer.headers_mut());
    if let Some(path) = path {
        answer.extensions_mut().insert(path);
    }
    answer
}

async fn admitted(gate: &Gate, access: Access, head: &mut Parts) -> Result<(), Refused> {
    let missing = "the accept loop puts it into each request";
    let Peer(peer) = *head.extensions.get::<Peer>().expect(missing);
    let permit = head.extensions.get::<Arc<ConnectionPermit>>().expect(missing).clone();
    if let Some(caller) = gate.admit(access, peer, head)? {
        if access.needs().is_some_and(|(_, of)| of == Of::Path) {
            check_path(&caller, head).await?;
        }
        head.extensions.insert(caller);
    }
    let is_of_strangers = matches!(access, Access::Signed | Access::Source);
    if is_of_strangers && permit.is_reserved() && !permit.promoted().await {
        let message = "all connections are in use";
        return Err(Refused::unavailable("too_many_connections", message, RETRY_AFTER));
    }
    Ok(())
}

/// Checks the product that an address names. One that can't be read is nobody's who is limited; others are told of it by
/// the handler.
async fn check_path(caller: &Caller, head: &mut Parts) -> Result<(), Refused> {
    if caller.products.limit().is_none() {
        return Ok(());
    }
    let foreign = || products::foreign(&caller.products);
    let path = RawPathParams::from_request_parts(head, &()).await.map_err(|_| foreign())?;
    let named = path.iter().find(|(name, _)| *name == "product_id");
    let (_, product) = named.ok_or_else(foreign)?;
    products::check(caller, product)
}
