//! What goes wrong with a server, and what that leaves known of the rows.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::see::See;
use crate::store::StoreError;

/// A server that can't be used as a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address isn't one.
    #[error("store: the address of the Redis server can't be used: {0}. Correct `store.url`")]
    Address(String),
    /// The namespace is somebody else's.
    #[error(
        "store: the namespace `{0}` is where the SDK keeps its sessions. Choose another `store.namespace`"
    )]
    Namespace(String),
    /// It doesn't answer.
    #[error(
        "store: the Redis server at {server} can't be reached: {cause}. Start it, or correct `store.url` {see}",
        see = See::RedisAway
    )]
    Unreachable {
        /// Where.
        server: String,
        /// The system's words.
        cause: String,
    },
    /// It doesn't let us in.
    #[error(
        "store: the Redis server at {server} refuses the login: {cause}. Correct `store.user` and `store.password` {see}",
        see = See::RedisRefused
    )]
    Refused {
        /// Where.
        server: String,
        /// The server's words.
        cause: String,
    },
    /// Its user may not do what is needed.
    #[error(
        "store: the Redis server at {server} doesn't let its user do what the host needs {see}: {missing}. {next}",
        see = See::RedisRefused
    )]
    NotAllowed {
        /// Where.
        server: String,
        /// The keys and commands.
        missing: String,
        /// The line for the server, and the way without.
        next: String,
    },
    /// It lacks commands that are needed.
    #[error(
        "store: the Redis server at {server} is version {version}; 6.2 or later is needed. Update it {see}",
        see = See::RedisRefused
    )]
    TooOld {
        /// Where.
        server: String,
        /// Its version.
        version: String,
    },
    /// It is part of a cluster.
    #[error(
        "store: the Redis server at {server} is part of a cluster, in which several sessions can't be \
         changed in one step. Use a single server, with replicas if you like {see}",
        see = See::RedisRefused
    )]
    Cluster {
        /// Where.
        server: String,
    },
}

/// Why a command has no answer.
pub(super) enum Failure {
    /// It didn't come in this time.
    Timeout(Duration),
    /// The server's, or the connection's.
    Error(RedisError),
    /// A cluster moves what was asked for from node to node, or lacks one, and went on doing so for as long as was waited.
    Moving(RedisError),
}

impl Failure {
    /// Whether another connection may be better: nothing comes over this one, or it ends at a server that
    /// isn't the one that takes changes any more.
    pub(super) fn is_of_the_line(&self) -> bool {
        match self {
            Self::Timeout(_) => true,
            // The client looks around by itself.
            Self::Moving(_) => false,
            // A login that was refused is tried on a new line only.
            Self::Error(error) => {
                matches!(
                    error.kind(),
                    ErrorKind::AuthenticationFailed
                        | ErrorKind::Server(
                            ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown
                        )
                ) || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
            }
        }
    }

    /// Whether the server doesn't know the script that was called by its hash.
    pub(super) fn is_of_the_script(&self) -> bool {
        let Self::Error(error) = self else { return false };
        error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
    }

    /// What is known of the rows.
    pub(super) fn into_store_error(self) -> StoreError {
        match self {
            Self::Timeout(timeout) => {
                StoreError::Away(format!("the Redis server didn't answer within {timeout:?}"))
            }
            Self::Error(error) => store_error(&error),
            Self::Moving(error) => {
                StoreError::Away(format!("the Redis Cluster: {}", plain(&error)))
            }
        }
    }

    /// The same, when the server is opened; `needs` is what gives the rights that are needed.
    pub(super) fn into_open_error(self, server: String, needs: &str) -> OpenError {
        match self {
            Self::Timeout(timeout) => {
                OpenError::Unreachable { server, cause: format!("no answer within {timeout:?}") }
            }
            Self::Error(error) if is_about_rights(&error) => {
                OpenError::NotAllowed { server, missing: plain(&error), next: needs.to_owned() }
            }
            Self::Error(error) if Nature::of(&error) == Nature::Lasting => {
                OpenError::Refused { server, cause: plain(&error) }
            }
            Self::Error(error) | Self::Moving(error) => {
                OpenError::Unreachable { server, cause: plain(&error) }
            }
        }
    }
}

/// What is known of the rows after this error.
fn store_error(error: &RedisError) -> StoreError {
    let said = format!("the Redis server: {}", plain(error));
    match Nature::of(error) {
        Nature::Full => StoreError::Full(said),
        Nature::Passing => StoreError::Away(said),
        Nature::Lasting => StoreError::Refused(said),
        Nature::Final => StoreError::Fatal(said),
    }
}

/// What an error says of the next try. The one place where that is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// There is no space: what only removes may get through.
    Full,
    /// It passes by itself.
    Passing,
    /// The server will say the same until a person sees to it, and can be asked again.
    Lasting,
    /// It can't be said what was stored, or the same question meets the same end.
    Final,
}

