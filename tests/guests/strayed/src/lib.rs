//! Exports a `finder` whose `find-note` has other types than the host's.

/// Generated.
#[cfg(target_arch = "wasm32")]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package sidenote:plugin@0.1.0;
            interface finder { find-note: func(conversation-id: string) -> option<string>; }
            world strayed { export finder; }
        ",
    });

    struct Strayed;

    impl exports::sidenote::plugin::finder::Guest for Strayed {
        fn find_note(conversation: String) -> Option<String> {
            Some(conversation)
        }
    }

    export!(Strayed);
}
