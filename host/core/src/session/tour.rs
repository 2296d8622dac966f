//! The tours of a product: how long each may stay untouched and how long to keep quiet afterwards.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::fsm::Limits;

/// The limits of a registered tour for which nobody says any.
const GENERAL: Limits = Limits { interaction_timeout_s: 20.0, cooldown_period_s: 120.0 };

/// Tours by the id under which a session shows them (`user_tour_id`).
#[derive(Debug, Clone, PartialEq)]
pub struct TourRegistry {
    default: Limits,
    by_user_tour_id: HashMap<String, OwnLimits>,
}

/// Limits as far as they are set, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct OwnLimits {
    interaction_timeout_s: Option<f64>,
    cooldown_period_s: Option<f64>,
}

impl TourRegistry {
    /// Most tours that are read.
    pub const MAX_TOURS: usize = 10_000;

    /// Reads a registry: `default_interaction_timeout_s`, `default_cooldown_period_s` and `tours`, each with
    /// `id`, `user_tour_id`, `interaction_timeout_s`, `cooldown_period_s`.
    ///
    /// An entry of `tours` that is no object or has no `id` is left out; the number of those is returned.
    /// A tour without `user_tour_id` can't be shown and has no effect. Of several with the same
    /// `user_tour_id` the first counts.
    ///
    /// # Errors
    /// A limit that is no number, a list that is none, too many tours. Nothing is taken over.
    pub fn from_value(value: &Value) -> Result<(Self, usize), RegistryError> {
        let fields =
            value.as_object().ok_or(RegistryError { field: "registry", expected: "an object" })?;
        let tours = match fields.get("tours") {
            None | Some(Value::Null) => &[],
            Some(tours) => tours
                .as_array()
                .map(Vec::as_slice)
                .ok_or(RegistryError { field: "tours", expected: "a list" })?,
        };
        if tours.len() > Self::MAX_TOURS {
            return Err(RegistryError { field: "tours", expected: "a list of at most 10000" });
        }
        let mut registry = Self {
            default: Limits {
                interaction_timeout_s: seconds(fields, "default_interaction_timeout_s")?
                    .unwrap_or(GENERAL.interaction_timeout_s),
                cooldown_period_s: seconds(fields, "default_cooldown_period_s")?
                    .unwrap_or(GENERAL.cooldown_period_s),
            },
            by_user_tour_id: HashMap::new(),
        };
        let mut left_out = 0;
        for tour in tours {
            let Some(fields) = tour.as_object().filter(|tour| is_named(tour.get("id"))) else {
                left_out += 1;
                continue;
            };
            let limits = OwnLimits {
                interaction_timeout_s: seconds(fields, "interaction_timeout_s")?,
                cooldown_period_s: seconds(fields, "cooldown_period_s")?,
            };
            if let Some(id) =
                fields.get("user_tour_id").and_then(Value::as_str).filter(|id| !id.is_empty())
            {
                registry.by_user_tour_id.entry(id.to_owned()).or_insert(limits);
            }
        }
        Ok((registry, left_out))
    }

    /// The limits of the tour shown as `user_tour_id`: its own, else the registry's, else 20 s without an
    /// interaction and 120 s without offers.
    ///
    /// A tour that isn't registered has `session`'s: the registry's defaults are for its own tours.
    pub fn limits(&self, user_tour_id: &str, session: Limits) -> Limits {
        let Some(own) = self.by_user_tour_id.get(user_tour_id) else {
            return session;
        };
        Limits {
            interaction_timeout_s: own
                .interaction_timeout_s
                .unwrap_or(self.default.interaction_timeout_s),
            cooldown_period_s: own.cooldown_period_s.unwrap_or(self.default.cooldown_period_s),
        }
    }
}

/// Why a registry can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("reading the tours: `{field}` must be {expected}; the registry isn't used")]
pub struct RegistryError {
    /// The field.
    pub field: &'static str,
    /// What it must be.
    pub expected: &'static str,
}

fn seconds(fields: &Map<String, Value>, field: &'static str) -> Result<Option<f64>, RegistryError> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            value.as_f64().map(Some).ok_or(RegistryError { field, expected: "a number of seconds" })
        }
    }
}

fn is_named(id: Option<&Value>) -> bool {
    id.and_then(Value::as_str).is_some_and(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SESSION: Limits = Limits { interaction_timeout_s: 7.0, cooldown_period_s: 8.0 };

    fn pair(limits: Limits) -> (f64, f64) {
        (limits.interaction_timeout_s, limits.cooldown_period_s)
    }

    #[test]
    fn a_tour_has_its_own_limits_then_the_registrys_then_the_general_ones() {
        let (registry, left_out) = TourRegistry::from_value(&json!({
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
        assert_eq!(left_out, 2);
        assert_eq!(pair(registry.limits("flow_a", SESSION)), (30.0, 0.0));
        assert_eq!(pair(registry.limits("flow_b", SESSION)), (15.0, 120.0));
        for unknown in ["a", "d", "no_id", "", "other"] {
            assert_eq!(pair(registry.limits(unknown, SESSION)), (7.0, 8.0), "{unknown}");
        }
    }

    #[test]
    fn what_is_no_registry_is_refused_by_field() {
        for (value, field) in [
            (json!([]), "registry"),
            (json!({"tours": {}}), "tours"),
            (json!({"default_cooldown_period_s": "60"}), "default_cooldown_period_s"),
            (
                json!({"tours": [{"id": "a", "interaction_timeout_s": true}]}),
                "interaction_timeout_s",
            ),
        ] {
            assert_eq!(TourRegistry::from_value(&value).unwrap_err().field, field);
        }
    }
}
