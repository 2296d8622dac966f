//! Does what a text tells it to with what it keeps, and answers what came of it. Orders stand behind `do:`, with `;`
//! between them:
//!
//! | order | answer |
//! |---|---|
//! | `set SCOPE KEY VALUE` | `set` |
//! | `fill SCOPE KEY BYTES` | `filled` |
//! | `many SCOPE PREFIX COUNT` | how many were set |
//! | `get SCOPE KEY` | the value, or `none` |
//! | `delete SCOPE KEY` | `deleted` |
//! | `unset SCOPE PREFIX FROM TO` | how many were deleted |
//! | `list SCOPE PREFIX LIMIT [AFTER]` | the keys with `+` between, and `…` where there are more |
//! | `pass`, `refuse` | fails for now, for good |
//! | `trap`, `sleep` | none |
//!
//! `SCOPE` is `p` or `s`; what is refused answers its kind and its message.
//!
//! With a `url` it is a writer like others: it posts the note there, and keeps which one it posted last.

use std::time::Duration;

use sidenote_plugin::help::{Offer, TriggerContext};
use sidenote_plugin::kv::{self, Scope};
use sidenote_plugin::sink::{Batch, Summary};
use sidenote_plugin::source::{self, EventKind, Page, Received, Response, Subject};
use sidenote_plugin::webhook::{Answer, Event, Rejection, Request};
use sidenote_plugin::{
    Action, Call, Failure, Finder, Messenger, Note, Posted, Redaction, Redactor, Sink, Source,
    Trigger, Webhook, Writer, config, http, json,
};

/// The plugin.
pub struct Keeper;

/// Carries the orders of a text out; answers with a space between.
fn obey(text: &str) -> Result<String, Failure> {
    let mut answers = Vec::new();
    for orders in text.split("do:").skip(1) {
        let orders = orders.lines().next().unwrap_or_default();
        for order in orders.split(';') {
            answers.push(match one(order.trim())? {
                Ok(answer) => answer,
                Err(error) => format!("{:?}: {}", error.kind, error.message.replace('\n', " ")),
            });
        }
    }
    Ok(answers.join(" "))
}

fn one(order: &str) -> Result<Result<String, kv::Error>, Failure> {
    let words: Vec<_> = order.split(' ').collect();
    Ok(match *words {
        ["set", scope, key, value] => kv::set(of(scope), key, value).map(|()| "set".to_owned()),
        ["fill", scope, key, bytes] => {
            kv::set(of(scope), key, vec![b'x'; number(bytes)]).map(|()| "filled".to_owned())
        }
        ["many", scope, prefix, count] => {
            let set = (0..number(count))
                .take_while(|n| kv::set(of(scope), &format!("{prefix}{n}"), "").is_ok());
            Ok(set.count().to_string())
        }
        ["get", scope, key] => kv::get(of(scope), key).map(|value| {
            value.map_or("none".to_owned(), |it| String::from_utf8_lossy(&it).into_owned())
        }),
        ["unset", scope, prefix, from, to] => {
            let numbers = number(from)..number(to);
            let mut deleted = numbers.map(|n| kv::delete(of(scope), &format!("{prefix}{n}")));
            deleted.try_for_each(|it| it).map(|()| (number(to) - number(from)).to_string())
        }
        ["delete", scope, key] => kv::delete(of(scope), key).map(|()| "deleted".to_owned()),
        ["list", scope, prefix, limit] => listed(scope, prefix, None, limit),
        ["list", scope, prefix, limit, after] => listed(scope, prefix, Some(after), limit),
        ["pass"] => return Err(Failure::transient("asked", "asked to fail for now")),
        ["refuse"] => return Err(Failure::permanent("asked", "asked to fail for good")),
        ["trap"] => panic!("asked to trap"),
        ["sleep"] => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
        _ => return Err(Failure::permanent("order", format!("no order: {order}"))),
    })
}

