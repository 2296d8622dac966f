//! The addresses, each with who may ask for it. The router is made of them alone.

use axum::handler::Handler;
use axum::routing::{MethodRouter, get, post};
use axum::{Router, middleware};

use super::answer::Refusal;
use super::guard::Needs::{self, Following, Nothing};
use super::guard::Rule;
use super::login::Scope::{Admin, Operate, Read};
use super::pages::{audit, login, offers, orders, outbox, overview, plugins, search, timeline};
use super::{Dashboard, assets, guard, live};

/// An address and its rule.
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) rule: Rule,
    answers: MethodRouter<Dashboard>,
}

/// A page, or what a page loads.
fn page<T: 'static>(path: &'static str, needs: Needs, it: impl Handler<T, Dashboard>) -> Route {
    Route { path, rule: Rule { needs, is_form: false }, answers: get(it) }
}

/// What a form is sent to. Its token is checked before it is asked.
fn form<T: 'static>(path: &'static str, needs: Needs, it: impl Handler<T, Dashboard>) -> Route {
    Route { path, rule: Rule { needs, is_form: true }, answers: post(it) }
}

/// Every address.
pub(super) fn table() -> [Route; 15] {
    const MAY_READ: Needs = Needs::Scope(Read);
    const MAY_OPERATE: Needs = Needs::Scope(Operate);
    [
        page("/", MAY_READ, overview::show),
        page("/plugins", MAY_READ, plugins::show),
        form("/plugins/switch", MAY_OPERATE, plugins::switch),
        page("/sessions", MAY_READ, search::show),
        // With what people did only for those who may see that.
        page("/sessions/{product}/{session}", MAY_READ, timeline::show),
        page("/outbox", MAY_READ, outbox::show),
        page("/outbox/confirm", MAY_OPERATE, orders::confirm),
        form("/outbox/decide", MAY_OPERATE, orders::decide),
        page("/offers", MAY_READ, offers::show),
        page("/audit", Needs::Scope(Admin), audit::show),
        page("/live", Following, live::follow),
        page("/login", Nothing, login::show),
        form("/login", Nothing, login::log_in),
        form("/logout", Needs::Login, login::log_out),
        page("/assets/{name}", Nothing, assets::asset),
    ]
}

/// The router.
pub(super) fn router(dashboard: Dashboard) -> Router {
    let guard = |rule| middleware::from_fn_with_state((dashboard.clone(), rule), guard::pass);
    let open = || guard(Rule { needs: Nothing, is_form: false });
    let nowhere = async || {
        Refusal::not_found("There is no such page.", "The pages are named at the top of each.")
    };
    let mut router = Router::new();
    for Route { path, rule, answers } in table() {
        router = router.route(path, answers.layer(guard(rule)));
    }
    let other_method = async || {
        Refusal::new(
            http::StatusCode::METHOD_NOT_ALLOWED,
            "This address doesn't take this method.",
            "Use the links and forms of the pages.",
        )
    };
    router
        .method_not_allowed_fallback(other_method.layer(open()))
        .fallback(nowhere.layer(open()))
        .with_state(dashboard)
}
