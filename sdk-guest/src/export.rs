//! What a plugin implements, and the macro that exports it.

use crate::bindings as wit;
use crate::help::{Offer, TriggerContext};
use crate::sink::{Batch, Summary};
use crate::source;
use crate::timer::DueTimer;
use crate::webhook::{Event, Rejection, Request};
use crate::{Call, Failure, Note, NoteId, Posted, Redaction};

/// Exports a type as the plugin of this crate.
///
/// `export!(Bot)` exports the [`Writer`] of `Bot`; `export!(Bot: Writer, Webhook)` exports what is
/// named. One use per crate.
///
/// `manifest` puts the plugin's manifest into the component, as a text in JSON, so that the one file is
/// the whole plugin: `export!(Bot: Writer; manifest = include_str!("../manifest.json"))`.
///
/// ```
/// # use sidenote_plugin::{Call, Failure, Note, Posted, Writer};
/// struct Bot;
/// # impl Writer for Bot {
/// #     fn post_note(_: Call, _: Note) -> Result<Posted, Failure> { Ok(Posted::without_id()) }
/// # }
/// sidenote_plugin::export!(
///     Bot: Writer;
///     manifest = r#"{"name": "bot", "version": "1.0.0", "hosts": ["api.example.com"]}"#
/// );
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export {
    ($plugin:ident) => {
        $crate::export!($plugin: Writer);
    };
    ($plugin:ident: $($interface:ident),+; manifest = $manifest:expr $(,)?) => {
        $($crate::export_interface!($plugin, $interface);)+
        $crate::embed_manifest!($manifest);
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
        $crate::export_interface!($plugin, Writer, writer, export_writer);
    };
    ($plugin:ident, Redactor) => {
        $crate::export_interface!($plugin, Redactor, redactor, export_redactor);
    };
    ($plugin:ident, Finder) => {
        $crate::export_interface!($plugin, Finder, finder, export_finder);
    };
    ($plugin:ident, Webhook) => {
        $crate::export_interface!($plugin, Webhook, webhook, export_webhook);
    };
    ($plugin:ident, Messenger) => {
        $crate::export_interface!($plugin, Messenger, messenger, export_messenger);
    };
    ($plugin:ident, Sink) => {
        $crate::export_interface!($plugin, Sink, sink, export_sink);
    };
    ($plugin:ident, Trigger) => {
        $crate::export_interface!($plugin, Trigger, trigger, export_trigger);
    };
    ($plugin:ident, Source) => {
        $crate::export_interface!($plugin, Source, source, export_source);
    };
    ($plugin:ident, OnTimer) => {
        $crate::export_interface!($plugin, OnTimer, on_timer, export_on_timer);
    };
    ($plugin:ident, $interface:ident, $module:ident, $export:ident) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
    $crate::bindings::$module::$export!($plugin with_types_in $crate::bindings::$module);
        };
        $crate::assert_implements!($plugin, $interface);
    };
    ($plugin:ident, $other:ident) => {
        compile_error!(concat!(
            "a plugin can't export `",
            stringify!($other),
            "`; the interfaces are Writer, Redactor, Finder, Webhook, Messenger, Sink, Trigger, Source and OnTimer"
        ));
    };
}

/// The manifest of [`export!`], as a custom section of the component's core module.
#[doc(hidden)]
#[macro_export]
macro_rules! embed_manifest {
    ($manifest:expr) => {
        const _: () = {
            const TEXT: &str = $manifest;
            #[cfg_attr(target_arch = "wasm32", unsafe(link_section = "sidenote:manifest"))]
            #[used]
            static SECTION: [u8; TEXT.len()] = $crate::bytes_of(TEXT);
        };
    };
}

/// A text as an array, for a section: a reference would point out of it.
#[doc(hidden)]
pub const fn bytes_of<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(text.as_bytes());
    bytes
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

/// Redacts notes.
pub trait Redactor {
    /// Removes a note that this plugin posted, or overwrites its text where the platform can't remove
    /// it. Asked again for the same note, it answers the same.
    fn redact_note(
        call: Call,
        conversation_id: String,
        note_id: NoteId,
    ) -> Result<Redaction, Failure>;
}

/// Looks for a note whose outcome isn't known, so that it isn't sent twice.
pub trait Finder {
    /// The note that was posted with this key; `None` where the platform doesn't have it, and then it
    /// is sent again. An empty id: it is there and has no name. Answer a failure where the platform
    /// can't be asked.
    fn find_note(
        call: Call,
        conversation_id: String,
        idempotency_key: String,
    ) -> Result<Option<NoteId>, Failure>;
}

