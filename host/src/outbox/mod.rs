//! One lane per session: order, retries, dead letters. Pure: inputs and `now` in, effects out.

pub mod note;
