//! Manifests in real components: found, packed, lifted, inspected.

use std::path::Path;

use sidenote::config::Config;
use sidenote::outbox::note::PostError;
use sidenote::plugin::manifest::{PackError, pack};
use sidenote::plugin::{Inspection, Manifest, Registry, inspect, sha256};
use wasm_encoder::{
    Component, ComponentImportSection, ComponentSection, ComponentTypeRef, CustomSection, Module,
};

use crate::guests::{built, plugin, post};

fn component(file: &str) -> Vec<u8> {
    std::fs::read(built(file)).unwrap()
}

fn manifest() -> Manifest {
    let toml = "name = \"echo\"\nversion = \"1.2.3\"\nhosts = [\"api.example.com\"]";
    Manifest::from_toml(toml).unwrap()
}

async fn inspected(name: &str, bytes: &[u8]) -> Inspection {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, bytes).unwrap();
    inspect(&file).await.unwrap()
}

#[test]
fn a_manifest_that_a_linker_put_in_is_found_and_lifted() {
    let built = component("sidenote_webhook.wasm");
    let found = Manifest::read(&built).unwrap().unwrap();
    assert_eq!((&*found.name, found.interfaces.len()), ("webhook", 0));

    let packed = pack(&built, None, false).unwrap();
    let lifted = Manifest::read(&packed).unwrap().unwrap();
    let interfaces = ["finder", "messenger", "redactor", "webhook", "writer"];
    let interfaces = interfaces.map(|name| format!("sidenote:plugin/{name}@0.1.0"));
    assert_eq!(lifted.interfaces, interfaces);
    assert_eq!(Manifest { interfaces: Vec::new(), ..lifted }, found);
    assert_eq!(pack(&built, None, false).unwrap(), packed, "the same input gives the same bytes");
    assert_eq!(pack(&packed, None, false).unwrap(), packed, "what is packed stays as it is");
}

#[test]
fn a_manifest_is_replaced_only_on_request() {
    let built = component("sidenote_webhook.wasm");
    for bytes in [&built, &pack(&built, None, false).unwrap()] {
        assert_eq!(pack(bytes, Some(manifest()), false), Err(PackError::Present));
        let replaced = pack(bytes, Some(manifest()), true).unwrap();
        assert_eq!(Manifest::read(&replaced).unwrap().unwrap().version, "1.2.3");
    }
}

#[test]
fn only_a_plugin_is_packed() {
    let bare = component("guest_echo.wasm");
    assert_eq!(pack(&bare, None, false), Err(PackError::None));
    assert!(pack(&bare, Some(manifest()), false).is_ok());
    let stranger = component("guest_stranger.wasm");
    assert_eq!(pack(&stranger, Some(manifest()), false), Err(PackError::NoExports));
    let module = Module::new().finish();
    assert!(matches!(pack(&module, Some(manifest()), false), Err(PackError::Component(_))));
}

#[tokio::test]
async fn a_packed_component_runs() {
    let folder = tempfile::tempdir().unwrap();
    let echo = pack(&component("guest_echo.wasm"), Some(manifest()), false).unwrap();
    std::fs::write(folder.path().join("echo.wasm"), echo).unwrap();
    let webhook = pack(&component("sidenote_webhook.wasm"), Some(manifest()), true).unwrap();
    std::fs::write(folder.path().join("webhook.wasm"), webhook).unwrap();
    let both = ["echo", "webhook"].map(|name| (name.into(), plugin(&format!("{name}.wasm"))));
    let registry = Registry::load(folder.path(), &both.into()).await.unwrap();
    for state in registry.states() {
        assert_eq!(state.failed, None, "{}", state.name);
    }
    assert!(post(&registry, "echo", "hello").await.is_ok());
}

#[tokio::test]
async fn a_manifest_bounds_what_is_granted_and_checks_the_settings() {
    let manifest = Manifest::from_toml(
        r#"
        name = "probe"
        version = "1.0.0"
        hosts = ["api.example.com"]
        [config]
        type = "object"
        required = ["region"]
        [config.properties.region]
        type = "string"
        enum = ["eu", "us"]
        "#,
    );
    let packed = pack(&component("guest_probe.wasm"), Some(manifest.unwrap()), false).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("probe.wasm"), packed).unwrap();
    let mut right = plugin("probe.wasm");
    right.config = [("region".to_owned(), "eu".to_owned())].into();
    right.hosts = vec!["evil.example".to_owned()];
    let mut wrong = right.clone();
    wrong.config = [("region".to_owned(), "hunter2".to_owned())].into();
    let plugins = [("right".into(), right), ("wrong".into(), wrong)].into();
    let registry = Registry::load(folder.path(), &plugins).await.unwrap();

    let states = registry.states();
    let failed =
        |name: &str| states.iter().find(|state| &*state.name == name).unwrap().failed.as_deref();
    assert_eq!(failed("right"), None);
    let wanted =
        "config: `region` is none of the values that are allowed; expected one of \"eu\", \"us\"";
    assert_eq!(failed("wrong"), Some(wanted));

    for (host, wanted) in [
        ("evil.example", "manifest doesn't ask for evil.example"),
        ("other.example", "manifest doesn't ask for other.example"),
        ("api.example.com", "hosts = [\"evil.example\", \"api.example.com\"]"),
    ] {
        let Err(PostError::Failed(failure)) =
            post(&registry, "right", &format!("get https://{host}/")).await
        else {
            panic!("{host}")
        };
        assert!(failure.message.contains(wanted), "{host}: {}", failure.message);
    }
}

