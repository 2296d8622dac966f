//! Where in a guest something was: the names of its functions, as its component says them. A component is made before
//! anybody uses it, so that nothing of what people did is in them.

use wasmtime::WasmBacktrace;

use super::clean::clean;

/// Most functions that are told of one trap.
const MOST: usize = 24;
/// Of those so many stand in a message.
const IN_MESSAGE: usize = 6;
/// Longest name, in bytes. Those of generic functions are endless.
const MAX_NAME_BYTES: usize = 120;

/// The functions that were under way, the innermost first; none where the error has no backtrace, and numbers where
/// the component was stripped of names.
pub(super) fn functions(error: &wasmtime::Error) -> Vec<String> {
    let backtrace = error.downcast_ref::<WasmBacktrace>();
    backtrace.map(|backtrace| names(backtrace).take(MOST).collect()).unwrap_or_default()
}

/// All functions of a backtrace, the innermost first.
pub(super) fn names(backtrace: &WasmBacktrace) -> impl Iterator<Item = String> + '_ {
    backtrace.frames().iter().map(|frame| match frame.func_name() {
        Some(name) => name_of(name),
        None => format!("function {}", frame.func_index()),
    })
}

/// The innermost functions in one line.
pub(super) fn told(functions: &[String]) -> Option<String> {
    let shown = functions.get(..functions.len().min(IN_MESSAGE)).filter(|it| !it.is_empty())?;
    let more = if functions.len() > shown.len() { " ← …" } else { "" };
    Some(format!("in {}{more}", shown.join(" ← ")))
}

/// A name as it is written in the source, where the language's way of encoding it is known.
fn name_of(symbol: &str) -> String {
    let name = if let Ok(rust) = rustc_demangle::try_demangle(symbol) {
        format!("{rust:#}")
    } else if symbol.starts_with("_Z") {
        let cpp = cpp_demangle::Symbol::new(symbol).ok().and_then(|symbol| symbol.demangle().ok());
        cpp.unwrap_or_else(|| symbol.to_owned())
    } else {
        symbol.to_owned()
    };
    clean(&name, MAX_NAME_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_source() {
        assert_eq!(name_of("_ZN3bot4post17h0123456789abcdefE"), "bot::post");
        assert_eq!(name_of("_RNvCs1234_7mycrate3foo"), "mycrate::foo");
        assert_eq!(name_of("_ZN4json5parseEPKc"), "json::parse(char const*)");
        assert_eq!(name_of("main.post\u{1b}[2J"), "main.post[2J");
        assert!(name_of(&"x".repeat(1000)).len() <= MAX_NAME_BYTES);
    }

    #[test]
    fn a_message_has_the_innermost_ones() {
        let all: Vec<_> = (0..10).map(|n| format!("f{n}")).collect();
        assert_eq!(told(&all).unwrap(), "in f0 ← f1 ← f2 ← f3 ← f4 ← f5 ← …");
        assert_eq!(told(&all[..2]).unwrap(), "in f0 ← f1");
        assert_eq!(told(&[]), None);
    }
}
