//! From a component to one that fits, or to an error that says what to do.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Engine, Store};

use super::bindings::v0_1;
use super::exports::{Exports, Indices, Interface, Misfit};
use super::instance::{self, Ground, State};
use super::kind::NotAComponent;
use super::manifest::{ConfigError, ManifestError};
use crate::config::Sha256;
use crate::egress::BadGrant;

/// The imports that every plugin is linked to.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    v0_1::HostSide::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}

/// A component that fits.
pub(super) struct Admitted {
    pre: InstancePre<State>,
    indices: Box<Indices>,
}

/// An instance with the exports that its component has.
pub(super) struct Live {
    pub(super) store: Store<State>,
    pub(super) exports: Exports,
}

/// Links a component, looks for what it exports, and tries it out once: only a live instance shows
/// whether the exports have the right types. The instance that was tried is good for use.
pub(super) async fn admit(
    linker: &Linker<State>,
    component: &Component,
    ground: &Arc<Ground>,
) -> Result<(Admitted, Live), AdmitError> {
    let pre = linker.instantiate_pre(component).map_err(|error| AdmitError::Link(cause(&error)))?;
    let indices = Box::new(Indices::find(&pre)?);
    let admitted = Admitted { pre, indices };
    if admitted.interfaces().is_empty() {
        return Err(AdmitError::NoExports(exports_of(component)));
    }
    let deadline = Instant::now() + ground.limits.call_timeout;
    let mut store = admitted.store(ground);
    instance::begin_call(&mut store, deadline, None);
    let instance =
        match tokio::time::timeout_at(deadline, admitted.pre.instantiate_async(&mut store)).await {
            Ok(Ok(instance)) => instance,
            Ok(Err(error)) => return Err(AdmitError::Trial(cause(&error))),
            Err(_) => return Err(AdmitError::TrialTimeout(ground.limits.call_timeout)),
        };
    store.data().log.end();
    let exports = admitted.indices.load(&mut store, &instance)?;
    Ok((admitted, Live { store, exports }))
}

impl Admitted {
    /// Whether an interface is exported.
    pub(super) fn exports(&self, interface: Interface) -> bool {
        self.indices.has(interface)
    }

    /// The exported interfaces, by their short names.
    pub(super) fn interfaces(&self) -> Vec<&'static str> {
        let found = Interface::ALL.iter().filter(|interface| self.exports(**interface));
        found.map(|interface| interface.short()).collect()
    }

    /// A store to make an instance in.
    pub(super) fn store(&self, ground: &Arc<Ground>) -> Store<State> {
        instance::store(self.pre.engine(), ground)
    }

    /// Makes an instance.
    pub(super) async fn instantiate(
        &self,
        mut store: Store<State>,
    ) -> Result<Live, (wasmtime::Error, Store<State>)> {
        let made = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            self.indices.load(&mut store, &instance).map_err(|misfit| misfit.error)
        };
        match made.await {
            Ok(exports) => Ok(Live { store, exports }),
            Err(error) => Err((error, store)),
        }
    }
}

fn exports_of(component: &Component) -> String {
    let engine = component.engine();
    let names: Vec<_> = component
        .component_type()
        .exports(engine)
        .map(|(name, _)| name.to_owned())
        .take(8)
        .collect();
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        super::clean::clean(&names.join(", "), 400)
    }
}

impl From<Misfit> for AdmitError {
    fn from(misfit: Misfit) -> Self {
        Self::Export { name: misfit.interface.full(), cause: cause(&misfit.error) }
    }
}

/// The error with its causes on one line, cut.
pub(super) fn cause(error: &wasmtime::Error) -> String {
    super::clean::clean(&format!("{error:#}"), 600)
}