#[tokio::test]
async fn an_inspection_tells_what_a_component_is() {
    let bytes = component("guest_echo.wasm");
    let echo = inspected("echo.wasm", &bytes).await;
    let all = ["writer", "redactor", "finder", "webhook", "messenger", "sink", "trigger", "source"];
    assert_eq!((echo.refused, &*echo.exports.known), (None, &all[..]));
    assert_eq!((echo.exports.unknown.len(), echo.imports.other.len()), (0, 0));
    assert!(echo.imports.sidenote.contains(&"sidenote:plugin/types@0.1.0".to_owned()));
    assert!(echo.imports.wasi.iter().all(|name| name.starts_with("wasi:")));
    assert_eq!((echo.size, echo.sha256), (bytes.len() as u64, sha256(&bytes).to_string()));
    assert_eq!(echo.manifest, None);
}

#[tokio::test]
async fn what_would_not_be_taken_is_told_as_at_load() {
    let module = Module::new().finish();
    let twice = {
        let mut twice = pack(&component("guest_echo.wasm"), Some(manifest()), false).unwrap();
        let again = CustomSection { name: "sidenote:manifest".into(), data: (&b"{}"[..]).into() };
        again.append_to_component(&mut twice);
        twice
    };
    let cases = [
        ("module", &module, "compile: it is a core module"),
        ("text", &b"(component)".to_vec(), "compile: it is no WebAssembly component"),
        ("stranger", &component("guest_stranger.wasm"), "link: it imports `acme:shell/run@1.0.0`"),
        ("misfit", &component("guest_misfit.wasm"), "probe: its `sidenote:plugin/writer@0.1.0`"),
        ("strayed", &component("guest_strayed.wasm"), "probe: its `sidenote:plugin/finder@0.1.0`"),
        ("twice", &twice, "manifest: there are 2 of them"),
    ];
    for (name, bytes, wanted) in cases {
        let refused = inspected(name, bytes).await.refused.unwrap_or_else(|| panic!("{name}"));
        assert!(refused.starts_with(wanted), "{name}: {refused}");
    }
}

#[tokio::test]
async fn nothing_of_a_hostile_file_steers_a_terminal() {
    const EVIL: &str = "evil\u{1b}[31m\u{9b}2J\u{202e}\r\n[plugins.bot.grants]";
    let mut component = Component::new();
    let mut imports = ComponentImportSection::new();
    imports.import(EVIL, ComponentTypeRef::Func(0));
    for n in 0..2000 {
        imports.import(format!("{n}{}", EVIL.repeat(20)), ComponentTypeRef::Func(0));
    }
    component.section(&imports);
    let manifest = serde_json::json!({
        "name": "bot", "version": "1", EVIL: 1,
    });
    let manifest = manifest.to_string();
    component.section(&CustomSection {
        name: "sidenote:manifest".into(),
        data: manifest.as_bytes().into(),
    });
    let hostile = inspected("hostile\u{1b}[31m.wasm", &component.finish()).await;
    assert!(hostile.refused.is_some());
    let json = serde_json::to_string(&hostile).unwrap();
    for text in [&json, &hostile.toml.replace('\n', " "), hostile.refused.as_ref().unwrap()] {
        let odd = |c: &char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(c);
        assert_eq!(text.chars().find(odd), None, "{text}");
    }
    assert!(!json.contains("\\u001b") && !json.contains("\\n[plugins"), "{json}");
    assert!(json.len() < 1 << 20, "{}", json.len());
}

#[tokio::test]
async fn what_is_to_be_pasted_is_a_configuration() {
    let webhook = inspected("web hook.wasm", &component("sidenote_webhook.wasm")).await;
    assert_eq!(webhook.refused, None);
    let rest = r#"
        [streams.main]
        url = "https://connector.example.com/stream/acme"
        [products.acme]
        plugins = ["webhook"]
    "#;
    let env = |name: &str| (name == "WEBHOOK_SIGNING").then(|| "k".to_owned());
    let text = format!("{}{rest}", webhook.toml);
    let config = Config::from_toml(&text, Path::new("/etc/sidenote"), &env)
        .unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    let plugin = &config.plugins["webhook"];
    assert_eq!(plugin.file, "web hook.wasm");
    assert_eq!(plugin.sha256.map(|sum| sum.to_string()), Some(webhook.sha256));
    assert_eq!(plugin.hosts, ["host"], "a word to replace");
    assert_eq!(plugin.config, [("url".to_owned(), "VALUE".to_owned())].into());
    assert_eq!(plugin.secrets.keys().collect::<Vec<_>>(), ["signing"]);
}
