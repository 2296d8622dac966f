//! Sources: what people do comes through a plugin. A request to `/sources/NAME/…`, or what a plugin found that was asked,
//! becomes what the connector would have sent.
//!
//! ```text
//! http -> keys, limits -> plugin (parses) -> seen (repeats) -> words (sidenote_sources) -> engine, one commit -> answer
//! polls -> plugin (asks)  -----------------^
//! ```
//!
//! | module | owns |
//! |---|---|
//! | `keys` | where a request has its key, and whose that is |
//! | `cors` | which web pages may send, and what their browsers are told |
//! | `unpack` | a body that was packed, within a bound |
//! | `rates` | how much one key may send |
//! | `seen` | which events were accepted before |
//! | `told` | what a source remembers, read from the store when it is needed first |
//! | `commits` | one commit for all that came, with what is remembered of it |
//! | `counts` | what is counted |
//! | `source` | one source: its rules, its words, what it remembers |
//! | `service` | the way of a request, and of a page that was asked for |
//! | [`rehearsal`] | what would come of a request, for whoever tries a source out |
//! | `polls`, `subjects` | when plugins are asked, and about whom |
//!
//! Which events a source was told, who is who, and where one that is asked goes on are rows of the store, in the commit that has
//! the events.

mod commits;
pub(crate) mod cors;
mod counts;
mod keys;
mod polls;
mod rates;
pub mod rehearsal;
mod seen;
mod service;
mod source;
mod subjects;
mod told;
mod unpack;

pub(crate) use counts::{REASONS, REQUESTS};
pub(crate) use service::SourceService;
pub use service::{Refusal, Reply, Request};
pub use unpack::unpacked;
pub(crate) use unpack::{TooLarge, Unpacked, unpack};
