//! A connector: `GET /stream/{product}` as server-sent events, with a bearer token. As with the real
//! one there is no replay. Its manners can be changed while it runs.

mod behaviour;
mod event;
mod feed;
mod handle;
mod product;
mod stats;

#[cfg(test)]
mod tests;

pub use behaviour::{Behaviour, ConnectorOptions, LineEnd, WhenUnread};
pub use event::Event;
pub use handle::{Connector, Emitted};
pub use stats::ConnectorStats;
