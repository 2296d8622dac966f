//! Sinks: every batch and every summary of a product, for each plugin of it that takes them.
//!
//! What came in is put into the store in the commit that takes it, once per sink. Each (session, sink) has
//! a lane of its own, with the rules of the lanes of notes, and rows of its own: a sink that is slow or
//! away holds up neither notes nor other sinks, and where no product has a sink nothing here is asked.

mod decide;
mod lanes;
mod post;
mod take;

pub(super) use lanes::SinkLanes;
pub(super) use post::{StartParcel, Written};
pub(super) use take::Roster;
