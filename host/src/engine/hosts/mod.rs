//! Requests of one host to the engines of all: what comes in here is added to the inbox of the partition that it belongs to,
//! whoever owns that, and is answered by its engine after the commit.
//!
//! ```text
//! Handle ─▶ Dispatch ─▶ Adder ──inbox of the partition──▶ Intake ─▶ Engine
//!    ▲          │                                                     │
//!    └──────────┴── AnswerReader ◀──answers of the host── Answering ◀─┘
//! ```
//!
//! | what | is answered |
//! |---|---|
//! | actions, and what a source brings | when they are in the inbox: from then on they are *accepted* |
//! | all else | after the owner's commit, or not at all: whoever asks is told to ask again |
//!
//! What is asked of several partitions is parted by [`Command::split`](super::core::Command::split), and the answers are
//! added up. Lists and counts are read from the rows of all partitions, whoever owns them.

mod adder;
mod answers;
mod dispatch;
mod find;
mod keys;

pub use answers::{AnswerReader, Answering};
pub use dispatch::{Dispatch, DispatchError, Here, Hosts};
