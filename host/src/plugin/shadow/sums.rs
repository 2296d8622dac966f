//! Pure: what was compared so far, added up within bounds, and the report of it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::difference::{Becomes, Difference, Values, What};

/// Differences of one export that are told; the calls of further ones are counted.
const MOST_DIFFERENCES: usize = 100;
/// Calls of one export whose cost is remembered: the latest.
const MOST_COSTS: usize = 1000;
/// Traps of one export that are told by their functions.
const MOST_TRAPS: usize = 20;

/// What one call cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::plugin) struct Cost {
    /// How long it computed, its waiting left out.
    pub(in crate::plugin) computed: Duration,
    /// How much memory its instance has afterwards.
    pub(in crate::plugin) memory_bytes: usize,
}

/// Why a call isn't compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::plugin) enum Why {
    /// The queue of the shadow was full.
    QueueFull,
    /// It asked or was answered more than is recorded.
    TooLarge,
    /// The version that runs was stopped at its deadline, was busy, or didn't start.
    LiveStopped,
    /// The shadow was being compiled, paused after traps, or couldn't be asked.
    ShadowPaused,
}

impl Why {
    /// In a word.
    pub(in crate::plugin) const fn word(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::TooLarge => "too_large",
            Self::LiveStopped => "live_stopped",
            Self::ShadowPaused => "shadow_paused",
        }
    }
}

/// Why live calls weren't compared, in a word each.
pub const NOT_COMPARED: [&str; 4] = [
    Why::QueueFull.word(),
    Why::TooLarge.word(),
    Why::LiveStopped.word(),
    Why::ShadowPaused.word(),
];

/// What was found in one call.
pub(in crate::plugin) struct Compared {
    /// The export, as the interface calls it.
    pub(in crate::plugin) export: &'static str,
    /// What names the call: the key of its note or delivery.
    pub(in crate::plugin) example: Option<String>,
    /// What the new version does differently.
    pub(in crate::plugin) differences: BTreeMap<Difference, Values>,
    /// What differs even where the version that runs is called twice with the same: it says nothing of the new one.
    pub(in crate::plugin) by_chance: usize,
    /// Requests that were refused, because there was no recorded answer.
    pub(in crate::plugin) refused: usize,
    /// Reads of the store beyond those of the live call.
    pub(in crate::plugin) reads_beyond: u64,
    /// What both versions cost.
    pub(in crate::plugin) costs: [Cost; 2],
    /// Where the new version trapped: how, and its functions, the innermost first.
    pub(in crate::plugin) trap: Option<(&'static str, Vec<String>)>,
}

/// What was compared since a moment.
#[derive(Debug, Default)]
pub(in crate::plugin) struct Sums {
    totals: ShadowTotals,
    exports: BTreeMap<&'static str, OfExport>,
}

#[derive(Debug, Default)]
struct OfExport {
    calls: u64,
    different: u64,
    found: BTreeMap<Difference, Seen>,
    left_out: u64,
    traps: BTreeMap<(&'static str, Vec<String>), Seen>,
    costs: VecDeque<[Cost; 2]>,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    calls: u64,
    example: Option<String>,
    values: Values,
}

/// How many calls of a shadow came to what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ShadowTotals {
    /// Calls that both versions were given.
    pub compared: u64,
    /// Those among them in which both did the same.
    pub same: u64,
    /// Those in which the new version did something else.
    pub different: u64,
    /// Those in which something differs by chance alone: it differs, too, where the version that runs is called twice.
    pub by_chance: u64,
    /// Live calls that weren't compared, by the reason.
    pub not_compared: BTreeMap<String, u64>,
    /// Requests of the new version that have no recorded answer: they were refused, and nothing was sent.
    pub refused_requests: u64,
    /// Values that the new version read and the version that runs didn't: it got those of a later moment.
    pub reads_beyond: u64,
    /// Calls in which the new version trapped or met a limit.
    pub traps: u64,
}

/// What was compared of one export.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ExportReport {
    /// As the interface calls it: `post-note`.
    pub export: String,
    /// Calls that were compared.
    pub calls: u64,
    /// Those in which the new version did something else.
    pub different: u64,
    /// What it does differently, what is most frequent first.
    pub differences: Vec<SeenDifference>,
    /// Differences that aren't told: there are too many.
    pub left_out: u64,
    /// Where the new version trapped.
    pub traps: Vec<SeenTrap>,
    /// What the latest calls cost.
    pub cost: CostReport,
}

/// A difference, and how often it was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SeenDifference {
    /// What it is.
    #[serde(flatten)]
    pub difference: Difference,
    /// Calls that have it.
    pub calls: u64,
    /// One of them, by the idempotency key of its note or delivery.
    pub example: Option<String>,
    /// What that call said in both versions, where it is a number or a word of the interface.
    pub values: Option<[String; 2]>,
}

