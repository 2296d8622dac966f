use serde_json::{Map, json};
use wasm_encoder::{Component, ComponentSection, CustomSection, Module, ModuleSection};

use super::*;
use crate::plugin::component_info::ComponentError;
use crate::visible::steers;

const NAME: &str = crate::plugin::component_info::SECTION;

fn custom(json: &str) -> CustomSection<'_> {
    CustomSection { name: NAME.into(), data: json.as_bytes().into() }
}

/// A component with manifests at its top level, and in core modules of it.
fn component(top: &[&str], nested: &[&str]) -> Vec<u8> {
    let mut component = Component::new();
    for json in nested {
        let mut module = Module::new();
        module.section(&custom(json));
        component.section(&ModuleSection(&module));
    }
    for json in top {
        component.section(&custom(json));
    }
    component.finish()
}

const LEAST: &str = r#"{"name":"bot","version":"1.0.0"}"#;

fn refused(manifest: Value) -> String {
    Manifest::from_json(&manifest.to_string()).unwrap_err().to_string()
}

/// A usable manifest with this in it.
fn with(key: &str, value: Value) -> Value {
    let mut manifest = json!({"name": "bot", "version": "1.0.0"});
    manifest[key] = value;
    manifest
}

#[test]
fn a_manifest_is_found_at_the_top_and_in_a_core_module() {
    for bytes in [component(&[LEAST], &[]), component(&[], &[LEAST])] {
        let manifest = Manifest::read(&bytes).unwrap().unwrap();
        assert_eq!((&*manifest.name, &*manifest.version), ("bot", "1.0.0"));
    }
    assert_eq!(Manifest::read(&component(&[], &[])), Ok(None));
}

#[test]
fn a_manifest_of_a_component_inside_is_not_the_plugins() {
    let mut outer = component(&[], &[]);
    let inner = component(&[LEAST], &[LEAST]);
    wasm_encoder::RawSection { id: 4, data: &inner }.append_to_component(&mut outer);
    assert_eq!(Manifest::read(&outer), Ok(None));
}

#[test]
fn several_manifests_are_none() {
    for bytes in [
        component(&[LEAST, LEAST], &[]),
        component(&[], &[LEAST, LEAST]),
        component(&[LEAST], &[LEAST]),
    ] {
        assert_eq!(Manifest::read(&bytes), Err(ManifestError::Several(2)));
    }
}

#[test]
fn what_is_no_component_is_refused_and_nothing_panics() {
    let module = Module::new().finish();
    for bytes in [&b""[..], b"\0asm", b"{}", &module] {
        let Err(ManifestError::Component(ComponentError::NotAComponent(_))) = Manifest::read(bytes)
        else {
            panic!("{bytes:?}");
        };
    }
    let whole = component(&[LEAST], &[LEAST, "x"]);
    for cut in 8..whole.len() {
        // Any outcome but a panic, and never a manifest: there are three in the whole file.
        let read = Manifest::read(&whole[..cut]);
        assert!(!matches!(read, Ok(Some(_))) || cut > LEAST.len(), "{cut}");
    }
    for at in 8..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut broken = whole.clone();
            broken[at] = value;
            drop(Manifest::read(&broken));
        }
    }
}

#[test]
fn size_is_bounded() {
    let long = with("description", json!("x".repeat(MAX_BYTES))).to_string();
    for outcome in [
        Manifest::read(&component(&[&long], &[])).map(drop),
        Manifest::from_json(&long).map(drop),
        Manifest::from_toml(&long).map(drop),
    ] {
        assert_eq!(outcome, Err(ManifestError::TooLarge(long.len())));
    }
}

#[test]
fn an_unknown_key_is_named() {
    let cases = [
        (json!({"name": "bot", "version": "1", "host": []}), "unknown field `host`"),
        (with("secrets", json!({"t": {"env": "X"}})), "unknown field `env`"),
        (
            with("config", json!({"type": "object", "allOf": []})),
            "`config.allOf` isn't allowed here",
        ),
        (
            with(
                "config",
                json!({"type": "object", "properties": {"a": {"type": "string", "$ref": "x"}}}),
            ),
            "`config.properties.a.$ref` isn't allowed here",
        ),
        (json!({"name": "bot"}), "missing field `version`"),
        (json!({"name": 1, "version": "1"}), "invalid type"),
        (json!(["bot", "1"]), "it is no JSON object"),
        (with("secrets", json!({"t": ["text"]})), "`secrets.t` must be an object"),
        (with("secrets", json!(["t"])), "invalid type"),
    ];
    for (manifest, wanted) in cases {
        let error = refused(manifest);
        assert!(error.starts_with("manifest: ") && error.contains(wanted), "{error}");
    }
    let error = Manifest::from_toml("name = \"bot\"\nversion = \"1\"\nhost = []").unwrap_err();
    assert!(error.to_string().starts_with("manifest: line 3: unknown field `host`"), "{error}");
}

