//! The timers that a guest sets: what is stored of its session, and what the call under way sets and cancels, which whoever
//! made the call stores with its outcome.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::bindings::v0_1::sidenote::plugin::timer as wit;
use super::ground::Ground;
use super::kv::{KvOfCall, Open};
use crate::clock::Timestamp;
use crate::engine::core::plugin_timers::TimerRow;
use crate::engine::core::rows::{read, session_group};
use crate::engine::core::values::Bytes;
use crate::ids::PluginName;
use crate::kv::MAX_KEY;
use crate::store::Table;
use crate::timer::{SHORTEST, SetTimer};

/// What can't be done.
type Refused = wit::Error;

impl KvOfCall {
    /// Sets a timer.
    pub(super) async fn set_timer(
        &mut self,
        ground: &Ground,
        name: &str,
        moment: wit::Moment,
        payload: Vec<u8>,
    ) -> Result<(), Refused> {
        let open = self.timers_to_set(ground)?;
        check_name(name)?;
        let limits = &ground.limits.timer;
        let bound = |key: &str, is: String, most: String| {
            format!("{is}, and `{key}` in [plugins.{}.limits] allows {most}", ground.name)
        };
        if payload.len() > limits.payload_bytes {
            let (is, most) = (payload.len(), limits.payload_bytes);
            let is = format!("the payload has {is} bytes");
            return Err(invalid(bound("timer_payload", is, most.to_string())));
        }
        let now = open.timers.clock.now();
        let (at, is_delay) = due(moment, now);
        if at.since(now) > limits.ahead {
            let is = format!("it would be due in {} s", at.since(now).as_secs());
            let most = format!("{} s", limits.ahead.as_secs());
            return Err(invalid(bound("timer_ahead", is, most)));
        }
        let is_stored = open.stored_timers(&ground.name).await?.contains_key(name);
        if !open.written_timer(name).unwrap_or(is_stored) {
            let of_session = open.timers_of_session();
            if of_session >= limits.of_session {
                let is = format!("that would be {} timers of the session", of_session + 1);
                let message = bound("timers_session", is, limits.of_session.to_string());
                return Err(full(message));
            }
            let of_plugin = open.timers_of_plugin(&ground.name);
            if of_plugin >= limits.timers as u64 {
                let is = format!("that would be {} timers", of_plugin + 1);
                return Err(full(bound("timers", is, limits.timers.to_string())));
            }
        }
        let set_at = is_delay.then_some(now);
        let timer = SetTimer { at, set_at, payload: Bytes(payload) };
        open.written.put_timer(name, Some(timer));
        Ok(())
    }

    /// Cancels a timer.
    pub(super) async fn cancel_timer(
        &mut self,
        ground: &Ground,
        name: &str,
    ) -> Result<(), Refused> {
        let open = self.timers_to_set(ground)?;
        check_name(name)?;
        // Only what is there is cancelled, so that cancelling has a bound too.
        match open.stored_timers(&ground.name).await?.contains_key(name) {
            true => open.written.put_timer(name, None),
            false => open.written.forget_timer(name),
        }
        Ok(())
    }

    /// The plugin's timers of the session, with what the call set.
    pub(super) async fn list_timers(
        &mut self,
        ground: &Ground,
    ) -> Result<Vec<wit::Waiting>, Refused> {
        let open = self.timers(ground)?;
        let stored = open.stored_timers(&ground.name).await?.iter();
        let mut all: BTreeMap<Arc<str>, (Timestamp, Vec<u8>)> =
            stored.map(|(name, row)| (name.clone(), (row.at, row.payload.0.clone()))).collect();
        for (name, timer) in open.written.timers() {
            match timer {
                Some(timer) => {
                    drop(all.insert(name.clone(), (timer.at, timer.payload.0.clone())));
                }
                None => drop(all.remove(name)),
            }
        }
        let waiting = |(name, (at, payload)): (Arc<str>, (Timestamp, Vec<u8>))| wit::Waiting {
            name: name.to_string(),
            at_ms: at.as_millis(),
            payload,
        };
        Ok(all.into_iter().map(waiting).collect())
    }

