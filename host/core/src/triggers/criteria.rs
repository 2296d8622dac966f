//! `criteria`: several triggers together, as a tree of AND and OR.

use serde_json::{Value, json};

use super::fault::{ConfigError, Fault, Path, text};

/// Deepest tree that is read, in groups within groups.
pub const MAX_DEPTH: usize = 32;
/// Most conditions in one tree.
pub const MAX_CONDITIONS: usize = 1000;

/// A condition: a trigger, or several conditions together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Criteria {
    /// One trigger hits.
    Leaf(Leaf),
    /// All of them hold, or one of them does.
    Group(Group),
}

/// A trigger as a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Its id within the tree.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// The id of the trigger (`type`).
    pub trigger: String,
}

/// Conditions together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id within the tree.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// How they are joined.
    pub operator: Operator,
    /// The conditions; never none.
    pub conditions: Vec<Criteria>,
}

/// How conditions are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// All of them.
    And,
    /// One of them at least.
    Or,
}

impl Operator {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::And => "AND",
            Self::Or => "OR",
        }
    }
}

/// What a condition comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holds<T> {
    Yes,
    No,
    /// That depends on what somebody else answers.
    Depends(T),
}

impl Criteria {
    /// Reads a tree: `{id, name, type}` or `{id, name, operator, conditions}`. What has an `operator` is a group;
    /// other keys mean nothing. Whether the triggers are there is seen when the tree is put among them.
    ///
    /// # Errors
    /// The first thing that is wrong, with its path.
    pub fn from_value(value: &Value, path: &Path<'_>) -> Result<Self, ConfigError> {
        let criteria = read(value, path, MAX_DEPTH)?;
        if criteria.leaves().len() > MAX_CONDITIONS {
            return Err(path.fault(Fault::TooMany { most: MAX_CONDITIONS }));
        }
        Ok(criteria)
    }

    /// The tree in the form in which it is read.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Leaf(Leaf { id, name, trigger }) => {
                json!({ "id": id, "name": name, "type": trigger })
            }
            Self::Group(Group { id, name, operator, conditions }) => json!({
                "id": id,
                "name": name,
                "operator": operator.name(),
                "conditions": conditions.iter().map(Self::to_value).collect::<Vec<_>>(),
            }),
        }
    }

    /// The id of the tree's root.
    pub fn id(&self) -> &str {
        match self {
            Self::Leaf(leaf) => &leaf.id,
            Self::Group(group) => &group.id,
        }
    }

    /// All leaves, in their order.
    pub fn leaves(&self) -> Vec<&Leaf> {
        match self {
            Self::Leaf(leaf) => vec![leaf],
            Self::Group(group) => group.conditions.iter().flat_map(Self::leaves).collect(),
        }
    }

    /// Whether the tree holds, where `of_leaf` says it of a trigger. What doesn't matter isn't waited for.
    pub(super) fn holds<T>(&self, of_leaf: &impl Fn(&str) -> Holds<T>) -> Holds<T> {
        let group = match self {
            Self::Leaf(leaf) => return of_leaf(&leaf.trigger),
            Self::Group(group) => group,
        };
        let mut depends = None;
        for condition in &group.conditions {
            match (condition.holds(of_leaf), group.operator) {
                (Holds::Yes, Operator::Or) => return Holds::Yes,
                (Holds::No, Operator::And) => return Holds::No,
                (Holds::Yes, Operator::And) | (Holds::No, Operator::Or) => {}
                (Holds::Depends(on), Operator::And | Operator::Or) => {
                    depends.get_or_insert(on);
                }
            }
        }
        match (depends, group.operator) {
            (Some(on), Operator::And | Operator::Or) => Holds::Depends(on),
            (None, Operator::And) => Holds::Yes,
            (None, Operator::Or) => Holds::No,
        }
    }
}

