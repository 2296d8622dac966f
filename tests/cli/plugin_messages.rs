//! What an author is told whose component doesn't fit, or whose call ends in a trap: all of it in one file, so that it
//! can be read in one go. Each must say what to do next.
//!
//! `SIDENOTE_MESSAGES=write cargo test -p sidenote-tests --test cli plugin_messages` writes the file again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use crate::sidenote::sidenote;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const FILE: &str = "tests/data/plugin_messages.txt";
const MANIFEST: &str = r#"{"name": "m", "version": "1"}"#;

/// What is inspected: a name, and what of the text form makes it.
const INSPECTED: [(&str, &str); 12] = [
    ("a core module", "(module)"),
    ("threads", "(component (core module (memory 1 1 shared)))"),
    ("exceptions", "(component (core module (tag $t) (func (throw $t))))"),
    ("garbage collection", "(component (core module (type (struct (field i32)))))"),
    (
        "an asynchronous export",
        r#"(component
            (core module $m (func (export "f") (result i32) unreachable)
                (func (export "c") (param i32 i32 i32) (result i32) unreachable))
            (core instance $i (instantiate $m))
            (func (export "x") async
                (canon lift (core func $i "f") async (callback (func $i "c")))))"#,
    ),
    ("a broken body", "(component (core module (func (result i32))))"),
    ("no export", "(component)"),
    (
        "other exports",
        r#"(component (component $c) (instance $i (instantiate $c))
        (export "wasi:cli/run@0.2.0" (instance $i)))"#,
    ),
    (
        "an export of version 0.2.0",
        r#"(component (component $c) (instance $i (instantiate $c))
        (export "sidenote:plugin/writer@0.2.0" (instance $i)))"#,
    ),
    (
        "an export of version 0.1.7",
        r#"(component (component $c) (instance $i (instantiate $c))
        (export "sidenote:plugin/writer@0.1.7" (instance $i)))"#,
    ),
    (
        "other imports",
        r#"(component (import "wasi:keyvalue/store@0.2.0-draft" (instance (export "open" (func))))
            (import "acme:db/query@1.0.0" (instance (export "ask" (func)))))"#,
    ),
    (
        "WASI 0.3",
        r#"(component (import "wasi:clocks/monotonic-clock@0.3.0" (instance (export "now" (func (result u64))))))"#,
    ),
];

/// What is packed as a writer and called: a name, and the body of `post-note`, which is given an address and answers one.
const CALLED: [(&str, &str); 7] = [
    ("a panic", "(func $post (param i32) (result i32) (call $panic) i32.const 0)"),
    (
        "text that is no UTF-8",
        // A result that is fine, with an id of one byte.
        r#"(func $post (param i32) (result i32)
            (i32.store8 (i32.const 8) (i32.const 1))
            (i32.store (i32.const 12) (i32.const 100)) (i32.store (i32.const 16) (i32.const 1))
            (i32.store8 (i32.const 100) (i32.const 0xff)) i32.const 0)"#,
    ),
    (
        "a stack overflow",
        "(func $post (param i32) (result i32) (i32.add (call $post (local.get 0)) (i32.const 1)))",
    ),
    ("beyond its memory", "(func $post (param i32) (result i32) (i32.load (i32.const -4)))"),
    (
        "too much memory",
        "(func $post (param i32) (result i32) (drop (memory.grow (i32.const 8192))) (call $panic) i32.const 0)",
    ),
    ("an endless loop", "(func $post (param i32) (result i32) (loop $l (br $l)) i32.const 0)"),
    (
        "too large an answer",
        // An id of 60 MiB.
        r#"(func $post (param i32) (result i32)
            (drop (memory.grow (i32.const 1000)))
            (i32.store8 (i32.const 8) (i32.const 1))
            (i32.store (i32.const 12) (i32.const 100)) (i32.store (i32.const 16) (i32.const 62914560))
            i32.const 0)"#,
    ),
];

struct Bench {
    folder: tempfile::TempDir,
    told: String,
}

