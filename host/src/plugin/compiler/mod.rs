//! Who compiles a component, and within which bounds.
//!
//! A small file can make a compiler work for hours and take all memory there is, and a thread that compiles
//! can't be stopped. So it is a process of its own, of the same program, that compiles: it has little
//! priority, is the first to go when the machine runs out of memory, and is killed at its limits or with the
//! host. It is handed the component's bytes and nothing else, no environment and no files, and hands back
//! the sealed artifact, which is opened as any other (`artifact`).

mod child;
mod parent;
mod weight;

use std::path::PathBuf;

use wasmtime::Engine;

use super::artifact::{self, Key};
use super::blocking::{Ended, on_thread};
use super::error::{AdmitError, cause};
use super::features;
use crate::config::Compile;

pub use child::{Job, serve};

/// What an artifact may have however small its component is, in bytes.
const ARTIFACT_BASE: u64 = 16 << 20;
/// What it may have for each byte of its component. Measured: 2 to 3.
const ARTIFACT_PER_BYTE: u64 = 16;

/// Who compiles components.
#[derive(Debug, Clone)]
pub struct Compiler {
    by: By,
    limits: Compile,
}

#[derive(Debug, Clone)]
enum By {
    /// A thread of this process: nothing ends it, and nothing bounds its memory.
    Thread,
    /// A process of this program.
    Child(PathBuf),
}

impl Compiler {
    /// On a thread of this process, for programs that aren't `sidenote` and only take components that they
    /// trust: what is compiled has no bound on memory, and goes on when nobody waits for it.
    pub fn in_process() -> Self {
        Self { by: By::Thread, limits: Compile::default() }
    }

    /// In processes of the `sidenote` at this path.
    pub fn child(program: impl Into<PathBuf>) -> Self {
        Self { by: By::Child(program.into()), limits: Compile::default() }
    }

    /// In processes of the program that runs, which must be `sidenote`.
    ///
    /// # Errors
    /// The program's own file can't be told.
    pub fn of_this_program() -> std::io::Result<Self> {
        // This way leads to the program that runs even when another one was put into its place since.
        let own = PathBuf::from("/proc/self/exe");
        if own.exists() {
            return Ok(Self::child(own));
        }
        // Without /proc, as in a root that has nothing but the program: by the path that it was started with.
        let started = std::env::args_os().next().map(PathBuf::from);
        let started = started.filter(|path| path.is_absolute() && path.is_file());
        std::env::current_exe().or_else(|error| started.ok_or(error)).map(Self::child)
    }

    /// With other limits.
    #[must_use]
    pub fn within(self, limits: Compile) -> Self {
        Self { limits, ..self }
    }

    /// How many may compile at the same time. A thread that nobody waits for goes on, so there is one of those.
    pub(super) fn at_once(&self) -> usize {
        match self.by {
            By::Thread => 1,
            // While one works on a file until its limit, others needn't wait for that.
            By::Child(_) => 2,
        }
    }

    /// The sealed artifact of a component.
    pub(super) async fn compile(
        &self,
        engine: &Engine,
        key: Key,
        component: Vec<u8>,
        turn: tokio::sync::OwnedSemaphorePermit,
    ) -> Result<Vec<u8>, AdmitError> {
        match &self.by {
            By::Thread => {
                let (engine, patience) = (engine.clone(), self.limits.timeout);
                let work = move || {
                    let _turn = turn;
                    artifact(&engine, &key, &component)
                };
                match on_thread("plugin-compile", patience, work).await? {
                    Ended::Done(sealed) => sealed.map_err(AdmitError::from),
                    Ended::Panicked => Err(AdmitError::CompilerPanicked),
                    Ended::TooLate => Err(AdmitError::CompileTimeout(patience)),
                }
            }
            By::Child(program) => {
                let _turn = turn;
                parent::compile(program, &self.limits, &key, &component).await
            }
        }
    }
}

/// Most bytes of the artifact of a component that has so many.
fn most_bytes(component: usize) -> u64 {
    (component as u64).saturating_mul(ARTIFACT_PER_BYTE).saturating_add(ARTIFACT_BASE)
}

/// Why a component isn't compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// It is more than any real component.
    #[error(transparent)]
    TooMuch(#[from] weight::Excess),
    /// The compiler doesn't take it.
    #[error("{0}")]
    Unsound(String),
}

impl From<Refusal> for AdmitError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooMuch(excess) => Self::TooMuch(excess.to_string()),
            Refusal::Unsound(cause) => Self::Compile(cause),
        }
    }
}

/// Weighs and compiles.
fn artifact(engine: &Engine, key: &Key, component: &[u8]) -> Result<Vec<u8>, Refusal> {
    weight::check(component).map_err(|refusal| refusal.explained(component))?;
    let unsound = |error| Refusal::Unsound(cause(&error)).explained(component);
    let compiled = engine.precompile_component(component).map_err(unsound)?;
    let (bytes, limit) = (compiled.len() as u64, most_bytes(component.len()));
    if bytes > limit {
        return Err(weight::Excess::artifact(bytes, limit).into());
    }
    Ok(artifact::seal(key, &compiled))
}

impl Refusal {
    /// With the way on for an author, where the compiler alone doesn't show it.
    fn explained(self, component: &[u8]) -> Self {
        match self {
            Self::TooMuch(excess) => Self::TooMuch(excess),
            Self::Unsound(cause) => Self::Unsound(match features::missing(component) {
                Some(missing) => format!("{missing} ({cause})"),
                None => format!(
                    "{cause}; it isn't a valid component: build it again, and report it to its toolchain where that changes nothing"
                ),
            }),
        }
    }
}
