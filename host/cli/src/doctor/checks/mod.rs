//! The checks: facts in, findings out. Each is a row of [`CHECKS`].

mod clock;
mod configuration;
mod integration;
mod keys;
mod network;
mod plugins;
mod proxy;
mod running;
mod store;

use super::facts::Facts;
use super::finding::Finding;

/// A check: its name, and its judgement.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) judge: fn(&Facts) -> Vec<Finding>,
}

/// Every check, in the order in which they are shown: what others rest on comes first.
pub(crate) const CHECKS: [Check; 13] = [
    Check { name: "configuration", judge: configuration::judge },
    Check { name: "secret files", judge: configuration::secret_files },
    Check { name: "folders", judge: configuration::folders },
    Check { name: "clock", judge: clock::judge },
    Check { name: "hosts", judge: network::judge },
    Check { name: "store", judge: store::judge },
    Check { name: "disk", judge: store::disks },
    Check { name: "retention", judge: store::retention },
    Check { name: "keys", judge: keys::judge },
    Check { name: "plugins", judge: plugins::judge },
    Check { name: "proxy", judge: proxy::judge },
    Check { name: "running host", judge: running::judge },
    Check { name: "integration", judge: integration::judge },
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sidenote::config::Config;

    /// A configuration with these tables.
    pub(super) fn config(text: &str) -> Config {
        let least = "[streams.s]\nurl = \"https://connector.example.com/stream/p\"\n[products.p]\nplugins = [\"bot\"]\n[plugins.bot]\n";
        let env = |name: &str| (name == "T").then(|| "0123456789abcdef".to_owned());
        Config::from_toml(&format!("{text}{least}"), Path::new("/nowhere"), &env).unwrap()
    }
}
