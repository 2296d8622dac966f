//! `[plugins.NAME.source]`.

use super::*;

/// A configuration without a stream.
const SOURCE: &str = r#"
[plugins.events.source]
product = "acme"
origins = ["https://App.example.com"]
max_body = "1MiB"
[plugins.events.source.keys.website]
key = "pk_live_1"
[plugins.events.source.keys.jobs]
key = { env = "JOBS" }
product = "beta"
[plugins.bot]
[products.acme]
plugins = ["bot"]
[products.beta]
plugins = ["bot"]
"#;

#[test]
fn a_source_has_keys_with_products_and_needs_no_stream() {
    let config = load(SOURCE, &[("JOBS", "sk")]).unwrap();
    assert!(config.streams.is_empty() && config.warnings.is_empty());
    let plugin = &config.plugins["events"];
    let source = plugin.source.as_ref().unwrap();
    let keys: Vec<_> =
        source.keys.values().map(|key| (key.key.expose(), key.product.as_str())).collect();
    assert_eq!(keys, [("sk", "beta"), ("pk_live_1", "acme")]);
    assert!(source.origins.allow("https://app.example.com:443"));
    assert!(!source.origins.allow("null") && !source.origins.allow("https://example.com"));
    assert_eq!(plugin.limits, PluginLimits::default(), "1 MiB is within the usual limits");
    let all = load(&SOURCE.replace("https://App.example.com", "*"), &[("JOBS", "sk")]).unwrap();
    assert!(all.plugins["events"].source.as_ref().unwrap().origins.allow("null"));
    let large = load(&SOURCE.replace("1MiB", "16MiB"), &[("JOBS", "sk")]).unwrap();
    assert_eq!(large.plugins["events"].limits.memory_bytes, 512 << 20);
    assert!(!format!("{config:?}").contains("pk_live_1"));
}

#[test]
fn what_is_wrong_with_a_source_is_named() {
    for (text, wanted) in [
        (
            SOURCE.replace("product = \"beta\"", "product = \"gamma\""),
            "the product \"gamma\", which isn't there",
        ),
        (SOURCE.replace("\"pk_live_1\"", "\"\""), "it is empty"),
        (SOURCE.replace("key = \"pk_live_1\"\n", ""), "the key itself is missing"),
        (SOURCE.replace("\"pk_live_1\"", "\"sk\""), "make another one"),
        (SOURCE.replacen("product = \"acme\"\n", "", 1), "which product's events come with it"),
        (SOURCE.replace("https://App", "App"), "this is no origin of a web page"),
        (SOURCE.replace("max_body", "poll_every = \"10ms\"\nmax_body"), "less than a second"),
        (SOURCE.replace("max_body", "words = 1\nmax_body"), "it is no table"),
        (SOURCE.replace("max_body", "max_bodies"), "max_bodies"),
    ] {
        let errors = errors(&text, &[("JOBS", "sk")]);
        assert!(errors.iter().any(|error| error.contains(wanted)), "{wanted}: {errors:?}");
        assert!(errors.iter().all(|error| !error.contains("pk_live_1")), "{errors:?}");
    }
}

#[test]
fn a_source_that_nobody_can_send_to_is_told_of() {
    let lonely = "[plugins.bot.source]\n[products.acme]\nplugins = [\"bot\"]\n";
    let config = load(lonely, &[]).unwrap();
    let told: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
    assert!(
        matches!(&*told, [told] if told.contains("nothing is accepted at its address")),
        "{told:?}"
    );
    let asked = format!("{lonely}[plugins.events.source]\nask_when_opened = true\n");
    assert_eq!(load(&asked, &[]).unwrap().warnings.len(), 1, "one that is asked needs no key");
    let again = |pause: &str| format!("{asked}ask_again_after = \"{pause}\"\n");
    assert!(errors(&again("11m"), &[])[0].contains("more than ten minutes"));
    let config = load(&again("90s"), &[]).unwrap();
    let source = config.plugins["events"].source.clone().unwrap();
    assert_eq!(source.ask_again_after, std::time::Duration::from_secs(90));
    let asked = lonely.replace("source]\n", "source]\npoll_every = \"1m\"\n");
    assert!(errors(&asked, &[])[0].contains("whose the events are"));
}
