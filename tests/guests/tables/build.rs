//! Has the linker begin the table of functions at a million: as many elements stay empty before it.

fn main() {
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "wasm32") {
        println!("cargo::rustc-link-arg-cdylib=--table-base=1000000");
    }
}