/// Why a file is no plugin: stage, cause, next step. The file and the plugin are told by whoever knows
/// them.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AdmitError {
    /// The file isn't there.
    #[error(
        "read: there is no such file in the plugins folder; put it there, or name another with `file`"
    )]
    Missing,
    /// The file can't be read.
    #[error("read: {0}; check the file's permissions")]
    Read(String),
    /// What stands there is a folder, a device or a pipe.
    #[error("read: it is no regular file; put the component itself there")]
    NotAFile,
    /// The file's name would lead out of the folder, or names nothing.
    #[error("read: `{0}` is no file name; it must be a name in the plugins folder, without a path")]
    BadFileName(String),
    /// The file is too large.
    #[error("read: it has {size} bytes and at most {limit} are taken; strip the component")]
    TooLarge {
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The file is no component, or not a whole one.
    #[error("compile: {0}")]
    NotAComponent(#[from] NotAComponent),
    /// It doesn't compile.
    #[error(
        "compile: {0}; build it again with a current toolchain, without wasm features beyond 2.0"
    )]
    Compile(String),
    /// It isn't compiled: it has more of something than any real component.
    #[error("compile: it has too many {0}")]
    TooMuch(String),
    /// The compiler panicked.
    #[error("compile: the compiler failed on it; build it again with a current toolchain")]
    CompilerPanicked,
    /// The compiler wanted too much memory, and was ended.
    #[error(
        "compile: the compiler wanted more than {} MiB for it; make the component smaller, or raise `compile_memory`",
        _0 >> 20
    )]
    CompileMemory(u64),
    /// The compiler died.
    #[error(
        "compile: the compiler was ended while it worked on it ({how}); most likely memory ran out: make the component smaller, or see that the machine has {} MiB (`compile_memory`) beside what the host takes",
        memory >> 20
    )]
    CompilerDied {
        /// By which signal or exit code, and what it said.
        how: String,
        /// How much memory it may have, in bytes.
        memory: u64,
    },
    /// No compiler can be started.
    #[error(
        "compile: the compiler can't be started: {0}; see whether this user may start processes"
    )]
    NoCompiler(String),
    /// It changed while it was read.
    #[error("read: the file changed while it was read; it is read again when it has come to rest")]
    Changing,
    /// It isn't the content that is pinned.
    #[error(
        "pin: its sha256 is {found}, and `sha256` wants {wanted}; put the right file there, or, if this one is wanted, write its hash into `sha256`"
    )]
    Pinned {
        /// The hash of the file.
        found: Sha256,
        /// The pinned one.
        wanted: Sha256,
    },
    /// What the compiler made doesn't fit this host.
    #[error(
        "compile: what the compiler made can't be used: {0}; where sidenote was upgraded while it runs, start it again"
    )]
    Foreign(String),
    /// It takes too long to compile.
    #[error(
        "compile: not done after {0:?}, so it was given up; make the component smaller, or raise `compile_timeout`"
    )]
    CompileTimeout(Duration),
    /// It imports what the host doesn't have.
    #[error("link: {0}; a plugin can import sidenote:plugin@0.1.0 and WASI 0.2, nothing else")]
    Link(String),
    /// It exports nothing that is known.
    #[error(
        "probe: it exports none of {}; it exports {_0}; export one of them, built against sidenote:plugin@0.1.0",
        Interface::list()
    )]
    NoExports(String),
    /// An exported interface doesn't have the right functions or types.
    #[error("probe: its `{name}` doesn't fit: {cause}; build it against the WIT of this host")]
    Export {
        /// The interface.
        name: &'static str,
        /// What doesn't fit.
        cause: String,
    },
    /// The first instance trapped.
    #[error(
        "trial: it can't be started: {0}; raise its limits if it needs more, or fix its initialisation"
    )]
    Trial(String),
    /// The first instance didn't come up.
    #[error("trial: it didn't start within {0:?}; raise call_timeout, or fix its initialisation")]
    TrialTimeout(Duration),
    /// Its manifest can't be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The operator's settings don't fit its manifest.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A grant can't be read.
    #[error("grants: {0}")]
    Grant(#[from] BadGrant),
}
