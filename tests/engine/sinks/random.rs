//! Random lives: whatever sinks answer and however often the host is killed, each sink has everything, in
//! order.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sidenote::config::Delivery;
use sidenote::outbox::note::{Crash, FailureKind, PostError, Sent};
use sidenote::store::Table;
use sidenote_tests::fresh_store;
use sidenote_tests::sinks::SinkAnswer;
use sidenote_tests::world::{BEGIN, Platform, World, settings_with, wait};

use super::{after, fails, unavailable};

const SINKS: [&str; 2] = ["sink1", "sink2"];
const SESSIONS: usize = 3;

fn answer(rng: &mut StdRng) -> SinkAnswer {
    let timeout = PostError::Crashed { crash: Crash::Timeout, message: "late".to_owned() };
    match rng.random_range(0..8) {
        0 => unavailable(),
        1 => fails(FailureKind::Transient, None, Sent::Unknown),
        2 => fails(FailureKind::RateLimited, Some(rng.random_range(0.1..5.0)), Sent::Sent),
        3 => (Duration::from_millis(rng.random_range(0..3000)), Err(timeout)),
        _ => after(rng.random_range(0.0..1.0)),
    }
}

#[tokio::test(start_paused = true)]
async fn each_sink_has_everything_in_order() {
    for seed in 0..60 {
        live(seed).await;
    }
}

async fn live(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let gathered = rng.random_range(1..20);
    let rules = Delivery {
        max_lane_notes: rng.random_range(1..8),
        max_gathered_actions: gathered,
        max_note_actions: gathered,
        max_attempts: 1000,
        ..Delivery::default()
    };
    let store = fresh_store();
    let platform = Platform::new([]);
    platform.sinks.add(&SINKS);
    let begin = |at: f64| {
        let settings = settings_with(&rules, &["bot", SINKS[0], SINKS[1]]);
        World::start_with(BEGIN + at, store.clone(), platform.clone(), settings)
    };
    let mut world = begin(0.0);
    let mut wanted = vec![Vec::new(); SESSIONS];
    // So that no sink delivery is in flight in three kills: those would be poison, as they should.
    let mut kills = 0;
    for step in 0..120 {
        match rng.random_range(0..12) {
            0 if kills < 2 => {
                kills += 1;
                world.crash().await;
                world = begin(f64::from(step));
            }
            1 | 2 => {
                let sink = SINKS[rng.random_range(0..SINKS.len())];
                platform.sinks.script(sink, [answer(&mut rng)]);
            }
            3 | 4 => wait(rng.random_range(0.0..3.0)).await,
            5 => {
                let session = rng.random_range(0..SESSIONS);
                let text = format!("{step}");
                world.summary(&format!("s{session}"), &text, 1).await;
                // A batch behind it is taken only after it.
                wanted[session].push(format!("summary: {text}"));
                world.act(&format!("s{session}"), "behind").await;
                wanted[session].push("behind".to_owned());
            }
            _ => {
                let session = rng.random_range(0..SESSIONS);
                world.act(&format!("s{session}"), &step.to_string()).await;
                wanted[session].push(step.to_string());
            }
        }
    }
    platform.sinks.recover();
    wait(3600.0).await;
    for sink in SINKS {
        for (session, wanted) in wanted.iter().enumerate() {
            let kept = platform.sinks.kept(sink, &format!("s{session}"));
            assert_eq!(kept, *wanted, "seed {seed}, {sink}, session {session}");
        }
    }
    assert_eq!(world.rows(Table::SinkQueue).await, 0, "seed {seed}");
    assert_eq!(world.rows(Table::SinkAttempt).await, 0, "seed {seed}");
    assert_eq!(world.rows(Table::SinkDead).await, 0, "seed {seed}");
    world.end().await;
}
