//! Equality as the vectors mean it.

use serde_json::Value;

/// Says where `ours` is not what autoplay-sdk had.
///
/// Numbers are equal by value, as in Python: 3 is 3.0 and `true` is 1. Times of autoplay-sdk are finer
/// than ours, which are whole microseconds: of a span both ends may be rounded.
pub(crate) fn same(what: &str, ours: &Value, reference: &Value) -> Result<(), String> {
    let differ = || Err(format!("{what}: {} instead of {}", short(ours), short(reference)));
    match (ours, reference) {
        (Value::Object(a), Value::Object(b)) => {
            if let Some(key) = a.keys().find(|key| !b.contains_key(*key)) {
                return Err(format!("{what}.{key}: it is not in the reference's"));
            }
            b.iter().try_for_each(|(key, b)| match a.get(key) {
                Some(a) => same(&format!("{what}.{key}"), a, b),
                None => Err(format!("{what}.{key}: it is missing")),
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            (0..).zip(a).zip(b).try_for_each(|((index, a), b): ((usize, _), _)| {
                same(&format!("{what}[{index}]"), a, b)
            })
        }
        _ => match (number(ours), number(reference)) {
            (Some(a), Some(b)) if a == b || (a - b).abs() < 1.1e-6 => Ok(()),
            (Some(_), _) | (_, Some(_)) => differ(),
            (None, None) if ours == reference => Ok(()),
            (None, None) => differ(),
        },
    }
}

/// Checks a text.
pub(crate) fn same_text(what: &str, ours: &str, reference: &Value) -> Result<(), String> {
    same(what, &Value::from(ours), reference)
}

/// Checks that there is an error exactly where autoplay-sdk had one.
pub(crate) fn same_failure<T: std::fmt::Debug>(
    ours: &Result<T, String>,
    reference: &Value,
) -> Result<(), String> {
    match (ours, reference.get("error")) {
        (Ok(value), Some(error)) => Err(format!("{value:?} instead of the error {}", short(error))),
        (Err(error), None) => Err(format!("the error {error:?} instead of a value")),
        (Ok(_), None) | (Err(_), Some(_)) => Ok(()),
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_bool().map(|value| f64::from(u8::from(value))))
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_anywhere_is_found() {
        let reference = json!({"a": [1, 2.0, {"b": "x"}], "c": null, "d": true});
        assert_eq!(
            same("v", &json!({"a": [1.0, 2, {"b": "x"}], "c": null, "d": 1}), &reference),
            Ok(())
        );
        for other in [
            json!({"a": [1, 2.0, {"b": "y"}], "c": null, "d": true}),
            json!({"a": [1, 2.0], "c": null, "d": true}),
            json!({"a": [1, 2.00001, {"b": "x"}], "c": null, "d": true}),
            json!({"a": [1, 2.0, {"b": "x"}], "c": 0, "d": true}),
            json!({"a": [1, 2.0, {"b": "x"}], "d": true}),
            json!({"a": [1, 2.0, {"b": "x"}], "c": null, "d": true, "e": null}),
            json!([]),
        ] {
            assert!(same("v", &other, &reference).is_err(), "{other}");
        }
    }
}
