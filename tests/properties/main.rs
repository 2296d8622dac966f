//! Random histories of the real engine, judged from outside.
//!
//! A case is a list of [`steps`]: actions, summaries, links on somebody's word, decisions about what waits, erasures,
//! passing time, failing posts, redactions and sinks, a full disk, crashes at any moment, clocks that jump between two
//! lives of the host. [`history`] plays them under paused time and writes down what the host *answered*; [`verdict`]
//! compares that with what the platform and the sinks saw and what is left in the store. The engine's own decisions
//! are never asked.
//!
//! [`helping`] does the same with offers, what people say to them, and answers to what they write.

mod acts;
mod answers;
mod attempts;
mod erasures;
mod helping;
mod history;
mod links;
mod lives;
mod orders;
mod posts;
mod redactions;
mod rows;
mod sinks;
mod steps;
mod store;
mod summaries;
mod verdict;
mod waits;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_accepted_arrives_once_in_order_and_where_it_belongs(case in steps::case()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime needs nothing special");
        runtime.block_on(history::play(&case)).map_err(TestCaseError::fail)?;
    }
    #[test]
    fn who_is_helped_stands_as_a_model_says_and_is_told_nothing_twice(case in helping::case()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime needs nothing special");
        runtime.block_on(helping::play(&case)).map_err(TestCaseError::fail)?;
    }
}
