//! Offers of help: what one says, and when one may be made. Pure: inputs and `now` in, effects out.
//!
//! | module | decides |
//! |---|---|
//! | [`content`] | what an offer may say: the one place for its bounds |

pub mod content;
