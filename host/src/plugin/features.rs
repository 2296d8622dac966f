//! Which parts of WebAssembly a plugin may use: one table, by which the engine is set up and from which the book's
//! page and the words of a refusal are made.

use wasmparser::{Validator, WasmFeatures};

use crate::see::See;

/// A part of WebAssembly or of the component model.
pub(super) struct Feature {
    flags: WasmFeatures,
    /// What it is called.
    name: &'static str,
    /// What is worth knowing of it; why it is refused, where it is.
    about: &'static str,
    /// What an author does in its place, where what uses it isn't compiled. `None` where any plugin may use it.
    instead: Option<&'static str>,
}

const HEAP: &str = "its objects would be in a heap of the host's, beside `memory`";
const DRAFT: &str = "it is a draft, and can change";

/// All of them. What the engine knows and isn't here is a draft that it doesn't switch on by itself.
pub(super) const FEATURES: [Feature; 16] = [
    Feature {
        flags: WasmFeatures::WASM2
            .difference(WasmFeatures::GC_TYPES)
            .union(WasmFeatures::EXTENDED_CONST),
        name: "WebAssembly 2.0 and extended constants",
        about: "SIMD, bulk memory, several results, references to functions",
        instead: None,
    },
    Feature {
        flags: WasmFeatures::MULTI_MEMORY,
        name: "several memories",
        about: "`memory` bounds all of them together; composed components have one each",
        instead: None,
    },
    Feature {
        flags: WasmFeatures::TAIL_CALL,
        name: "tail calls",
        about: "functional languages compile to them",
        instead: None,
    },
    Feature {
        flags: WasmFeatures::RELAXED_SIMD,
        name: "relaxed SIMD",
        about: "with the same results on every machine",
        instead: None,
    },
    Feature {
        flags: WasmFeatures::EXCEPTIONS.union(WasmFeatures::LEGACY_EXCEPTIONS),
        name: "exceptions",
        about: HEAP,
        instead: Some(
            "build without them: C and C++ with `-fno-exceptions`, Rust for wasm32-wasip2, where a panic ends the call",
        ),
    },
    Feature {
        flags: WasmFeatures::GC,
        name: "garbage collection",
        about: HEAP,
        instead: Some(
            "build for linear memory: MoonBit with `--target wasm`, AssemblyScript as it is by default; Kotlin and Dart have no such target",
        ),
    },
    Feature {
        flags: WasmFeatures::FUNCTION_REFERENCES,
        name: "typed references to functions",
        about: "only languages with garbage collection use them",
        instead: Some("build for linear memory"),
    },
    Feature {
        flags: WasmFeatures::GC_TYPES,
        name: "references to objects of the host (`externref`)",
        about: HEAP,
        instead: Some("build without `--reference-types` of a bindings generator for browsers"),
    },
    Feature {
        flags: WasmFeatures::THREADS.union(WasmFeatures::SHARED_EVERYTHING_THREADS),
        name: "threads and shared memory",
        about: "a call is one thread, which its limits hold for",
        instead: Some(
            "build without `-pthread` and `-matomics`, for wasm32-wasip2 instead of wasm32-wasip1-threads",
        ),
    },
    Feature {
        flags: WasmFeatures::MEMORY64.union(WasmFeatures::CM64),
        name: "64-bit memory",
        about: "no plugin gets 4 GiB, and every access would be checked",
        instead: Some("build for wasm32 instead of wasm64"),
    },
    Feature {
        flags: WasmFeatures::CM_ASYNC
            .union(WasmFeatures::CM_ASYNC_STACKFUL)
            .union(WasmFeatures::CM_MORE_ASYNC_BUILTINS)
            .union(WasmFeatures::CM_THREADING),
        name: "asynchronous imports and exports (WASI 0.3)",
        about: "a plugin is called one call at a time per instance, and waits by WASI 0.2",
        instead: Some(
            "export synchronous functions: jco with `--backend-qjs-disable-async`, componentize-js and componentize-py with worlds whose functions aren't `async`, wit-bindgen without `async: true`",
        ),
    },
    Feature {
        flags: WasmFeatures::STACK_SWITCHING,
        name: "stack switching",
        about: DRAFT,
        instead: Some("build without it"),
    },
    Feature {
        flags: WasmFeatures::WIDE_ARITHMETIC,
        name: "wide arithmetic",
        about: DRAFT,
        instead: Some(
            "build without `-mwide-arithmetic` (Rust: `-C target-feature=-wide-arithmetic`)",
        ),
    },
    Feature {
        flags: WasmFeatures::CUSTOM_PAGE_SIZES,
        name: "custom page sizes",
        about: DRAFT,
        instead: Some("build without `--page-size` of the linker"),
    },
    Feature {
        flags: WasmFeatures::MEMORY_CONTROL
            .union(WasmFeatures::CUSTOM_DESCRIPTORS)
            .union(WasmFeatures::COMPACT_IMPORTS),
        name: "memory control, custom descriptors, compact imports",
        about: DRAFT,
        instead: Some("build without them"),
    },
    Feature {
        flags: WasmFeatures::CM_VALUES
            .union(WasmFeatures::CM_NESTED_NAMES)
            .union(WasmFeatures::CM_ERROR_CONTEXT)
            .union(WasmFeatures::CM_FIXED_LENGTH_LISTS)
            .union(WasmFeatures::CM_GC)
            .union(WasmFeatures::CM_MAP)
            .union(WasmFeatures::CM_IMPLEMENTS)
            .union(WasmFeatures::CM_CANON_NAMES),
        name: "drafts of the component model: values, maps, error contexts, fixed-length lists",
        about: DRAFT,
        instead: Some("use the types that `sidenote plugin wit` shows"),
    },
];

