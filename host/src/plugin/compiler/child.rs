//! The process that compiles.
//!
//! ```text
//! stdin:  32 bytes key, 8 bytes length (little endian), the component; then nothing until the host is done
//! stdout: the sealed artifact, or why there is none
//! ```

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Refusal;
use crate::plugin::engine;
use crate::plugin::source::MAX_COMPONENT_BYTES;

/// Exit codes, beside 0 and that of a panic.
pub(super) const UNSOUND: u8 = 40;
pub(super) const TOO_MUCH: u8 = 41;
pub(super) const OUT_OF_MEMORY: u8 = 42;
pub(super) const HOST_GONE: u8 = 43;

/// How often the process looks at its own memory.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The hard limit stands so many times above, for what is allocated and never touched: at that the process dies
/// without a word.
const HARD: u64 = 2;
/// Whoever serves comes first.
const NICE: i32 = 10;

/// What the process is told on its command line.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// Most memory, in bytes.
    pub memory_bytes: u64,
}

/// Compiles what comes in on stdin. Ends the process where the host goes or the memory is used up.
pub fn serve(job: Job) -> ExitCode {
    match work(job) {
        Ok(code) => code,
        Err(error) => {
            // Nobody may read it: then the exit code must do.
            drop(writeln!(io::stderr(), "the compiler can't work: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn work(job: Job) -> io::Result<ExitCode> {
    restrain(job.memory_bytes)?;
    let mut stdin = io::stdin().lock();
    let (mut key, mut length) = ([0; 32], [0; 8]);
    stdin.read_exact(&mut key)?;
    stdin.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_COMPONENT_BYTES {
        return Err(io::Error::other("the component is too large"));
    }
    let mut component = Vec::new();
    (&mut stdin).take(length).read_to_end(&mut component)?;
    if component.len() as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    drop(stdin);
    on_thread("host", || {
        // The host never writes again: this ends when its end of the pipe goes.
        io::copy(&mut io::stdin().lock(), &mut io::sink()).ok();
        exit(HOST_GONE)
    })?;
    if resident().is_some() {
        on_thread("memory", move || {
            while resident().is_none_or(|bytes| bytes <= job.memory_bytes) {
                std::thread::sleep(LOOK_EVERY);
            }
            exit(OUT_OF_MEMORY)
        })?;
    }
    let engine = engine::compiling().map_err(|error| io::Error::other(format!("{error:#}")))?;
    let mut stdout = io::stdout().lock();
    let code = match super::artifact(&engine, &key, &component) {
        Ok(sealed) => {
            stdout.write_all(&sealed)?;
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            stdout.write_all(refusal.to_string().as_bytes())?;
            match refusal {
                Refusal::Unsound(_) => UNSOUND.into(),
                Refusal::TooMuch(_) => TOO_MUCH.into(),
            }
        }
    };
    stdout.flush()?;
    Ok(code)
}

/// Limits that the process can't lift again.
fn restrain(memory_bytes: u64) -> io::Result<()> {
    // Data, and not the address space: of that a runtime reserves much that it never uses.
    lower(Resource::Data, memory_bytes.saturating_mul(HARD))?;
    lower(Resource::Fsize, 0)?;
    lower(Resource::Core, 0)?;
    // Neither is worth ending for: a system may not let a process do it.
    if rustix::process::nice(NICE).is_err() {
        drop(writeln!(io::stderr(), "the compiler runs with the host's priority"));
    }
    if std::fs::write("/proc/self/oom_score_adj", "1000").is_err() {
        drop(writeln!(io::stderr(), "the compiler isn't the first to go when memory is short"));
    }
    Ok(())
}

fn lower(resource: Resource, most: u64) -> io::Result<()> {
    let most = getrlimit(resource).maximum.map_or(most, |allowed| allowed.min(most));
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

fn on_thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).stack_size(64 << 10).spawn(work).map(drop)
}

fn exit(code: u8) -> ! {
    std::process::exit(code.into())
}

/// The process's resident memory, in bytes, where the system tells.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
