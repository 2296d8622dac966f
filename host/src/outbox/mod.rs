//! One lane per session: order, retries, dead letters. Pure: inputs and `now` in, effects out.

pub mod lane;
pub mod note;
pub mod retry;
#[cfg(test)]
mod tests;