/// What a chat platform tells the host.
pub trait Webhook {
    /// Verifies a request and says what it means. Nothing of it was checked before.
    fn receive(request: Request) -> Result<Vec<Event>, Rejection>;
}

/// Text that the person sees.
pub trait Messenger {
    /// Offers help, with quick replies where the platform has them.
    fn offer(call: Call, conversation_id: String, offer: Offer) -> Result<Posted, Failure>;

    /// Answers the person.
    fn reply(call: Call, conversation_id: String, text: String) -> Result<Posted, Failure>;
}

/// Takes what people do, without a chat platform.
pub trait Sink {
    /// Takes a batch, once. The host decides about trying again.
    fn write_actions(call: Call, batch: Batch) -> Result<(), Failure>;

    /// Takes a summary, once.
    fn write_summary(call: Call, summary: Summary) -> Result<(), Failure>;
}

/// Says when to offer help.
pub trait Trigger {
    /// The help to offer, or `None`. It sends nothing and is called often: answer quickly.
    fn evaluate(context: TriggerContext) -> Option<Offer>;
}

/// Brings what people do, from somewhere else than the connector.
pub trait Source {
    /// Reads what was sent to `/sources/NAME/…`. Asked again with the same request, it says the same.
    fn receive(request: source::Request) -> Result<source::Received, source::Rejection>;

    /// What happened after `cursor`, or from the beginning. `about` is the person of a conversation that was
    /// opened; without it everything is asked for, as often as the operator says. Unless it is written, there is
    /// nothing to ask for.
    fn poll(
        call: Call,
        about: Option<source::Subject>,
        cursor: Option<String>,
    ) -> Result<source::Page, Failure> {
        let _ = (call, about, cursor);
        Ok(source::Page::default())
    }
}

/// Is called later, for the timers that it set: see [`timer`](crate::timer).
pub trait OnTimer {
    /// Does what a timer was set for. The host decides about trying again, as for a note.
    fn wake(call: Call, timer: DueTimer) -> Result<(), Failure>;
}

impl<T: Writer> wit::writer::exports::sidenote::plugin::writer::Guest for T {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        T::post_note(call, note)
    }
}

impl<T: Redactor> wit::redactor::exports::sidenote::plugin::redactor::Guest for T {
    fn redact_note(call: Call, conversation: String, note: NoteId) -> Result<Redaction, Failure> {
        T::redact_note(call, conversation, note)
    }
}

impl<T: Finder> wit::finder::exports::sidenote::plugin::finder::Guest for T {
    fn find_note(call: Call, conversation: String, key: String) -> Result<Option<NoteId>, Failure> {
        T::find_note(call, conversation, key)
    }
}

impl<T: Webhook> wit::webhook::exports::sidenote::plugin::webhook::Guest for T {
    fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
        T::receive(request)
    }
}

impl<T: Messenger> wit::messenger::exports::sidenote::plugin::messenger::Guest for T {
    fn offer(call: Call, conversation: String, offer: Offer) -> Result<Posted, Failure> {
        T::offer(call, conversation, offer)
    }

    fn reply(call: Call, conversation: String, text: String) -> Result<Posted, Failure> {
        T::reply(call, conversation, text)
    }
}

impl<T: Sink> wit::sink::exports::sidenote::plugin::sink::Guest for T {
    fn write_actions(call: Call, batch: Batch) -> Result<(), Failure> {
        T::write_actions(call, batch)
    }

    fn write_summary(call: Call, summary: Summary) -> Result<(), Failure> {
        T::write_summary(call, summary)
    }
}

impl<T: Trigger> wit::trigger::exports::sidenote::plugin::trigger::Guest for T {
    fn evaluate(context: TriggerContext) -> Option<Offer> {
        T::evaluate(context)
    }
}

impl<T: Source> wit::source::exports::sidenote::plugin::source::Guest for T {
    fn receive(request: source::Request) -> Result<source::Received, source::Rejection> {
        T::receive(request)
    }

    fn poll(
        call: Call,
        about: Option<source::Subject>,
        cursor: Option<String>,
    ) -> Result<source::Page, Failure> {
        T::poll(call, about, cursor)
    }
}

impl<T: OnTimer> wit::on_timer::exports::sidenote::plugin::on_timer::Guest for T {
    fn wake(call: Call, timer: DueTimer) -> Result<(), Failure> {
        T::wake(call, timer)
    }
}
