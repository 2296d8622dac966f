//! Stores: one contract for all, and what happens when the ground under them fails.

mod commit_cost;
mod contract;
mod disk;
mod failing_disk;
mod history;
mod power_loss;
mod survivor;
