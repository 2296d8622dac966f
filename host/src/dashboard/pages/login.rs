//! Logging in and out.

use axum::Extension;
use axum::extract::{FromRequestParts, Query, State};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use maud::{Markup, html};

use super::layout;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{self, Refusal};
use crate::dashboard::guard;
use crate::dashboard::visitor::{FORM_TOKEN, Form, Visitor};
use crate::dashboard::wording;
use crate::http::checked_host;

/// The form, and what was wrong with the last one.
fn view(form_token: &str, next: &str, wants_key: bool, wrong: Option<&str>) -> Markup {
    layout::bare(
        "Log in",
        html! {
            h1 { "Log in" }
            @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong) } }
            form.login method="post" action="/login" {
                input type="hidden" name=(FORM_TOKEN) value=(form_token);
                input type="hidden" name="next" value=(next);
                @if wants_key {
                    // For programs that keep passwords, which know each by a name.
                    input type="text" autocomplete="username" value="sidenote" readonly hidden;
                    label for="key" { "Key" }
                    input #key type="password" name="key" required autofocus
                        autocomplete="current-password" aria-describedby="about-key";
                    p.note #about-key { "The value of " code { "token" } " in [server] of this host's configuration." }
                } @else {
                    p { "No key is set, so whoever uses this machine may come in. What people did stays hidden." }
                }
                button.main type="submit" { @if wants_key { "Log in" } @else { "Come in" } }
            }
        },
    )
}

/// The client, as far as logging in is about where it is.
pub(in crate::dashboard) struct Client {
    peer: std::net::IpAddr,
    is_here: bool,
}

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = Refusal;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let host = checked_host(head)?;
        let is_here = guard::is_on_this_machine(head, host.as_ref());
        Ok(Self { peer: guard::peer(head).ip(), is_here })
    }
}

/// A page of the dashboard, and nowhere else.
fn local(next: Option<&str>) -> &str {
    let is_local = |next: &&str| {
        next.starts_with('/')
            && !next.starts_with("//")
            && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    next.filter(is_local).unwrap_or("/")
}

/// The form. Who is logged in already goes on.
pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    visitor: Option<Extension<Visitor>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let next = query.iter().find(|(name, _)| name == "next").map(|(_, value)| value.as_str());
    match visitor {
        Some(_) => answer::see_other(local(next)),
        None => asked(&dashboard, StatusCode::OK, local(next), None),
    }
}

fn asked(dashboard: &Dashboard, status: StatusCode, next: &str, wrong: Option<&str>) -> Response {
    let (token, cookie) = dashboard.guard.form_before_login();
    let wants_key = dashboard.keys.this_machine().is_none();
    let mut response = answer::page(status, view(&token, next, wants_key, wrong));
    answer::set_cookie(&mut response, &cookie);
    response
}

/// Logs somebody in, or says that the key is wrong.
pub(in crate::dashboard) async fn log_in(
    State(dashboard): State<Dashboard>,
    client: Client,
    Extension(form): Extension<Form>,
) -> Result<Response, Refusal> {
    let now = dashboard.source.now();
    let next = local(form.get("next"));
    let wrong_keys = &dashboard.guard.wrong_keys;
    if let Some(wait) = wrong_keys.waits(client.peer, now) {
        let message = "Too many wrong keys came from your address.";
        return Err(Refusal::for_now(StatusCode::TOO_MANY_REQUESTS, message, wait));
    }
    let somebody = match form.get("key") {
        Some(key) => dashboard.keys.caller(key.trim()),
        None => dashboard.keys.this_machine().filter(|_| client.is_here),
    };
    let Some((caller, proof)) = somebody else {
        wrong_keys.add(client.peer, now);
        let line = || {
            tracing::warn!(peer = %client.peer, "dashboard: somebody sent a wrong key");
        };
        match dashboard.source.refusals() {
            Some(refusals) => refusals.say("dashboard", "login", "wrong_key", line),
            None => line(),
        }
        let wrong = Some("That key isn't one of this host's.");
        return Ok(asked(&dashboard, StatusCode::UNAUTHORIZED, next, wrong));
    };
    tracing::info!(caller = caller.name(), peer = %client.peer, "dashboard: somebody logged in");
    let cookie = dashboard.logins.begin(proof, now);
    let mut response = answer::see_other(next);
    dashboard.guard.remember(&mut response, &cookie);
    Ok(response)
}

/// Ends the login.
pub(in crate::dashboard) async fn log_out(
    State(dashboard): State<Dashboard>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    dashboard.logins.end(&visitor.id);
    let mut response = answer::see_other(&wording::address("/login", [] as [(&str, &str); 0]));
    dashboard.guard.forget(&mut response);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_logs_in_goes_to_a_page_of_the_dashboard_alone() {
        for next in ["/outbox?state=dead", "/sessions/p/s%20"] {
            assert_eq!(local(Some(next)), next);
        }
        for next in
            ["//evil.example", "https://evil.example", "/\\evil.example", "x", "", "/a\r\nb"]
        {
            assert_eq!(local(Some(next)), "/", "{next:?}");
        }
        assert_eq!(local(None), "/");
    }
}
