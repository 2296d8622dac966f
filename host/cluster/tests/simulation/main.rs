//! Random schedules of several hosts, with time, loss, delay, repeats, pauses, kills, joins, drains and failovers drawn
//! from a seed. The code is the crate's own; only the server, the network and the work of a partition are fakes.
//!
//! `SIDENOTE_SCHEDULES=N` runs more of them; `SIDENOTE_SEED=N` runs one, which a failure names, and with
//! `SIDENOTE_TRACE=1` tells all that happens in it.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "what a test calls is a test as well"
)]

mod chance;
mod judge;
mod work;
mod world;

use sidenote_cluster::rules::{Rule, Rules};
use world::{Tally, run};

/// Runs schedules on all processors until one ends badly in a way that is looked for. The first that did, and what the
/// others come to.
fn schedules(
    seeds: std::ops::Range<u64>,
    rules: Rules,
    is_looked_for: fn(&str) -> bool,
) -> (Tally, Option<(u64, String)>) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let next = std::sync::atomic::AtomicU64::new(seeds.start);
    let (next, seeds) = (&next, &seeds);
    let part = move || {
        let (mut all, mut wrong) = (Tally::default(), None);
        loop {
            let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if seed >= seeds.end {
                return (all, wrong);
            }
            match run(seed, rules) {
                Ok(tally) => all.add(&tally),
                Err(why) if is_looked_for(&why) => {
                    next.fetch_max(seeds.end, std::sync::atomic::Ordering::Relaxed);
                    wrong = Some((seed, why));
                }
                Err(_) => {}
            }
        }
    };
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..threads).map(|_| scope.spawn(part)).collect();
        let (mut all, mut first) = (Tally::default(), None::<(u64, String)>);
        for part in parts {
            let (tally, wrong) = part.join().unwrap();
            all.add(&tally);
            first = [first, wrong].into_iter().flatten().min();
        }
        (all, first)
    })
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn every_schedule_ends_well_where_all_rules_hold() {
    let seeds = match number("SIDENOTE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIDENOTE_SCHEDULES").unwrap_or(300),
    };
    let count = seeds.end - seeds.start;
    let (tally, wrong) = schedules(seeds, Rules::all(), |_| true);
    println!("{count} schedules: {tally:?}");
    if let Some((seed, why)) = wrong {
        panic!(
            "schedule {seed}: {why}\nagain: SIDENOTE_SEED={seed} cargo test -p sidenote-cluster --test simulation every"
        );
    }
    // A check that nothing could fail says nothing.
    if count >= 100 {
        assert!(
            tally.kills > count && tally.stale > count / 10 && tally.failovers > count / 10,
            "{tally:?}"
        );
        assert!(
            tally.commits > 20 * count && tally.events > 10 * count && tally.links > count / 10,
            "{tally:?}"
        );
    }
}

/// Without a rule some schedule ends badly, in the way that the rule is there for.
fn fails_without(rule: Rule, is_it: fn(&str) -> bool) {
    let within = 3000;
    let (_, wrong) = schedules(0..within, Rules::without(rule), is_it);
    let (seed, why) =
        wrong.unwrap_or_else(|| panic!("{within} schedules end well without {rule:?}"));
    println!("without {rule:?}: schedule {seed}: {why}");
}

macro_rules! each_rule {
    ($($name:ident: $rule:ident, $($damage:literal)|+;)*) => {
        $(
            #[test]
            fn $name() {
                fails_without(Rule::$rule, |why| $(why.contains($damage))||+);
            }
        )*

        #[test]
        fn every_rule_is_left_out_once() {
            let tried = [$(Rule::$rule),*];
            assert!(Rule::ALL.iter().all(|rule| tried.contains(rule)));
        }
    };
}

each_rule! {
    fails_without_the_fence: Fence, "is written by";
    fails_without_the_offset_in_the_commit: OffsetInCommit, "applied twice";
    fails_without_checked_numbers: NumberChecked, "applied twice";
    fails_where_gaps_are_accepted: GapRefused, "accepted and is lost";
    fails_without_the_incarnation_in_names: IncarnationInName, "accepted and is lost";
    fails_without_rows_of_messages: OutboxKept, "never settled";
    fails_where_messages_are_sent_before_the_commit: SendAfterCommit, " has s-";
    fails_without_rows_of_seen_events: DedupeCommitted, "applied twice";
    fails_where_rows_are_loaded_before_the_lease: LoadAfterAcquire, "lost" | "never settled";
    fails_without_claims: Claim, " has s-";
    fails_where_any_grant_counts: GrantByGeneration, "the directory knows";
    fails_where_any_release_counts: ReleaseByGeneration, "the directory knows";
    fails_where_inboxes_are_trimmed_by_length: TrimByOffset, "never settled";
    fails_where_a_new_reader_is_not_held_back: NewReaderHeldBack, "lost";
    fails_where_a_dead_reader_is_not_fenced: ReaderFenced, "is behind";
    fails_where_a_release_keeps_the_holder: ReleaseClearsHolder, "is back";
    fails_without_a_window_to_resend_from: ResendWindow, "lost";
    fails_where_epochs_are_counted_alone: EpochFromTime, "two writers";
    fails_where_the_offset_is_not_checked: OffsetChecked, "applied twice";
    fails_without_the_epoch_in_names: EpochInName, "never settled";
}
