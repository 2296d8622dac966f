//! `[plugins.NAME.config]`.

use serde::Deserialize;
use sidenote_plugin::{Failure, config};

/// The version of the API that this was written for.
const VERSION: &str = "2.16";

/// The operator's settings.
pub(crate) struct Settings {
    /// The API's address, without a slash at its end.
    pub(crate) url: String,
    /// `Intercom-Version`.
    pub(crate) version: String,
    /// The teammate who writes.
    pub(crate) admin: String,
}

#[derive(Deserialize)]
struct Given {
    admin_id: String,
    region: Option<Region>,
    version: Option<String>,
    url: Option<String>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Region {
    #[default]
    Us,
    Eu,
    Au,
}

impl Region {
    fn url(self) -> &'static str {
        match self {
            Self::Us => "https://api.intercom.io",
            Self::Eu => "https://api.eu.intercom.io",
            Self::Au => "https://api.au.intercom.io",
        }
    }
}

impl Settings {
    /// Reads them.
    pub(crate) fn load() -> Result<Self, Failure> {
        let given: Given = config::load()?;
        let url = given.url.as_deref().unwrap_or(given.region.unwrap_or_default().url());
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            version: given.version.unwrap_or_else(|| VERSION.to_owned()),
            admin: given.admin_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::test::Host;

    use super::*;

    #[test]
    fn each_region_has_its_address_and_a_url_replaces_it() {
        for (key, value, wanted) in [
            ("region", "us", "https://api.intercom.io"),
            ("region", "eu", "https://api.eu.intercom.io"),
            ("region", "au", "https://api.au.intercom.io"),
            ("url", "http://127.0.0.1:4010/", "http://127.0.0.1:4010"),
            ("version", "Unstable", "https://api.intercom.io"),
        ] {
            Host::new().config("admin_id", "1").config(key, value).install();
            assert_eq!(Settings::load().unwrap().url, wanted, "{key} {value}");
        }
        Host::new().config("admin_id", "1").install();
        assert_eq!(Settings::load().unwrap().version, "2.16");
        Host::new().config("admin_id", "1").config("region", "mars").install();
        assert!(Settings::load().is_err());
        Host::new().install();
        assert!(Settings::load().is_err_and(|failure| failure.message.contains("admin_id")));
    }
}
