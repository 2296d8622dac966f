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

/// One interface of [`export!`]. Off WebAssembly there is nothing to export to, and native linkers
/// don't take the symbols' names: only the trait is checked for.
#[doc(hidden)]
#[macro_export]
macro_rules! export_interface {
    ($plugin:ident, Writer) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            $crate::bindings::writer::export_writer!($plugin with_types_in $crate::bindings::writer);
        };
        $crate::assert_implements!($plugin, Writer);
    };
    ($plugin:ident, Webhook) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            $crate::bindings::webhook::export_webhook!($plugin with_types_in $crate::bindings::webhook);
        };
        $crate::assert_implements!($plugin, Webhook);
    };
    ($plugin:ident, $other:ident) => {
        compile_error!(concat!(
            "a plugin can't export `",
            stringify!($other),
            "`; the interfaces are Writer and Webhook"
        ));
    };
}

/// Fails to compile, naming the trait, where a type doesn't have it.
#[doc(hidden)]
#[macro_export]
macro_rules! assert_implements {
    ($plugin:ident, $interface:ident) => {
        const _: () = {
            const fn implements<T: $crate::$interface>() {}
            implements::<$plugin>();
        };
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
