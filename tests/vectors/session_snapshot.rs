//! `SessionState.from_dict` and `to_dict`.

use serde_json::{Value, json};
use sidenote::session::snapshot::Snapshot;

use crate::as_v1::{Host, as_v1};
use crate::session_fsm::can_deliver;
use crate::{compare, values};

pub(crate) fn check(case: &Value) -> Result<(), String> {
    let host = Host::at_mono(case["given"]["mono"].as_f64().ok_or("given.mono is no number")?);
    let stored = values::input(&case["when"]["input"]);
    let then = values::expected(&case["then"]);
    let read =
        Snapshot::read(&stored, host.now(), Some(host.mono)).map_err(|error| error.to_string());
    compare::same_failure(&read, &then)?;
    let Ok(mut snapshot) = read else {
        return Ok(());
    };
    compare::same("snapshot", &as_v1(&snapshot, host), &then["snapshot"])?;
    compare::same("link", &json!(snapshot.link()), &then["link"])?;

    snapshot.fsm.tick(None, host.now());
    let after_tick = json!({
        "state": snapshot.fsm.state().as_str(),
        "cooldown_active": snapshot.fsm.cooldown().is_some(),
        "can_deliver": can_deliver(&snapshot.fsm),
    });
    compare::same("after_tick", &after_tick, &then["after_tick"])
}
