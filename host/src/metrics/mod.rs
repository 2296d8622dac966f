//! What is told at `/metrics`.
//!
//! | file | what |
//! |---|---|
//! | [`names`] | every metric: name, unit, labels, help |
//! | `scrape` | what they are at one moment, and both forms in which that is told |
//! | `page` | the book's page of them |
//!
//! `host/metrics.rs` gathers them when somebody asks. Nothing is decided by a metric: what decides has a state of its
//! own. No person, session, conversation or secret is in a name or a label.

pub mod names;
#[cfg(test)]
mod page;
mod scrape;

#[cfg(test)]
mod tests;

pub use scrape::{Format, Scrape};
