//! The file's promises: one reference with true defaults, and every mistake named with its way out.

mod further;
mod offers;
mod plan;
mod reply;
mod schema;
mod sources;
mod tours;
mod ways_in;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::load::build;
use super::section::{Reader, Section};
use super::*;
use crate::ids::ProductId;
use crate::session::identity::{Belief, Names, UserIds};

const MINIMAL: &str = r#"
[streams.main]
url = "https://connector.example.com/stream/acme"
[plugins.webhook]
[products.acme]
plugins = ["webhook"]
"#;

/// A model of one's own.
const MODEL: &str =
    "[llm]\nprovider = \"openai\"\nmodel = \"m\"\nbase_url = \"http://127.0.0.1:1/v1\"\n";

const REFERENCE: &str = include_str!("../../../examples/sidenote.toml");

fn env_of(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    let map: BTreeMap<String, String> =
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    move |name| map.get(name).cloned()
}

fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let set = env.iter().map(|(name, _)| name.to_string()).collect();
    let main = (Path::new("sidenote.toml"), text);
    build(main, &[], Path::new("/etc/sidenote"), &env_of(env), set)
}

fn errors(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    load(text, env)
        .expect_err("the text is wrong")
        .problems()
        .iter()
        .map(ToString::to_string)
        .collect()
}

const REFERENCE_ENV: [(&str, &str); 9] = [
    ("SIDENOTE_SERVER_TOKEN", "s"),
    ("SIDENOTE_STREAM_TOKEN", "t"),
    ("BOT_SIGNING_SECRET", "b"),
    ("BOT_INCOMING_SECRET", "i"),
    ("SIDENOTE_LLM_KEY", "k"),
    ("SIDENOTE_TRACES_TOKEN", "c"),
    ("SIDENOTE_EVENTS_SECRET", "o"),
    ("ACME_INGEST_SECRET", "a"),
    ("ACME_WRITE_KEY", "w"),
];

#[test]
fn the_reference_file_states_the_defaults_of_the_code() {
    let reference = load(REFERENCE, &REFERENCE_ENV).unwrap();
    let minimal = load(MINIMAL, &[]).unwrap();

    assert_eq!(reference.delivery, Delivery::default());
    assert_eq!(reference.plugins["webhook"].limits, PluginLimits::default());
    let acme = ProductId::new("acme").unwrap();
    assert_eq!(reference.products[&acme].delivery, Delivery::default());

    // What has no default is levelled; all else must be equal.
    let mut reference = reference;
    let product = reference.products.get_mut(&acme).unwrap();
    assert_eq!(product.offers.take().as_deref(), Some(&Offers::default()));
    let without_list = load(&format!("{MINIMAL}[products.acme.offers]\n[context]\n{MODEL}"), &[]);
    assert_eq!(product.triggers, without_list.unwrap().products[&acme].triggers);
    product.triggers = Default::default();
    let context = reference.context.take().unwrap();
    assert_eq!(context, Context::default());
    assert!(reference.server.token.take().is_some_and(|token| token.expose() == "s"));
    assert!(
        reference.server.public_url.take().is_some_and(|url| url == "https://notes.example.com")
    );
    assert!(
        reference
            .streams
            .get_mut("main")
            .unwrap()
            .token
            .take()
            .is_some_and(|token| token.expose() == "t")
    );
    assert!(std::mem::take(&mut reference.ingest)[&acme].expose() == "a");
    let mut source = reference.plugins.remove("events").and_then(|it| it.source).unwrap();
    assert_eq!(std::mem::take(&mut source.keys)["website"].key.expose(), "w");
    assert!(source.product.take().is_some() && source.poll_every.take().is_some());
    assert_eq!(std::mem::take(&mut source.words.pages).len(), 1);
    assert_eq!(std::mem::take(&mut source.words.rules).len(), 1);
    assert_eq!(source, PluginSource::default());
    let plugin = reference.plugins.get_mut("webhook").unwrap();
    assert!(plugin.sha256.take().is_some());
    assert_eq!(std::mem::take(&mut plugin.hosts), ["bot.example.com"]);
    assert_eq!(std::mem::take(&mut plugin.config)["url"], "https://bot.example.com/notes");
    assert_eq!(std::mem::take(&mut plugin.secrets)["signing"].value.expose(), "b");
    let tours = std::mem::take(&mut reference.tours).remove(&acme).expect("the table is there");
    assert_eq!(tours.wording, crate::offers::tours::Wording::default());
    let usual = crate::session::tour::TourRegistry::empty(None).default_limits();
    assert_eq!(tours.registry.default_limits(), usual);
    assert_eq!(tours.registry.by_user_tour_id("flow_export").unwrap().limits, usual);
    let mut llm = reference.llm.take().expect("the table is there");
    assert!(llm.api_key.take().is_some_and(|key| key.expose() == "k"));
    assert!(llm.base_url.take().is_some_and(|url| url == "https://api.openai.com/v1"));
    assert!(llm.api_version.take().is_some());
    assert_eq!(llm, Llm::of(Provider::OpenAi, "gpt-4o-mini"));
    let webhook = reference.operator_events.webhook.take().expect("its keys are there");
    assert_eq!(webhook.secret.expose(), "o");
    let dashboard = reference.dashboard.take().expect("the table is there");
    assert!(dashboard.public_url.is_some());
    assert_eq!(Dashboard { public_url: None, ..dashboard }, Dashboard::default());
    let traces = reference.traces.take().expect("the table is there");
    assert!(traces.token.is_some_and(|token| token.expose() == "c"));
    let plain = load(&format!("{MINIMAL}[traces]\nendpoint = \"{}\"", traces.endpoint), &[]);
    let plain = plain.unwrap().traces.expect("the table is there");
    assert_eq!((traces.sample, &traces.service_name), (plain.sample, &plain.service_name));
    let registries = std::mem::take(&mut reference.supply.registries);
    assert_eq!(registries["localhost:5000"], RegistryAccess::default());
    assert_eq!(format!("{reference:#?}"), format!("{minimal:#?}"));
}

