//! Stores: one contract for all, and what happens when the ground under them fails.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what a test calls is a test as well"
)]

mod commit_cost;
mod contract;
mod disk;
mod failing_disk;
mod history;
mod power_loss;
mod redis;
mod scrub;
mod survivor;