/// Where the new version trapped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SeenTrap {
    /// `trap`, `timeout`, `cpu` or `memory`.
    pub code: String,
    /// The names of the functions that were under way, the innermost first.
    pub backtrace: Vec<String>,
    /// Calls that ended there.
    pub calls: u64,
    /// One of them.
    pub example: Option<String>,
}

/// What calls cost in both versions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CostReport {
    /// So many calls.
    pub calls: u64,
    /// How long they computed, in milliseconds; what they wait for is left out.
    pub computed_ms: OldAndNew,
    /// Memory of their instances, in bytes.
    pub memory_bytes: OldAndNew,
}

/// A measure of both versions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OldAndNew {
    /// Of the version that runs.
    pub live: Quantiles,
    /// Of the new one.
    pub shadow: Quantiles,
}

/// The middle of a measure, and what one in a hundred exceeds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Quantiles {
    /// Half of them are at most this.
    pub p50: f64,
    /// 99 of a hundred are.
    pub p99: f64,
}

impl Sums {
    /// A call was compared.
    pub(in crate::plugin) fn add(&mut self, compared: Compared) {
        let Compared { export, example, differences, .. } = compared;
        let totals = &mut self.totals;
        totals.compared += 1;
        totals.refused_requests += compared.refused as u64;
        totals.reads_beyond += compared.reads_beyond;
        totals.traps += u64::from(compared.trap.is_some());
        match (differences.is_empty(), compared.by_chance) {
            (false, _) => totals.different += 1,
            (true, 0) => totals.same += 1,
            (true, _) => totals.by_chance += 1,
        }
        let of = self.exports.entry(export).or_default();
        of.calls += 1;
        of.different += u64::from(!differences.is_empty());
        if of.costs.len() == MOST_COSTS {
            of.costs.pop_front();
        }
        of.costs.push_back(compared.costs);
        for (difference, values) in differences {
            let is_known = of.found.contains_key(&difference);
            if !is_known && of.found.len() == MOST_DIFFERENCES {
                of.left_out += 1;
                continue;
            }
            let seen = of.found.entry(difference);
            let seen = seen.or_insert(Seen { calls: 0, example: example.clone(), values });
            seen.calls += 1;
        }
        if let Some(trap) = compared.trap
            && (of.traps.contains_key(&trap) || of.traps.len() < MOST_TRAPS)
        {
            let seen = of.traps.entry(trap);
            seen.or_insert(Seen { calls: 0, example, values: None }).calls += 1;
        }
    }

    /// A call wasn't compared.
    pub(in crate::plugin) fn leave_out(&mut self, why: Why) {
        *self.totals.not_compared.entry(why.word().to_owned()).or_default() += 1;
    }

    /// The totals.
    pub(in crate::plugin) fn totals(&self) -> ShadowTotals {
        self.totals.clone()
    }

    /// What was found in each export.
    pub(in crate::plugin) fn exports(&self) -> Vec<ExportReport> {
        self.exports.iter().map(|(export, of)| of.report(export)).collect()
    }
}

