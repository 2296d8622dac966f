//! What the host must be let do on a server: every kind of key, and every command on it. [`super::checks`] asks before
//! anything is written, so that a user who may do less is found at the start and not at the first link.

use std::collections::BTreeSet;

use super::keys::{self, Keys, Places as _};
use crate::config;
use crate::ids::SessionId;
use crate::store::{Group, Table};

/// A kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Lease,
    Fence,
    Index,
    Rows,
    /// The copy that is shared with the SDK.
    Snapshot,
}

/// What is done with each kind of key; `K` stands for the key.
const NEEDS: [(Kind, &[&str]); 5] = [
    (Kind::Lease, &["GET K", "SET K v PX 1", "DEL K", "PEXPIRE K 1"]),
    (Kind::Fence, &["HGET K f", "HMGET K f", "HSET K f v", "HINCRBY K f 1"]),
    (Kind::Index, &["TYPE K", "ZADD K 0 m", "ZREM K m", "ZRANGE K - + BYLEX LIMIT 0 1"]),
    (
        Kind::Rows,
        &["TYPE K", "EXISTS K", "HSET K f v", "HDEL K f", "HGETALL K", "HKEYS K", "HMGET K f"],
    ),
    (Kind::Snapshot, &["GET K", "SET K v EX 1", "DEL K", "MGET K"]),
];

/// What is needed beside: the scripts, and how the server says what it is and what time it has.
const BESIDE: [&str; 5] = ["evalsha", "script|load", "info", "config|get", "time"];

/// The remedy: what an administrator of the server pastes, and the setting without the SDK's keys.
pub(super) fn line(config: &config::Redis) -> String {
    let user = config.user.as_deref().unwrap_or("default");
    let mut patterns = vec![format!("~{}:*", config.namespace)];
    let mut commands: BTreeSet<String> = BESIDE.into_iter().map(str::to_owned).collect();
    for (kind, of_kind) in needs(config) {
        if kind == Kind::Snapshot {
            patterns.push(format!("~{}", kind.pattern("")));
        }
        let word = |command: &&str| command.split(' ').next().map(str::to_lowercase);
        commands.extend(of_kind.iter().filter_map(word));
    }
    let commands: Vec<_> = commands.iter().map(|command| format!("+{command}")).collect();
    let without = match config.sdk_sessions {
        true => {
            "; or set `sdk_sessions = false` in [store] where no application of the SDK shares sessions through this server"
        }
        false => "",
    };
    format!(
        "Run there, as its administrator: ACL SETUSER {user} {} {}{without}",
        patterns.join(" "),
        commands.join(" ")
    )
}

/// What is done with each kind of key that this configuration has.
pub(super) fn needs(
    config: &config::Redis,
) -> impl Iterator<Item = (Kind, &'static [&'static str])> {
    let shared = config.sdk_sessions;
    NEEDS.into_iter().filter(move |(kind, _)| shared || *kind != Kind::Snapshot)
}

impl Kind {
    /// A key of this kind that isn't used for anything.
    pub(super) fn example(self, names: &Keys) -> String {
        match self {
            Self::Lease => names.lease(),
            Self::Fence => names.fence(),
            Self::Index => names.index(Table::Session),
            Self::Rows => names.rows(Table::Session, &Group("check".into(), "check".into())),
            Self::Snapshot => keys::snapshot(&SessionId::new("check").expect("it isn't empty")),
        }
    }

    /// The keys of this kind, as an access list writes them.
    pub(super) fn pattern(self, namespace: &str) -> String {
        match self {
            Self::Lease => format!("{namespace}:lease"),
            Self::Fence => format!("{namespace}:fence"),
            Self::Index => format!("{namespace}:index:*"),
            Self::Rows => format!("{namespace}:{{*"),
            Self::Snapshot => format!("{}:*", keys::SNAPSHOTS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words that stand behind `before` and in quotes.
    fn quoted<'t>(text: &'t str, before: &str, quote: char) -> Vec<&'t str> {
        let before = format!("{before}{quote}");
        let pieces = text.split(&before).skip(1);
        pieces.filter_map(|piece| piece.split(quote).next()).collect()
    }

    #[test]
    fn every_command_that_is_sent_is_among_the_needs() {
        let known: BTreeSet<_> = NEEDS
            .iter()
            .flat_map(|(_, all)| all.iter())
            .filter_map(|it| it.split(' ').next())
            .collect();
        let scripts = [
            include_str!("acquire.lua"),
            include_str!("commit.lua"),
            include_str!("release.lua"),
            include_str!("remove.lua"),
            include_str!("renew.lua"),
            include_str!("swap.lua"),
        ];
        let mut sent = Vec::new();
        for script in scripts {
            sent.extend(quoted(script, "redis.call(", '\''));
            sent.extend(quoted(script, "redis.pcall(", '\''));
        }
        for source in
            [include_str!("reading.rs"), include_str!("rows.rs"), include_str!("snapshots.rs")]
        {
            sent.extend(quoted(source, "cmd(", '"'));
        }
        assert!(sent.len() > 20, "{sent:?}");
        for command in sent {
            let beside = BESIDE.contains(&&*command.to_lowercase());
            assert!(known.contains(command) || beside, "{command} is sent and not asked for");
        }
    }

    #[test]
    fn the_line_to_paste_names_keys_and_commands() {
        let mut config = config::Redis::at("redis://localhost");
        config.user = Some("sn".to_owned());
        let all = line(&config);
        assert!(all.contains("ACL SETUSER sn ~sidenote:* ~autoplay:session_state:* +"), "{all}");
        assert!(all.contains(" +hset ") && all.contains(" +script|load"), "{all}");
        config.sdk_sessions = false;
        let own = line(&config);
        assert!(!own.contains("autoplay") && !own.contains("+mget"), "{own}");
    }
}
