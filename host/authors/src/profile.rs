//! Samples of what a component computes as a `.cpuprofile`, the form of the Chrome DevTools Protocol, which
//! <https://profiler.firefox.com>, Chrome and editors open.

use std::collections::HashMap;
use std::io::BufWriter;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use sidenote::plugin::Sample;

/// Calls by who called them: a tree, whose root is the first node.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    nodes: Vec<Node>,
    /// In microseconds, as all times.
    start_time: u64,
    end_time: u64,
    /// The node of each sample.
    samples: Vec<usize>,
    /// How long each sample was after the one before.
    time_deltas: Vec<u64>,
}

/// A function, called by the nodes above it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    /// From 1.
    id: usize,
    call_frame: CallFrame,
    /// Samples in which it was the innermost.
    hit_count: u64,
    children: Vec<usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallFrame {
    function_name: String,
    script_id: &'static str,
    url: String,
    line_number: i32,
    column_number: i32,
}

impl Profile {
    /// Of the samples of a plugin. Times are counted from the beginning of the run: the day of it is nobody's business.
    fn of(plugin: &str, samples: &[Sample]) -> Self {
        let mut profile = Self {
            nodes: vec![Node::new(1, "(root)", plugin)],
            start_time: 0,
            end_time: samples.last().map_or(0, |sample| micros(sample.at)),
            samples: Vec::with_capacity(samples.len()),
            time_deltas: Vec::with_capacity(samples.len()),
        };
        let mut known: HashMap<(usize, &str), usize> = HashMap::new();
        let mut before = 0;
        for sample in samples {
            let mut at = 1;
            for name in sample.functions.iter().rev() {
                at = *known.entry((at, name)).or_insert_with(|| profile.add(at, name, plugin));
            }
            profile.nodes[at - 1].hit_count += 1;
            profile.samples.push(at);
            profile.time_deltas.push(micros(sample.at) - before);
            before = micros(sample.at);
        }
        profile
    }

    /// Adds a function below a node; its id.
    fn add(&mut self, parent: usize, name: &str, plugin: &str) -> usize {
        let id = self.nodes.len() + 1;
        self.nodes.push(Node::new(id, name, plugin));
        self.nodes[parent - 1].children.push(id);
        id
    }
}

impl Node {
    fn new(id: usize, name: &str, plugin: &str) -> Self {
        let call_frame = CallFrame {
            function_name: name.to_owned(),
            script_id: "0",
            url: plugin.to_owned(),
            line_number: -1,
            column_number: -1,
        };
        Self { id, call_frame, hit_count: 0, children: Vec::new() }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Writes the samples of a plugin.
pub(super) fn write(file: &Path, plugin: &str, samples: &[Sample]) -> anyhow::Result<()> {
    let failed = || format!("--profile {} can't be written; name another file", file.display());
    let open = std::fs::File::create(file).with_context(failed)?;
    serde_json::to_writer(BufWriter::new(open), &Profile::of(plugin, samples)).with_context(failed)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_file_has_the_form_of_the_devtools_protocol() {
        let sample = |millis, functions: &[&str]| Sample {
            at: Duration::from_millis(millis),
            functions: functions.iter().map(|name| (*name).to_owned()).collect(),
        };
        let samples = [
            sample(3, &["json::escape", "bot::post"]),
            sample(4, &["bot::post"]),
            sample(9, &[]),
            sample(10, &["json::escape", "bot::post"]),
        ];
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.cpuprofile");
        write(&file, "bot", &samples).unwrap();
        let profile: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let node = |id, name: &str, hits, children: &[u32]| {
            json!({
                "id": id,
                "callFrame": {
                    "functionName": name, "scriptId": "0", "url": "bot", "lineNumber": -1, "columnNumber": -1,
                },
                "hitCount": hits,
                "children": children,
            })
        };
        let wanted = json!({
            "nodes": [
                node(1, "(root)", 1, &[2]),
                node(2, "bot::post", 1, &[3]),
                node(3, "json::escape", 2, &[]),
            ],
            "startTime": 0,
            "endTime": 10_000,
            "samples": [3, 2, 1, 3],
            "timeDeltas": [3000, 1000, 5000, 1000],
        });
        assert_eq!(profile, wanted);
        assert!(write(&folder.path().join("no/such/folder"), "bot", &samples).is_err());
    }
}
