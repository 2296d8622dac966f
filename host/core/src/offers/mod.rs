//! Offers of help: what one says, and when one may be made. Pure: inputs and `now` in, effects out.
//!
//! | module | decides |
//! |---|---|
//! | [`content`] | what an offer may say: the one place for its bounds |
//! | [`help`] | how a session stands: its state machine, the offer that stands |
//! | [`talk`] | what is known of a conversation: who wrote, whether it is closed |
//! | [`window`] | how many were made within a time |
//! | [`refusal`] | why none is made |
//! | [`log`] | what was decided, kept for a while |
//! | [`label`] | whether what somebody wrote is what could be clicked |
//! | [`tours`] | a tour that waits for a yes or a no |
//! | [`launch`] | the event that has a browser show a tour |
//! | [`matching`] | which tour answers a question |
//! | [`chips`] | the answers of autoplay-sdk's configuration |
//! | [`tear_down`] | when an offer that nobody answered is removed |

pub mod chips;
pub mod content;
pub mod help;
pub mod label;
pub mod launch;
pub mod log;
pub mod matching;
pub mod refusal;
pub mod talk;
pub mod tear_down;
pub mod tours;
pub mod window;
