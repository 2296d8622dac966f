//! Exports a `writer` whose `post-note` has other types than the host's.

/// Generated.
#[cfg(target_arch = "wasm32")]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package sidenote:plugin@0.1.0;
            interface writer { post-note: func(text: string) -> string; }
            world misfit { export writer; }
        ",
    });

    struct Misfit;

    impl exports::sidenote::plugin::writer::Guest for Misfit {
        fn post_note(text: String) -> String {
            text
        }
    }

    export!(Misfit);
}
