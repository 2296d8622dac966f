//! The pure core of a session. No clock, task, lock or socket in here.
//!
//! | module | decides |
//! |---|---|
//! | [`action`] | one thing that a person did |
//! | [`payload`] | what an event of the stream says |
//! | [`event_time`] | which of a client's timestamps can be used |
//! | [`text`] | what of a person's text may reach a note |
//! | [`note`] | the text of a note |
//! | [`wording`] | words for actions that came without any |
//! | [`batch`] | which actions wait, for how long, and how many |
//! | [`identity`] | whom a name names, and whose word it is |
//! | [`link`] | which conversation a session's notes go to |
//! | [`state`] | what a batch, a link and a timer do to a session |
//! | [`fsm`] | when help may be offered unasked |
//! | [`limits`] | how long that goes on, and how long it is quiet afterwards |
//! | [`turn`] | what a turn of a conversation means: who did what |
//! | [`tour`] | which time-outs and cooldowns hold in a tour |
//! | [`snapshot`] | the stored form of the state machine, autoplay-sdk's included |

pub mod action;
pub mod batch;
pub mod event_time;
pub mod fsm;
pub mod identity;
pub mod limits;
pub mod link;
pub mod note;
pub mod packed;
pub mod payload;
pub mod repeat;
pub mod snapshot;
pub mod state;
pub mod text;
pub mod tour;
pub mod turn;
pub mod wording;
