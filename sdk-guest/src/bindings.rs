//! Generated once here, shared by every plugin.
//!
//! Each exported interface has a world and an `export!` macro of its own, so that a plugin exports
//! exactly what it implements: the linker unites the worlds of the macros that were used.

/// A module with the bindings of one exported interface. `wit_bindgen::generate!` takes literals only.
macro_rules! exported {
    ($name:ident, $inline:literal, $export:literal, $module:literal) => {
        #[doc = concat!("The `", stringify!($name), "` export.")]
        #[expect(missing_docs, reason = "generated from documented WIT; aliases carry no text")]
        pub mod $name {
            wit_bindgen::generate!({
                path: "wit",
                inline: $inline,
                pub_export_macro: true,
                export_macro_name: $export,
                default_bindings_module: $module,
                runtime_path: "::sidenote_plugin::wit_bindgen::rt",
                additional_derives: [PartialEq],
                generate_all,
                with: { "sidenote:plugin/types@0.1.0": crate::bindings::host::sidenote::plugin::types },
            });
        }
    };
}

/// The imports, and the types that all interfaces share.
#[expect(missing_docs, reason = "generated from documented WIT; aliases carry no text")]
pub mod host {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package sidenote:sdk-host; world sdk-host { include sidenote:plugin/imports@0.1.0; import sidenote:plugin/kv@0.1.0; import sidenote:plugin/timer@0.1.0; }",
        pub_export_macro: true,
        generate_unused_types: true,
        generate_all,
        additional_derives: [PartialEq],
        runtime_path: "::sidenote_plugin::wit_bindgen::rt",
    });
}

exported!(
    writer,
    "package sidenote:sdk-writer; world sdk-writer { export sidenote:plugin/writer@0.1.0; }",
    "export_writer",
    "::sidenote_plugin::bindings::writer"
);
exported!(
    redactor,
    "package sidenote:sdk-redactor; world sdk-redactor { export sidenote:plugin/redactor@0.1.0; }",
    "export_redactor",
    "::sidenote_plugin::bindings::redactor"
);
exported!(
    finder,
    "package sidenote:sdk-finder; world sdk-finder { export sidenote:plugin/finder@0.1.0; }",
    "export_finder",
    "::sidenote_plugin::bindings::finder"
);
exported!(
    webhook,
    "package sidenote:sdk-webhook; world sdk-webhook { export sidenote:plugin/webhook@0.1.0; }",
    "export_webhook",
    "::sidenote_plugin::bindings::webhook"
);
exported!(
    messenger,
    "package sidenote:sdk-messenger; world sdk-messenger { export sidenote:plugin/messenger@0.1.0; }",
    "export_messenger",
    "::sidenote_plugin::bindings::messenger"
);
exported!(
    sink,
    "package sidenote:sdk-sink; world sdk-sink { export sidenote:plugin/sink@0.1.0; }",
    "export_sink",
    "::sidenote_plugin::bindings::sink"
);
exported!(
    trigger,
    "package sidenote:sdk-trigger; world sdk-trigger { export sidenote:plugin/trigger@0.1.0; }",
    "export_trigger",
    "::sidenote_plugin::bindings::trigger"
);
exported!(
    source,
    "package sidenote:sdk-source; world sdk-source { export sidenote:plugin/source@0.1.0; }",
    "export_source",
    "::sidenote_plugin::bindings::source"
);
exported!(
    on_timer,
    "package sidenote:sdk-on-timer; world sdk-on-timer { export sidenote:plugin/on-timer@0.1.0; }",
    "export_on_timer",
    "::sidenote_plugin::bindings::on_timer"
);
