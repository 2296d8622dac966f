//! A connector and a chat platform on loopback sockets, for `sidenote demo`, `plugin test` and the tests; and the demo.
//!
//! Both are servers of their own: the host meets them over TCP only, in the formats that the real
//! ones speak, and they judge by themselves what arrives. They can misbehave on demand. [`Mock`] is a platform of no
//! kind in particular, for trying a plugin out.

mod connector;
mod demo;
mod histogram;
mod marker;
mod mock;
mod platform;
mod post;
mod recording;
mod replay;
mod serve;
mod signature;
mod tally;

pub use connector::{
    Behaviour, Connector, ConnectorOptions, ConnectorStats, Emitted, Event, LineEnd, WhenUnread,
};
pub use demo::{DemoArgs, demo};
pub use histogram::Histogram;
pub use marker::Marker;
pub use mock::{
    Form, FormError, Mock, MockExchange, MockExpectation, MockOutcome, MockTrouble, Struck,
};
pub use platform::{
    Ending, Exchange, Fault, Keep, Live, Message, Note, NoteAction, Opening, Platform,
    PlatformOptions, PlatformStats, QuickReply, Redacted, Scope, Trouble, WebhookError,
};
pub use post::{Answer, PostError, post_json};
pub use replay::{ReplayArgs, replay};
pub use tally::{Tally, TallyOptions, Totals};
