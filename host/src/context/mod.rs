//! What people did lately, in memory, for whoever answers them: a chatbot that asks for the context of a
//! question, a summary's prompt, an agent's tool.
//!
//! [`Contexts`] holds the latest actions and the rolling summary of each session, [`Users`] the sessions of
//! each user. Both are pure: inputs and `now` in, text out. Both are bounded and forget the one that was
//! used longest ago; both forget with time. [`Recent`] is the two behind a lock, for all parts of the host;
//! [`follow`] keeps it up to date: it reads the engine's history
//! ([`engine::history`](crate::engine::history)) and then its feed ([`engine::feed`](crate::engine::feed)),
//! so that a restart forgets nothing.
//!
//! The forms of the texts are autoplay-sdk's. What the engine tells counts from the moment at
//! which it was accepted, by the host's clock: a source whose clock is wrong hides nothing. A batch that is added
//! by hand counts from when its source sent it, as far as that can be believed.
//!
//! [`assembly`] puts what is known about a question together, from this and from other sources.

mod asked;
pub mod assembly;
mod follow;
mod recent;
mod sessions;
mod users;

pub use asked::{Query, UserActivity, about_person, about_user};
pub use follow::follow;
pub use recent::{Acted, Recent};
pub use sessions::{Contexts, InvalidSettings, Place, Settings, View};
pub use users::{Seen, UserSettings, Users};
