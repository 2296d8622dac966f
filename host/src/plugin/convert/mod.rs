//! Between the host's types and the interface's, with bounds on what a guest says.

mod activity;
mod help;
mod note;
mod source;
mod webhook;

use super::bindings::v0_1::sidenote::plugin::types as wit;

pub(super) use activity::{batch, context, summary, timer};
pub(super) use help::{given_offer, offer, quick_replies};
pub(super) use note::{actions, call, failure, found, is_final, note, posted, redaction};
pub(super) use source::{page, received, source_rejection, source_request, subject};
pub(super) use webhook::{events, headers, rejection, request};

const MAX_CODE_BYTES: usize = 64;
const MAX_MESSAGE_BYTES: usize = 1000;
