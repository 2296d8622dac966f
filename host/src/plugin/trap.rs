//! What a call that ended in a trap is told as: the bound that it met, by its key in the configuration, or what the
//! guest did; and where in the guest it was.

use wasmtime::Trap;
use wasmtime::component::ResourceTableError;

use super::backtrace;
use super::clean::clean;
use super::error::cause;
use super::instance::{CpuUsedUp, State};
use super::memory::Refused;
use crate::config::PluginLimits;
use crate::outbox::note::Crash;
use crate::see::See;

/// A call that ended in a trap, for people.
pub(super) struct Told {
    /// How it ended, in a word.
    pub(super) crash: Crash,
    /// What happened and what to do; nothing that the guest said.
    pub(super) message: String,
    /// The guest's functions that were under way, the innermost first.
    pub(super) functions: Vec<String>,
}

impl Told {
    /// A call that was stopped at its deadline.
    pub(super) fn too_late(state: &State) -> Self {
        let (name, limit) = (&state.ground.name, state.ground.limits.call_timeout);
        let message = format!(
            "the plugin didn't answer in time and was stopped; see what it waits for, or raise `call_timeout` ({limit:?}) in [plugins.{name}.limits] {}",
            See::CallTimeout
        );
        Self { crash: Crash::Timeout, message, functions: Vec::new() }
    }
}

/// Reads the error of a call or of a start.
pub(super) fn told(error: &wasmtime::Error, state: &State) -> Told {
    let limits = &state.ground.limits;
    let (crash, what) = match met(error, state.memory.refused(), limits) {
        Some(Bound { crash, key, what, instead }) => {
            let name = &state.ground.name;
            let see = match crash {
                Crash::Memory => format!(" {}", See::MemoryLimit),
                Crash::Trap | Crash::Cpu | Crash::Timeout => String::new(),
            };
            (crash, format!("{what}; {instead}, or raise `{key}` in [plugins.{name}.limits]{see}"))
        }
        None => (Crash::Trap, done(error)),
    };
    // What the guest said is in its log alone: a panic may repeat what people did, and this text stands in lists.
    let said = match state.log.has_stderr() {
        true => format!("; `sidenote plugin logs {}` shows what it said", state.ground.name),
        false => String::new(),
    };
    let functions = backtrace::functions(error);
    let within = backtrace::told(&functions).map(|told| format!("; {told}")).unwrap_or_default();
    Told { crash, message: format!("{what}{within}{said}"), functions }
}

/// A bound that was met.
struct Bound {
    crash: Crash,
    /// Its key in the limits.
    key: &'static str,
    what: String,
    /// What else helps.
    instead: &'static str,
}

fn met(error: &wasmtime::Error, refused: Option<Refused>, limits: &PluginLimits) -> Option<Bound> {
    let bound = |crash, key, what, instead| Some(Bound { crash, key, what, instead });
    let root = error.root_cause();
    if error.downcast_ref::<CpuUsedUp>().is_some() {
        let what = format!("it computed for longer than `cpu_time` ({:?})", limits.cpu_time);
        return bound(Crash::Cpu, "cpu_time", what, "have it do less in one call");
    }
    match refused {
        Some(Refused::Memory { wanted }) => {
            let (limit, wanted) = (size(limits.memory_bytes), size(wanted));
            let what = format!("it wanted more than `memory` ({limit}): {wanted} in all");
            return bound(Crash::Memory, "memory", what, "have it use less");
        }
        Some(Refused::Elements { wanted }) => {
            let limit = limits.table_elements;
            let what = format!("its tables have more than `table_elements` ({limit}): {wanted}");
            return bound(Crash::Memory, "table_elements", what, "link it with smaller tables");
        }
        None => {}
    }
    if matches!(root.downcast_ref(), Some(ResourceTableError::Full)) {
        let what = format!(
            "it holds as many handles (streams, requests, responses) as `handles` allows ({})",
            limits.handles
        );
        return bound(Crash::Trap, "handles", what, "have it drop what it has read");
    }
    // The rest has no type of its own that could be asked for.
    let text = root.to_string();
    if text.contains("fuel allocated for hostcalls") {
        let limit = size(limits.max_handover_bytes);
        let what = format!("it handed more to the host at once than `max_handover` ({limit})");
        return bound(Crash::Trap, "max_handover", what, "have it answer and send less");
    }
    if text.contains("size of fields exceeds limit") {
        let limit = size(limits.max_header_bytes);
        let what = format!("its headers are larger than `max_header` ({limit})");
        return bound(Crash::Trap, "max_header", what, "have it send fewer");
    }
    let (key, limit) = match text.strip_prefix("resource limit exceeded: ")?.split_once(' ')?.0 {
        "instance" => ("core_instances", limits.core_instances),
        "memory" => ("memories", limits.memories),
        "table" => ("tables", limits.tables),
        _ => return None,
    };
    let what = format!("it is made of more {} than `{key}` ({limit})", key.replace('_', " "));
    bound(Crash::Trap, key, what, "link it into fewer modules")
}

/// What the guest did, with the way on where the trap alone doesn't show it.
fn done(error: &wasmtime::Error) -> String {
    let root = error.root_cause();
    // The root alone: the rest is a backtrace of the guest.
    let text = clean(&root.to_string(), 300);
    let text = if text.is_empty() { cause(error) } else { text };
    let next = if root.is::<std::str::Utf8Error>() || root.is::<std::string::FromUtf8Error>() {
        "a text that it handed over is no UTF-8: have it write UTF-8, or, where the language keeps text as UTF-16, \
         make the component with `sidenote plugin pack --string-encoding utf16`"
    } else {
        match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => {
                "it calls itself too deep: the host has 512 KiB of stack for its calls; end the recursion, or make it a loop"
            }
            Some(Trap::MemoryOutOfBounds) => {
                "it read or wrote beyond its memory: a fault in it, or the stack within its memory is full, which its \
                 linker sizes (`-z stack-size=BYTES`)"
            }
            Some(Trap::UnreachableCodeReached) => "it ended itself, as a panic or an abort does",
            Some(_) | None => return text,
        }
    };
    format!("{text}: {next}")
}

/// A size as it is written in the configuration.
fn size(bytes: usize) -> String {
    match bytes {
        0 => "0".to_owned(),
        bytes if bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        bytes if bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(error: &str) -> Option<&'static str> {
        let error = wasmtime::Error::msg(error.to_owned());
        met(&error, None, &PluginLimits::default()).map(|bound| bound.key)
    }

    #[test]
    fn what_a_component_has_too_many_of_is_its_key() {
        for (what, wanted) in
            [("instance", "core_instances"), ("memory", "memories"), ("table", "tables")]
        {
            let error = format!("resource limit exceeded: {what} count too high at 513");
            assert_eq!(key(&error), Some(wanted));
        }
        assert_eq!(key("resource limit exceeded"), None);
        assert_eq!(key("unreachable"), None);
    }

    #[test]
    fn a_size_is_written_as_in_the_configuration() {
        assert_eq!(size(128 << 20), "128 MiB");
        assert_eq!(size((4 << 20) + (128 << 10)), "4224 KiB");
        assert_eq!(size(1000), "1000 bytes");
    }
}
