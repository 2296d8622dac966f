//! Our stored form, written with autoplay-sdk's fields and times.

use serde_json::{Value, json};
use sidenote::clock::Timestamp;
use sidenote::session::snapshot::Snapshot;

/// A host: its wall clock and its monotonic clock, in seconds.
#[derive(Clone, Copy)]
pub(crate) struct Host {
    pub(crate) wall: f64,
    pub(crate) mono: f64,
}

impl Host {
    /// The vectors' clock at t = 0 has the wall at 1700000000.0 and the monotonic clock at 1000.0.
    pub(crate) fn at_mono(mono: f64) -> Self {
        Self { wall: 1_700_000_000.0 + (mono - 1000.0), mono }
    }

    pub(crate) fn now(self) -> Timestamp {
        Timestamp::from_secs_f64(self.wall)
    }

    /// A stored time on the monotonic clock; 0 stands for never.
    fn to_mono(self, stored: &Value) -> Value {
        let secs = stored.as_f64().expect("a stored time is a number");
        if secs == 0.0 {
            return json!(0.0);
        }
        let age_micros = self.now().0 - Timestamp::from_secs_f64(secs).0;
        json!(self.mono - age_micros as f64 / 1e6)
    }
}

/// What [`Snapshot::write`] stores, as autoplay-sdk's `to_dict()` has it.
pub(crate) fn as_v1(snapshot: &Snapshot, host: Host) -> Value {
    let mut dict = snapshot.write(host.now());
    assert_eq!(dict["_v"], 2);
    dict["_v"] = json!(1);
    for (object, field) in [
        ("thinking", "cooldown_started_at"),
        ("proactive", "last_message_at"),
        ("reactive", "last_message_at"),
    ] {
        dict[object][field] = host.to_mono(&dict[object][field]);
    }
    dict["last_interaction_at"] = host.to_mono(&dict["last_interaction_at"]);
    let fields = dict.as_object_mut().expect("a stored session is an object");
    for ours_alone in ["saved_at", "acted_at"] {
        fields.remove(ours_alone).expect("version 2 has the field");
    }
    dict
}
