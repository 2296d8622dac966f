//! The tours of a product: how long each may stay untouched and how long to keep quiet afterwards.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::limits::Limits;

/// The limits of a registered tour for which nobody says any.
const GENERAL: Limits = Limits { interaction_timeout_s: 20.0, cooldown_period_s: 120.0 };

/// The tours of a product, found by the id under which a session shows them (`user_tour_id`).
#[derive(Debug, Clone, PartialEq)]
pub struct TourRegistry {
    default: Limits,
    tours: Vec<Tour>,
    by_user_tour_id: HashMap<String, usize>,
}

/// A tour.
#[derive(Debug, Clone, PartialEq)]
pub struct Tour {
    /// What the configuration calls it.
    pub id: String,
    /// What the provider of tours calls it; without one it can't be shown.
    pub user_tour_id: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// Its limits: its own, else the registry's.
    pub limits: Limits,
}

/// What was read: the tours that can be used, and those that can't.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadTours {
    /// The good ones.
    pub registry: TourRegistry,
    /// The others, each with its reason. A bad default is here too; 20 s and 120 s stand for it.
    pub refused: Vec<RefusedTour>,
}

/// Something in a registry that isn't used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reading the tours: `{path}` {fault}")]
pub struct RefusedTour {
    /// Where it stands: `tours[2].interaction_timeout_s`.
    pub path: String,
    /// What is wrong with it.
    pub fault: TourFault,
}

/// What is wrong with a tour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TourFault {
    /// It is no object.
    #[error("must be an object; the tour isn't registered")]
    NotAnObject,
    /// It has no id of its own.
    #[error("must be a text that isn't blank; the tour isn't registered")]
    Nameless,
    /// An id or a name that is there and can't be one.
    #[error("must be a text that isn't blank, or be left out; the tour isn't registered")]
    Blank,
    /// A limit that nothing can be done with.
    #[error("must be a finite number of seconds, 0 or more; the tour isn't registered")]
    Seconds,
    /// A default that nothing can be done with.
    #[error("must be a finite number of seconds, 0 or more; {instead} seconds stand for it")]
    Default {
        /// What stands for it, in seconds.
        instead: u32,
    },
}

impl TourRegistry {
    /// Most tours that are read.
    pub const MAX_TOURS: usize = 10_000;

    /// Without tours.
    pub fn empty(default: Option<Limits>) -> Self {
        let default = default.unwrap_or(GENERAL);
        Self { default, tours: Vec::new(), by_user_tour_id: HashMap::new() }
    }

    /// Reads a registry: `default_interaction_timeout_s`, `default_cooldown_period_s` and `tours`, each with
    /// `id`, `user_tour_id`, `user_tour_name`, `interaction_timeout_s`, `cooldown_period_s`. Other fields mean nothing.
    ///
    /// An entry that can't be used is refused with its path and reason; the others stay. Limits are finite and not
    /// below 0: a session whose tour has no time-out that can be compared would never leave it. Of several with the
    /// same `user_tour_id` the first counts.
    ///
    /// # Errors
    /// It is no registry: no object, its list is none, too many tours. Nothing of it is used.
    pub fn from_value(value: &Value) -> Result<ReadTours, RegistryError> {
        let fields =
            value.as_object().ok_or(RegistryError { field: "registry", expected: "an object" })?;
        let none = Vec::new();
        let tours = match fields.get("tours") {
            None => &none,
            Some(tours) => {
                tours.as_array().ok_or(RegistryError { field: "tours", expected: "a list" })?
            }
        };
        let mut refused = Vec::new();
        let mut default = |field: &str, general: f64| {
            seconds(fields, field).unwrap_or_else(|()| {
                let fault = TourFault::Default { instead: general as u32 };
                refused.push(RefusedTour { path: field.to_owned(), fault });
                None
            })
        };
        let timeout = default("default_interaction_timeout_s", GENERAL.interaction_timeout_s);
        let cooldown = default("default_cooldown_period_s", GENERAL.cooldown_period_s);
        let default = Limits {
            interaction_timeout_s: timeout.unwrap_or(GENERAL.interaction_timeout_s),
            cooldown_period_s: cooldown.unwrap_or(GENERAL.cooldown_period_s),
        };
        Self::of_list("tours", tours, default, refused)
    }

