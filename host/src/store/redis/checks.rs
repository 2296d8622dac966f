//! What kind of server it is, and what its settings put at risk.

use std::collections::HashMap;
use std::fmt;

use redis::{Script, cmd};

use super::failure::{Failure, OpenError, is_about_rights, plain};
use super::keys::Keys;
use super::needs;
use super::server::Server;
use crate::config;
use crate::see::See;

/// The oldest version that has every command that is used.
const OLDEST: (u32, u32) = (6, 2);

/// A setting of the server that puts rows at risk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// It removes any key when its memory is full.
    Evicts {
        /// `maxmemory-policy`.
        policy: String,
    },
    /// It removes keys that expire when its memory is full: snapshots, and the lease.
    EvictsSnapshots {
        /// `maxmemory-policy`.
        policy: String,
    },
    /// It keeps nothing on disk.
    NothingOnDisk,
    /// What it has on disk is as old as its last snapshot.
    OnlySnapshots {
        /// `save`.
        save: String,
    },
    /// It writes its log to disk once a second.
    LastSecond,
    /// It leaves it to the system when its log is written to disk.
    WrittenAtSomeTime,
    /// The settings couldn't be read.
    Unchecked {
        /// The server's words.
        cause: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evicts { policy } => write!(
                f,
                "maxmemory-policy is {policy}: when its memory is full, the server throws away rows, and \
                 with them actions that were accepted. Set maxmemory-policy noeviction"
            ),
            Self::EvictsSnapshots { policy } => write!(
                f,
                "maxmemory-policy is {policy}: when its memory is full, the server throws away the SDK's \
                 sessions before their time. Set maxmemory-policy noeviction"
            ),
            Self::NothingOnDisk => f.write_str(
                "appendonly is no and save is empty: when the server stops, everything is lost. Set \
                 appendonly yes and appendfsync always",
            ),
            Self::OnlySnapshots { save } => write!(
                f,
                "appendonly is no (save is \"{save}\"): when the server dies, everything since its last \
                 snapshot is lost. Set appendonly yes and appendfsync always"
            ),
            Self::LastSecond => f.write_str(
                "appendfsync is everysec: when the server's machine dies, up to a second of accepted actions \
                 is lost. Set appendfsync always where that is too much",
            ),
            Self::WrittenAtSomeTime => f.write_str(
                "appendfsync is no: when the server's machine dies, what the system hadn't written yet is \
                 lost, often half a minute. Set appendfsync always",
            ),
            Self::Unchecked { cause } => write!(
                f,
                "how the server keeps what it is given couldn't be checked ({cause}). See to it that \
                 maxmemory-policy is noeviction, appendonly yes and appendfsync always"
            ),
        }
    }
}

/// Refuses what can't be used, and says in the log what is at risk.
pub(super) async fn look(server: &Server, name: &str) -> Result<Vec<Warning>, OpenError> {
    let mut warnings = Vec::new();
    match server.ask::<String>(cmd("INFO").arg("server")).await {
        Ok(info) => suitable(&info, name)?,
        Err(Failure::Error(error)) if is_not_allowed(&error) => {
            warnings.push(Warning::Unchecked { cause: plain(&error) });
        }
        Err(failure) => return Err(failure.into_open_error(name.to_owned(), "")),
    }
    let mut settings = HashMap::new();
    for setting in ["maxmemory", "maxmemory-policy", "appendonly", "appendfsync", "save"] {
        let answer: Result<Vec<(String, String)>, _> =
            server.ask(cmd("CONFIG").arg("GET").arg(setting)).await;
        match answer {
            Ok(answer) => settings.extend(answer),
            Err(Failure::Error(error)) if is_not_allowed(&error) => {
                warnings.push(Warning::Unchecked { cause: plain(&error) });
                warnings.dedup();
                break;
            }
            Err(failure) => return Err(failure.into_open_error(name.to_owned(), "")),
        }
    }
    warnings.extend(risks(&settings));
    for warning in &warnings {
        tracing::warn!("store: redis at {name}: {warning} {}", See::RedisRefused);
    }
    Ok(warnings)
}

/// Managed servers forbid some commands, or don't know them.
fn is_not_allowed(error: &redis::RedisError) -> bool {
    matches!(error.code(), Some("NOPERM" | "ERR"))
}

fn suitable(info: &str, name: &str) -> Result<(), OpenError> {
    let field = |field: &str| {
        info.lines().find_map(|line| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim()))
    };
    if field("redis_mode") == Some("cluster") {
        return Err(OpenError::Cluster { server: name.to_owned() });
    }
    let Some(version) = field("redis_version") else {
        return Ok(());
    };
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version_of = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if version_of < OLDEST {
        return Err(OpenError::TooOld { server: name.to_owned(), version: version.to_owned() });
    }
    Ok(())
}

