//! The other half of a plugin: a writer that has its words from the component `phrases`.

use shared::{Call, Failure, Guest, Note, Posted};

mod imported {
    wit_bindgen::generate!({
        inline: "
            package toolchains:composed@0.1.0;
            world composed { import toolchains:phrases/phrases@0.1.0; }
        ",
        path: "../phrases/wit",
        world: "toolchains:composed/composed",
        generate_all,
    });
}

struct Writer;

shared::export!(Writer with_types_in shared);

impl Guest for Writer {
    fn post_note(call: Call, mut note: Note) -> Result<Posted, Failure> {
        note.body = imported::toolchains::phrases::phrases::headed(&note.body);
        shared::post(&call, &note)
    }
}