    /// Reads the list `tour_registry` of autoplay-sdk's configuration of an integration, whose defaults can't be set.
    /// `None`: it has none.
    ///
    /// # Errors
    /// As [`Self::from_value`].
    pub fn of_integration(config: &Value) -> Result<Option<ReadTours>, RegistryError> {
        let Some(tours) = config.get("tour_registry") else { return Ok(None) };
        let expected = RegistryError { field: "tour_registry", expected: "a list" };
        let tours = tours.as_array().ok_or(expected)?;
        Self::of_list("tour_registry", tours, GENERAL, Vec::new()).map(Some)
    }

    fn of_list(
        field: &'static str,
        tours: &[Value],
        default: Limits,
        mut refused: Vec<RefusedTour>,
    ) -> Result<ReadTours, RegistryError> {
        if tours.len() > Self::MAX_TOURS {
            return Err(RegistryError { field, expected: "a list of at most 10000" });
        }
        let mut registry = Self::empty(Some(default));
        for (place, tour) in tours.iter().enumerate() {
            match Tour::read(tour, default) {
                Ok(tour) => registry.push(tour),
                Err((within, fault)) => {
                    let path = format!("{field}[{place}]{within}");
                    refused.push(RefusedTour { path, fault });
                }
            }
        }
        Ok(ReadTours { registry, refused })
    }

    /// Adds a tour behind the others.
    pub fn push(&mut self, tour: Tour) {
        if let Some(id) = &tour.user_tour_id {
            self.by_user_tour_id.entry(id.clone()).or_insert(self.tours.len());
        }
        self.tours.push(tour);
    }

    /// What a tour has that says no limits of its own.
    pub fn default_limits(&self) -> Limits {
        self.default
    }

    /// All tours, in the order in which they were read.
    pub fn tours(&self) -> &[Tour] {
        &self.tours
    }

    /// The tour of this id; of several the first.
    pub fn by_id(&self, id: &str) -> Option<&Tour> {
        self.tours.iter().find(|tour| tour.id == id)
    }

    /// The tour that the provider calls so; of several the first.
    pub fn by_user_tour_id(&self, user_tour_id: &str) -> Option<&Tour> {
        self.by_user_tour_id.get(user_tour_id).and_then(|place| self.tours.get(*place))
    }

    /// The limits of the tour shown as `user_tour_id`: its own, else the registry's, else 20 s without an
    /// interaction and 120 s without offers.
    ///
    /// A tour that isn't registered has `session`'s: the registry's defaults are for its own tours.
    pub fn limits(&self, user_tour_id: &str, session: Limits) -> Limits {
        self.by_user_tour_id(user_tour_id).map_or(session, |tour| tour.limits)
    }
}

impl Tour {
    /// Reads an entry; the error has the path within it.
    fn read(value: &Value, default: Limits) -> Result<Self, (&'static str, TourFault)> {
        let fields = value.as_object().ok_or(("", TourFault::NotAnObject))?;
        let id = text(fields, "id").ok().flatten().ok_or((".id", TourFault::Nameless))?;
        let named = |field, path| text(fields, field).map_err(|()| (path, TourFault::Blank));
        let limit = |field, path| seconds(fields, field).map_err(|()| (path, TourFault::Seconds));
        let timeout = limit("interaction_timeout_s", ".interaction_timeout_s")?;
        let cooldown = limit("cooldown_period_s", ".cooldown_period_s")?;
        Ok(Self {
            id,
            user_tour_id: named("user_tour_id", ".user_tour_id")?,
            name: named("user_tour_name", ".user_tour_name")?,
            limits: Limits {
                interaction_timeout_s: timeout.unwrap_or(default.interaction_timeout_s),
                cooldown_period_s: cooldown.unwrap_or(default.cooldown_period_s),
            },
        })
    }
}

/// Why a registry can't be used at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("reading the tours: `{field}` must be {expected}; the registry isn't used")]
pub struct RegistryError {
    /// The field.
    pub field: &'static str,
    /// What it must be.
    pub expected: &'static str,
}

/// A number of seconds that can be waited. `null` is none: it says that somebody meant to write one.
fn seconds(fields: &Map<String, Value>, field: &str) -> Result<Option<f64>, ()> {
    match fields.get(field) {
        None => Ok(None),
        Some(value) => {
            value.as_f64().filter(|secs| secs.is_finite() && *secs >= 0.0).map(Some).ok_or(())
        }
    }
}

