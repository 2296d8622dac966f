//! A route, its rule, and the router: the one place where requests are tied to handlers.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::MatchedPath;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, any, on};
use axum::{Extension, Router, middleware};
use http::Method;

use super::answer::Refused;
use super::gate::{self, Access, Guard};
use super::state::ApiState;

/// Methods of one address, and who may use them.
pub(super) struct Route {
    pub(super) path: &'static str,
    /// Empty where the handler itself answers to every method.
    pub(super) methods: &'static [&'static str],
    pub(super) access: Access,
    answers: MethodRouter<ApiState>,
}

impl Route {
    pub(super) fn new<T: 'static>(
        path: &'static str,
        methods: &'static [&'static str],
        access: Access,
        handler: impl Handler<T, ApiState>,
    ) -> Self {
        let filter = methods.iter().filter_map(|method| {
            let method = Method::from_bytes(method.as_bytes()).ok()?;
            MethodFilter::try_from(method).ok()
        });
        let answers = match filter.reduce(MethodFilter::or) {
            None => any(handler),
            // A HEAD would be answered as a GET.
            Some(filter) if methods.contains(&"GET") && !methods.contains(&"HEAD") => {
                on(filter, handler).head(async move || Refused::method_not_allowed(methods))
            }
            Some(filter) => on(filter, handler),
        };
        Self { path, methods, access, answers }
    }

    /// Whether it answers to this method, as itself.
    pub(super) fn takes(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.contains(&method)
    }

    /// Hands the handler something that it alone needs.
    pub(super) fn with(self, needed: impl Clone + Send + Sync + 'static) -> Self {
        Self { answers: self.answers.layer(Extension(needed)), ..self }
    }
}

/// The router behind the gate. It is made of routes alone, and a [`Route`] has its rule, so that nothing is answered
/// without one.
#[derive(Clone)]
pub(super) struct GuardedRouter(Router);

impl GuardedRouter {
    /// Has these routes answer, each behind its rule, and `nowhere` whatever is none of them.
    pub(super) fn new(
        routes: impl IntoIterator<Item = Route>,
        nowhere: impl Fn() -> Refused + Clone + Send + Sync + 'static,
        state: ApiState,
    ) -> Self {
        let guard = |access| {
            let guard = Guard { gate: state.gate.clone(), access };
            middleware::from_fn_with_state(guard, gate::pass)
        };
        let mut allowed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut router = Router::new();
        for Route { path, methods, access, answers } in routes {
            allowed.entry(path).or_default().extend(methods);
            router = router.route(path, answers.layer(guard(access)));
        }
        // What is told here isn't worth a rule of its own.
        let open = guard(Access::Anyone);
        let allowed = Arc::new(allowed);
        let other_method = async move |path: MatchedPath| {
            Refused::method_not_allowed(allowed.get(path.as_str()).map_or(&[], Vec::as_slice))
        };
        let nowhere = async move || nowhere();
        let router = router
            .method_not_allowed_fallback(other_method.layer(open.clone()))
            .fallback(nowhere.layer(open));
        Self(router.with_state(state))
    }

    /// For whoever accepts connections.
    pub(super) fn into_inner(self) -> Router {
        self.0
    }
}
