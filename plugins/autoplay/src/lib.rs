//! A source that is asked: the connector's live activity of one person, `GET ORIGIN/users/PRODUCT/USER/live-activity`, when
//! they open a conversation. Nothing is sent to it.

mod action;

use std::time::Duration;

use serde_json::Value;
use sidenote_plugin::source::{Batch, Ignored, Page, Received, Rejection, Request, Subject};
use sidenote_plugin::{Call, Failure, Source, config, http};

/// How long the connector may take: whoever waits for the note has opened a conversation.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Actions that are asked for, unless the operator says otherwise.
const LIMIT: u32 = 100;

/// The plugin.
pub struct Autoplay;

impl Source for Autoplay {
    fn receive(_: Request) -> Result<Received, Rejection> {
        Err(Rejection::not_found())
    }

    fn poll(_: Call, about: Option<Subject>, _: Option<String>) -> Result<Page, Failure> {
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
        let odd = u32::try_from(all - events.len()).unwrap_or(u32::MAX);
        let mut page = Page::default();
        if odd > 0 {
            page.ignored.push(Ignored::new("no object", odd));
        }
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