/// A text that says something; `null` is none.
fn text(fields: &Map<String, Value>, field: &str) -> Result<Option<String>, ()> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SESSION: Limits = Limits { interaction_timeout_s: 7.0, cooldown_period_s: 8.0 };

    fn pair(limits: Limits) -> (f64, f64) {
        (limits.interaction_timeout_s, limits.cooldown_period_s)
    }

    fn paths(refused: &[RefusedTour]) -> Vec<&str> {
        refused.iter().map(|refused| refused.path.as_str()).collect()
    }

    #[test]
    fn a_tour_has_its_own_limits_then_the_registrys_then_the_general_ones() {
        let ReadTours { registry, refused } = TourRegistry::from_value(&json!({
            "default_interaction_timeout_s": 15.0,
            "tours": [
                {"id": "a", "user_tour_id": "flow_a", "interaction_timeout_s": 30, "cooldown_period_s": 0},
                {"id": "b", "user_tour_id": "flow_b"},
                {"id": "c", "user_tour_id": "flow_a", "interaction_timeout_s": 1},
                {"id": "d", "interaction_timeout_s": 1},
                {"user_tour_id": "no_id", "interaction_timeout_s": 1},
                "junk",
            ],
        }))
        .unwrap();
        assert_eq!(paths(&refused), ["tours[4].id", "tours[5]"]);
        assert_eq!(pair(registry.limits("flow_a", SESSION)), (30.0, 0.0));
        assert_eq!(pair(registry.limits("flow_b", SESSION)), (15.0, 120.0));
        for unknown in ["a", "d", "no_id", "", "other"] {
            assert_eq!(pair(registry.limits(unknown, SESSION)), (7.0, 8.0), "{unknown}");
        }
    }

    #[test]
    fn a_tour_that_nothing_can_be_done_with_is_refused_by_its_path_and_the_others_stay() {
        let ReadTours { registry, refused } = TourRegistry::from_value(&json!({
            "default_interaction_timeout_s": null,
            "default_cooldown_period_s": 60,
            "tours": [
                {"id": "a", "interaction_timeout_s": null},
                {"id": "b", "interaction_timeout_s": "30"},
                {"id": "c", "cooldown_period_s": -1},
                {"id": "d", "cooldown_period_s": true},
                {"id": "e", "user_tour_id": " "},
                {"id": " "},
                {"id": "good", "user_tour_id": "flow"},
            ],
        }))
        .unwrap();
        assert_eq!(
            paths(&refused),
            [
                "default_interaction_timeout_s",
                "tours[0].interaction_timeout_s",
                "tours[1].interaction_timeout_s",
                "tours[2].cooldown_period_s",
                "tours[3].cooldown_period_s",
                "tours[4].user_tour_id",
                "tours[5].id",
            ]
        );
        assert_eq!(
            refused[2].to_string(),
            "reading the tours: `tours[1].interaction_timeout_s` must be a finite number of seconds, 0 or more; the \
             tour isn't registered"
        );
        assert_eq!(
            refused[0].to_string(),
            "reading the tours: `default_interaction_timeout_s` must be a finite number of seconds, 0 or more; 20 \
             seconds stand for it"
        );
        assert_eq!(registry.tours().len(), 1);
        assert_eq!(pair(registry.limits("flow", SESSION)), (20.0, 60.0));
    }

    #[test]
    fn what_is_no_registry_is_refused_by_field() {
        for (value, field) in [
            (json!([]), "registry"),
            (json!(null), "registry"),
            (json!({"tours": {}}), "tours"),
            (json!({"tours": null}), "tours"),
            (json!({"tours": 5}), "tours"),
            (json!({"tours": vec![0; TourRegistry::MAX_TOURS + 1]}), "tours"),
        ] {
            assert_eq!(TourRegistry::from_value(&value).unwrap_err().field, field);
        }
        let error = TourRegistry::of_integration(&json!({"tour_registry": {"tours": []}}));
        assert_eq!(error.unwrap_err().field, "tour_registry");
        assert_eq!(TourRegistry::of_integration(&json!({})), Ok(None));
    }
}
