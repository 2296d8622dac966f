//! `GET /tap` and `GET /tap/text`: what happens in the host, live, as server-sent events.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode, Uri};
use serde_json::json;

use super::answer::{Refused, guarded};
use super::products;
use super::query::{self, Asked, Query};
use super::state::ApiState;
use crate::access::{Actor, Caller};
use crate::engine::tap::{Follower, Group, Happened, Happening, Told};
use crate::ids::ProductId;

/// How often a line is sent that says nothing, so that nobody on the way takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// When to ask again while as many follow as may.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// What happens, without what people did.
pub(super) async fn tap(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Refused> {
    follow(&api, caller.actor, wanted, Texts::LeftOut)
}

/// What happens, with the titles of what people did.
pub(super) async fn text(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Refused> {
    follow(&api, caller.actor, wanted, Texts::Told)
}

/// Whether what people did is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Texts {
    Told,
    LeftOut,
}

fn follow(api: &ApiState, by: Actor, wanted: Wanted, texts: Texts) -> Result<Response, Refused> {
    let follower = api.backend.tap().map_err(|_| {
        let message = "as many follow what happens as may";
        Refused::unavailable("too_many_followers", message, RETRY_AFTER)
    })?;
    // A key that is revoked ends what was begun with it.
    let keys = api.backend.keys();
    let is_allowed = move || keys.as_ref().is_none_or(|keys| keys.still_allow(&by));
    let lines = lines(follower, wanted, texts);
    let lines = lines.take_while(move |_| std::future::ready(is_allowed()));
    let mut response = Response::new(Body::from_stream(lines));
    let form = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, form);
    Ok(guarded(response))
}

/// What is asked for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Wanted {
    product: Option<String>,
    /// The products of whoever asks, where he is limited to some.
    within: Option<BTreeSet<ProductId>>,
    session: Option<String>,
    plugin: Option<String>,
    /// Empty for all.
    only: Vec<Group>,
}

impl Asked for Wanted {
    fn read(uri: &Uri) -> Result<Self, Refused> {
        const NEXT: &str = "send product, session, plugin and only=events,notes,attempts,links,offers, each once or not at all";
        let refused = |message: &'static str| {
            Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_query", message, NEXT)
        };
        let (mut wanted, mut only) = (Self::default(), None);
        for (name, value) in query::pairs(uri, NEXT)? {
            let field = match &*name {
                "product" => &mut wanted.product,
                "session" => &mut wanted.session,
                "plugin" => &mut wanted.plugin,
                "only" => &mut only,
                _ => return Err(refused("the query has a name that isn't known")),
            };
            if field.replace(value).is_some() {
                return Err(refused("the query has a name twice"));
            }
        }
        for name in only.iter().flat_map(|only| only.split(',')) {
            let group = Group::of(name);
            wanted.only.push(group.ok_or_else(|| refused("`only` has a word that isn't known"))?);
        }
        Ok(wanted)
    }

    fn within(mut self, caller: &Caller) -> Result<Self, Refused> {
        match &self.product {
            Some(product) => products::check(caller, product)?,
            None => self.within = caller.products.limit().cloned(),
        }
        Ok(self)
    }
}

impl Wanted {
    fn has(&self, happened: &Happened) -> bool {
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == value)
        };
        let plugin = || match (&self.plugin, happened.what.plugin()) {
            (None, _) => true,
            (Some(wanted), of) => of == Some(wanted),
        };
        let within = |products: &BTreeSet<ProductId>| {
            products.iter().any(|product| product.as_str() == happened.product)
        };
        let group = || self.only.is_empty() || self.only.contains(&happened.what.group());
        is(&self.product, &happened.product)
            && self.within.as_ref().is_none_or(within)
            && is(&self.session, &happened.session)
            && group()
            && plugin()
    }
}

/// What is told as lines, with one that says nothing now and then. It ends with the engine.
fn lines(
    follower: Follower,
    wanted: Wanted,
    texts: Texts,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let first = stream::once(async { Ok(Bytes::from_static(b": following\n\n")) });
    first.chain(stream::unfold((follower, wanted), move |(mut follower, wanted)| async move {
        let silence = tokio::time::sleep(HEARTBEAT);
        tokio::pin!(silence);
        let line = loop {
            let told = tokio::select! {
                told = follower.next() => told.ok()?,
                () = &mut silence => break ": \n\n".to_owned(),
            };
            match told {
                Told::Happened(it) if wanted.has(&it) => break happened(&it, texts),
                Told::Happened(_) => {}
                Told::Missed(missed) => {
                    let value = json!({ "what": "missed", "missed": missed });
                    break format!("data: {value}\n\n");
                }
            }
        };
        Some((Ok(Bytes::from(line)), (follower, wanted)))
    }))
}

