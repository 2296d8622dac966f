//! Why a file is no plugin, and why there are no plugins at all.

use std::path::PathBuf;
use std::time::Duration;

use super::clean::clean;
use super::kind::NotAComponent;
use super::manifest::{ConfigError, ManifestError};
use crate::config::Sha256;
use crate::egress::{BadGrant, NetworkError};
use crate::oci::RegistryError;
use crate::see::See;

/// Why there are no plugins at all. A plugin that can't be used is no such error: see
/// [`PluginState::failed`](super::PluginState::failed).
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The engine doesn't start.
    #[error(
        "plugins: the WebAssembly engine doesn't start: {0}; is this machine's processor supported?"
    )]
    Engine(String),
    /// The folder can't be read.
    #[error(
        "plugins: the folder {folder} can't be read: {cause}; check `plugins_folder` and its permissions"
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
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
    #[error("read: it has {size} bytes and at most {limit} are allowed; strip the component")]
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
    #[error("compile: {0}")]
    Compile(String),
    /// It isn't compiled: it has more of something than any real component.
    #[error("compile: it has too many {0}")]
    TooMuch(String),
    /// The compiler panicked.
    #[error(
        "compile: the compiler failed on it, which is a fault of this host's: report it with the component, and build that with another version of its toolchain meanwhile"
    )]
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
        "pin: its sha256 is {found}, and `sha256` wants {wanted}; put the right file there, or, if this one is wanted, write its hash into `sha256` {}",
        See::PinMismatch
    )]
    Pinned {
        /// The hash of the file.
        found: Sha256,
        /// The pinned one.
        wanted: Sha256,
    },
    /// No registry gave it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// It is being pulled, and that takes its time.
    #[error(
        "registry: it is still being pulled from {0}; it runs as soon as it is there, and nothing else waits for it"
    )]
    Pulling(String),
    /// What was pulled can't be kept.
    #[error(
        "registry: what was pulled can't be kept in {}: {cause}; look at the folder's disk and permissions, or name another `cache_folder`",
        .folder.display()
    )]
    NotKept {
        /// The folder.
        folder: PathBuf,
        /// The system's words.
        cause: String,
    },
    /// There is no folder for what is pulled.
    #[error("registry: there is no folder to keep it in; set `cache_folder`")]
    NowhereKept,
    /// It has no signature, and needs one.
    #[error(
        "signature: it has none, and without one by a key of `trusted_keys` nothing runs; put one beside it as NAME.wasm.minisig, or have it pushed with `sidenote plugin push --sign` {}",
        See::NotSigned
    )]
    NotSigned,
    /// What should be its signature is none.
    #[error(
        "signature: what should be one can't be read as one of minisign; sign it again with `minisign -S` or `sidenote plugin push --sign` {}",
        See::NotSigned
    )]
    BadSignature,
    /// Its signature can't be read.
    #[error("signature: {0}; check the permissions of the .minisig file")]
    SignatureUnreadable(String),
    /// Somebody else signed it.
    #[error(
        "signature: no key of `trusted_keys` made it; have it signed by somebody who is trusted, or add the key of whoever signed it, once you know whose it is {}",
        See::NotSigned
    )]
    NotTrusted,
    /// The signature is by a key that is trusted, and not of this content.
    #[error(
        "signature: it is by a trusted key, and of another content or of minisign's old form: the component was changed, or the signature is another version's. Don't use it before you know which {}",
        See::NotSigned
    )]
    SignedOtherwise,
    /// What the compiler made doesn't fit this host.
    #[error(
        "compile: what the compiler made can't be used: {0}; where sidenote was upgraded while it runs, start it again"
    )]
    Foreign(String),
    /// It takes too long to compile.
    #[error(
        "compile: not done after {0:?}, so it was ended; make the component smaller, or raise `compile_timeout`"
    )]
    CompileTimeout(Duration),
    /// It imports what the host doesn't have.
    #[error(
        "link: it imports {0}, which no host gives a plugin: that is sidenote:plugin@0.1.0 and WASI 0.2 (cli, clocks, io, random, http; filesystem and sockets over nothing). Leave it out of its world and of its libraries, ask by `http` of sidenote:plugin instead, or build it for WASI 0.2 where that is an interface of another version {see}",
        see = See::OtherInterface
    )]
    Imports(String),
    /// What it imports has other functions or types than the host's.
    #[error(
        "link: {0}; build it against the interface of this host, which `sidenote plugin wit --out DIR` writes, and against a released WASI 0.2"
    )]
    Link(String),
    /// It exports nothing that is known.
    #[error(
        "probe: it exports none of {known}; it exports {found}; export one of them: `sidenote plugin wit` prints the interface, and a world such as `writer-plugin` in it says what to export {see}",
        see = See::OtherInterface
    )]
    NoExports {
        /// The interfaces that the host calls.
        known: String,
        /// What it exports.
        found: String,
    },
    /// It exports our interfaces in another version.
    #[error(
        "probe: it exports {0}, which is of another version of the interface than this host's, 0.1.0: build it against the files that `sidenote plugin wit --out DIR` writes, or run it on a host of that version {see}",
        see = See::OtherInterface
    )]
    OtherVersion(String),
    /// An exported interface doesn't have the right functions or types.
    #[error(
        "probe: its `{name}` doesn't fit: {cause}; its functions and types must be those of the interface to the field: build it against the files that `sidenote plugin wit --out DIR` writes, and put what is to be added under `extras`"
    )]
    Export {
        /// The interface.
        name: &'static str,
        /// What doesn't fit.
        cause: String,
    },
    /// The first instance trapped.
    #[error("trial: it can't be started: {0}")]
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
    /// What is granted can't be reached.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// The error with its causes on one line, cut.
pub(super) fn cause(error: &wasmtime::Error) -> String {
    clean(&format!("{error:#}"), 600)
}
