//! `AsyncContextStore` and `UserSessionIndex`.

use std::time::Duration;

use serde_json::{Value, json};
use sidenote::clock::Timestamp;
use sidenote::context::{Contexts, InvalidSettings, Place, Settings, UserSettings, Users, View};
use sidenote::session::payload::ActionsPayload;

use crate::{compare, values};

/// Wall clock of the vectors at the start.
const BEGIN: f64 = 1_700_000_000.0;

pub(crate) fn check(case: &Value) -> Result<(), String> {
    let given = &case["given"];
    let then = values::expected(&case["then"]);
    let made = match given.get("store_config") {
        None => World::new(&given["config"], &Value::Null),
        Some(store) => World::new(store, &given["config"]),
    };
    let mut world = match (made, then.get("construct_error")) {
        (Ok(world), None) => world,
        (Err(_), Some(_)) => return Ok(()),
        (Ok(_), Some(error)) => return Err(format!("made, instead of the error {error}")),
        (Err(error), None) => return Err(format!("not made: {error}")),
    };
    let ops = case["when"]["ops"].as_array().ok_or("when.ops is no list")?;
    let results: Vec<_> = ops
        .iter()
        .map(|op| world.run(&values::input(op)).map(|result| json!({ "return": result })))
        .collect::<Result<_, _>>()?;
    compare::same("results", &Value::Array(results), &then["results"])
}

struct World {
    contexts: Contexts,
    users: Users,
    now: Timestamp,
}

impl World {
    fn new(store: &Value, index: &Value) -> Result<Self, InvalidSettings> {
        let d = Settings::default();
        let settings = Settings {
            lookback: seconds(&store["lookback_seconds"]).or(d.lookback),
            max_actions: count(&store["max_actions"]).or(d.max_actions),
            max_sessions: count(&store["max_sessions"]).unwrap_or(d.max_sessions),
            include_summary: store.get("include_summary").map_or(d.include_summary, values::is_yes),
            include_actions: store.get("include_actions").map_or(d.include_actions, values::is_yes),
            ..d
        };
        let d = UserSettings::default();
        let users = UserSettings {
            lookback: seconds(&index["lookback_seconds"]).unwrap_or(d.lookback),
            max_sessions_per_user: count(&index["max_sessions_per_user"])
                .unwrap_or(d.max_sessions_per_user),
            ..d
        };
        Ok(Self {
            contexts: Contexts::new(settings)?,
            users: Users::new(users)?,
            now: Timestamp::from_secs_f64(BEGIN),
        })
    }

    fn run(&mut self, op: &Value) -> Result<Value, String> {
        let now = self.now;
        let text = |key: &str| op[key].as_str().unwrap_or_default();
        let product = op["product_id"].as_str();
        match op["op"].as_str() {
            Some("add") => self.contexts.add(&batch(op)?, now),
            Some("index") => self.users.add(&batch(op)?, now),
            Some("add_both") => {
                self.contexts.add(&batch(op)?, now);
                self.users.add(&batch(op)?, now);
            }
            Some("on_summary") => {
                let place = Place::new("", text("session_id")).ok_or("a summary has a session")?;
                self.contexts.summarize(&place, text("summary"), 0, now);
            }
            Some("advance") => {
                self.now = now + Duration::from_secs_f64(op["s"].as_f64().ok_or("no time")?);
            }
            Some("reset") => self.contexts.reset(product, text("session_id")),
            Some("get") => {
                let view = self.view(op);
                return Ok(self.contexts.get(product, text("session_id"), view, now).into());
            }
            Some("enrich") => {
                let (view, query) = (self.view(op), text("query"));
                let (session, contexts) = (text("session_id"), &mut self.contexts);
                return Ok(contexts.enrich(product, session, query, view, now).into());
            }
            Some("active_sessions") => {
                let mut sessions: Vec<_> =
                    self.contexts.places().map(|place| &*place.session).collect();
                sessions.sort_unstable();
                return Ok(sessions.into());
            }
            Some("recent") => {
                let recent = self.users.recent(text("user_id"), now);
                return Ok(recent.iter().map(seen).collect());
            }
            Some("email") => return Ok(self.users.email(text("user_id"), now).into()),
            Some("activity") => {
                let view = self.view(op);
                let user = text("user_id");
                return Ok(self.users.activity(user, &mut self.contexts, view, now).into());
            }
            Some("reset_user") => {
                for place in self.users.reset(text("user_id")) {
                    self.contexts.reset(Some(&place.product), &place.session);
                }
            }
            other => return Err(format!("no such op: {other:?}")),
        }
        Ok(Value::Null)
    }

    /// What the settings show, save what the call says itself; `null` is for no bound.
    fn view(&self, op: &Value) -> View {
        let own = self.contexts.settings().view();
        View {
            lookback: op.get("lookback_seconds").map_or(own.lookback, seconds),
            max_actions: op.get("max_actions").map_or(own.max_actions, count),
            include_summary: op.get("include_summary").map_or(own.include_summary, values::is_yes),
            include_actions: op.get("include_actions").map_or(own.include_actions, values::is_yes),
        }
    }
}

fn batch(op: &Value) -> Result<ActionsPayload, String> {
    ActionsPayload::from_value(&op["payload"])
        .map(|(batch, _)| batch)
        .map_err(|error| error.to_string())
}

/// What is negative is no time at all, and so refused.
fn seconds(value: &Value) -> Option<Duration> {
    value.as_f64().map(|seconds| Duration::from_secs_f64(seconds.max(0.0)))
}

fn count(value: &Value) -> Option<usize> {
    value.as_i64().map(|count| usize::try_from(count).unwrap_or(0))
}

fn seen(seen: &sidenote::context::Seen) -> Value {
    let product = Some(&*seen.place.product).filter(|product| !product.is_empty());
    json!({
        "session_id": &*seen.place.session,
        "product_id": product,
        "last_seen_at": seen.at.as_secs_f64(),
    })
}
