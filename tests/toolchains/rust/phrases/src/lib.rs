//! Half of a plugin: the other half, `composed`, imports what this one exports, and wac plugs them together.

wit_bindgen::generate!({ path: "wit", world: "phrases-provider" });

struct Phrases;

export!(Phrases);

impl exports::toolchains::phrases::phrases::Guest for Phrases {
    fn headed(text: String) -> String {
        format!("What happened:\n{text}")
    }
}
