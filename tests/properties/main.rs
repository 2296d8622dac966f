//! Random histories of the real engine, judged from outside.
//!
//! A case is a list of [`steps`]: actions, links, passing time, failing posts, a full disk, crashes at any
//! moment, clocks that jump between two lives of the host. [`history`] plays them under paused time and
//! writes down what the host *answered*; [`verdict`] compares that with what the platform saw and what is
//! left in the store. The engine's own decisions are never asked.

mod history;
mod links;
mod lives;
mod posts;
mod rows;
mod steps;
mod store;
mod verdict;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_taken_arrives_once_in_order_and_where_it_belongs(case in steps::case()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime needs nothing special");
        runtime.block_on(history::play(&case)).map_err(TestCaseError::fail)?;
    }
}
