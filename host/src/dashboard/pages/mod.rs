//! The pages: a file each, with a pure function from values to markup and what reads the values.

pub(super) mod audit;
pub(super) mod layout;
pub(super) mod login;
mod notes;
pub(super) mod offers;
pub(super) mod orders;
pub(super) mod outbox;
pub(super) mod overview;
pub(super) mod plugins;
pub(super) mod search;
pub(super) mod timeline;
