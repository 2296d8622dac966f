//! The host's side of a process that compiles.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};

use super::child::{OUT_OF_MEMORY, TOO_MUCH, UNSOUND};
use super::most_bytes;
use crate::config::Compile;
use crate::plugin::artifact::{HEAD_BYTES, Key};
use crate::plugin::clean::clean;
use crate::plugin::error::AdmitError;

/// Threads that compile one component. Each has memory of its own, so that a machine of many processors
/// would need many times as much.
const THREADS: usize = 4;
/// How much is kept of what the process says before it dies.
const MOST_SAID: u64 = 4 << 10;

/// Has a process compile a component; kills it when this is dropped.
pub(super) async fn compile(
    program: &Path,
    limits: &Compile,
    key: &Key,
    component: &[u8],
) -> Result<Vec<u8>, AdmitError> {
    let started = start(program, limits);
    let mut child =
        started.map_err(|error| AdmitError::NoCompiler(clean(&error.to_string(), 200)))?;
    match tokio::time::timeout(limits.timeout, talk(&mut child, key, component)).await {
        Ok(Ok((status, out, said))) => outcome(status, out, &said, limits),
        Ok(Err(error)) => Err(AdmitError::NoCompiler(clean(&error.to_string(), 200))),
        Err(_) => {
            if let Err(error) = child.kill().await {
                tracing::warn!(%error, "plugins: a compiler can't be ended");
            }
            Err(AdmitError::CompileTimeout(limits.timeout))
        }
    }
}

fn start(program: &Path, limits: &Compile) -> std::io::Result<Child> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    let mut command = Command::new(program);
    command.arg0("sidenote").arg("compile-component");
    command.args(["--memory", &limits.memory_bytes.to_string()]);
    // Tokens and keys are in the environment.
    command.env_clear().env("RAYON_NUM_THREADS", threads.to_string()).current_dir("/");
    // What the allocator sets aside doesn't count as the compiler's memory before it is used.
    command.env("MIMALLOC_ARENA_EAGER_COMMIT", "0");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A Ctrl-C is for the host: the compiler goes with it.
    command.process_group(0).kill_on_drop(true);
    command.spawn()
}

/// Hands the component over and takes what comes back, both at once: neither side waits for the other.
async fn talk(
    child: &mut Child,
    key: &Key,
    component: &[u8],
) -> std::io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let gone = || std::io::Error::other("the compiler has no pipes");
    let mut stdin = child.stdin.take().ok_or_else(gone)?;
    let (stdout, stderr) = child.stdout.take().zip(child.stderr.take()).ok_or_else(gone)?;
    // One more than is allowed, to know that there is more.
    let most = most_bytes(component.len()) + HEAD_BYTES as u64 + 1;
    let (written, out, said) = tokio::join!(
        hand_over(&mut stdin, key, component),
        take(stdout, most),
        take(stderr, MOST_SAID)
    );
    if let Err(error) = written {
        tracing::debug!(%error, "plugins: a compiler ended before it had read everything");
    }
    let status = child.wait().await?;
    // Open until here: its end tells the process that the host is gone.
    drop(stdin);
    Ok((status, out?, said?))
}

async fn hand_over(stdin: &mut ChildStdin, key: &Key, component: &[u8]) -> std::io::Result<()> {
    stdin.write_all(key).await?;
    stdin.write_all(&(component.len() as u64).to_le_bytes()).await?;
    stdin.write_all(component).await?;
    stdin.flush().await
}

/// Up to `most` bytes; the rest is read and forgotten, so that whoever writes comes to an end.
async fn take(mut from: impl AsyncRead + Unpin, most: u64) -> std::io::Result<Vec<u8>> {
    let mut taken = Vec::new();
    (&mut from).take(most).read_to_end(&mut taken).await?;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok(taken)
}

fn outcome(
    status: ExitStatus,
    out: Vec<u8>,
    said: &[u8],
    limits: &Compile,
) -> Result<Vec<u8>, AdmitError> {
    let text = || clean(&String::from_utf8_lossy(&out), 1500);
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    match code {
        Some(0) => return Ok(out),
        Some(UNSOUND) => return Err(AdmitError::Compile(text())),
        Some(TOO_MUCH) => return Err(AdmitError::TooMuch(text())),
        Some(OUT_OF_MEMORY) => return Err(AdmitError::CompileMemory(limits.memory_bytes as u64)),
        Some(_) | None => {}
    }
    let said = String::from_utf8_lossy(said);
    let said = clean(said.trim().lines().next().unwrap_or_default(), 200);
    let how = match status.signal() {
        Some(signal) => signal_name(signal),
        None => status.to_string(),
    };
    let how = if said.is_empty() { how } else { format!("{how}: {said}") };
    Err(AdmitError::CompilerDied { how, memory: limits.memory_bytes as u64 })
}

/// A signal with the name that people know.
fn signal_name(signal: i32) -> String {
    let name = match rustix::process::Signal::from_named_raw(signal) {
        Some(rustix::process::Signal::KILL) => "SIGKILL",
        Some(rustix::process::Signal::ABORT) => "SIGABRT",
        Some(rustix::process::Signal::SEGV) => "SIGSEGV",
        Some(rustix::process::Signal::BUS) => "SIGBUS",
        Some(rustix::process::Signal::TERM) => "SIGTERM",
        Some(rustix::process::Signal::XCPU) => "SIGXCPU",
        Some(_) | None => return format!("signal {signal}"),
    };
    format!("signal {signal}, {name}")
}
