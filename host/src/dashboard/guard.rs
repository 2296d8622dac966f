//! What every request passes before a page is asked: the one place where host, login, scope and form token are judged, by
//! the rule of its route.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, COOKIE, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode, Uri};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Dashboard;
use super::answer::{self, Refusal};
use super::login::{Caller, Proof, Scope};
use super::logins::{LoginId, random};
use super::visitor::{FORM_TOKEN, Form, Visitor};
use super::wrong_keys::WrongKeys;
use crate::config;
use crate::http::{
    Names, Peer, SEC_FETCH_SITE, checked_host, comes_from_this_machine, is_this_machine, read_body,
};

/// Largest form, in bytes.
const MAX_FORM: usize = 64 << 10;
/// How long the rest of the host may take for a page. An order ends by itself before.
const DEADLINE: Duration = Duration::from_secs(60);

/// Who may ask for a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Anyone: it tells nothing.
    Nothing,
    /// Whoever is logged in.
    Login,
    /// Whoever is logged in and may do this.
    Scope(Scope),
    /// Whoever may read, told as things change: a program of the page asks, so nobody is sent to another page, and a
    /// login doesn't go on by it.
    Following,
}

/// The rule of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) needs: Needs,
    /// Whether a form is sent to it, whose token must be right.
    pub(super) is_form: bool,
}

/// The judge of the listener.
pub(super) struct Guard {
    names: Names,
    public: Option<Uri>,
    is_https: bool,
    pub(super) wrong_keys: WrongKeys,
}

impl Guard {
    pub(super) fn of(dashboard: &config::Dashboard, local: SocketAddr) -> Self {
        let names = Names::of_listener(dashboard.public_url.as_deref(), local);
        let public: Option<Uri> = dashboard.public_url.as_deref().and_then(|url| url.parse().ok());
        let is_https = public.as_ref().is_some_and(|url| url.scheme_str() == Some("https"));
        Self { names, public, is_https, wrong_keys: WrongKeys::default() }
    }

    /// The cookie of a login.
    fn login_cookie(&self) -> &'static str {
        if self.is_https { "__Host-sidenote" } else { "sidenote_dashboard" }
    }

    /// The cookie of somebody who isn't logged in yet: the token of the form is its hash, so that no other site can send
    /// the form.
    fn form_cookie(&self) -> &'static str {
        if self.is_https { "__Host-sidenote-form" } else { "sidenote_form" }
    }

    fn cookie(&self, name: &str, value: &str) -> String {
        let secure = if self.is_https { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}")
    }

    /// Has the browser remember a login, and forget the form that it came by.
    pub(super) fn remember(&self, response: &mut Response, login: &str) {
        answer::set_cookie(response, &self.cookie(self.login_cookie(), login));
        self.forget_named(response, self.form_cookie());
    }

    /// Has the browser forget its login.
    pub(super) fn forget(&self, response: &mut Response) {
        self.forget_named(response, self.login_cookie());
    }

    fn forget_named(&self, response: &mut Response, name: &str) {
        answer::set_cookie(response, &format!("{}; Max-Age=0", self.cookie(name, "")));
    }

    /// The token of the form of somebody who isn't logged in, and the cookie that goes with it.
    pub(super) fn form_before_login(&self) -> (String, String) {
        let value = random();
        (token_of(&value), self.cookie(self.form_cookie(), &value))
    }

    /// Whether the host that a request names is one of this listener's. A page of somebody else's whose name leads here
    /// says that name; an address names nobody's page.
    fn serves(&self, host: Option<&Authority>) -> bool {
        let is_address = |host: &Authority| {
            let name = host.host().trim_start_matches('[').trim_end_matches(']');
            name.parse::<std::net::IpAddr>().is_ok()
        };
        host.is_some_and(|host| self.names.have(host) || is_address(host))
    }

    /// Whether a form was sent by a page of another origin, as far as the browser says. One that says nothing of it, as
    /// pages without a referrer do where there is no TLS, has to know the form's token all the same.
    fn is_foreign(&self, headers: &HeaderMap, host: Option<&Authority>) -> bool {
        let sites = headers.get_all(SEC_FETCH_SITE);
        if !sites.iter().all(|site| site.as_bytes() == b"same-origin") {
            return true;
        }
        let own = |origin: &str| {
            let Some(uri) = origin.parse::<Uri>().ok().filter(|_| origin != "null") else {
                return origin == "null";
            };
            let public = self.public.as_ref().and_then(Uri::authority);
            uri.authority().is_some_and(|it| Some(it) == host || Some(it) == public)
        };
        !headers.get_all(ORIGIN).iter().all(|origin| origin.to_str().is_ok_and(own))
    }
}

/// The value of a cookie; `None` where it isn't there once.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(known, _)| known.trim() == name).map(|(_, value)| value.trim());
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    (!value.is_empty()).then_some(value)
}

fn token_of(cookie: &str) -> String {
    hex::encode(Sha256::digest(cookie))
}

