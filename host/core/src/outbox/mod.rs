//! One lane per session: order, retries, dead letters; one account per plugin: limits and breaker. Pure:
//! inputs and `now` in, effects out.

pub mod account;
pub mod attempt;
pub mod breaker;
pub mod delivery_id;
pub mod due_timer;
pub mod ended;
pub mod lane;
pub mod message;
pub mod note;
pub mod outcome;
pub mod redaction;
pub mod sink_delivery;
#[cfg(test)]
mod tests;
pub mod trouble;
