//! What goes wrong with a server, and what that leaves known of the rows.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::store::StoreError;

/// A server that can't be used as a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address isn't one.
    #[error("store: the address of the Redis server can't be used: {0}. Correct `store.url`")]
    Address(String),
    /// The namespace is taken.
    #[error(
        "store: the namespace `{0}` is where the SDK keeps its sessions. Choose another `store.namespace`"
    )]
    Namespace(String),
    /// It doesn't answer.
    #[error(
        "store: the Redis server at {server} can't be reached: {cause}. Start it, or correct `store.url`"
    )]
    Unreachable {
        /// Where.
        server: String,
        /// The system's words.
        cause: String,
    },
    /// It doesn't let us in.
    #[error(
        "store: the Redis server at {server} refuses the login: {cause}. Correct `store.user` and `store.password`"
    )]
    Refused {
        /// Where.
        server: String,
        /// The server's words.
        cause: String,
    },
    /// It lacks commands that are needed.
    #[error(
        "store: the Redis server at {server} is version {version}; 6.2 or later is needed. Update it"
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
         changed in one step. Use a single server, with replicas if you like"
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
}

impl Failure {
    /// Whether another connection may be better: nothing comes over this one, or it ends at a server that
    /// isn't the one that takes changes any more.
    pub(super) fn is_of_the_line(&self) -> bool {
        match self {
            Self::Timeout(_) => true,
            Self::Error(error) => matches!(
                error.kind(),
                ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
            ),
        }
    }

    /// What is known of the rows.
    pub(super) fn into_store_error(self) -> StoreError {
        match self {
            Self::Timeout(timeout) => {
                StoreError::Away(format!("the Redis server didn't answer within {timeout:?}"))
            }
            Self::Error(error) => store_error(&error),
        }
    }

    /// The same, when the server is opened.
    pub(super) fn into_open_error(self, server: String) -> OpenError {
        match self {
            Self::Timeout(timeout) => {
                OpenError::Unreachable { server, cause: format!("no answer within {timeout:?}") }
            }
            Self::Error(error) if is_refusal(&error) => {
                OpenError::Refused { server, cause: plain(&error) }
            }
            Self::Error(error) => OpenError::Unreachable { server, cause: plain(&error) },
        }
    }
}

/// What is known of the rows after this error.
fn store_error(error: &RedisError) -> StoreError {
    let said = format!("the Redis server: {}", plain(error));
    if error.code() == Some("OOM") {
        StoreError::Full(said)
    } else if is_away(error) {
        StoreError::Away(said)
    } else {
        StoreError::Fatal(said)
    }
}

/// Whether it can be waited out. A server that refuses the login can let the host in again.
fn is_away(error: &RedisError) -> bool {
    let kind = matches!(
        error.kind(),
        ErrorKind::Io
            | ErrorKind::ClusterConnectionNotFound
            | ErrorKind::Server(
                ServerErrorKind::BusyLoading
                    | ServerErrorKind::ReadOnly
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::ClusterDown
                    // Somebody flushed the scripts between their loading and the call.
                    | ServerErrorKind::NoScript
            )
    );
    // It can't write to its disk, lacks replicas, or runs somebody's endless script.
    let code = matches!(error.code(), Some("MISCONF" | "NOREPLICAS" | "BUSY" | "UNKILLABLE"));
    kind || code || is_refusal(error) || is_crowded(error)
}

fn is_refusal(error: &RedisError) -> bool {
    let code = error.code();
    error.kind() == ErrorKind::AuthenticationFailed
        || matches!(code, Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
}

/// Whether it has no room for another connection; it has no code for that.
fn is_crowded(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.starts_with("max number of clients reached"))
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
    fn what_can_be_waited_out_is_told_from_what_cannot() {
        let code = |code: &str| store_error(&make_extension_error(code.into(), None));
        for away in ["MISCONF", "NOREPLICAS", "BUSY", "NOAUTH", "WRONGPASS"] {
            assert!(matches!(code(away), StoreError::Away(_)), "{away}");
        }
        assert!(matches!(code("OOM"), StoreError::Full(_)));
        for fatal in ["WRONGTYPE", "SOMETHING"] {
            assert!(matches!(code(fatal), StoreError::Fatal(_)), "{fatal}");
        }
        let kinds = [
            ServerErrorKind::BusyLoading,
            ServerErrorKind::ReadOnly,
            ServerErrorKind::MasterDown,
            ServerErrorKind::TryAgain,
            ServerErrorKind::NoPerm,
        ];
        for kind in kinds {
            let error = RedisError::from((ErrorKind::Server(kind), "said"));
            assert!(matches!(store_error(&error), StoreError::Away(_)), "{kind:?}");
        }
        let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(matches!(store_error(&lost.into()), StoreError::Away(_)));
        let script = RedisError::from((ErrorKind::Server(ServerErrorKind::ResponseError), "bug"));
        assert!(matches!(store_error(&script), StoreError::Fatal(_)));
    }

    #[test]
    fn an_error_never_repeats_what_was_sent() {
        let said = "unknown command 'EVALSHA', with args beginning with: 'ann@example.com' ";
        let error = make_extension_error("ERR".into(), Some(said.into()));
        assert!(!store_error(&error).to_string().contains("ann@"));
        assert!(store_error(&error).to_string().contains("unknown command"));
    }
}