impl Bench {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let file = self.file(name);
        std::fs::write(&file, bytes).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// The WIT as it is, but for a field behind the others of `posted`.
    fn wit_with_one_field_more(&self) -> PathBuf {
        let (from, to) = (Path::new(ROOT).join("wit/frozen/0.1.0"), self.file("wit"));
        std::fs::create_dir(&to).unwrap();
        for file in std::fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            let text = std::fs::read_to_string(file.path()).unwrap();
            let text = text.replace(
                "    note-id: option<note-id>,\n",
                "    note-id: option<note-id>,\n    color: string,\n",
            );
            std::fs::write(to.join(file.file_name()), text).unwrap();
        }
        to
    }

    /// Adds what was told.
    fn tell(&mut self, name: &str, text: &str) {
        let folder = self.folder.path().display().to_string();
        let text = text.replace(&folder, "DIR").replace(ROOT, "ROOT");
        self.told += &format!("## {name}\n{}\n\n", text.trim());
    }

    /// A core module packed as a writer; what `pack` says where that fails.
    fn packed(&self, core: &str, world: &str) -> Result<String, String> {
        self.packed_by(&Path::new(ROOT).join("wit/frozen/0.1.0"), core, world)
    }

    /// The same by another WIT than the host's.
    fn packed_by(&self, wit: &Path, core: &str, world: &str) -> Result<String, String> {
        let core = self.write("core.wasm", wat::parse_str(core).unwrap());
        let manifest = self.write("manifest.json", MANIFEST);
        let out = self.file("packed.wasm").to_str().unwrap().to_owned();
        let mut args = vec!["plugin", "pack", &core, "--manifest", &manifest, "-o", &out];
        if !world.is_empty() {
            args.extend(["--wit", wit.to_str().unwrap(), "--world", world]);
        }
        let run = sidenote(&args, &[]);
        if run.code == 0 { Ok(out) } else { Err(run.stderr) }
    }
}

fn writer(post: &str) -> String {
    format!(
        r#"(module
            (memory (export "memory") 1)
            (func $panic unreachable)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
            {post}
            (export "sidenote:plugin/writer@0.1.0#post-note" (func $post)))"#
    )
}

#[test]
fn whatever_does_not_fit_is_told_with_the_way_on() {
    let mut bench = Bench { folder: tempfile::tempdir().unwrap(), told: String::new() };
    for (name, text) in INSPECTED {
        let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let file = bench.write("plugin.wasm", bytes);
        let run = sidenote(&["plugin", "inspect", &file], &[]);
        let verdict = run.stdout.lines().find_map(|line| line.strip_prefix("verdict"));
        bench.tell(name, verdict.unwrap_or(&run.stderr));
    }
    let post = writer("(func $post (param i32) (result i32) i32.const 0)");
    let file = bench.packed_by(&bench.wit_with_one_field_more(), &post, "writer-plugin").unwrap();
    let run = sidenote(&["plugin", "inspect", &file], &[]);
    bench.tell("a record with one field more", &format!("{}{}", run.stdout, run.stderr));
    let misses = bench.packed("(module)", "").unwrap_err();
    bench.tell("a core module without a world", &misses);
    let misfit = bench.packed("(module)", "writer-plugin").unwrap_err();
    bench.tell("a core module that exports too little", &misfit);
    let imports =
        post.replacen("(module", r#"(module (import "env" "emscripten_notify" (func))"#, 1);
    let imports = bench.packed(&imports, "writer-plugin").unwrap_err();
    bench.tell("a core module that imports what no world has", &imports);
    for (name, post) in CALLED {
        let file = bench.packed(&writer(post), "writer-plugin").unwrap();
        let run = sidenote(
            &["plugin", "call", &file, "post-note", "--conversation", "c", "--text", "t"],
            &[],
        );
        assert_ne!(run.code, 0, "{name}");
        bench.tell(name, &format!("{}{}", run.stdout, run.stderr));
    }

    let path = Path::new(ROOT).join(FILE);
    let told = bench.told.trim_end().to_owned() + "\n";
    if std::env::var_os("SIDENOTE_MESSAGES").is_some_and(|what| what == "write") {
        std::fs::write(&path, &told).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == told,
        "{FILE} isn't what is told; SIDENOTE_MESSAGES=write writes it again:\n{told}"
    );
}
