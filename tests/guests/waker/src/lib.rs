//! Sets the timers that a text tells it to, and answers what came of it; what a timer's payload says is done when it is
//! due. Orders stand behind `do:`, with `;` between them:
//!
//! | order | answer |
//! |---|---|
//! | `after NAME MS [PAYLOAD]` | `set`: so many milliseconds from now |
//! | `at NAME MS [PAYLOAD]` | `set`: at this moment |
//! | `fill NAME BYTES` | `set`: in a minute, with a payload of this length |
//! | `many PREFIX COUNT MS` | how many were set |
//! | `cancel NAME` | `cancelled` |
//! | `list` | the names with `+` between |
//! | `keep` | `kept`: the name of the timer and the key of the call, under a key of the plugin's |
//! | `pass`, `refuse` | fails for now, for good |
//! | `once` | fails for now at the first attempt |
//! | `trap`, `sleep` | none |
//!
//! A payload is orders without `do:`, in which `,` stands for `;` and `_` for a space. What is refused answers its kind and its message.
//!
//! With a `url` it is a writer like others: it posts the note there, and sets a timer.

use std::time::Duration;

use sidenote_plugin::help::{Offer, TriggerContext};
use sidenote_plugin::kv::{self, Scope};
use sidenote_plugin::sink::{Batch, Summary};
use sidenote_plugin::timer::{self, DueTimer, Moment};
use sidenote_plugin::webhook::{Answer, Event, Rejection, Request};
use sidenote_plugin::{
    Action, Call, Failure, Note, OnTimer, Posted, Sink, Trigger, Webhook, Writer, config, http,
    json,
};

/// The plugin.
pub struct Waker;

/// What an order may need to know.
struct About<'a> {
    timer: &'a str,
    key: &'a str,
    attempt: u32,
}

const NOTHING: About<'_> = About { timer: "", key: "", attempt: 0 };

/// Carries the orders of a text out; answers with a space between.
fn obey(text: &str, about: &About<'_>) -> Result<String, Failure> {
    let mut answers = Vec::new();
    for orders in text.split("do:").skip(1) {
        let orders = orders.lines().next().unwrap_or_default();
        for order in orders.split(';') {
            answers.push(match one(order.trim(), about)? {
                Ok(answer) => answer,
                Err(error) => format!("{:?}: {}", error.kind, error.message.replace('\n', " ")),
            });
        }
    }
    Ok(answers.join(" "))
}

fn one(order: &str, about: &About<'_>) -> Result<Result<String, timer::Error>, Failure> {
    let words: Vec<_> = order.split(' ').collect();
    let set = |()| "set".to_owned();
    Ok(match *words {
        ["after", name, ms] => timer::set(name, Moment::AfterMs(number(ms)), "").map(set),
        ["after", name, ms, payload] => {
            timer::set(name, Moment::AfterMs(number(ms)), written(payload)).map(set)
        }
        ["at", name, ms] => timer::set(name, Moment::AtMs(number(ms)), "").map(set),
        ["at", name, ms, payload] => {
            timer::set(name, Moment::AtMs(number(ms)), written(payload)).map(set)
        }
        ["fill", name, bytes] => {
            let payload = vec![b'x'; usize::try_from(number(bytes)).expect("it is small")];
            timer::set(name, Duration::from_secs(60), payload).map(set)
        }
        ["many", prefix, count, ms] => {
            let moment = || Moment::AfterMs(number(ms));
            let set = (0..number(count))
                .take_while(|n| timer::set(&format!("{prefix}{n}"), moment(), "").is_ok());
            Ok(set.count().to_string())
        }
        ["cancel", name] => timer::cancel(name).map(|()| "cancelled".to_owned()),
        ["list"] => timer::list_timers()
            .map(|timers| timers.into_iter().map(|timer| timer.name).collect::<Vec<_>>().join("+")),
        ["keep"] => {
            kv::set(Scope::Plugin, &format!("{}/{}", about.timer, about.key), "")?;
            Ok("kept".to_owned())
        }
        ["pass"] => return Err(Failure::transient("asked", "asked to fail for now")),
        ["once"] if about.attempt == 1 => {
            return Err(Failure::transient("asked", "asked to fail once"));
        }
        ["once"] => Ok("again".to_owned()),
        ["refuse"] => return Err(Failure::permanent("asked", "asked to fail for good")),
        ["trap"] => panic!("asked to trap"),
        ["sleep"] => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
        _ => return Err(Failure::permanent("order", format!("no order: {order}"))),
    })
}

fn written(payload: &str) -> String {
    payload.replace(',', ";").replace('_', " ")
}

fn number(text: &str) -> u64 {
    text.parse().expect("an order has numbers where they belong")
}

fn told(actions: &[Action]) -> String {
    actions.iter().map(|action| format!("{}\n", action.description)).collect()
}

impl Writer for Waker {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        let Some(url) = config::get("url") else {
            return obey(&note.body, &NOTHING).map(Posted::with_id);
        };
        timer::set("later", Duration::from_secs(60), "keep")?;
        let answer = http::Request::post(url)
            .header("idempotency-key", &call.idempotency_key)
            .json(&serde_json::json!({ "text": note.body }))?
            .send()?
            .error_for_status()?;
        Ok(match answer.json::<serde_json::Value>() {
            Ok(answer) => json::id(&answer["id"]).map_or_else(Posted::without_id, Posted::with_id),
            Err(_) => Posted::without_id(),
        })
    }
}

impl Sink for Waker {
    fn write_actions(_: Call, batch: Batch) -> Result<(), Failure> {
        obey(&told(&batch.actions), &NOTHING).map(drop)
    }

    fn write_summary(_: Call, summary: Summary) -> Result<(), Failure> {
        obey(&summary.text, &NOTHING).map(drop)
    }
}

impl Webhook for Waker {
    fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
        let answer = obey(&String::from_utf8_lossy(&request.body), &NOTHING);
        let answer = answer.map_err(|error| Rejection::new(422, error.code, error.message))?;
        Ok(vec![Event::Challenge(Answer::text(answer))])
    }
}

impl Trigger for Waker {
    fn evaluate(context: TriggerContext) -> Option<Offer> {
        let answer = obey(&told(&context.actions), &NOTHING).ok()?;
        Some(answer).filter(|answer| !answer.is_empty()).map(Offer::new)
    }
}

impl OnTimer for Waker {
    fn wake(call: Call, timer: DueTimer) -> Result<(), Failure> {
        let payload = String::from_utf8_lossy(&timer.payload);
        let (key, attempt) = (call.idempotency_key.as_str(), call.attempt);
        obey(&format!("do:{payload}"), &About { timer: &timer.name, key, attempt }).map(drop)
    }
}

sidenote_plugin::export!(Waker: Writer, Webhook, Sink, Trigger, OnTimer);