#[test]
fn the_reference_file_has_every_key() {
    let written: toml::Table = REFERENCE.parse().unwrap();
    let schema = super::schema::schema();
    let tables = schema::tables(&schema);
    assert!(tables.len() >= 30, "{}", tables.len());
    for (path, table) in tables {
        // A secret has one of its two forms.
        if path.first() == Some(&"products") && path.last() == Some(&"delivery")
            || table.get("oneOf").is_some()
        {
            continue;
        }
        // The names that an operator gives may be any of those there.
        let there = path.iter().fold(vec![&written], |tables, part| {
            let all = tables.into_iter().flat_map(|table| table.iter());
            let named = all.filter(|(name, _)| *part == "*" || *part == name.as_str());
            named.filter_map(|(_, value)| value.as_table()).collect()
        });
        assert!(!there.is_empty(), "[{}] isn't in it", path.join("."));
        for key in table["properties"].as_object().into_iter().flat_map(|keys| keys.keys()) {
            // A folder or a file that isn't there is an error, and a store is of one kind: their keys stand in comments.
            let is_commented = REFERENCE.contains(&format!("#   {key} = "));
            let is_there = there.iter().any(|table| table.contains_key(key));
            assert!(is_commented || is_there, "{key} of [{}]", path.join("."));
        }
    }
}

/// The keys of the Redis store stand in a comment, as the file is for the embedded one: a key, a value and,
/// behind two blanks, what is said of it.
#[test]
fn the_reference_file_tells_the_keys_and_defaults_of_the_redis_store() {
    let mut store = String::from("[store]\n");
    let (_, commented) = REFERENCE.split_once("# \"redis\" takes other keys:\n").unwrap();
    for line in commented.lines().map_while(|line| line.strip_prefix("#   ")) {
        let (key, said) = line.split_once("  ").unwrap_or((line, ""));
        writeln!(store, "{key} # {said}").unwrap();
    }
    let env = env_of(&[("REDIS_PASSWORD", "p")]);
    let table = toml::de::DeTable::parse(&store).unwrap();
    let reader = Reader::new(PathBuf::from("sidenote.toml"), &store, Path::new("/"), &env);
    let top = Section::top(&reader, table.get_ref());
    let config = super::sections::store(top.section("store"), Path::new("/etc/sidenote"));
    assert_eq!(reader.problems(), []);

    let written: toml::Table = store.parse().unwrap();
    let written: Vec<_> = written["store"].as_table().unwrap().keys().collect();
    let schema = super::schema::schema();
    let known = schema["properties"]["store"]["properties"].as_object().unwrap().keys();
    // Those of the embedded store stand outside of the comment.
    let mut known: Vec<_> = known.filter(|key| !["path", "reserve"].contains(&&***key)).collect();
    let mut written = written;
    known.sort();
    written.sort();
    assert_eq!(written, known);

    let Store::Redis(redis) = config else { panic!("{config:?}") };
    assert!(redis.user.is_some_and(|user| user == "sidenote"));
    assert!(redis.password.is_some_and(|password| password.expose() == "p"));
    let told = Redis {
        user: None,
        password: None,
        journal: redis.journal.strip_prefix("/etc/sidenote").unwrap().to_owned(),
        ..redis
    };
    assert_eq!(format!("{told:?}"), format!("{:?}", Redis::at("redis://127.0.0.1:6379")));
}

