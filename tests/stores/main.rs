//! Stores: one contract for all, and what happens when the ground under them fails.

mod contract;
mod disk;
mod history;
mod power_loss;
mod survivor;
