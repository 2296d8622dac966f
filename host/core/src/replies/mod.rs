//! Answers to people: what waits for one, what one may say, and when a person of the team is to see to it. Pure: inputs
//! and `now` in, effects out.
//!
//! | module | decides |
//! |---|---|
//! | [`question`] | which messages of a session wait for an answer |
//! | [`answer`] | what an answer may say, and what is noted where none is sent |
//! | [`words`] | whether somebody asks for a human |

pub mod answer;
pub mod question;
pub mod words;
