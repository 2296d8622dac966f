//! `[products.ID]`: which plugins serve a product, and its own delivery settings.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{Fault, Place};
use super::model::{Delivery, Plugin, Product};
use super::offers::{self, Around};
use super::reply;
use super::scalar;
use super::secret::{self, Secret};
use super::section::{Section, nearest};
use super::sections;
use crate::ids::{PluginName, ProductId};

/// Signs what a connector pushes.
const INGEST_SECRET: &str = "ingest_secret";

/// Whether a connector pushes to some product.
pub(super) fn are_pushed_to(top: &Section<'_>) -> bool {
    let products = top.peek("products").sections();
    products.iter().any(|(_, product)| product.value(INGEST_SECRET).is_some())
}

/// `[products]`: at least one; each names plugins that are configured. With the secrets of those that are
/// pushed to.
pub(super) fn products(
    top: &Section<'_>,
    around: Around<'_>,
    base: &Delivery,
) -> (BTreeMap<ProductId, Product>, BTreeMap<ProductId, Secret>) {
    let parent = top.section("products");
    let (mut products, mut ingest) = (BTreeMap::new(), BTreeMap::new());
    for (id, section) in parent.sections() {
        let secret = secret::of_any_text(&section, INGEST_SECRET);
        let product = product(section, around, base);
        match ProductId::new(id.clone()) {
            Ok(id) => {
                ingest.extend(secret.map(|secret| (id.clone(), secret)));
                products.insert(id, product);
            }
            Err(error) => parent.refuse(
                &id,
                error.to_string(),
                "write the product's id as the stream sends it, in quotes",
            ),
        }
    }
    if parent.names().is_empty() {
        let fault = Fault::MissingTable {
            table: "products.ID".to_owned(),
            cause: "without a product no note is written anywhere".to_owned(),
            example: "[products.\"PRODUCT\"]\nplugins = [\"webhook\"]".to_owned(),
        };
        top.report(parent.place(), fault);
    }
    (products, ingest)
}

fn product(section: Section<'_>, around: Around<'_>, base: &Delivery) -> Product {
    let names =
        section.list("plugins", "a list of plugins, for example [\"webhook\"]", scalar::text);
    match &names {
        None => section.report(
            section.place(),
            Fault::MissingKey {
                key: "plugins".to_owned(),
                example: "plugins = [\"webhook\"]".to_owned(),
            },
        ),
        Some(names) if names.is_empty() => {
            section.refuse(
                "plugins",
                "it names no plugin, so no note would be written",
                "name one of [plugins.NAME]",
            );
        }
        Some(names) => check(&section, names, around.plugins),
    }
    let names =
        names.unwrap_or_default().into_iter().map(|(_, name)| PluginName::from(name)).collect();
    let delivery = sections::delivery(section.section("delivery"), base);
    let offers = offers::offers(section.section("offers"), around);
    let reply = reply::reply(section.section("reply"), around);
    section.finish();
    let product = Product::of(names, delivery);
    let product = match offers {
        None => product,
        Some((rules, triggers)) => product.with_offers(rules).with_triggers(triggers),
    };
    match reply {
        None => product,
        Some(rules) => product.with_reply(rules),
    }
}

fn check(section: &Section<'_>, names: &[(Place, String)], plugins: &BTreeMap<PluginName, Plugin>) {
    let known: Vec<String> = plugins.keys().map(ToString::to_string).collect();
    let mut seen = BTreeSet::new();
    for (place, name) in names {
        let key = "plugins".to_owned();
        if !known.contains(name) {
            let meant = nearest(name, &known);
            let fault = Fault::UnknownName {
                key,
                what: "plugin",
                name: name.clone(),
                meant,
                known: known.clone(),
            };
            section.report(place.clone(), fault);
        } else if !seen.insert(name) {
            let fault = Fault::BadValue {
                key,
                cause: format!("\"{name}\" stands here twice"),
                next: "remove one".to_owned(),
            };
            section.report(place.clone(), fault);
        }
    }
}
