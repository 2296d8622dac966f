//! The bindings that are committed with the templates in C and Go are what their generator makes of the
//! interface as it is released.
//!
//! `SIDENOTE_BINDINGS=write cargo test -p sidenote-tests --test cli bindings` writes them again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// The world of the templates.
const CHATBOT: &str = "chatbot-plugin";
/// The world of the samples in C++ and Zig.
const WRITER: &str = "writer-plugin";

fn generated(mut generator: Box<dyn WorldGenerator>, world: &str) -> Files {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(format!("{ROOT}/wit/frozen/0.1.0")).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut files = Files::default();
    generator.generate(&mut resolve, world, &mut files).unwrap();
    files
}

fn same_in(folder: &str, files: &Files, left_out: &[&str]) {
    let write = std::env::var_os("SIDENOTE_BINDINGS").is_some_and(|what| what == "write");
    let files = files.iter().filter(|(name, _)| !left_out.contains(name));
    let mut count = 0;
    for (name, bytes) in files {
        let path = Path::new(ROOT).join(folder).join(name);
        if write {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
        }
        let committed = std::fs::read(&path).unwrap_or_default();
        assert!(
            committed == bytes,
            "{} isn't what the interface makes of it; SIDENOTE_BINDINGS=write writes it again",
            path.display()
        );
        count += 1;
    }
    assert!(count > 1, "{folder}: {count} files");
}

#[test]
fn the_bindings_for_c_fit_the_interface() {
    let options = wit_bindgen_c::Opts { no_object_file: true, ..Default::default() };
    same_in("examples/c-bot/bindings", &generated(options.clone().build(), CHATBOT), &[]);
    same_in("examples/cpp-writer/bindings", &generated(options.build(), WRITER), &[]);
}

#[test]
fn the_bindings_for_go_fit_the_interface() {
    let options =
        wit_bindgen_go::Opts { format: wit_bindgen_go::Format::False, ..Default::default() };
    // `go.mod` says where the runtime of the bindings is, too.
    same_in("examples/go-bot", &generated(options.build(), CHATBOT), &["go.mod"]);
}
