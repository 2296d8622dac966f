//! Stores: one contract for all, and what happens when the ground under them fails.

mod redis;