#[test]
fn each_mistake_about_the_redis_store_names_its_key_and_repeats_no_secret() {
    let cases = [
        ("", "\"url\" is missing"),
        ("url = \"127.0.0.1:6379\"", "\"url\": it isn't a whole address"),
        ("url = \"http://127.0.0.1\"", "\"url\": it isn't a Redis address"),
        ("url = \"redis://ann:hunter2@127.0.0.1\"", "\"url\": it has credentials in it"),
        ("url = \"redis://redis.example.com\"", "\"url\": redis:// to another machine"),
        ("url = \"rediss://redis.example.com\"\npassword = \"hunter2\"", "a secret doesn't belong"),
        ("url = \"redis://[::1]\"\nnamespace = \"a{b}\"", "\"namespace\": this can't be"),
        ("url = \"redis://[::1]\"\npath = \"x\"", "\"path\": the redis store keeps its rows"),
        ("url = \"redis://[::1]\"\nreserve = \"1MiB\"", "unknown key \"reserve\""),
        ("url = \"redis://[::1]\"\ntimeout = 2", "\"timeout\" is a whole number"),
        ("url = \"redis://[::1]\"\njournal_max = 0", "\"journal_max\": 0 is too small"),
    ];
    for (keys, wanted) in cases {
        let errors = errors(&format!("{MINIMAL}[store]\nkind = \"redis\"\n{keys}\n"), &[]);
        assert!(matches!(&*errors, [error] if error.contains(wanted)), "{keys}: {errors:?}");
        assert!(!errors[0].contains("hunter2"), "{errors:?}");
    }
    for url in ["redis://127.0.0.1", "rediss://redis.example.com:6380/3", "redis://localhost"] {
        let text = format!("{MINIMAL}[store]\nkind = \"redis\"\nurl = \"{url}\"\n");
        let Store::Redis(redis) = load(&text, &[]).unwrap().store else { panic!("{url}") };
        assert_eq!(redis.url, url);
    }
    let private = "url = \"redis://redis.example.com\"\nallow_plaintext = true";
    assert!(load(&format!("{MINIMAL}[store]\nkind = \"redis\"\n{private}\n"), &[]).is_ok());
}

#[test]
fn the_example_for_other_peoples_servers_is_valid() {
    let text = include_str!("../../../examples/other-servers.toml");
    let config = load(text, &REFERENCE_ENV).unwrap();
    assert_eq!(config.plugins["webhook"].config["url"], "https://bot.example.com/notes");
    assert_eq!(config.streams["main"].token.as_ref().unwrap().expose(), "t");
}

#[test]
fn the_example_of_offers_is_valid() {
    let config = load(include_str!("../../../examples/offers.toml"), &REFERENCE_ENV).unwrap();
    let product = &config.products[&ProductId::new("acme").unwrap()];
    assert_eq!(product.offers.as_ref().unwrap().per_session_hour, 3);
    assert_eq!(product.triggers.iter().count(), 6);
    assert_eq!(config.warnings, []);
}

#[test]
fn paths_are_relative_to_the_files_folder() {
    let config = load(MINIMAL, &[]).unwrap();
    assert_eq!(config.plugins_folder, Path::new("/etc/sidenote/plugins"));
    assert_eq!(
        config.plugin_path(&config.plugins["webhook"]),
        Path::new("/etc/sidenote/plugins/webhook.wasm")
    );
    assert!(
        matches!(config.store, Store::Embedded { path, .. } if path == Path::new("/etc/sidenote/sidenote.redb"))
    );
}

#[test]
fn a_product_overrides_delivery_key_by_key() {
    let text = format!(
        "{MINIMAL}[products.acme.delivery]\nbin_seconds = 0\n[delivery]\nmax_wait = \"5s\"\n"
    );
    let config = load(&text, &[]).unwrap();
    let delivery = &config.products[&ProductId::new("acme").unwrap()].delivery;
    assert_eq!((delivery.bin_seconds, delivery.max_wait), (0.0, Duration::from_secs(5)));
    assert_eq!(config.delivery.bin_seconds, 3.0);
}