    fn timers(&mut self, ground: &Ground) -> Result<&mut Open, Refused> {
        if !ground.timer {
            return Err(refused(
                wit::ErrorKind::Denied,
                format!(
                    "the plugin may set no timers; grant it with\n[plugins.{}.grants]\ntimer = true",
                    ground.name
                ),
            ));
        }
        let open = self.0.as_mut().ok_or_else(|| {
            let message = "no timer can be set before the first call";
            refused(wit::ErrorKind::Unavailable, message.to_owned())
        })?;
        if open.session.is_none() {
            let message = "this call isn't about a session".to_owned();
            return Err(refused(wit::ErrorKind::NoSession, message));
        }
        Ok(open)
    }

    fn timers_to_set(&mut self, ground: &Ground) -> Result<&mut Open, Refused> {
        let open = self.timers(ground)?;
        if !open.is_stored {
            let message = "nothing of such a call is stored: it can only list timers".to_owned();
            return Err(refused(wit::ErrorKind::ReadOnly, message));
        }
        if !ground.wakes {
            let message = "the plugin doesn't export `on-timer`: nothing would be called";
            return Err(refused(wit::ErrorKind::Unhandled, message.to_owned()));
        }
        Ok(open)
    }
}

impl Open {
    /// The plugin's timers of the session, as they are stored.
    async fn stored_timers(
        &mut self,
        plugin: &PluginName,
    ) -> Result<&BTreeMap<Arc<str>, TimerRow>, Refused> {
        if self.timers.stored.is_none() {
            let groups: Vec<_> = self.session.iter().map(session_group).collect();
            let rows = self.store.load(Table::Timer, &groups).await.map_err(|error| {
                // What it says is the operator's business, and in the log.
                tracing::debug!("timer: {error}");
                let message =
                    "the host's store can't be asked at the moment; fail with `transient`";
                refused(wit::ErrorKind::Unavailable, message.to_owned())
            })?;
            let rows = rows.iter().flatten();
            let rows = rows.filter_map(|(n, row)| read::<TimerRow>(Table::Timer, *n, row));
            let ours = rows.filter(|row| row.plugin == *plugin);
            self.timers.stored = Some(ours.map(|row| (row.name.clone(), row)).collect());
        }
        Ok(self.timers.stored.get_or_insert_default())
    }

    /// Whether the call set a timer; `Some(false)`: it cancelled it.
    fn written_timer(&self, name: &str) -> Option<bool> {
        let mut written = self.written.timers();
        written.find(|(other, _)| ***other == *name).map(|(_, timer)| timer.is_some())
    }

    /// How many timers the call set that aren't stored, and how many it cancelled that are.
    fn change(&self) -> (u64, u64) {
        let stored = self.timers.stored.as_ref();
        let is_stored = |name: &Arc<str>| stored.is_some_and(|stored| stored.contains_key(name));
        let set = self.written.timers().filter(|(name, set)| set.is_some() && !is_stored(name));
        let gone = self.written.timers().filter(|(name, set)| set.is_none() && is_stored(name));
        (set.count() as u64, gone.count() as u64)
    }

    fn timers_of_session(&self) -> usize {
        let (set, gone) = self.change();
        let stored = self.timers.stored.as_ref().map_or(0, BTreeMap::len);
        (stored + set as usize).saturating_sub(gone as usize)
    }

    fn timers_of_plugin(&self, plugin: &PluginName) -> u64 {
        let (set, gone) = self.change();
        (self.timers.held.of(plugin) + set).saturating_sub(gone)
    }
}

/// When a timer is due, and whether its delay was given.
fn due(moment: wit::Moment, now: Timestamp) -> (Timestamp, bool) {
    let (at, is_delay) = match moment {
        wit::Moment::AfterMs(ms) => (now + Duration::from_millis(ms), true),
        wit::Moment::AtMs(ms) => (Timestamp::default() + Duration::from_millis(ms), false),
    };
    (at.max(now + SHORTEST), is_delay)
}

/// Whether a timer can be called this.
fn check_name(name: &str) -> Result<(), Refused> {
    if name.is_empty() {
        return Err(invalid("the name is empty".to_owned()));
    }
    if name.len() > MAX_KEY {
        return Err(invalid(format!("the name has {} bytes, and may have {MAX_KEY}", name.len())));
    }
    if name.chars().any(char::is_control) {
        return Err(invalid("the name has a line break or a control character".to_owned()));
    }
    Ok(())
}

fn invalid(message: String) -> Refused {
    refused(wit::ErrorKind::Invalid, message)
}

fn full(message: String) -> Refused {
    refused(wit::ErrorKind::Full, format!("{message}; cancel one first"))
}

fn refused(kind: wit::ErrorKind, message: String) -> Refused {
    wit::Error { kind, message }
}