fn listed(
    scope: &str,
    prefix: &str,
    after: Option<&str>,
    limit: &str,
) -> Result<String, kv::Error> {
    let limit = u32::try_from(number(limit)).expect("a limit is small");
    let page = kv::list_keys(of(scope), prefix, after, limit)?;
    Ok(page.keys.join("+") + if page.more { "…" } else { "" })
}

fn of(scope: &str) -> Scope {
    if scope == "s" { Scope::Session } else { Scope::Plugin }
}

fn number(text: &str) -> usize {
    text.parse().expect("an order has numbers where they belong")
}

fn told(actions: &[Action]) -> String {
    actions.iter().map(|action| format!("{}\n", action.description)).collect()
}

impl Writer for Keeper {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        let Some(url) = config::get("url") else {
            return obey(&note.body).map(Posted::with_id);
        };
        let before = kv::get_text(Scope::Session, "last")?.unwrap_or_default();
        let answer = http::Request::post(url)
            .header("idempotency-key", &call.idempotency_key)
            .header("x-last", before)
            .json(&serde_json::json!({ "text": note.body }))?
            .send()?
            .error_for_status()?;
        kv::set(Scope::Session, "last", &call.idempotency_key)?;
        kv::set(Scope::Plugin, "last", &call.idempotency_key)?;
        Ok(match answer.json::<serde_json::Value>() {
            Ok(answer) => json::id(&answer["id"]).map_or_else(Posted::without_id, Posted::with_id),
            Err(_) => Posted::without_id(),
        })
    }
}

impl Finder for Keeper {
    fn find_note(_: Call, conversation: String, _: String) -> Result<Option<String>, Failure> {
        obey(&conversation).map(|_| None)
    }
}

impl Redactor for Keeper {
    fn redact_note(_: Call, conversation: String, _: String) -> Result<Redaction, Failure> {
        obey(&conversation).map(|_| Redaction::Removed)
    }
}

impl Messenger for Keeper {
    fn offer(_: Call, _: String, offer: Offer) -> Result<Posted, Failure> {
        obey(&offer.text).map(Posted::with_id)
    }

    fn reply(_: Call, _: String, text: String) -> Result<Posted, Failure> {
        obey(&text).map(Posted::with_id)
    }
}

impl Sink for Keeper {
    fn write_actions(_: Call, batch: Batch) -> Result<(), Failure> {
        obey(&told(&batch.actions)).map(drop)
    }

    fn write_summary(_: Call, summary: Summary) -> Result<(), Failure> {
        obey(&summary.text).map(drop)
    }
}

impl Webhook for Keeper {
    fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
        let answer = obey(&String::from_utf8_lossy(&request.body));
        let answer = answer.map_err(|error| Rejection::new(422, error.code, error.message))?;
        Ok(vec![Event::Challenge(Answer::text(answer))])
    }
}

impl Trigger for Keeper {
    fn evaluate(context: TriggerContext) -> Option<Offer> {
        obey(&told(&context.actions)).ok().filter(|answer| !answer.is_empty()).map(Offer::new)
    }
}

impl Source for Keeper {
    fn receive(request: source::Request) -> Result<Received, source::Rejection> {
        let body = String::from_utf8_lossy(&request.body);
        let answer = obey(&body);
        let answer = answer.map_err(|error| source::Rejection::malformed(error.message))?;
        let mut received = Received::new(Response::ok());
        received.response.body = answer.into_bytes();
        Ok(received)
    }

    fn poll(_: Call, about: Option<Subject>, cursor: Option<String>) -> Result<Page, Failure> {
        let about = about.map(|about| about.user_id).unwrap_or_default();
        let mut event = source::Event::new(EventKind::Custom, obey(&about)?);
        event.identity.user_id = Some("u".to_owned());
        let cursor = Some(cursor.unwrap_or_default() + "+");
        Ok(Page { batches: vec![source::Batch::of([event])], cursor, ..Page::default() })
    }
}

sidenote_plugin::export!(Keeper: Writer, Redactor, Finder, Webhook, Messenger, Sink, Trigger, Source);