#[test]
fn values_are_bounded_and_free_of_control_characters() {
    let property =
        |property: Value| with("config", json!({"type": "object", "properties": {"a": property}}));
    let hosts: Vec<_> = (0..65).map(|i| format!("h{i}.example")).collect();
    let secrets: Map<_, _> = (0..33).map(|i| (format!("s{i}"), json!({}))).collect();
    let properties: Map<_, _> =
        (0..129).map(|i| (format!("p{i}"), json!({"type": "string"}))).collect();
    let cases = [
        (with("name", json!("")), "`name` must be 1 to 64"),
        (with("name", json!("a b")), "`name` must be 1 to 64"),
        (with("version", json!("1\u{1b}[31m")), "`version` must be 1 to 64"),
        (with("description", json!("a\u{202e}b")), "`description` holds a line break or a control"),
        (with("description", json!("x".repeat(1001))), "`description` is longer"),
        (with("hosts", json!(hosts)), "`hosts` names more than 64"),
        (
            with("hosts", json!(["https://a.example/path"])),
            "`hosts` holds \"https://a.example/path\"",
        ),
        (with("hosts", json!(["a.example\n"])), "`hosts` holds a line break"),
        (with("hosts", json!(["x".repeat(301)])), "`hosts` names a host of more"),
        (with("secrets", json!(secrets)), "`secrets` names more than 32"),
        (with("secrets", json!({"a b": {}})), "`secrets.a b` must be"),
        (with("secrets", json!({"a": {"hosts": ["**"]}})), "`secrets.a.hosts` holds"),
        (
            with("secrets", json!({"a": {"hosts": ["a.example"]}})),
            "holds \"a.example\", which isn't in",
        ),
        (with("config", json!([])), "`config` must be an object"),
        (with("config", json!({})), "`config.type` must be \"object\""),
        (
            with("config", json!({"type": "object", "properties": properties})),
            "has more than 128 keys",
        ),
        (
            with("config", json!({"type": "object", "properties": []})),
            "`config.properties` must be",
        ),
        (
            with("config", json!({"type": "object", "required": ["a"]})),
            "`config.required` names \"a\"",
        ),
        (
            with(
                "config",
                json!({"type": "object", "$schema": "http://json-schema.org/draft-04/schema#"}),
            ),
            "`config.$schema` must be",
        ),
        (
            with("config", json!({"type": "object", "additionalProperties": {}})),
            "must be true or false",
        ),
        (property(json!({"type": "array"})), "`config.properties.a.type` must be one of string"),
        (property(json!({})), "`config.properties.a.type` must be one of string"),
        (property(json!(true)), "`config.properties.a` must be an object"),
        (property(json!({"type": "string", "format": "regex"})), "format` must be one of"),
        (property(json!({"type": "string", "pattern": "("})), "is no JSON Schema"),
        (property(json!({"type": "string", "pattern": "x".repeat(513)})), "pattern` is longer"),
        (property(json!({"type": "string", "pattern": "(\\w{500}){500}"})), "is no JSON Schema"),
        (property(json!({"type": "string", "minLength": -1})), "is no JSON Schema"),
    ];
    for (manifest, wanted) in cases {
        let error = refused(manifest);
        assert!(error.contains(wanted), "{wanted}: {error}");
        assert!(!error.chars().any(steers) && error.len() < 1000, "{error}");
    }
}

#[test]
fn interfaces_are_not_written_by_hand() {
    let manifest = with("interfaces", json!(["sidenote:plugin/writer@0.1.0"]));
    let error = Manifest::from_json(&manifest.to_string()).unwrap_err();
    assert_eq!(error, ManifestError::InterfacesByHand);
    // In a component they must be true.
    let bytes = component(&[&manifest.to_string()], &[]);
    assert!(matches!(Manifest::read(&bytes), Err(ManifestError::Interfaces { .. })));
}

fn schema() -> Manifest {
    let config = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["url"],
        "properties": {
            "url": {"type": "string", "pattern": "^https://", "maxLength": 40},
            "retries": {"type": "integer", "minimum": 1, "maximum": 10},
            "ratio": {"type": "number", "exclusiveMinimum": 0},
            "quiet": {"type": "boolean"},
            "region": {"type": "string", "enum": ["eu", "us"]},
            "size": {"type": "integer", "enum": [1, 2]},
        },
    });
    Manifest::from_json(&with("config", config).to_string()).unwrap()
}

fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn settings_that_fit_are_taken() {
    let manifest = schema();
    for pairs in [
        &[("url", "https://a.example")][..],
        &[
            ("url", "https://a.example"),
            ("retries", "10"),
            ("ratio", "0.5"),
            ("quiet", "true"),
            ("region", "eu"),
            ("size", "2"),
        ],
        &[("url", "https://a.example"), ("ratio", "3"), ("retries", "2.0")],
    ] {
        assert_eq!(manifest.validate(&settings(pairs)), Ok(()), "{pairs:?}");
    }
    let open = Manifest::from_json(LEAST).unwrap();
    assert_eq!(open.validate(&settings(&[("anything", "goes")])), Ok(()));
}

#[test]
fn every_violation_is_one_line_with_key_fault_and_expectation() {
    let manifest = schema();
    let cases = [
        (
            &[][..],
            "config: `url` is missing; expected a text of at most 40 characters that matches ^https://",
        ),
        (
            &[("url", "hunter2")],
            "config: `url` doesn't match the pattern; expected a text of at most 40 characters that matches ^https://",
        ),
        (
            &[("url", "https://hunter2.example/0123456789012345678901")],
            "config: `url` is too long; expected a text of at most 40 characters that matches ^https://",
        ),
        (
            &[("url", "https://a"), ("retries", "hunter2")],
            "config: `retries` is of another type; expected a whole number from 1 up to 10",
        ),
        (
            &[("url", "https://a"), ("retries", "11")],
            "config: `retries` is too large; expected a whole number from 1 up to 10",
        ),
        (
            &[("url", "https://a"), ("retries", "1.5")],
            "config: `retries` is of another type; expected a whole number from 1 up to 10",
        ),
        (
            &[("url", "https://a"), ("retries", "")],
            "config: `retries` is of another type; expected a whole number from 1 up to 10",
        ),
        (
            &[("url", "https://a"), ("ratio", "0")],
            "config: `ratio` is too small; expected a number above 0",
        ),
        (
            &[("url", "https://a"), ("ratio", "NaN")],
            "config: `ratio` is of another type; expected a number above 0",
        ),
        (
            &[("url", "https://a"), ("quiet", "yes")],
            "config: `quiet` is of another type; expected true or false",
        ),
        (
            &[("url", "https://a"), ("region", "hunter2")],
            "config: `region` is none of the values that are allowed; expected one of \"eu\", \"us\"",
        ),
        (
            &[("url", "https://a"), ("size", "hunter2")],
            "config: `size` is of another type; expected one of 1, 2",
        ),
        (
            &[("url", "https://a"), ("retires", "hunter2")],
            "config: `retires` isn't a setting of this plugin; expected `retries`, perhaps",
        ),
        (
            &[("url", "https://a"), ("hunter", "hunter2")],
            "config: `hunter` isn't a setting of this plugin; expected one of `url`, `retries`, `ratio`, `quiet`, `region`, `size`",
        ),
    ];
    for (pairs, wanted) in cases {
        let error = manifest.validate(&settings(pairs)).unwrap_err();
        assert_eq!(error.to_string(), wanted);
    }
    let error = manifest.validate(&settings(&[("quiet", "1"), ("x", "1")])).unwrap_err();
    let keys: Vec<_> = error.0.iter().map(|violation| &*violation.key).collect();
    assert_eq!(keys, ["quiet", "url", "x"]);
}

#[test]
fn a_pattern_cannot_stall_the_host() {
    let config = json!({
        "type": "object",
        "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}},
    });
    let manifest = Manifest::from_json(&with("config", config).to_string()).unwrap();
    let value = format!("{}b", "a".repeat(10_000));
    assert!(manifest.validate(&settings(&[("a", &value)])).is_err());
}

#[test]
fn toml_and_json_say_the_same() {
    let toml = r#"
        name = "bot"
        version = "1.0.0"
        hosts = ["*.example.com"]
        [secrets.token]
        description = "API token"
        hosts = ["*.example.com"]
        [config]
        type = "object"
        [config.properties.retries]
        type = "integer"
        default = 3
    "#;
    let json = json!({
        "name": "bot", "version": "1.0.0", "hosts": ["*.example.com"],
        "secrets": {"token": {"description": "API token", "hosts": ["*.example.com"]}},
        "config": {"type": "object", "properties": {"retries": {"type": "integer", "default": 3}}},
    });
    assert_eq!(Manifest::from_toml(toml), Manifest::from_json(&json.to_string()));
}
