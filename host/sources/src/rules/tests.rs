use super::*;
use crate::Wording;

fn error(text: &str) -> String {
    let settings = Settings::parse(text).and_then(|it| Wording::new(&it).map(|_| ()));
    settings.unwrap_err().to_string()
}

#[test]
fn an_error_names_its_table_and_what_is_wrong() {
    for (text, parts) in [
        ("shown = []", &["the rules", "unknown field `shown`", "`show`"][..]),
        ("rules = 3", &["rules", "write it as tables: [[rules]]"]),
        (
            "[[rules]]\nkind='click'\ndrop=true\n[[rules]]\nkind='click'\ndrp=true",
            &["rules[1]", "unknown field `drp`"],
        ),
        ("[[rules]]\nkind='clack'\ndrop=true", &["rules[0]", "a kind such as \"click\""]),
        ("[[rules]]\nname='re:('\ndrop=true", &["rules[0]", "`name`", "unclosed group"]),
        (
            "[[rules]]\nkind='click'\ndescription='{txt}'",
            &["rules[0]", "`description`", "{txt} isn't known"],
        ),
        ("[[rules]]\ndrop=true", &["rules[0]", "it fits everything"]),
        ("[[rules]]\nkind='click'", &["rules[0]", "it does nothing"]),
        (
            "[[rules]]\nkind='click'\ndrop=true\ntitle='x'",
            &["rules[0]", "drops the event and says"],
        ),
        ("[[rules]]\nkind='click'\nmask=['all']", &["rules[0]", "unknown variant `all`"]),
        ("[[pages]]\nurl='/x'", &["pages[0]", "neither `name` nor `canonical`"]),
        ("[[pages]]\nname='x'", &["pages[0]", "`url`", "the pattern is empty"]),
        ("[[pages]]\nurl='/x'\ncanonical='x'", &["pages[0]", "doesn't begin with a slash"]),
        ("mask=['re:a*']", &["mask[0]", "all would be masked"]),
        ("max_age_hours=0", &["max_age_hours is 0"]),
        ("max_age_hours='x'", &["the rules", "invalid type"]),
        ("= 1", &["the rules"]),
    ] {
        let error = error(text);
        for part in parts {
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}

#[test]
fn a_property_is_a_scalar_also_within_objects() {
    let properties: Map<String, Value> =
        serde_json::from_str(r#"{"a":{"b":1.5},"c":"  x ","d":[1],"e":null,"f.g":true,"h":""}"#)
            .unwrap();
    for (name, value) in [
        ("a.b", Some("1.5")),
        ("c", Some("x")),
        ("d", None),
        ("e", None),
        ("f.g", Some("true")),
        ("h", None),
        ("a", None),
        ("a.b.c", None),
    ] {
        assert_eq!(property(&properties, name).as_deref(), value, "{name}");
    }
}

#[test]
fn the_schema_says_what_each_key_is_for_and_leaves_the_examples_out() {
    let schema = schemars::schema_for!(Settings).to_value();
    let text = schema.to_string();
    assert!(!text.contains("```") && !text.contains("parse("), "{text}");
    let general = schema["properties"].as_object().unwrap();
    let rule = schema["$defs"]["RuleSettings"]["properties"].as_object().unwrap();
    for (key, property) in general.iter().chain(rule) {
        assert!(property["description"].as_str().is_some_and(|it| it.len() > 10), "{key}");
    }
}