/// Judges a request. The answer has the route's path: what is logged of an address.
pub(super) async fn pass(
    State((dashboard, rule)): State<(Dashboard, Rule)>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let mut answer = match admitted(&dashboard, rule, request).await {
        Ok(request) => {
            let answer = tokio::time::timeout(DEADLINE, next.run(request)).await;
            answer.unwrap_or_else(|_| late().into_response())
        }
        Err(refusal) => refusal.into_response(),
    };
    answer::protect(answer.headers_mut());
    if let Some(path) = path {
        answer.extensions_mut().insert(path);
    }
    answer
}

fn late() -> Refusal {
    tracing::error!(deadline = ?DEADLINE, "dashboard: the host didn't answer a request in time");
    let message = "The host didn't answer in time; what was ordered may go on.";
    Refusal::for_now(StatusCode::SERVICE_UNAVAILABLE, message, Duration::from_secs(5))
}

async fn admitted(
    dashboard: &Dashboard,
    Rule { needs, is_form }: Rule,
    request: Request,
) -> Result<Request, Refusal> {
    let (mut head, body) = request.into_parts();
    let host = checked_host(&head)?;
    if !dashboard.guard.serves(host.as_ref()) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "The dashboard isn't served under this name.",
            "Call it by its own address, or set public_url in [dashboard].",
        ));
    }
    if is_form && dashboard.guard.is_foreign(&head.headers, host.as_ref()) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "The form was sent by a page of another origin.",
            "Use the form of the dashboard itself.",
        ));
    }
    let visitor = visitor(dashboard, needs != Needs::Following, &head, host.as_ref());
    let token = match needs {
        Needs::Nothing => {
            let cookie = cookie(&head.headers, dashboard.guard.form_cookie());
            cookie.map(token_of)
        }
        Needs::Login | Needs::Scope(_) | Needs::Following => {
            let visitor = visitor.as_ref().ok_or_else(|| nobody(needs, &head))?;
            check_scope(needs, &visitor.caller)?;
            Some(visitor.form_token.clone())
        }
    };
    if let Some(visitor) = visitor {
        head.extensions.insert(visitor);
    }
    if !is_form {
        return Ok(Request::from_parts(head, body));
    }
    let form = form(Request::from_parts(head.clone(), body)).await?;
    let sent = form.get(FORM_TOKEN).unwrap_or_default();
    if !token.is_some_and(|token| bool::from(token.as_bytes().ct_eq(sent.as_bytes()))) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "The form is an old one, or another login's; nothing was done.",
            "Load its page again and send it from there.",
        ));
    }
    head.extensions.insert(form);
    Ok(Request::from_parts(head, Body::empty()))
}

/// Who asks, where somebody is logged in and still may.
fn visitor(
    dashboard: &Dashboard,
    uses: bool,
    head: &Parts,
    host: Option<&Authority>,
) -> Option<Visitor> {
    let id = LoginId::of_cookie(cookie(&head.headers, dashboard.guard.login_cookie())?);
    let now = dashboard.source.now();
    let login = dashboard.logins.get(&id, uses, now)?;
    let caller = dashboard.keys.still(&login.proof).filter(|_| match login.proof {
        Proof::Token(_) | Proof::Key(_) => true,
        Proof::ThisMachine => is_on_this_machine(head, host),
    });
    if caller.is_none() {
        dashboard.logins.end(&id);
    }
    Some(Visitor { caller: caller?, form_token: login.form_token, id })
}

/// Whether somebody on this machine asks, by a name of this machine's own.
pub(super) fn is_on_this_machine(head: &Parts, host: Option<&Authority>) -> bool {
    comes_from_this_machine(peer(head), head) && host.is_some_and(is_this_machine)
}

/// The client's address.
pub(super) fn peer(head: &Parts) -> SocketAddr {
    let Peer(peer) =
        *head.extensions.get::<Peer>().expect("the accept loop puts it into each request");
    peer
}

fn nobody(needs: Needs, head: &Parts) -> Refusal {
    if needs == Needs::Following {
        let next = "Load the page again.";
        return Refusal::new(StatusCode::UNAUTHORIZED, "Nobody is logged in.", next);
    }
    let came_from_elsewhere =
        |site: &http::HeaderValue| matches!(site.as_bytes(), b"cross-site" | b"same-site");
    let is_page = head.method == Method::GET;
    if is_page && head.headers.get(SEC_FETCH_SITE).is_some_and(came_from_elsewhere) {
        return Refusal::Again;
    }
    let wanted = head.uri.path_and_query().map(|wanted| wanted.as_str().to_owned());
    Refusal::LogIn { next: wanted.filter(|_| is_page) }
}

fn check_scope(needs: Needs, caller: &Caller) -> Result<(), Refusal> {
    let scope = match needs {
        Needs::Nothing | Needs::Login => return Ok(()),
        Needs::Following => Scope::Read,
        Needs::Scope(scope) => scope,
    };
    if caller.may(scope) { Ok(()) } else { Err(lacks(scope)) }
}

/// Somebody may not do this.
pub(super) fn lacks(scope: Scope) -> Refusal {
    Refusal::new(
        StatusCode::FORBIDDEN,
        format!("Your key doesn't have the scope `{}`.", scope.name()),
        "Log in with a key that has it.",
    )
}

async fn form(request: Request) -> Result<Form, Refusal> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The body is no form.",
            "Use the forms of the pages.",
        ));
    }
    let body = read_body(request, MAX_FORM).await?;
    Ok(Form::of(&body))
}