#[test]
fn one_file_serves_two_accounts_under_two_names() {
    let text = r#"
[streams.main]
url = "http://127.0.0.1:9000/stream"
[plugins.eu]
file = "intercom.wasm"
config = { admin_id = 7, ratio = 1.5, notes = true, region = "eu" }
[plugins.us]
file = "intercom.wasm"
[products.p]
plugins = ["eu", "us"]
"#;
    let config = load(text, &[]).unwrap();
    assert_eq!(config.plugins["eu"].file, config.plugins["us"].file);
    let settings: Vec<_> = config.plugins["eu"]
        .config
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        settings,
        [("admin_id", "7"), ("notes", "true"), ("ratio", "1.5"), ("region", "eu")]
    );
}

#[test]
fn the_environment_overrides_scalars_of_every_kind() {
    let text = format!("{MINIMAL}[plugins.webhook.config]\nurl = \"https://a.example\"\n");
    let config = load(
        &text,
        &[
            ("SIDENOTE__SERVER__LISTEN", "127.0.0.1:9999"),
            ("SIDENOTE__SERVER__MAX_BODY", "2KiB"),
            ("SIDENOTE__DELIVERY__MAX_ATTEMPTS", "3"),
            ("SIDENOTE__DELIVERY__BIN_SECONDS", "1.5"),
            ("SIDENOTE__DELIVERY__DEBOUNCE", "10ms"),
            ("SIDENOTE__STREAMS__MAIN__URL", "https://other.example/stream"),
            ("SIDENOTE__PLUGINS__WEBHOOK__GRANTS__PRIVATE", "true"),
            ("SIDENOTE__PLUGINS__WEBHOOK__CONFIG__URL", "https://b.example"),
            ("SIDENOTE__STORE__KIND", "memory"),
            ("SIDENOTE_LOG", "debug"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.listen.port(), 9999);
    assert_eq!(config.server.max_body_bytes, 2048);
    assert_eq!((config.delivery.max_attempts, config.delivery.bin_seconds), (3, 1.5));
    assert_eq!(config.delivery.debounce, Duration::from_millis(10));
    assert_eq!(config.streams["main"].url, "https://other.example/stream");
    assert!(config.plugins["webhook"].allow_private);
    assert_eq!(config.plugins["webhook"].config["url"], "https://b.example");
    assert!(matches!(config.store, Store::Memory));
}

#[test]
fn a_secret_comes_from_a_variable_or_a_file_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "from-a-file\n").unwrap();
    let text = r#"
[server]
token = { file = "token" }
[streams.main]
url = "https://connector.example.com/stream/acme"
token = { env = "T" }
[plugins.webhook]
[products.acme]
plugins = ["webhook"]
"#;
    let config =
        Config::from_toml(text, folder.path(), &env_of(&[("T", "from-a-variable")])).unwrap();
    assert_eq!(config.server.token.as_ref().unwrap().expose(), "from-a-file");
    assert_eq!(config.streams["main"].token.as_ref().unwrap().expose(), "from-a-variable");
    let shown = format!("{config:?}");
    assert!(!shown.contains("from-a-file") && !shown.contains("from-a-variable"), "{shown}");
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    let text = "[server]\nlisten = \"nowhere\"\nheader_timeout = 10\n[streams.main]\nurl = \"ftp://x\"\ntokne = 1\n[products.p]\nplugins = [\"x\"]\n";
    let found = errors(text, &[]);
    let lines: Vec<_> = found.iter().map(|problem| problem.split(": ").next().unwrap()).collect();
    assert_eq!(
        lines,
        [
            "sidenote.toml:2",
            "sidenote.toml:3",
            "sidenote.toml:5",
            "sidenote.toml:6",
            "sidenote.toml:8"
        ],
        "{found:#?}"
    );
}

#[test]
fn a_variable_of_the_overlay_that_is_not_text_is_an_error() {
    let set = vec!["SIDENOTE__SERVER__LISTEN".to_owned()];
    let main = (Path::new("sidenote.toml"), MINIMAL);
    let loaded = build(main, &[], Path::new("/"), &env_of(&[]), set);
    let problems = loaded.unwrap_err().problems().to_vec();
    assert!(
        matches!(&problems[..], [Problem { fault: Fault::VariableNotText, .. }]),
        "{problems:?}"
    );
}

