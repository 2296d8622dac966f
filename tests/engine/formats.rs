//! Stores that earlier builds wrote, under today's: on the day on which they were written, by the test's own time, since what
//! they hold is kept for some time only.

use std::path::{Path, PathBuf};

use sidenote::config::Delivery;
use sidenote::engine::core::rows::is_packed;
use sidenote::store::{FORMAT, inspect};
use sidenote_tests::eventually;
use sidenote_tests::world::{Platform, World, embedded};

/// At most a minute after each of them was written, in seconds since the Unix epoch.
const THEN: [f64; 3] = [1_796_025_880.0, 1_796_025_880.0, 1_796_085_907.0];

fn stored(format: u64) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/stores");
    folder.join(format!("format-{format}.redb"))
}

#[tokio::test]
async fn a_store_of_each_earlier_format_is_told_apart_and_goes_on_under_this_build() {
    assert_eq!(THEN.len() as u64, FORMAT - 1, "one of each");
    for (format, then) in (1..FORMAT).zip(THEN) {
        let found = inspect(&stored(format), is_packed).unwrap();
        assert_eq!(found.format, format);
        assert_eq!(found.earlier == found.rows, format == 1, "{found:?}");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        std::fs::copy(stored(format), &path).unwrap();
        let (store, platform) = (embedded(&path).await, Platform::new([]));
        let mut world = World::start_at(then, store, platform, Delivery::default());
        assert!(world.record("linked").await.link.is_some(), "the link is known");
        for session in ["open", "more"] {
            world.link(session, &format!("c-{session}")).await.unwrap();
        }
        for (session, actions) in [("open", 0..3), ("more", 0..3)] {
            let wanted: Vec<_> = actions.map(|n| format!("action {n} of {session}")).collect();
            eventually(|| {
                let said = world.platform.lines().join("\n");
                let missing: Vec<_> = wanted.iter().filter(|it| !said.contains(*it)).collect();
                if missing.is_empty() { Ok(()) } else { Err(format!("{format}: {missing:?}")) }
            })
            .await;
        }
        world.act("open", "Clicked once more").await;
        world.handle.stop().await;
        world.ended().await.unwrap();
        drop(world);
        // The last commit is through when the file can be opened.
        drop(embedded(&path).await);
        let found = inspect(&path, is_packed).unwrap();
        assert_eq!(found.format, FORMAT, "a start puts its own number into the file");
    }
}