fn read(value: &Value, path: &Path<'_>, deeper: usize) -> Result<Criteria, ConfigError> {
    let fields = value.as_object().ok_or_else(|| path.fault(Fault::Not("an object")))?;
    let id = text(fields, "id", path)?;
    let name = text(fields, "name", path)?;
    let Some(operator) = fields.get("operator") else {
        return Ok(Criteria::Leaf(Leaf { id, name, trigger: text(fields, "type", path)? }));
    };
    let operator = [Operator::And, Operator::Or]
        .into_iter()
        .find(|known| operator.as_str() == Some(known.name()))
        .ok_or_else(|| path.at("operator").fault(Fault::Not("\"AND\" or \"OR\"")))?;
    let conditions_at = path.at("conditions");
    let conditions = fields.get("conditions").and_then(Value::as_array);
    let conditions = conditions
        .filter(|conditions| !conditions.is_empty())
        .ok_or_else(|| conditions_at.fault(Fault::Not("a list with one condition at least")))?;
    let deeper = deeper.checked_sub(1).ok_or_else(|| path.fault(Fault::TooDeep))?;
    let conditions = (0..)
        .zip(conditions)
        .map(|(place, condition)| read(condition, &conditions_at.nth(place), deeper));
    let conditions = conditions.collect::<Result<_, _>>()?;
    Ok(Criteria::Group(Group { id, name, operator, conditions }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(value: &Value) -> Criteria {
        Criteria::from_value(value, &Path::top("criteria")).unwrap()
    }

    fn leaf(trigger: &str) -> Value {
        json!({ "id": trigger, "name": trigger, "type": trigger })
    }

    fn group(operator: &str, conditions: &[Value]) -> Value {
        json!({ "id": "g", "name": "g", "operator": operator, "conditions": conditions })
    }

    fn of_leaf(trigger: &str) -> Holds<&'static str> {
        match trigger {
            "yes" => Holds::Yes,
            "ask" => Holds::Depends("plugin"),
            _ => Holds::No,
        }
    }

    #[test]
    fn a_tree_holds_as_its_operators_say_and_waits_only_for_what_matters() {
        let nested = group("AND", &[leaf("yes"), group("OR", &[leaf("no"), leaf("yes")])]);
        for (value, holds) in [
            (leaf("yes"), Holds::Yes),
            (group("AND", &[leaf("yes"), leaf("no")]), Holds::No),
            (group("OR", &[leaf("no"), leaf("yes")]), Holds::Yes),
            (nested, Holds::Yes),
            (group("AND", &[leaf("ask"), leaf("no")]), Holds::No),
            (group("OR", &[leaf("ask"), leaf("yes")]), Holds::Yes),
            (group("AND", &[leaf("yes"), leaf("ask")]), Holds::Depends("plugin")),
            (group("OR", &[leaf("no"), leaf("ask")]), Holds::Depends("plugin")),
        ] {
            assert_eq!(tree(&value).holds(&of_leaf), holds, "{value}");
            assert_eq!(tree(&value).to_value(), value);
        }
    }

    #[test]
    fn what_is_wrong_with_a_tree_is_named_by_its_path() {
        for (value, path) in [
            (json!(5), "criteria"),
            (json!({ "id": "a", "name": "a" }), "criteria.type"),
            (json!({ "id": 5, "name": "a", "type": "t" }), "criteria.id"),
            (group("XOR", &[leaf("t")]), "criteria.operator"),
            (group("AND", &[]), "criteria.conditions"),
            (group("AND", &[leaf("t"), json!("operator")]), "criteria.conditions[1]"),
        ] {
            let refused = Criteria::from_value(&value, &Path::top("criteria")).unwrap_err();
            assert_eq!(refused.path, path);
        }
    }

    #[test]
    fn a_tree_that_is_too_deep_or_too_wide_is_refused() {
        let deep = |depth| (0..depth).fold(leaf("t"), |inner, _| group("AND", &[inner]));
        let path = Path::top("criteria");
        assert!(Criteria::from_value(&deep(MAX_DEPTH), &path).is_ok());
        let refused = Criteria::from_value(&deep(MAX_DEPTH + 1), &path).unwrap_err();
        assert_eq!(refused.fault, Fault::TooDeep);
        let wide = group("OR", &vec![leaf("t"); MAX_CONDITIONS + 1]);
        assert!(Criteria::from_value(&wide, &path).is_err());
    }
}