impl OfExport {
    fn report(&self, export: &str) -> ExportReport {
        let seen = |(difference, seen): (&Difference, &Seen)| SeenDifference {
            difference: difference.clone(),
            calls: seen.calls,
            example: seen.example.clone(),
            values: seen.values.clone(),
        };
        let mut differences: Vec<_> = self.found.iter().map(seen).collect();
        differences.sort_by_key(|seen| std::cmp::Reverse(seen.calls));
        let trap = |((code, backtrace), seen): (&(&'static str, Vec<String>), &Seen)| SeenTrap {
            code: (*code).to_owned(),
            backtrace: backtrace.clone(),
            calls: seen.calls,
            example: seen.example.clone(),
        };
        ExportReport {
            export: export.to_owned(),
            calls: self.calls,
            different: self.different,
            differences,
            left_out: self.left_out,
            traps: self.traps.iter().map(trap).collect(),
            cost: self.cost(),
        }
    }

    fn cost(&self) -> CostReport {
        let of = |which: usize, measure: fn(&Cost) -> f64| {
            quantiles(self.costs.iter().map(|costs| measure(&costs[which])).collect())
        };
        let both = |measure| OldAndNew { live: of(0, measure), shadow: of(1, measure) };
        CostReport {
            calls: self.costs.len() as u64,
            computed_ms: both(|cost| 1000.0 * cost.computed.as_secs_f64()),
            memory_bytes: both(|cost| cost.memory_bytes as f64),
        }
    }
}

/// By the nearest rank.
fn quantiles(mut values: Vec<f64>) -> Quantiles {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let rank = (share * values.len() as f64).ceil() as usize;
        values.get(rank.max(1) - 1).copied().unwrap_or_default()
    };
    Quantiles { p50: at(0.5), p99: at(0.99) }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, request, at, change, from, to } = self;
        let request = request.as_deref().unwrap_or("the request");
        let becomes = match change {
            Some(Becomes::Added) => "added",
            Some(Becomes::Removed) => "removed",
            Some(Becomes::Changed) | None => "changed",
        };
        match what {
            What::RequestMissing => write!(f, "{request} isn't sent any more"),
            What::RequestExtra => write!(f, "{request} is new, and was refused"),
            What::RequestMoved => write!(f, "{request} is sent in another order"),
            What::Header => {
                write!(f, "{request}: header `{}` {becomes}", at.as_deref().unwrap_or("*"))
            }
            What::Body => match at {
                Some(at) if !at.is_empty() => write!(f, "{request}: body {at} {becomes}"),
                Some(_) | None => write!(f, "{request}: body {becomes}"),
            },
            What::Outcome => {
                let [from, to] = [from, to].map(|word| word.as_deref().unwrap_or("none"));
                write!(f, "outcome {from} → {to}")
            }
            What::Answer => write!(f, "answer: `{}` {becomes}", at.as_deref().unwrap_or("*")),
            What::Kv => {
                write!(f, "kv of the {}: a value {becomes}", at.as_deref().unwrap_or("plugin"))
            }
            What::Timer => write!(f, "timers: one {becomes}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(name: &str) -> Difference {
        Difference {
            what: What::Header,
            request: Some("POST https://api.example.com/notes".to_owned()),
            at: Some(name.to_owned()),
            change: Some(Becomes::Added),
            from: None,
            to: None,
        }
    }

    fn compared(names: &[String], by_chance: usize, ms: u64) -> Compared {
        Compared {
            export: "post-note",
            example: Some(format!("p/s/{ms}")),
            differences: names.iter().map(|name| (header(name), None)).collect(),
            by_chance,
            refused: 1,
            reads_beyond: 2,
            costs: [1, 2].map(|times| Cost {
                computed: Duration::from_millis(times * ms),
                memory_bytes: 1 << 20,
            }),
            trap: None,
        }
    }

    #[test]
    fn what_was_found_is_added_up_with_the_first_example() {
        let mut sums = Sums::default();
        sums.add(compared(&[], 0, 1));
        sums.add(compared(&["x-a".to_owned(), "x-b".to_owned()], 0, 2));
        sums.add(compared(&["x-b".to_owned()], 1, 3));
        sums.add(compared(&[], 1, 4));
        sums.leave_out(Why::QueueFull);
        let totals = sums.totals();
        assert_eq!(
            (totals.compared, totals.same, totals.different, totals.by_chance),
            (4, 1, 2, 1)
        );
        assert_eq!((totals.refused_requests, totals.reads_beyond), (4, 8));
        assert_eq!(totals.not_compared, BTreeMap::from([("queue_full".to_owned(), 1)]));
        let [report] = &sums.exports()[..] else { panic!("one export was called") };
        let told: Vec<_> =
            report.differences.iter().map(|seen| seen.difference.to_string()).collect();
        assert_eq!(
            told,
            [
                "POST https://api.example.com/notes: header `x-b` added",
                "POST https://api.example.com/notes: header `x-a` added"
            ]
        );
        assert_eq!(report.differences[0].calls, 2);
        assert_eq!(report.differences[0].example.as_deref(), Some("p/s/2"));
        assert_eq!(report.cost.computed_ms.live, Quantiles { p50: 2.0, p99: 4.0 });
        assert_eq!(report.cost.computed_ms.shadow, Quantiles { p50: 4.0, p99: 8.0 });
    }

    #[test]
    fn traps_are_told_by_their_functions() {
        let mut sums = Sums::default();
        for n in 0..100 {
            let trap = Some(("trap", vec![format!("f{}", n % 30)]));
            sums.add(Compared { trap, ..compared(&[], 0, n) });
        }
        let [report] = &sums.exports()[..] else { panic!("one export was called") };
        assert_eq!(report.traps.len(), MOST_TRAPS);
        assert_eq!((report.traps[0].calls, sums.totals().traps), (4, 100));
    }

    proptest! {
        /// Whatever comes, the sums fit each other, and the report has a bound.
        #[test]
        fn the_report_is_bounded_and_adds_up(
            calls in prop::collection::vec((prop::collection::vec("x-[a-z]{1,3}", 0..6), 0_usize..2), 0..400),
        ) {
            let mut sums = Sums::default();
            for (names, by_chance) in &calls {
                sums.add(compared(names, *by_chance, 1));
            }
            let totals = sums.totals();
            prop_assert_eq!(totals.compared, calls.len() as u64);
            prop_assert_eq!(totals.same + totals.different + totals.by_chance, totals.compared);
            for report in sums.exports() {
                prop_assert!(report.differences.len() <= MOST_DIFFERENCES);
                prop_assert!(report.cost.calls <= MOST_COSTS as u64);
                let each: u64 = calls
                    .iter()
                    .map(|(names, _)| names.iter().collect::<std::collections::BTreeSet<_>>().len() as u64)
                    .sum();
                let told: u64 = report.differences.iter().map(|seen| seen.calls).sum();
                prop_assert_eq!(told + report.left_out, each);
            }
        }
    }
}
