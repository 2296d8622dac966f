//! How a host does, as tables for people.

use sidenote_terminal::output::{escaped, short};

use super::reading::{Engine, Plugin, Reading, Stream};
use crate::table;

const STREAMS: [&str; 6] = ["STREAM", "STATE", "EVENTS/S", "LAG", "LAST EVENT", "WHY"];
const PLUGINS: [&str; 9] =
    ["PLUGIN", "STATE", "BREAKER", "CALLS/S", "P50", "P99", "WAITING", "OLDEST", "FAILED"];

/// All of it. On a terminal, as wide as that.
pub(super) fn lines(reading: &Reading, url: &str, width: Option<u16>) -> Vec<String> {
    let ready = if reading.ready { "ready" } else { "not ready" };
    let mut lines = vec![format!("{}  {ready}", escaped(url))];
    lines.extend(engine(&reading.engine));
    lines.push(String::new());
    let streams = reading.streams.iter().map(stream);
    lines.extend(table::lines(&table::drawn(Some(STREAMS), streams, &[2, 3, 4], width)));
    lines.push(String::new());
    let plugins = reading.plugins.iter().map(plugin);
    let drawn = table::drawn(Some(PLUGINS), plugins, &[3, 4, 5, 6, 7], width);
    lines.extend(table::lines(&drawn));
    lines
}

fn engine(it: &Engine) -> [String; 2] {
    [
        format!(
            "actions {}/s   notes {}/s   commit p99 {}   store {}{}",
            rate(it.actions_per_second),
            rate(it.notes_per_second),
            time(it.commit_p99_seconds),
            escaped(&it.store),
            it.store_bytes.map(|bytes| format!(", {}", size(bytes))).unwrap_or_default(),
        ),
        format!(
            "waiting {}, the oldest {}   inbox {}, {}   dead since the start {}",
            it.waiting,
            short(it.oldest_waiting_seconds),
            it.inbox_inputs,
            size(it.inbox_bytes),
            it.dead_letters,
        ),
    ]
}

fn stream(it: &Stream) -> [String; STREAMS.len()] {
    let seconds = |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), short);
    [
        escaped(&it.name),
        escaped(&it.state),
        rate(it.events_per_second),
        seconds(it.lag_seconds),
        seconds(it.last_event_age_seconds),
        it.cause.as_deref().map(escaped).unwrap_or_default(),
    ]
}

fn plugin(it: &Plugin) -> [String; PLUGINS.len()] {
    let failed: Vec<_> =
        it.failed.iter().map(|(what, count)| format!("{} {count}", escaped(what))).collect();
    [
        escaped(&it.name),
        it.state.to_owned(),
        it.breaker.as_deref().map_or_else(|| "-".to_owned(), escaped),
        rate(it.calls_per_second),
        time(it.p50_seconds),
        time(it.p99_seconds),
        it.waiting.to_string(),
        short(it.oldest_waiting_seconds),
        failed.join(", "),
    ]
}

fn rate(per_second: f64) -> String {
    if per_second >= 100.0 { format!("{per_second:.0}") } else { format!("{per_second:.1}") }
}

fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 1.0 => format!("{:.1}ms", seconds * 1000.0),
        Some(seconds) => format!("{seconds:.1}s"),
    }
}

fn size(bytes: f64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let (mut bytes, mut unit) = (bytes, 0);
    while bytes >= 1024.0 && unit + 1 < UNITS.len() {
        bytes /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes:.0} B") } else { format!("{bytes:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([rate(0.0), rate(12.34), rate(1234.5)], ["0.0", "12.3", "1234"]);
        assert_eq!([time(None), time(Some(0.0123)), time(Some(2.0))], ["-", "12.3ms", "2.0s"]);
        assert_eq!([size(0.0), size(2048.0), size(5e12)], ["0 B", "2.0 KiB", "4656.6 GiB"]);
    }
}