/// What every plugin may use.
pub(super) fn accepted() -> WasmFeatures {
    let accepted = FEATURES.iter().filter(|feature| feature.instead.is_none());
    accepted.fold(WasmFeatures::COMPONENT_MODEL, |all, feature| all.union(feature.flags))
}

/// What none may use.
pub(super) fn refused() -> WasmFeatures {
    let refused = FEATURES.iter().filter(|feature| feature.instead.is_some());
    refused.fold(WasmFeatures::empty(), |all, feature| all.union(feature.flags))
}

/// What a component that doesn't compile uses and may not, with the way on. `None` where that isn't the reason.
pub(super) fn missing(component: &[u8]) -> Option<String> {
    let fits = |features| Validator::new_with_features(features).validate_all(component).is_ok();
    let mut features = accepted().union(refused());
    if fits(accepted()) || !fits(features) {
        return None;
    }
    let mut missing = Vec::new();
    for feature in &FEATURES {
        let Some(instead) = feature.instead else { continue };
        let without = features.difference(feature.flags);
        if fits(without) {
            features = without;
        } else {
            let (name, why) = (feature.name, feature.about);
            missing.push(format!("it uses {name}, which this host doesn't run ({why}); {instead}"));
        }
    }
    (!missing.is_empty()).then(|| format!("{} {}", missing.join("; "), See::OtherInterface))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// A component that uses this feature and nothing else of note.
    fn sample(name: &str) -> &'static str {
        match name {
            "WebAssembly 2.0 and extended constants" => {
                r#"(component (core module (memory 1) (global i32 (i32.add (i32.const 1) (i32.const 2)))
                    (func (result i32 v128) i32.const 1 v128.const i32x4 1 2 3 4)
                    (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 1)))
                    (table 1 funcref)))"#
            }
            "several memories" => "(component (core module (memory 1) (memory 1)))",
            "tail calls" => "(component (core module (func $f (return_call $f))))",
            "relaxed SIMD" => {
                "(component (core module (func (param v128 v128) (result v128)
                    (i8x16.relaxed_swizzle (local.get 0) (local.get 1)))))"
            }
            "exceptions" => "(component (core module (tag $t) (func (throw $t))))",
            "garbage collection" => "(component (core module (type (struct (field i32)))))",
            "typed references to functions" => {
                "(component (core module (type $t (func)) (func (param (ref $t)) (call_ref $t (local.get 0)))))"
            }
            "references to objects of the host (`externref`)" => {
                "(component (core module (func (param externref))))"
            }
            "threads and shared memory" => "(component (core module (memory 1 1 shared)))",
            "64-bit memory" => "(component (core module (memory i64 1)))",
            "asynchronous imports and exports (WASI 0.3)" => {
                r#"(component
                    (core module $m (func (export "f") (result i32) unreachable)
                        (func (export "c") (param i32 i32 i32) (result i32) unreachable))
                    (core instance $i (instantiate $m))
                    (func (export "x") async
                        (canon lift (core func $i "f") async (callback (func $i "c")))))"#
            }
            "stack switching" => "(component (core module (type $f (func)) (type $c (cont $f))))",
            "wide arithmetic" => {
                "(component (core module (func (param i64 i64) (result i64 i64)
                    (i64.mul_wide_u (local.get 0) (local.get 1)))))"
            }
            "custom page sizes" => "(component (core module (memory 1 (pagesize 1))))",
            "memory control, custom descriptors, compact imports" => {
                "(component (core module (memory 1) (func (memory.discard (i32.const 0) (i32.const 0)))))"
            }
            "drafts of the component model: values, maps, error contexts, fixed-length lists" => {
                r#"(component (type (export "t") (list u8 4)))"#
            }
            name => panic!("there is no sample of {name}"),
        }
    }

    #[tokio::test]
    async fn each_feature_is_accepted_or_refused_by_the_loader_as_the_table_says() {
        let folder = tempfile::tempdir().unwrap();
        for feature in &FEATURES {
            let name = feature.name;
            let bytes =
                wat::parse_str(sample(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            let file = folder.path().join("sample.wasm");
            std::fs::write(&file, bytes).unwrap();
            let inspection = crate::plugin::inspect(&file).await.unwrap();
            let told = inspection.refused.expect("it exports nothing");
            match feature.instead {
                None => assert!(told.starts_with("probe: it exports none of"), "{name}: {told}"),
                Some(instead) => {
                    assert!(told.starts_with("compile: it uses "), "{name}: {told}");
                    assert!(told.contains(name) && told.contains(instead), "{name}: {told}");
                }
            }
        }
    }

    /// A loop of tail calls has no jump backwards.
    #[test]
    fn an_endless_loop_of_tail_calls_is_interrupted() {
        let engine = crate::plugin::engine::compiling().unwrap();
        let text = r#"(module (func $f (export "f") (return_call $f)))"#;
        let module = wasmtime::Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        let mut store = wasmtime::Store::new(&engine, ());
        store.set_epoch_deadline(1);
        let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
        let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
        engine.increment_epoch();
        let error = f.call(&mut store, ()).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&wasmtime::Trap::Interrupt), "{error:?}");
    }

    #[test]
    fn nothing_that_the_engine_switches_on_by_itself_is_left_out() {
        let known = accepted().union(refused());
        assert!(known.contains(WasmFeatures::WASM3), "{:?}", WasmFeatures::WASM3.difference(known));
        assert_eq!(accepted().intersection(refused()), WasmFeatures::empty());
    }

    #[test]
    fn what_is_broken_lacks_no_feature() {
        assert_eq!(missing(b"\0asm\x0d\0\x01\0\xff"), None);
        let sound = wat::parse_str("(component)").unwrap();
        assert_eq!(missing(&sound), None);
    }

    #[test]
    fn the_table_of_the_book_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/features.md");
        let mut table = "| what | | |\n|---|---|---|\n".to_owned();
        for Feature { name, about, instead, .. } in &FEATURES {
            let (word, about) = match instead {
                None => ("accepted", (*about).to_owned()),
                Some(instead) => ("refused", format!("{about}; {instead}")),
            };
            writeln!(table, "| {name} | {word} | {about} |").unwrap();
        }
        if std::env::var_os("SIDENOTE_FEATURES").is_some_and(|what| what == "write") {
            std::fs::write(path, &table).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == table,
            "docs/snippets/features.md isn't what the table makes of it: SIDENOTE_FEATURES=write writes it again"
        );
    }
}
