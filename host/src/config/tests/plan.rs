//! What a change of the configuration amounts to.

use super::*;

/// Every kind of table, so that there is something of each to be changed.
const FULL: &str = r#"
plugins_folder = "p"
cache_folder = "c"
cache_max = "1GiB"
compile_memory = "1GiB"
compile_timeout = "30s"
[server]
listen = "127.0.0.1:1"
header_timeout = "1s"
max_body = "1KiB"
max_connections = 1
public_url = "https://a.example"
token = { env = "S" }
[store]
kind = "embedded"
path = "a"
reserve = "1MiB"
[retention]
sessions = "1h"
dead_letters = "1h"
[context]
lookback = "1m"
[mcp]
hosts = ["a.example"]
[delivery]
debounce = "1s"
[streams.main]
url = "https://a.example/stream"
[plugins.webhook]
[products.acme]
plugins = ["webhook"]
[llm]
provider = "openai"
base_url = "http://127.0.0.1:1/v1"
model = "a"
[summary]
threshold = 10
"#;

fn full(text: &str) -> Config {
    load(text, &[("S", "s"), ("T", "t")]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn changes(added: &[&str], changed: &[&str], removed: &[&str]) -> Changes {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    Changes { added: owned(added), changed: owned(changed), removed: owned(removed) }
}

#[test]
fn a_configuration_that_is_the_same_changes_nothing() {
    let plan = full(FULL).plan(&full(FULL)).unwrap();
    assert!(plan.is_empty(), "{plan:?}");
}

#[test]
fn what_can_be_swapped_is_told_by_kind_and_name() {
    let more = "[plugins.new]\n[products.new]\nplugins = [\"new\"]\n[streams.new]\nurl = \"https://b.example\"\n";
    let cases = [
        (
            format!("{FULL}{more}"),
            Plan {
                plugins: changes(&["new"], &[], &[]),
                products: changes(&["new"], &[], &[]),
                streams: changes(&["new"], &[], &[]),
                tables: vec![],
            },
        ),
        (
            FULL.replace("[plugins.webhook]", "[plugins.webhook.config]\nurl = \"x\""),
            Plan { plugins: changes(&[], &["webhook"], &[]), ..Plan::default() },
        ),
        (
            FULL.replace("a.example/stream", "a.example/other"),
            Plan { streams: changes(&[], &["main"], &[]), ..Plan::default() },
        ),
        (
            FULL.replace("[products.acme]", "[products.acme]\ningest_secret = { env = \"T\" }"),
            Plan { products: changes(&[], &["acme"], &[]), ..Plan::default() },
        ),
        (
            FULL.replace("debounce = \"1s\"", "debounce = \"2s\""),
            Plan {
                products: changes(&[], &["acme"], &[]),
                tables: vec!["delivery".to_owned()],
                ..Plan::default()
            },
        ),
    ];
    for (next, wanted) in cases {
        let (before, after) = (full(FULL), full(&next));
        assert_eq!(before.plan(&after).unwrap(), wanted, "{next}");
        let back = after.plan(&before).unwrap();
        assert_eq!(back.plugins.removed, wanted.plugins.added, "{next}");
        assert_eq!(back.plugins.changed, wanted.plugins.changed, "{next}");
    }
    for (key, other, table) in [
        (
            "compile_timeout = \"30s\"",
            "compile_timeout = \"30s\"\nwaiting_memory = \"1MiB\"",
            "waiting_memory",
        ),
        ("dead_letters = \"1h\"", "dead_letters = \"2h\"", "retention"),
        ("lookback = \"1m\"", "lookback = \"2m\"", "context"),
        ("model = \"a\"", "model = \"b\"", "llm"),
        ("threshold = 10", "threshold = 11", "summary"),
        ("threshold = 10", "threshold = 10\n[identity]\nnobody = [\"test\"]", "identity"),
    ] {
        let plan = full(FULL).plan(&full(&FULL.replace(key, other))).unwrap();
        assert_eq!(plan, Plan { tables: vec![table.to_owned()], ..Plan::default() });
    }
}

#[test]
fn the_value_of_a_secret_is_part_of_what_is_compared() {
    let text =
        FULL.replace("[plugins.webhook]", "[plugins.webhook.secrets]\nkey = { env = \"T\" }");
    let with = |value| load(&text, &[("S", "s"), ("T", value)]).unwrap();
    let plan = with("old").plan(&with("new")).unwrap();
    assert_eq!(plan.plugins, changes(&[], &["webhook"], &[]));
}

#[test]
fn what_cannot_be_swapped_is_named_and_nothing_else_is_planned() {
    let cases = [
        ("plugins_folder = \"p\"", "plugins_folder = \"q\"", "plugins_folder"),
        ("cache_folder = \"c\"", "cache_folder = \"d\"", "cache_folder"),
        ("cache_max = \"1GiB\"", "cache_max = \"2GiB\"", "cache_max"),
        ("compile_memory = \"1GiB\"", "compile_memory = \"2GiB\"", "compile_memory"),
        ("compile_timeout = \"30s\"", "compile_timeout = \"31s\"", "compile_timeout"),
        (
            "cache_max = ",
            "trusted_keys = [\"RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\"]\ncache_max = ",
            "trusted_keys",
        ),
        ("[store]", "[registries.\"a.example\"]\nplain_http = true\n[store]", "[registries]"),
        ("127.0.0.1:1", "127.0.0.1:2", "listen of [server]"),
        ("header_timeout = \"1s\"", "header_timeout = \"2s\"", "header_timeout of [server]"),
        ("max_body = \"1KiB\"", "max_body = \"2KiB\"", "max_body of [server]"),
        ("max_connections = 1", "max_connections = 2", "max_connections of [server]"),
        (
            "max_connections = 1",
            "max_connections = 1\nmax_connections_per_peer = 2",
            "max_connections_per_peer of [server]",
        ),
        ("https://a.example\"\ntoken", "https://b.example\"\ntoken", "public_url of [server]"),
        ("hosts = [\"a.example\"]", "hosts = [\"b.example\"]", "hosts of [mcp]"),
        ("hosts = [\"a.example\"]", "enabled = false", "enabled of [mcp]"),
        ("path = \"a\"", "path = \"b\"", "path of [store]"),
        ("reserve = \"1MiB\"", "reserve = \"2MiB\"", "reserve of [store]"),
        ("\"embedded\"\npath = \"a\"\nreserve = \"1MiB\"", "\"memory\"", "kind of [store]"),
    ];
    for (key, other, wanted) in cases {
        assert!(FULL.contains(key), "{key}");
        let next = FULL.replace(key, other).replace("debounce = \"1s\"", "debounce = \"2s\"");
        let refused = full(FULL).plan(&full(&next)).expect_err(wanted);
        assert_eq!(refused.keys, [wanted]);
        assert!(refused.to_string().contains("restart the host"), "{refused}");
    }
    let redis = |key: &str| {
        let store = format!("[store]\nkind = \"redis\"\nurl = \"redis://127.0.0.1\"\n{key}\n");
        full(&format!("{MINIMAL}{store}"))
    };
    for (key, other, wanted) in [
        ("", "namespace = \"b\"", "namespace of [store]"),
        ("", "user = \"b\"", "user of [store]"),
        ("", "session_ttl = \"1h\"", "session_ttl of [store]"),
        ("", "sdk_sessions = false", "sdk_sessions of [store]"),
        ("", "timeout = \"1s\"", "timeout of [store]"),
        ("", "journal = \"j\"", "journal of [store]"),
        ("", "journal_max = \"1MiB\"", "journal_max of [store]"),
        ("", "password = { env = \"S\" }", "password of [store]"),
    ] {
        assert_eq!(redis(key).plan(&redis(other)).expect_err(wanted).keys, [wanted]);
    }
}
