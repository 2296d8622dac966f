//! Whether a product's plugins can say to people what its configuration wants said: told by their files, with nothing
//! compiled and nobody asked.

use std::fmt;

use crate::config::{Config, Product};
use crate::ids::{PluginName, ProductId};
use crate::plugin::manifest::{Messenger, NoMessage};
use crate::plugin::{messenger, roles};

/// A table of a product that its plugins can't do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mute {
    /// The product.
    pub product: ProductId,
    /// The table: `offers` or `reply`.
    pub table: &'static str,
    /// Of each plugin that posts notes: why it can't.
    pub reasons: Vec<(PluginName, NoMessage)>,
}

/// What products want said and none of their plugins can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutes(pub Vec<Mute>);

impl Mute {
    /// The table's whole name.
    pub fn section(&self) -> String {
        format!("products.{}.{}", self.product, self.table)
    }
}

impl fmt::Display for Mute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no plugin of the product can do it")?;
        for (plugin, reason) in &self.reasons {
            write!(f, "; `{plugin}`: {reason}")?;
        }
        f.write_str(". Otherwise remove the table")
    }
}

impl fmt::Display for Mutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, mute) in self.0.iter().enumerate() {
            let part = if n > 0 { "\n" } else { "" };
            write!(f, "{part}plugins: [{}]: {mute}", mute.section())?;
        }
        Ok(())
    }
}

impl std::error::Error for Mutes {}

/// The offers and replies of products of which no plugin can make them. A plugin whose file can't be read may be able
/// to: that is told elsewhere. Waits for the disk.
pub fn mutes(config: &Config) -> Vec<Mute> {
    config.products.iter().flat_map(|(id, product)| of_product(config, id, product)).collect()
}

fn of_product(config: &Config, id: &ProductId, product: &Product) -> Vec<Mute> {
    let offers = product.offers.is_some();
    // A draft is a note.
    let replies = product.reply.as_ref().is_some_and(|reply| !reply.dry_run);
    if !offers && !replies {
        return Vec::new();
    }
    let writers = product.plugins.iter().filter_map(|name| {
        let plugin = config.plugins.get(name)?;
        let path = config.plugin_path(plugin);
        let posts = roles(&path).is_none_or(|roles| roles.writer);
        posts.then(|| (name, messenger(&path, plugin)))
    });
    let writers: Vec<_> = writers.collect();
    let mut mutes = Vec::new();
    let mut look = |table, can: fn(&Messenger) -> &Result<(), NoMessage>| {
        let reason = |(name, messenger): &(&PluginName, Option<Messenger>)| {
            let refused = can(messenger.as_ref()?).as_ref().err()?;
            Some(((*name).clone(), refused.clone()))
        };
        let reasons: Option<Vec<_>> = writers.iter().map(reason).collect();
        if let Some(reasons) = reasons {
            mutes.push(Mute { product: id.clone(), table, reasons });
        }
    };
    if offers {
        look("offers", |messenger| &messenger.offers);
    }
    if replies {
        look("reply", |messenger| &messenger.replies);
    }
    mutes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mute(reasons: Vec<(PluginName, NoMessage)>) -> Mute {
        Mute { product: ProductId::new("acme").expect("it is short"), table: "offers", reasons }
    }

    #[test]
    fn a_product_that_cant_say_it_is_named_with_the_reason_of_each_plugin_and_the_way_out() {
        let missing = NoMessage::SettingMissing("offer_url".to_owned());
        let reasons = vec![("desk".into(), NoMessage::NotExported), ("bot".into(), missing)];
        let told = Mutes(vec![mute(reasons), mute(Vec::new())]).to_string();
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines.len(), 2, "one bad thing hides no other");
        for part in
            ["plugins: [products.acme.offers]: ", "`desk`: ", "`offer_url`", "remove the table"]
        {
            assert!(lines[0].contains(part), "{part}: {told}");
        }
    }
}