fn happened(it: &Happened, texts: Texts) -> String {
    let mut value = serde_json::to_value(it).unwrap_or_default();
    if let (Happening::Accepted { .. }, Texts::LeftOut, Some(fields)) =
        (&it.what, texts, value.as_object_mut())
    {
        fields.remove("titles");
    }
    format!("data: {value}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tap::{Job, MOST_FOLLOWERS, Teller};

    fn wanted(query: &str) -> Result<Wanted, Refused> {
        Wanted::read(&format!("/tap?{query}").parse().unwrap())
    }

    fn happened(session: &str, what: Happening) -> Happened {
        Happened { at: 1.5, product: "p".to_owned(), session: session.to_owned(), what }
    }

    fn accepted(title: &str) -> Happening {
        Happening::Accepted { actions: 1, titles: vec![title.to_owned()] }
    }

    fn begun(plugin: &str) -> Happening {
        let job = Job { job: "note", seq: 4, plugin: plugin.to_owned() };
        Happening::Begun { job, attempt: 1 }
    }

    /// What a follower is sent until the engine ends.
    async fn sent(query: &str, texts: Texts, all: Vec<Happened>) -> String {
        let teller = Teller::default();
        let lines = lines(teller.tap().follow().unwrap(), wanted(query).unwrap(), texts);
        teller.tell(all);
        drop(teller);
        let lines: Vec<_> = lines.map(|line| line.unwrap()).collect().await;
        String::from_utf8(lines.concat()).unwrap()
    }

    #[test]
    fn a_query_that_means_nothing_is_refused() {
        for query in ["a=b", "product=p&product=q", "only=note", "only=", "only=events,,notes"] {
            assert!(wanted(query).is_err(), "{query}");
        }
        assert_eq!(wanted("only=notes,events").unwrap().only, [Group::Notes, Group::Events]);
        assert_eq!(wanted("").unwrap(), Wanted::default());
    }

    #[tokio::test]
    async fn what_people_did_is_told_on_the_address_for_it_alone() {
        let all = || vec![happened("s", accepted("Saw\nCaesar"))];
        let with = sent("", Texts::Told, all()).await;
        assert!(with.contains(r#""titles":["Saw\nCaesar"]"#), "{with}");
        let without = sent("", Texts::LeftOut, all()).await;
        assert!(!without.contains("Caesar"), "{without}");
        assert_eq!(
            without,
            ": following\n\ndata: {\"at\":1.5,\"product\":\"p\",\"session\":\"s\",\"what\":\"accepted\",\"actions\":1}\n\n"
        );
    }

    #[tokio::test]
    async fn only_what_is_asked_for_is_sent() {
        let all = || {
            let of = |session: &str| {
                [accepted("t"), begun("a"), begun("b")].map(|it| happened(session, it))
            };
            [of("s"), of("t")].concat()
        };
        for (query, count) in [
            ("", 6),
            ("session=s", 3),
            ("product=q", 0),
            ("plugin=a", 2),
            ("only=events", 2),
            ("only=attempts&session=t&plugin=b", 1),
        ] {
            let sent = sent(query, Texts::Told, all()).await;
            assert_eq!(sent.matches("data: ").count(), count, "{query}: {sent}");
        }
    }

    #[tokio::test]
    async fn one_that_falls_behind_is_told_how_many_it_missed() {
        let all = (0..1030).map(|_| happened("s", begun("a"))).collect();
        let sent = sent("plugin=none", Texts::Told, all).await;
        assert_eq!(sent, ": following\n\ndata: {\"what\":\"missed\",\"missed\":6}\n\n");
    }

    #[tokio::test]
    async fn a_stream_that_is_dropped_gives_its_place_back() {
        let teller = Teller::default();
        for _ in 0..2 * MOST_FOLLOWERS {
            let follower = teller.tap().follow().unwrap();
            drop(Box::pin(lines(follower, Wanted::default(), Texts::LeftOut)));
        }
    }
}
