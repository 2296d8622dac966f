//! What a plugin implements, and the macro that exports it.

use crate::bindings::{webhook as webhook_bindings, writer as writer_bindings};
use crate::webhook::{Event, Rejection, Request};
use crate::{Call, Failure, Note, Posted};

/// Exports a type as the plugin of this crate.
///
/// `export!(Bot)` exports the [`Writer`] of `Bot`; `export!(Bot: Writer, Webhook)` exports what is
/// named. One use per crate.
#[macro_export]
macro_rules! export {
    ($plugin:ident) => {
        $crate::export!($plugin: Writer);
    };
    ($plugin:ident: $($interface:ident),+ $(,)?) => {
        $($crate::export_interface!($plugin, $interface);)+
    };
}

/// One interface of [`export!`].
#[doc(hidden)]
#[macro_export]
macro_rules! export_interface {
    ($plugin:ident, Writer) => {
        $crate::bindings::writer::export_writer!($plugin with_types_in $crate::bindings::writer);
    };
    ($plugin:ident, Webhook) => {
        $crate::bindings::webhook::export_webhook!($plugin with_types_in $crate::bindings::webhook);
    };
    ($plugin:ident, $other:ident) => {
        compile_error!(concat!(
            "a plugin can't export `", stringify!($other), "`; the interfaces are Writer and Webhook"
        ));
    };
}

/// Text into a conversation: what a plugin for a chat platform must have.
pub trait Writer {
    /// Posts a note beside its conversation, once.
    ///
    /// The host decides about trying again, so don't retry in here. A panic, or running past the
    /// call's deadline, counts as an unknown outcome.
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure>;
}

/// What a chat platform tells the host.
pub trait Webhook {
    /// Verifies a request and says what it means. Nothing of it was checked before.
    fn receive(request: Request) -> Result<Vec<Event>, Rejection>;
}

impl<T: Writer> writer_bindings::exports::sidenote::plugin::writer::Guest for T {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        T::post_note(call, note)
    }
}

impl<T: Webhook> webhook_bindings::exports::sidenote::plugin::webhook::Guest for T {
    fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
        T::receive(request)
    }
}