impl Nature {
    fn of(error: &RedisError) -> Self {
        // Before version 7 a script's refusal has no code of its own.
        let of_script = |detail: &str| detail.contains("The user executing the script can't");
        if error.kind() == ErrorKind::AuthenticationFailed || error.detail().is_some_and(of_script)
        {
            return Self::Lasting;
        }
        if let Some(nature) = error.code().and_then(Self::of_code) {
            return nature;
        }
        let lost = matches!(error.kind(), ErrorKind::Io | ErrorKind::ClusterConnectionNotFound);
        // It has no capacity for another connection, and no code for that.
        let crowded = error.detail().is_some_and(|it| it.starts_with("max number of clients"));
        if lost || crowded { Self::Passing } else { Self::Final }
    }

    fn of_code(code: &str) -> Option<Self> {
        Some(match code {
            "OOM" => Self::Full,
            // It reads its data, follows another server, has lost that one, can't write to its disk, lacks
            // replicas, runs somebody's endless script, or had its scripts flushed.
            "LOADING" | "READONLY" | "MASTERDOWN" | "MISCONF" | "NOREPLICAS" | "BUSY"
            | "UNKILLABLE" | "TRYAGAIN" | "CLUSTERDOWN" | "NOSCRIPT" => Self::Passing,
            // The login or the rights don't suffice.
            "NOPERM" | "NOAUTH" | "WRONGPASS" => Self::Lasting,
            "WRONGTYPE" | "CROSSSLOT" | "MOVED" | "ASK" | "EXECABORT" => Self::Final,
            _ => return None,
        })
    }
}

/// Whether it is about rights and not about the login.
pub(super) fn is_about_rights(error: &RedisError) -> bool {
    error.code() == Some("NOPERM")
}

/// The error's words, without what was sent: that is customers' data.
pub(super) fn plain(error: &RedisError) -> String {
    let mut said = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => error.to_string(),
    };
    if let Some(at) = said.find(", with args beginning with") {
        said.truncate(at);
    }
    said
}

#[cfg(test)]
mod tests {
    use redis::make_extension_error;

    use super::*;

    #[test]
    fn every_error_passes_or_lasts_or_is_final() {
        let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let kind = |kind| RedisError::from((ErrorKind::Server(kind), "said"));
        let code = |code: &str| make_extension_error(code.into(), None);
        let said = |said: &str| make_extension_error("ERR".into(), Some(said.into()));
        let script = "The user executing the script can't run this command or subcommand";
        let cases = [
            (Nature::Full, code("OOM")),
            (Nature::Passing, lost.into()),
            (Nature::Passing, code("MISCONF")),
            (Nature::Passing, code("NOREPLICAS")),
            (Nature::Passing, code("BUSY")),
            (Nature::Passing, code("UNKILLABLE")),
            (Nature::Passing, kind(ServerErrorKind::BusyLoading)),
            (Nature::Passing, kind(ServerErrorKind::ReadOnly)),
            (Nature::Passing, kind(ServerErrorKind::MasterDown)),
            (Nature::Passing, kind(ServerErrorKind::TryAgain)),
            (Nature::Passing, kind(ServerErrorKind::ClusterDown)),
            (Nature::Passing, kind(ServerErrorKind::NoScript)),
            (Nature::Passing, said("max number of clients reached")),
            (Nature::Lasting, code("NOAUTH")),
            (Nature::Lasting, code("WRONGPASS")),
            (Nature::Lasting, code("NOPERM")),
            (Nature::Lasting, kind(ServerErrorKind::NoPerm)),
            (Nature::Lasting, said(script)),
            (Nature::Lasting, RedisError::from((ErrorKind::AuthenticationFailed, "said"))),
            (Nature::Final, code("WRONGTYPE")),
            (Nature::Final, code("SOMETHING")),
            (Nature::Final, kind(ServerErrorKind::CrossSlot)),
            (Nature::Final, kind(ServerErrorKind::Moved)),
            (Nature::Final, kind(ServerErrorKind::Ask)),
            (Nature::Final, kind(ServerErrorKind::ExecAbort)),
            (Nature::Final, kind(ServerErrorKind::ResponseError)),
            (Nature::Final, said("unknown command 'EVALSHA'")),
        ];
        for (nature, error) in cases {
            assert_eq!(Nature::of(&error), nature, "{error}");
            let fits = match store_error(&error) {
                StoreError::Full(_) => nature == Nature::Full,
                StoreError::Away(_) => nature == Nature::Passing,
                StoreError::Refused(_) => nature == Nature::Lasting,
                StoreError::Fatal(_) => nature == Nature::Final,
                // No answer of a server's says it: a commit's epoch does.
                StoreError::Lost(_) => false,
            };
            assert!(fits, "{error}");
        }
    }

    #[test]
    fn an_error_never_repeats_what_was_sent() {
        let said = "unknown command 'EVALSHA', with args beginning with: 'ann@example.com' ";
        let error = make_extension_error("ERR".into(), Some(said.into()));
        assert!(!store_error(&error).to_string().contains("ann@"));
        assert!(store_error(&error).to_string().contains("unknown command"));
    }
}