fn risks(settings: &HashMap<String, String>) -> Vec<Warning> {
    let setting = |name: &str| settings.get(name).map(String::as_str);
    let mut warnings = Vec::new();
    if setting("maxmemory").is_some_and(|limit| limit != "0") {
        match setting("maxmemory-policy") {
            None | Some("noeviction") => {}
            Some(policy) if policy.starts_with("volatile") => {
                warnings.push(Warning::EvictsSnapshots { policy: policy.to_owned() });
            }
            Some(policy) => warnings.push(Warning::Evicts { policy: policy.to_owned() }),
        }
    }
    match (setting("appendonly"), setting("appendfsync"), setting("save")) {
        (Some("no"), _, None | Some("")) => warnings.push(Warning::NothingOnDisk),
        (Some("no"), _, Some(save)) => {
            warnings.push(Warning::OnlySnapshots { save: save.to_owned() });
        }
        (Some("yes"), Some("everysec"), _) => warnings.push(Warning::LastSecond),
        (Some("yes"), Some("no"), _) => warnings.push(Warning::WrittenAtSomeTime),
        (Some(_) | None, _, _) => {}
    }
    warnings
}

/// Asks whether the host may do all that it must be let do. Nothing is changed.
pub(super) async fn rights(
    server: &Server,
    config: &config::Redis,
    name: &str,
) -> Result<(), OpenError> {
    let script = Script::new(include_str!("check.lua"));
    let names = Keys::new(&config.namespace);
    let mut missing = Vec::new();
    for (kind, commands) in needs::needs(config) {
        let mut call = script.key(kind.example(&names));
        for command in commands {
            call.arg(*command);
        }
        let keys = kind.pattern(&config.namespace);
        match server.ask_script::<Vec<String>>(&call).await {
            Ok(commands) if commands.is_empty() => {}
            Ok(commands) => missing.push(format!("{} on the keys {keys}", commands.join(", "))),
            Err(Failure::Error(error)) if is_about_rights(&error) => {
                let said = plain(&error);
                // Which command it is says the server; of a key it says only that there is one.
                if said.contains("to run") {
                    missing.push(said);
                    break;
                }
                missing.push(format!("the keys {keys} ({said})"));
            }
            Err(failure) => {
                return Err(failure.into_open_error(name.to_owned(), &needs::line(config)));
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let missing = format!("not allowed: {}", missing.join("; "));
    Err(OpenError::NotAllowed { server: name.to_owned(), missing, next: needs::line(config) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Vec<Warning> {
        risks(&pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    #[test]
    fn each_risky_setting_has_its_warning() {
        let durable = [("appendonly", "yes"), ("appendfsync", "always")];
        assert_eq!(of(&durable), []);
        let with = |policy, limit| {
            of(&[&durable[..], &[("maxmemory-policy", policy), ("maxmemory", limit)]].concat())
        };
        assert_eq!(with("allkeys-lru", "0"), [], "nothing is thrown away without a limit");
        assert_eq!(with("noeviction", "100"), []);
        assert_eq!(with("allkeys-lru", "100"), [Warning::Evicts { policy: "allkeys-lru".into() }]);
        assert_eq!(
            with("volatile-ttl", "100"),
            [Warning::EvictsSnapshots { policy: "volatile-ttl".into() }]
        );
        assert_eq!(of(&[("appendonly", "no"), ("save", "")]), [Warning::NothingOnDisk]);
        assert_eq!(
            of(&[("appendonly", "no"), ("save", "60 1")]),
            [Warning::OnlySnapshots { save: "60 1".into() }]
        );
        assert_eq!(
            of(&[("appendonly", "yes"), ("appendfsync", "everysec")]),
            [Warning::LastSecond]
        );
        assert_eq!(
            of(&[("appendonly", "yes"), ("appendfsync", "no")]),
            [Warning::WrittenAtSomeTime]
        );
    }

    #[test]
    fn an_old_server_and_a_cluster_are_refused() {
        let info = |version: &str, mode: &str| {
            suitable(&format!("# Server\r\nredis_version:{version}\r\nredis_mode:{mode}\r\n"), "a")
        };
        assert!(info("6.2.0", "standalone").is_ok());
        assert!(info("7.0.15", "standalone").is_ok());
        assert!(info("10.0", "standalone").is_ok());
        assert!(matches!(info("6.0.16", "standalone"), Err(OpenError::TooOld { .. })));
        assert!(matches!(info("5.0.7", "standalone"), Err(OpenError::TooOld { .. })));
        assert!(matches!(info("7.0.15", "cluster"), Err(OpenError::Cluster { .. })));
    }
}
