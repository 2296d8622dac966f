//! Generated once here, shared by every plugin.
//!
//! Each exported interface has a world and an `export!` macro of its own, so that a plugin exports
//! exactly what it implements: the linker unites the worlds of the macros that were used.

/// The imports, and the types that all interfaces share.
#[expect(missing_docs, reason = "generated from documented WIT; aliases carry no text")]
pub mod host {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package sidenote:sdk-host; world sdk-host { include sidenote:plugin/imports@0.1.0; }",
        pub_export_macro: true,
        generate_unused_types: true,
        generate_all,
        additional_derives: [PartialEq],
        runtime_path: "::sidenote_plugin::wit_bindgen::rt",
    });
}

/// The `writer` export.
#[expect(missing_docs, reason = "generated from documented WIT; aliases carry no text")]
pub mod writer {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package sidenote:sdk-writer; world sdk-writer { export sidenote:plugin/writer@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_writer",
        default_bindings_module: "::sidenote_plugin::bindings::writer",
        runtime_path: "::sidenote_plugin::wit_bindgen::rt",
        generate_all,
        with: { "sidenote:plugin/types@0.1.0": crate::bindings::host::sidenote::plugin::types },
    });
}

/// The `webhook` export.
#[expect(missing_docs, reason = "generated from documented WIT; aliases carry no text")]
pub mod webhook {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package sidenote:sdk-webhook; world sdk-webhook { export sidenote:plugin/webhook@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_webhook",
        default_bindings_module: "::sidenote_plugin::bindings::webhook",
        runtime_path: "::sidenote_plugin::wit_bindgen::rt",
        additional_derives: [PartialEq],
        generate_all,
        with: { "sidenote:plugin/types@0.1.0": crate::bindings::host::sidenote::plugin::types },
    });
}
