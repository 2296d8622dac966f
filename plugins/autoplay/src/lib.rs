//! A source that is asked: the connector's live activity of one person, `GET ORIGIN/users/PRODUCT/USER/live-activity`, when
//! they open a conversation. Nothing is sent to it.

mod action;

use std::time::Duration;

use serde_json::Value;
use sidenote_plugin::source::{Batch, Event, Ignored, Page, Received, Rejection, Request, Subject};
use sidenote_plugin::{Call, Failure, Source, clock, config, http};

/// How long the connector may take: whoever waits for the note has opened a conversation.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Actions that are asked for, unless the operator says otherwise.
const LIMIT: u32 = 100;
/// So long after a later action one may still come, in seconds: the connector's pipeline takes up to a minute.
const LATE: f64 = 600.0;

/// The plugin.
pub struct Autoplay;

impl Source for Autoplay {
    fn receive(_: Request) -> Result<Received, Rejection> {
        Err(Rejection::not_found())
    }

    /// The cursor is when the latest action began that was found so far.
    fn poll(_: Call, about: Option<Subject>, cursor: Option<String>) -> Result<Page, Failure> {
        // There is nothing to ask about everybody: the connector's stream has that.
        let Some(Subject { product_id, user_id, .. }) = about else { return Ok(Page::default()) };
        let url = config::require("url")?;
        let limit: u32 = config::get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(LIMIT);
        let [product, user] = [&product_id, &user_id].map(|text| http::encode(text));
        let url = format!(
            "{}/users/{product}/{user}/live-activity?limit={limit}",
            url.trim_end_matches('/')
        );
        let answer = http::Request::get(url).bearer_secret("key").timeout(TIMEOUT).send()?;
        // Nobody is known by this name.
        if answer.status == 404 {
            return Ok(Page::default());
        }
        let answer: Value = answer.error_for_status()?.json()?;
        let actions = answer["actions"].as_array().cloned().unwrap_or_default();
        let all = actions.len();
        let events: Vec<_> =
            actions.iter().filter_map(|action| action::event(action, &user_id)).collect();
        let latest = cursor.and_then(|it| it.parse::<f64>().ok()).filter(|it| it.is_finite());
        let is_new = |event: &Event| match (event.at, latest) {
            (Some(at), Some(latest)) => at > latest - LATE,
            (Some(_) | None, _) => true,
        };
        let (events, earlier): (Vec<_>, Vec<_>) = events.into_iter().partition(is_new);
        let odd = all - events.len() - earlier.len();
        let mut page = Page::default();
        for (count, why) in [(odd, "no object"), (earlier.len(), "found before")] {
            if count > 0 {
                page.ignored.push(Ignored::new(why, u32::try_from(count).unwrap_or(u32::MAX)));
            }
        }
        // A clock that is ahead must not hide what comes until then.
        let now = clock::now_ms() as f64 / 1000.0;
        let found = events.iter().filter_map(|event| event.at).chain(latest);
        page.cursor = found.reduce(f64::max).map(|at| at.min(now).to_string());
        if !events.is_empty() {
            page.batches.push(Batch { product_id: Some(product_id), ..Batch::of(events) });
        }
        Ok(page)
    }
}

sidenote_plugin::export!(
    Autoplay: Source;
    manifest = include_str!("../manifest.json")
);
