//! What people did lately, in memory, for whoever answers them: a chatbot that asks for the context of a
//! question, a summary's prompt, an agent's tool.
//!
//! Pure: inputs and `now` in, text out. [`Contexts`] holds the latest actions and the rolling summary of
//! each session, [`Users`] the sessions of each user. Both are bounded and forget the one that was used
//! longest ago; both forget with time.
//!
//! The forms of the texts are the reference implementation's. Times are those at which the activity source
//! sent a batch; they order what is shown, and the host's own clock says what is old.

mod sessions;
mod users;

pub use sessions::{Contexts, InvalidSettings, Place, Settings, View};
pub use users::{Seen, UserSettings, Users};