proptest::proptest! {
    /// Whatever is done to the file, it is read or refused, on a line that it has and without its secrets.
    #[test]
    fn a_damaged_file_never_panics_and_never_shows_a_secret(
        from in 0usize..6000,
        length in 0usize..60,
        insert in "[\\[\\]{}=\".,#a-z0-9 \n]{0,8}",
    ) {
        let mut text = REFERENCE.to_owned();
        let at = |index: usize| (index.min(text.len())..=text.len()).find(|i| text.is_char_boundary(*i)).unwrap();
        let range = at(from)..at(from + length);
        text.replace_range(range, &insert);
        let env = [
            ("SIDENOTE_SERVER_TOKEN", "first-hunter2"),
            ("SIDENOTE_STREAM_TOKEN", "second-hunter2"),
            ("BOT_SIGNING_SECRET", "third-hunter2"),
        ];
        let shown = match load(&text, &env) {
            Ok(config) => format!("{config:?}"),
            Err(errors) => {
                for problem in errors.problems() {
                    if let Place::Line(_, line) = &problem.place {
                        assert!((1..=text.lines().count() + 1).contains(line), "{problem}");
                    }
                }
                errors.to_string()
            }
        };
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_context_is_kept_where_its_table_says_so_and_no_longer_than_its_session() {
    let context = |tables: &str, env: &[(&str, &str)]| {
        load(&format!("{tables}\n{MINIMAL}"), env).unwrap().context
    };
    assert_eq!(context("", &[]), None);
    assert_eq!(context("[context]", &[]), Some(Context::default()));
    assert_eq!(context("[context]\nenabled = false", &[]), None);
    let on = [("SIDENOTE__CONTEXT__ENABLED", "true")];
    assert_eq!(context("", &on), Some(Context::default()));
    let short = context("[context]\n[retention]\nsessions = \"1h\"", &[]).unwrap();
    assert_eq!(short.history.keep, std::time::Duration::from_secs(3600));
}

#[test]
fn who_is_believed_and_which_names_mean_somebody_is_read() {
    let minimal = load(MINIMAL, &[]).unwrap();
    assert_eq!(minimal.plugins["webhook"].belief, Belief::default());
    assert_eq!(*minimal.names, Names::default());
    let text = MINIMAL.replace(
        "[plugins.webhook]",
        "[identity]\nnobody = [\"demo\"]\nsomebody = [\"0\", \"noemail@example.com\"]\nuuid_user_ids = true\n[plugins.webhook]\nuser_ids = \"product\"\naccept_claims = true",
    );
    let config = load(&text, &[]).unwrap();
    let belief = Belief { user_ids: UserIds::Product, accept_claims: true };
    assert_eq!(config.plugins["webhook"].belief, belief);
    let names = &config.names;
    assert!(!names.names_somebody("DEMO") && names.names_somebody("0"));
    assert!(names.is_somebodys_address("noemail@example.com"));
    assert!(!names.is_anonymous("f47ac10b-58cc-4372-a567-0e02b2c3d479"));
}

#[test]
fn every_mistake_is_named_with_line_key_and_way_out() {
    let mut shown = String::new();
    for (text, env) in MISTAKES {
        let text = format!("{text}\n{}", if text.contains("[streams") { "" } else { STREAM });
        let text =
            format!("{text}\n{}", if text.contains("[plugins") { "" } else { "[plugins.webhook]" });
        let text = format!("{text}\n{}", if text.contains("products") { "" } else { PRODUCT });
        let found = errors(&text, env);
        assert_eq!(found.len(), 1, "{found:#?} in:\n{text}");
        writeln!(shown, "{}", found[0]).unwrap();
    }
    insta::assert_snapshot!(shown);
}

const STREAM: &str = "[streams.main]\nurl = \"https://connector.example.com/stream/acme\"";
const PRODUCT: &str = "[products.acme]\nplugins = [\"webhook\"]";

/// A mistake in a file that is right without it, and the environment.
type Mistake = (&'static str, &'static [(&'static str, &'static str)]);

const MISTAKES: &[Mistake] = &[
    // Text.
    ("plugins_folder = ", &[]),
    ("plugins_folder = \"a\"\nplugins_folder = \"b\"", &[]),
    ("[server]\nlisten = \"127.0.0.1:1\"\n[server]", &[]),
    // Keys.
    ("plugin_folder = \"a\"", &[]),
    ("[serve]\nlisten = \"127.0.0.1:1\"", &[]),
    ("[streams.main]\nurl = \"https://a.example\"\ntokne = 1", &[]),
    ("[delivery]\nwhatever = 1", &[]),
    ("[products.acme]\nplugins = [\"webhook\"]\ndelivery = { debounc = \"1s\" }", &[]),
    ("[plugins.webhook.grant]\nhosts = []", &[]),
    ("server = 1", &[]),
    ("[streams]\nurl = \"https://a.example\"", &[]),
    // Values.
    ("[server]\nlisten = \"localhost:8787\"", &[]),
    ("[server]\nlisten = \"0.0.0.0:8787\"", &[]),
    ("[server]\nheader_timeout = 10", &[]),
    ("[server]\nheader_timeout = \"10\"", &[]),
    ("[server]\nheader_timeout = \"-1s\"", &[]),
    ("[server]\nheader_timeout = \"0s\"", &[]),
    ("[server]\nheader_timeout = \"800h\"", &[]),
    ("[server]\nmax_body = \"1MB\"", &[]),
    ("[server]\nmax_body = 0", &[]),
    ("[server]\nmax_body = -1", &[]),
    ("[server]\nmax_body = \"4GiB\"", &[]),
    ("[server]\nmax_connections = 100000", &[]),
    ("[server]\nmax_connections_per_peer = 0", &[]),
    ("[server]\nmax_body = \"32MiB\"\n[plugins.webhook]", &[]),
    ("[plugins.webhook]", &[("SIDENOTE__SERVER__MAX_BODY", "5MiB")]),
    ("[server]\npublic_url = \"https://a.example/?q=1\"", &[]),
    ("[store]\nkind = \"redis\"", &[]),
    ("[store]\nkind = \"memory\"\npath = \"x\"", &[]),
    ("[delivery]\ndebounce = \"3s\"", &[]),
    ("[delivery]\nretry_max = \"500ms\"", &[]),
    ("[delivery]\nbin_seconds = -3", &[]),
    ("[delivery]\nbin_seconds = nan", &[]),
    ("[delivery]\nmax_attempts = 0", &[]),
    ("[delivery]\nmax_attempts = 1.5", &[]),
    // Context.
    ("[context]\nkeep = \"25h\"", &[]),
    ("[context]\nlookback = \"48h\"", &[]),
    ("[context]\nmax_sessions = 0", &[]),
    ("[context]\nlookbak = \"5m\"", &[]),
    // Streams.
    ("[streams.main]\ntoken = { env = \"T\" }", &[("T", "t")]),
    ("[streams.main]\nurl = \"\"", &[]),
    ("[streams.main]\nurl = \"connector.example.com\"", &[]),
    ("[streams.main]\nurl = \"ws://connector.example.com\"", &[]),
    ("[streams.main]\nurl = \"http://connector.example.com\"", &[]),
    ("[streams.main]\nurl = \"https://user:hunter2@connector.example.com\"", &[]),
    ("[streams.\"a b\"]\nurl = \"https://a.example\"", &[]),
    ("[streams.a]\nurl = \"https://a.example\"\n[streams.b]\nurl = \"https://a.example/\"", &[]),
    ("[streams]", &[]),
    // Secrets.
    ("[streams.main]\nurl = \"https://a.example\"\ntoken = \"hunter2\"", &[]),
    ("[streams.main]\nurl = \"https://a.example\"\ntoken = { env = \"T\" }", &[]),
    ("[streams.main]\nurl = \"https://a.example\"\ntoken = { env = \"T\" }", &[("T", "")]),
    ("[streams.main]\nurl = \"https://a.example\"\ntoken = { env = \"T\" }", &[("T", "hunter2 ")]),
    ("[streams.main]\nurl = \"https://a.example\"\ntoken = { file = \"missing\" }", &[]),
    (
        "[streams.main]\nurl = \"https://a.example\"\ntoken = { env = \"T\", file = \"t\" }",
        &[("T", "t")],
    ),
    ("[streams.main]\nurl = \"https://a.example\"\ntoken = {}", &[]),
    ("[plugins.webhook.secrets]\nsigning = \"hunter2\"", &[]),
    ("[plugins.webhook.secrets]\nsigning = { env = \"T\", host = [\"a.example\"] }", &[("T", "t")]),
    (
        "[plugins.webhook.secrets]\nsigning = { env = \"T\", hosts = [\"a.example\"] }",
        &[("T", "t0p-s3cret")],
    ),
    (
        "[plugins.webhook.secrets]\nsigning = { env = \"T\", hosts = [\"a.example\"] }\n[plugins.webhook.grants]\nhosts = [\"a.example\"]",
        &[("T", "abcde")],
    ),
    ("[server]\nlisten = \"127.0.0.1:1\"", &[("SIDENOTE__SERVER__TOKEN", "hunter2")]),
    // Plugins and products.
    ("[plugins.webhook]\nfile = \"../webhook.wasm\"", &[]),
    ("[plugins.webhook]\nfile = \"webhook.py\"", &[]),
    ("[plugins.webhook.config]\nlist = [1]", &[]),
    ("[plugins.webhook.grants]\nhosts = \"a.example\"", &[]),
    ("[plugins.webhook.grants]\nhosts = [\"https://a.example/path\"]", &[]),
    ("[plugins.webhook.grants]\nhosts = [\"a.example\", \"https://A.example:443\"]", &[]),
    ("[plugins.webhook.grants]\nhosts = [\"http://127.0.0.1:4010\"]", &[]),
    ("[plugins.webhook.grants]\nprivate = true\nhosts = [\"http://169.254.169.254\"]", &[]),
    ("[plugins.webhook.limits]\nconcurrency = 0", &[]),
    ("[plugins.webhook.limits]\nmax_request = \"8MiB\"", &[]),
    ("[plugins.webhook]\nisolation = \"process\"", &[]),
    ("[plugins.webhook]\nuser_ids = \"ours\"", &[]),
    ("[plugins.webhook]\naccept_claims = \"email\"", &[]),
    // Names.
    ("[identity]\nnobody = \"demo\"", &[]),
    ("[identity]\nsomebody = [\"  \"]", &[]),
    ("[identity]\nsomebody = [\"ann\"]", &[]),
    ("[identity]\nnobody = [\"0\"]\nsomebody = [\"0\"]", &[]),
    ("[plugins.webhook]\nsha256 = \"0123\"", &[]),
    // Registries.
    ("[plugins.webhook]\nfile = \"oci://ghcr.io/acme/desk:1.2\"", &[]),
    ("[plugins.webhook]\nfile = \"oci://acme/desk@sha256:00\"", &[]),
    ("[plugins.webhook]\nfile = \"oci://ann:hidden@ghcr.io/acme/desk\"", &[]),
    ("trusted_keys = []", &[]),
    ("trusted_keys = [\"RWQ\"]", &[]),
    ("[registries.\"ghcr.io\"]\nuser = \"ann\"", &[]),
    ("[registries.\"ghcr.io\"]\nuser = \"ann\"\npassword = \"hidden\"", &[]),
    ("[registries.\"https://ghcr.io\"]\nplain_http = false", &[]),
    ("cache_folder = \"plugins\"", &[]),
    ("compile_memory = \"1MiB\"", &[]),
    ("compile_timeout = 120", &[]),
    ("[products]", &[]),
    ("[products.acme]", &[]),
    ("[products.acme]\nplugins = []", &[]),
    ("[products.acme]\nplugins = [\"webhok\"]", &[]),
    ("[products.acme]\nplugins = [\"webhook\", \"webhook\"]", &[]),
    ("[products.\"\"]\nplugins = [\"webhook\"]", &[]),
    (
        "[products.acme]\nplugins = [\"webhook\"]\n[products.acme.delivery]\nmax_wait = \"100ms\"",
        &[],
    ),
    // The overlay.
    ("[server]", &[("SIDENOTE__SERVER__LISTN", "127.0.0.1:1")]),
    ("[server]", &[("SIDENOTE__SERVER__LISTEN", "nowhere")]),
    ("[server]", &[("SIDENOTE__SERVER__LISTEN", "0.0.0.0:8787")]),
    ("[server]", &[("SIDENOTE__STREAMS__OTHER__URL", "https://a.example")]),
    (
        "[streams.a-b]\nurl = \"https://a.example\"\n[streams.a_b]\nurl = \"https://b.example\"",
        &[("SIDENOTE__STREAMS__A_B__IDLE_TIMEOUT", "1s")],
    ),
    ("[dashboard]\nlisten = \"0.0.0.0:8788\"", &[]),
    ("[dashboard]\npublic_url = \"https://sidenote.example.com\"", &[]),
    ("[dashboard]\nlisten = \"127.0.0.1:8787\"", &[]),
    (
        "[server]\ntoken = { env = \"T\" }\n[dashboard]\npublic_url = \"https://a.example.com/sidenote\"",
        &[("T", "t")],
    ),
    ("[dashboard]\nport = 8788", &[]),
    ("[traces]\nsample = 0.5", &[]),
    ("[traces]\nendpoint = \"collector:4318\"", &[]),
    ("[traces]\nendpoint = \"http://collector.example.com/v1/traces\"", &[]),
    ("[traces]\nendpoint = \"http://127.0.0.1/\"\nsample = 2", &[]),
    ("[traces]\nendpoint = \"http://127.0.0.1/\"\nsample = \"half\"", &[]),
    ("[traces]\nendpoint = \"http://127.0.0.1/\"\n[traces.headers]\nx-key = \"k\"", &[]),
    ("[operator_events]\nurl = \"https://hooks.example.com/\"", &[]),
    (
        "[operator_events]\nurl = \"http://hooks.example.com/\"\nsecret = { env = \"S\" }",
        &[("S", "s")],
    ),
    ("[operator_events]\ndead_letters = 10001", &[]),
];

#[test]
fn each_mistake_about_the_language_model_names_its_key_and_repeats_no_secret() {
    let key = "api_key = { env = \"K\" }";
    let cases = [
        (
            "".to_owned(),
            vec!["\"provider\" is missing", "\"model\" is missing", "\"api_key\" is missing"],
        ),
        (
            format!("provider = \"openia\"\nmodel = \"m\"\n{key}"),
            vec!["there is no provider \"openia\""],
        ),
        ("provider = \"gemini\"\nmodel = \"m\"".to_owned(), vec!["\"api_key\" is missing"]),
        (
            format!("provider = \"azure\"\nmodel = \"m\"\n{key}"),
            vec!["\"base_url\" is missing", "\"api_version\" is missing"],
        ),
        (
            "provider = \"openai\"\nmodel = \"m\"\napi_key = \"hunter2\"".to_owned(),
            vec!["a secret doesn't belong"],
        ),
        (
            format!(
                "provider = \"openai\"\nmodel = \"m\"\nbase_url = \"http://llm.example/v1\"\n{key}"
            ),
            vec!["\"base_url\": http:// to another machine"],
        ),
        (
            format!(
                "provider = \"openai\"\nmodel = \"m\"\nbase_url = \"https://ann:hunter2@llm.example\"\n{key}"
            ),
            vec!["\"base_url\": it has credentials in it"],
        ),
        (
            format!("provider = \"openai\"\nmodel = \"m\"\nretries = 11\ntimeout = 30\n{key}"),
            vec!["\"retries\": it is more than 10", "\"timeout\" is a whole number"],
        ),
        (
            format!("provider = \"openai\"\nmodel = \"m\"\n{key}\n[summary]\nthreshold = 300"),
            vec!["\"threshold\": a session waits for 300 actions, and a prompt holds 200"],
        ),
        (
            format!("provider = \"openai\"\nmodel = \"m\"\n{key}\n[summary]\nthreshold = 0"),
            vec!["\"threshold\": 0 is too few"],
        ),
        (
            format!("provider = \"openai\"\nmodel = \"m\"\n{key}\n[prompts]\nfolder = \"absent\""),
            vec!["it can't be read"],
        ),
    ];
    for (keys, wanted) in cases {
        let text = format!("{MINIMAL}[context]\n[llm]\n{keys}\n");
        let errors = errors(&text, &[("K", "hunter2")]);
        assert_eq!(errors.len(), wanted.len(), "{keys}: {errors:?}");
        for wanted in wanted {
            assert!(errors.iter().any(|error| error.contains(wanted)), "{keys}: {errors:?}");
        }
        assert!(!errors.concat().contains("hunter2"), "{errors:?}");
    }
}

#[test]
fn summaries_need_a_model_and_what_is_kept_and_answers_only_the_model() {
    let llm =
        "[llm]\nprovider = \"openai\"\nmodel = \"m\"\nbase_url = \"http://127.0.0.1:11434/v1\"\n";
    let without = errors(&format!("{MINIMAL}{llm}"), &[]);
    assert!(matches!(&*without, [error] if error.contains("no [context]")), "{without:?}");
    let off = load(&format!("{MINIMAL}{llm}[summary]\nenabled = false\n"), &[]).unwrap();
    let model = off.llm.expect("a model");
    assert!(model.api_key.is_none() && model.base_url.is_some());
    assert!(load(&format!("{MINIMAL}{llm}[context]\n"), &[]).is_ok());
    assert!(load(MINIMAL, &[]).unwrap().llm.is_none());
}
