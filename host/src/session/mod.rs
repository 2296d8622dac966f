//! The pure core of a session. No clock, task, lock or socket in here.
//!
//! | module | decides |
//! |---|---|
//! | [`payload`] | what an event of the stream says |
//! | [`event_time`] | which of a client's timestamps can be used |
//! | [`text`] | what of a person's text may reach a note |
//! | [`note`] | the text of a note |
//! | [`fsm`] | whether help may be offered, and when it ends |
//! | [`tour`] | the limits of the tours of a product |
//! | [`snapshot`] | the stored form of a session |

pub mod event_time;
pub mod fsm;
pub mod note;
pub mod payload;
pub mod snapshot;
pub mod text;
pub mod tour;
