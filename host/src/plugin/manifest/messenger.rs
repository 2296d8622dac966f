//! Whether a plugin can say something to a person, as it is configured: told by its file, with nothing compiled and
//! nobody asked.

use std::collections::BTreeMap;

use super::model::Manifest;

/// What a plugin can say to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Messenger {
    /// Whether it offers help.
    pub offers: Result<(), NoMessage>,
    /// Whether it answers.
    pub replies: Result<(), NoMessage>,
}

/// Why a plugin doesn't offer help, or doesn't answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoMessage {
    /// It has no export for it.
    #[error("the plugin doesn't export `messenger`; take one that does, or post notes alone")]
    NotExported,
    /// The platform has nothing of the kind.
    #[error("the plugin can't (offers-unsupported): {0}")]
    Unsupported(String),
    /// A setting is missing that says where to.
    #[error("the plugin's setting `{0}` isn't set; set it in `[plugins.NAME.config]`")]
    SettingMissing(String),
}

impl Messenger {
    /// What a plugin with these settings can say; one without a manifest can do what it exports.
    pub(in crate::plugin) fn of(
        is_exported: bool,
        manifest: Option<&Manifest>,
        settings: &BTreeMap<String, String>,
    ) -> Self {
        if !is_exported {
            return Self {
                offers: Err(NoMessage::NotExported),
                replies: Err(NoMessage::NotExported),
            };
        }
        let Some(Manifest { messenger: ask, .. }) = manifest else {
            return Self { offers: Ok(()), replies: Ok(()) };
        };
        let set = |name: &String| {
            let is_set = name.is_empty() || settings.get(name).is_some_and(|it| !it.is_empty());
            if is_set { Ok(()) } else { Err(NoMessage::SettingMissing(name.clone())) }
        };
        let offers = match &*ask.offers_unsupported {
            "" => set(&ask.offers_need),
            why => Err(NoMessage::Unsupported(why.to_owned())),
        };
        Self { offers, replies: set(&ask.replies_need) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(messenger: &str) -> Manifest {
        let text = format!(
            r#"{{"name":"bot","version":"1","messenger":{messenger},"config":{{"type":"object",
               "properties":{{"offer_url":{{"type":"string"}},"reply_url":{{"type":"string"}}}}}}}}"#
        );
        Manifest::from_json(&text).unwrap()
    }

    #[test]
    fn a_plugin_says_what_it_exports_unless_its_manifest_says_less() {
        let none = BTreeMap::new();
        let can = |exported: bool, manifest: Option<&Manifest>| {
            let told = Messenger::of(exported, manifest, &none);
            (told.offers.is_ok(), told.replies.is_ok())
        };
        assert_eq!(can(false, None), (false, false));
        assert_eq!(can(true, None), (true, true));
        assert_eq!(can(true, Some(&manifest("{}"))), (true, true));
        let offerless = manifest(r#"{"offers_unsupported":"tickets have none"}"#);
        assert_eq!(can(true, Some(&offerless)), (false, true));
        let told = Messenger::of(true, Some(&offerless), &none).offers.unwrap_err().to_string();
        assert!(
            told.contains("tickets have none") && told.contains("offers-unsupported"),
            "{told}"
        );
    }

    #[test]
    fn a_setting_that_is_needed_and_not_set_is_named() {
        let manifest = manifest(r#"{"offers_need":"offer_url","replies_need":"reply_url"}"#);
        let told = |settings: &[(&str, &str)]| {
            let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            Messenger::of(true, Some(&manifest), &settings.iter().map(own).collect())
        };
        let missing = |name: &str| Err(NoMessage::SettingMissing(name.to_owned()));
        let (offer, reply) = (("offer_url", "https://bot.example/o"), ("reply_url", ""));
        assert_eq!(told(&[]).offers, missing("offer_url"));
        assert_eq!(told(&[offer, reply]).offers, Ok(()));
        assert_eq!(told(&[offer, reply]).replies, missing("reply_url"));
    }
}
