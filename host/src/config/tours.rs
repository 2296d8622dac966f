//! `[tours.PRODUCT]`: the tours of a product, here or in a file of autoplay-sdk's form.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::error::Fault;
use super::model::Product;
use super::scalar;
use super::section::{Section, nearest};
use crate::ids::ProductId;
use crate::offers::tours::{Tours, Wording, YesNo};
use crate::session::fsm::Limits;
use crate::session::tour::{ReadTours, Tour, TourRegistry};

const TIMEOUT: &str = "interaction_timeout_s";
const COOLDOWN: &str = "cooldown_period_s";
/// What a file says by itself.
const OF_A_FILE: [&str; 3] = [TIMEOUT, COOLDOWN, "tours"];
/// Longest file, in bytes.
const LONGEST: u64 = 8 << 20;

/// `[tours]`: by product; each is configured.
pub(super) fn tours(
    section: Section<'_>,
    products: &BTreeMap<ProductId, Product>,
    base: &Path,
) -> BTreeMap<ProductId, Tours> {
    let mut tours = BTreeMap::new();
    for (id, of_product) in section.sections() {
        let place = of_product.place();
        let read = of_a_product(of_product, &id, base);
        if let Some(id) = products.keys().find(|known| known.as_str() == id) {
            tours.insert(id.clone(), read);
        } else {
            let known: Vec<_> = products.keys().map(ToString::to_string).collect();
            let meant = nearest(&id, &known);
            let key = id.clone();
            let fault = Fault::UnknownName { key, what: "product", name: id, meant, known };
            section.report(place, fault);
        }
    }
    section.finish();
    tours
}

fn of_a_product(section: Section<'_>, product: &str, base: &Path) -> Tours {
    let usual = Wording::default();
    let wording = Wording {
        question: section.scalar_or("question", usual.question, name),
        yes: section.scalar_or("yes", usual.yes, name),
        no: section.scalar_or("no", usual.no, name),
    };
    if wording.answer(&wording.no) != Some(YesNo::No) {
        let cause = "it is what `yes` is, so that nobody could say no";
        section.refuse("no", cause, "write two answers that differ in more than capitals");
    }
    let file = section.scalar("file", scalar::text);
    let default = limits(&section, TourRegistry::empty(None).default_limits());
    let registry = match file {
        None => of_tables(section.section("tours"), default),
        Some(file) => {
            section.knows("tours");
            for key in OF_A_FILE.into_iter().filter(|key| section.has(key)) {
                let next = "leave it out, or leave `file` out and write the tours here";
                section.refuse(key, "the tours are those of `file`, which says it", next);
            }
            of_file(&section, &base.join(file), product)
        }
    };
    section.finish();
    Tours { registry, wording }
}

/// `[tours.PRODUCT.tours.ID]`.
fn of_tables(section: Section<'_>, default: Limits) -> TourRegistry {
    let mut registry = TourRegistry::empty(Some(default));
    for (id, tour) in section.sections() {
        if id.trim().is_empty() {
            section.refuse(&id, "a blank name is none", "name the tour");
        }
        let user_tour_id = tour.required("user_tour_id", "user_tour_id = \"TOUR\"", name);
        if let Some(twice) = user_tour_id.as_deref().and_then(|it| registry.by_user_tour_id(it)) {
            let cause = format!("[{}] shows this tour too", twice.id);
            tour.refuse("user_tour_id", cause, "leave one of them out");
        }
        let name = tour.scalar("user_tour_name", name);
        registry.push(Tour { id, user_tour_id, name, limits: limits(&tour, default) });
        tour.finish();
    }
    section.finish();
    registry
}

fn limits(section: &Section<'_>, default: Limits) -> Limits {
    Limits {
        interaction_timeout_s: section.scalar_or(
            TIMEOUT,
            default.interaction_timeout_s,
            scalar::seconds,
        ),
        cooldown_period_s: section.scalar_or(COOLDOWN, default.cooldown_period_s, scalar::seconds),
    }
}

fn name(value: scalar::Scalar<'_>) -> Result<String, scalar::Refusal> {
    let text = scalar::text(value)?;
    if text.trim().is_empty() {
        return Err(scalar::Refusal::value("it is blank", "write a value, or leave the key out"));
    }
    Ok(text)
}

/// A registry as autoplay-sdk has it, or its configuration of an integration with `tour_registry` in it. Every entry
/// that can't be used is reported with its path.
fn of_file(section: &Section<'_>, path: &Path, product: &str) -> TourRegistry {
    let refuse = |cause: String, next: &str| section.refuse("file", cause, next);
    match read(path, product) {
        Ok(ReadTours { registry, refused }) => {
            for refused in refused {
                let cause = format!("{}: {refused}", path.display());
                refuse(cause, "correct the entry, or leave it out");
            }
            registry
        }
        Err((cause, next)) => {
            refuse(format!("{}: {cause}", path.display()), next);
            TourRegistry::empty(None)
        }
    }
}

fn read(path: &Path, product: &str) -> Result<ReadTours, (String, &'static str)> {
    const SEE: &str = "see that it is there and that the host may read it";
    const FORM: &str = "write an object with a list `tours`, as autoplay-sdk has it";
    let size = std::fs::metadata(path).map_err(|error| (error.to_string(), SEE))?.len();
    if size > LONGEST {
        return Err((format!("it has {size} bytes; that is no registry"), FORM));
    }
    let text = std::fs::read_to_string(path).map_err(|error| (error.to_string(), SEE))?;
    let value: Value =
        serde_json::from_str(&text).map_err(|error| (format!("it is no JSON: {error}"), FORM))?;
    match value.get("product_id") {
        Some(other) if other != product => {
            let cause = format!("its `product_id` is {other}, not \"{product}\"");
            return Err((cause, "name the file of this product, or correct its `product_id`"));
        }
        Some(_) | None => {}
    }
    let of_integration = TourRegistry::of_integration(&value);
    match of_integration.map_err(|error| (error.to_string(), FORM))? {
        Some(read) => Ok(read),
        None => TourRegistry::from_value(&value).map_err(|error| (error.to_string(), FORM)),
    }
}
