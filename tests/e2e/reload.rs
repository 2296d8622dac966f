//! The configuration is read again while the host runs: all that changed is swapped, or nothing is; nothing is
//! lost, doubled or out of order.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use sidenote_sim::{Connector, ConnectorOptions, Emitted, Event, Fault, Scope};
use sidenote_tests::{DEADLINE, Person, Rig, Setup, binary, eventually};

/// The tables of a plugin that posts to the rig's platform as the bot does.
fn tables_of(rig: &Rig, name: &str, file: &str, product: &str) -> String {
    format!(
        r#"
[plugins.{name}]
file = "{file}"
[plugins.{name}.config]
url = "{notes}"
redact_url = "{redact}"
[plugins.{name}.secrets]
signing = {{ env = "SIGNING", hosts = [] }}
incoming = {{ env = "INCOMING", hosts = [] }}
[plugins.{name}.grants]
hosts = ["{platform}"]
private = true
[products.{product}]
plugins = ["{name}"]
"#,
        notes = rig.platform.notes_url(),
        redact = rig.platform.redact_url(),
        platform = rig.platform.url(),
    )
}

fn path(rig: &Rig, name: &str) -> PathBuf {
    rig.plugins_folder().join(name)
}

fn put(rig: &Rig, name: &str, bytes: impl AsRef<[u8]>) {
    let file = path(rig, name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    // In one step, as a careful program does it.
    let part = file.with_extension("part");
    std::fs::write(&part, bytes).unwrap();
    std::fs::rename(&part, &file).unwrap();
}

async fn get(rig: &Rig, path: &str) -> Value {
    let (status, value) = rig.get(path).await;
    assert_eq!(status, 200, "{value}");
    value
}

/// Waits until what became of the reloads fits.
async fn reloads(rig: &Rig, fits: impl Fn(&Value) -> bool) -> Value {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let reloads = get(rig, "/reload").await;
        if fits(&reloads) {
            return reloads;
        }
        assert!(tokio::time::Instant::now() < deadline, "{reloads}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn plugins(rig: &Rig) -> Vec<String> {
    let report = get(rig, "/plugins").await;
    let plugins = report["plugins"].as_array().unwrap().iter();
    plugins.map(|plugin| plugin["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_and_its_tables_that_are_dropped_in_write_notes_and_go_when_they_are_removed() {
    let rig = Rig::start(Setup::default()).await;
    let component = std::fs::read(path(&rig, "webhook.wasm")).unwrap();
    // The tables come first: they can't be used before the component is there, and count once it is.
    put(&rig, "plugins.d/second.toml", tables_of(&rig, "second", "second.wasm", "fresh"));
    let told = reloads(&rig, |reloads| reloads["last"]["result"] == "refused").await;
    let problem = &told["last"]["problems"][0];
    assert_eq!(problem["section"], "plugins.second", "{told}");
    assert!(problem["message"].as_str().unwrap().starts_with("read: there is no such file"));
    assert!(!plugins(&rig).await.contains(&"second".to_owned()));

    put(&rig, "second.wasm", component);
    let told = reloads(&rig, |reloads| reloads["last"]["result"] == "applied").await;
    assert_eq!(told["last"]["by"], "folder");
    assert_eq!(told["last"]["changes"]["plugins"]["added"], json!(["second"]));
    assert_eq!(told["last"]["changes"]["products"]["added"], json!(["fresh"]));
    let (fresh, old) = (Person::new("fresh", "f"), Person::new("p", "o"));
    for person in [&fresh, &old] {
        rig.emit(&person.batch(0..3)).await;
        let conversation = rig.conversation(person);
        eventually_links(&rig, person, &conversation).await;
        rig.arrives(&conversation, person, 3).await;
    }
    std::fs::remove_file(path(&rig, "plugins.d/second.toml")).unwrap();
    let told = reloads(&rig, |reloads| reloads["totals"]["applied"] == 2).await;
    assert_eq!(told["last"]["changes"]["plugins"]["removed"], json!(["second"]));
    rig.emit(&old.batch(3..4)).await;
    rig.end().await;
}

/// What `sidenote reload` says of the running host.
async fn command(rig: &Rig, args: &[&str]) -> (i32, String) {
    let mut command = Command::new(binary());
    command.args(["reload", "--config"]).arg(path(rig, "sidenote.toml")).args(args);
    // No other secret of the file is there.
    command.env_clear().env("API_TOKEN", "api-token");
    command.env("SIDENOTE__SERVER__LISTEN", rig.url("").trim_start_matches("http://"));
    let ended = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    (ended.status.code().unwrap(), String::from_utf8(ended.stderr).unwrap())
}

/// Links a session as soon as it is known.
async fn eventually_links(rig: &Rig, person: &Person, conversation: &str) {
    let wish = json!({
        "product_id": person.product,
        "session_id": person.session,
        "conversation_id": conversation,
    });
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let answer = rig.post("/sessions/link", &wish).await;
        if answer.status == 200 {
            return;
        }
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(tokio::time::Instant::now() < deadline, "{} {body}", answer.status);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_with_a_broken_file_leaves_everything_as_it_is_and_tells_why() {
    let mut rig = Rig::start(Setup { process: true, ..Setup::default() }).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    let id = rig.host_process().unwrap().to_string();
    let hang_up = || {
        let sent = Command::new("kill").args(["-HUP", &id]).status().unwrap();
        assert!(sent.success(), "the host runs");
    };
    let right = rig.configuration().to_owned();
    let broken = right.replacen("[delivery]", "[delivery]\ndebounce = \"soon\"", 1);
    rig.configure(&broken);
    hang_up();
    let told = reloads(&rig, |reloads| reloads["totals"]["refused"] == 1).await;
    assert_eq!(
        (&told["last"]["by"], &told["last"]["code"]),
        (&json!("signal"), &json!("configuration"))
    );
    let problem = &told["last"]["problems"][0];
    let line = broken.lines().position(|line| line.contains("soon")).unwrap() + 1;
    assert_eq!(problem["line"], line, "{told}");
    assert!(problem["file"].as_str().unwrap().ends_with("sidenote.toml"), "{told}");
    assert!(problem["message"].as_str().unwrap().contains("\"debounce\""), "{told}");
    // Of the broken file the command reads the address and the token, and nothing else.
    let (code, said) = command(&rig, &["--last"]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("refused, and nothing was swapped"), "{said}");
    assert!(said.contains(&format!("sidenote.toml:{line}: [delivery] \"debounce\"")), "{said}");
    rig.emit(&person.batch(0..2)).await;
    rig.arrives(&conversation, &person, 2).await;

    // Many at once, right and wrong ones, end nothing.
    rig.configure("[");
    (0..20).for_each(|_| hang_up());
    reloads(&rig, |reloads| reloads["totals"]["refused"].as_u64() > Some(1)).await;
    rig.configure(right.replacen("[delivery]", "[delivery]\ndebounce = \"10ms\"", 1));
    hang_up();
    let told = reloads(&rig, |reloads| reloads["totals"]["applied"] == 1).await;
    assert_eq!(told["last"]["changes"]["tables"], json!(["delivery"]));
    let (code, said) = command(&rig, &["--last"]).await;
    assert_eq!((code, &*said), (0, "reloaded: products p changed, q changed; [delivery]\n"));
    let (code, said) = command(&rig, &[]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("nothing to reload"), "{said}");
    rig.emit(&person.batch(2..4)).await;
    rig.arrives(&conversation, &person, 4).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_no_plugin_of_its_can_speak_for_is_refused_at_a_reload_and_at_a_start() {
    let desk = r#"
[plugins.desk]
file = "zendesk.wasm"
[plugins.desk.config]
subdomain = "acme"
[plugins.desk.secrets]
token = { env = "SIGNING", hosts = [] }
[products.z]
plugins = ["desk"]
[context]
"#;
    let setup = Setup {
        process: true,
        tables: desk.to_owned(),
        files: &["zendesk.wasm"],
        ..Setup::default()
    };
    let mut rig = Rig::start(setup).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    let right = rig.configuration().to_owned();
    let wrong = [
        ("[products.z.offers]\n", "`desk`", "an offer in it would go out as mail"),
        // The bot has no addresses for what people see.
        ("[products.p.offers]\n", "`bot`", "`offer_url`"),
    ];
    for (tables, plugin, reason) in wrong {
        rig.configure(format!("{right}\n{tables}"));
        let (status, told) = rig.reload().await;
        let message = told["error"]["message"].as_str().unwrap_or_default();
        assert_eq!(status, 422, "{told}");
        assert!(message.contains(plugin) && message.contains(reason), "{message}");
        let (code, said) = command(&rig, &["--last"]).await;
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(reason), "{said}");
    }
    // The host goes on as it was.
    rig.emit(&person.batch(0..2)).await;
    rig.arrives(&conversation, &person, 2).await;
    rig.stop_host().await;

    let file = path(&rig, "sidenote.toml");
    for (tables, plugin, reason) in wrong {
        rig.configure(format!("{right}\n{tables}"));
        let mut run = Command::new(binary());
        run.args(["run", "--config"]).arg(&file).env_clear();
        for variable in ["API_TOKEN", "STREAM_TOKEN", "SIGNING", "INCOMING"] {
            run.env(variable, "a-secret-of-32-characters-or-more");
        }
        let ended = tokio::task::spawn_blocking(move || run.output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success(), "{said}");
        assert!(said.contains(plugin) && said.contains(reason), "{said}");
        assert!(said.contains("Otherwise remove the table"), "the way out: {said}");
    }
    rig.configure(right);
    rig.start_host().await;
    rig.emit(&person.batch(2..4)).await;
    rig.arrives(&conversation, &person, 4).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_named_and_nothing_of_the_rest_is_swapped() {
    let mut rig = Rig::start(Setup::default()).await;
    let right = rig.configuration().to_owned();
    let other = right.replacen("127.0.0.1:0", "127.0.0.1:1", 1).replacen(
        "[products.q]\nplugins = [\"bot\"]",
        "",
        1,
    );
    rig.configure(other);
    let (status, told) = rig.reload().await;
    assert_eq!((status, &told["error"]["code"]), (409, &json!("needs_restart")), "{told}");
    assert!(told["error"]["message"].as_str().unwrap().contains("listen of [server]"), "{told}");
    assert!(told["error"]["next"].as_str().unwrap().contains("restart the host"), "{told}");
    rig.configure(right);
    let (status, told) = rig.reload().await;
    assert_eq!((status, &told["result"]), (200, &json!("unchanged")), "{told}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_cannot_be_used_as_configured_refuses_the_whole() {
    let mut rig = Rig::start(Setup::default()).await;
    let right = rig.configuration().to_owned();
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    let pinned = format!("[plugins.bot]\nsha256 = \"{}\"", "0".repeat(64));
    let cases = [
        (right.replacen("[plugins.bot]", &pinned, 1), "pin: its sha256 is"),
        (right.replacen("webhook.wasm", "gone.wasm", 1), "read: there is no such file"),
        (right.replacen("[plugins.bot.config]\nurl", "[plugins.bot.config]\nurll", 1), "url"),
    ];
    for (wrong, wanted) in cases {
        rig.configure(wrong.replacen(
            "[delivery]",
            "[delivery]\ndebounce = \"9s\"\nmax_wait = \"9s\"",
            1,
        ));
        let (status, told) = rig.reload().await;
        assert_eq!(status, 422, "{told}");
        assert!(told["error"]["message"].as_str().unwrap().contains(wanted), "{wanted}: {told}");
    }
    // Neither is the debounce of nine seconds in force.
    rig.emit(&person.batch(0..2)).await;
    rig.arrives(&conversation, &person, 2).await;
    assert_eq!(
        get(&rig, "/reload").await["totals"],
        json!({"applied": 0, "unchanged": 0, "refused": 3})
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_rotated_in_its_file_is_in_force_after_a_reload() {
    let mut rig = Rig::start(Setup { pushed: true, ..Setup::default() }).await;
    let right = rig.configuration().to_owned();
    let person = Person::new("p", "s");
    put(&rig, "ingest.secret", format!("{}\n", person.ingest_secret()));
    rig.configure(right.replacen("{ env = \"INGEST_P\" }", "{ file = \"ingest.secret\" }", 1));
    assert_eq!(rig.reload().await.1["result"], "unchanged", "it is the same secret");
    assert_eq!(rig.push(&person, &person.batch(0..1)).await, 200);
    put(&rig, "ingest.secret", "another one\n");
    assert_eq!(rig.push(&person, &person.batch(1..2)).await, 200, "nobody reloaded");
    let (_, told) = rig.reload().await;
    assert_eq!(told["changes"]["products"]["changed"], json!(["p"]), "{told}");
    assert_eq!(rig.push(&person, &person.batch(2..3)).await, 401);
    put(&rig, "ingest.secret", person.ingest_secret());
    assert_eq!(rig.reload().await.0, 200);
    // What was taken before is known through all of it.
    assert_eq!(rig.push(&person, &person.batch(0..1)).await, 200);
    let conversation = rig.conversation(&person);
    rig.link(&person, &conversation).await;
    rig.arrives(&conversation, &person, 2).await;
    assert_eq!(rig.host().counters().pushes_repeated, 1);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_verifies_with_the_secret_that_was_reloaded() {
    let rig = Rig::start(Setup::default()).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.set_variable("INCOMING", "rotated");
    let (_, told) = rig.reload().await;
    assert_eq!(told["changes"]["plugins"]["changed"], json!(["bot"]), "{told}");
    assert!(!told.to_string().contains("rotated"), "{told}");
    assert!(
        rig.platform.open(person.opening()).await.is_err(),
        "its webhooks are signed as before"
    );
    rig.set_variable("INCOMING", "webhook-secret");
    assert_eq!(rig.reload().await.0, 200);
    rig.emit(&person.batch(0..2)).await;
    rig.arrives(&conversation, &person, 2).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_address_changes_is_read_there_and_others_go_on() {
    let mut rig = Rig::start(Setup::default()).await;
    let options =
        ConnectorOptions { token: rig.connector.token().to_owned(), ..Default::default() };
    let other = Connector::start(options).await.unwrap();
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.emit(&person.batch(0..2)).await;
    let right = rig.configuration().to_owned();
    rig.configure(right.replacen(&rig.connector.url(), &other.url(), 1));
    let (_, told) = rig.reload().await;
    assert_eq!(told["changes"]["streams"]["changed"], json!(["all"]), "{told}");
    let connected = tokio::time::timeout(DEADLINE, other.connected(rig.stream())).await;
    assert_eq!(connected, Ok(true));
    let emitted = other.emit(rig.stream(), Event::actions(&person.batch(2..4))).await;
    assert_eq!(emitted, Emitted::Queued);
    rig.arrives(&conversation, &person, 4).await;

    // A second one beside it, and then it alone.
    let second = format!(
        "[streams.second]\nurl = \"{}\"\ntoken = {{ env = \"STREAM_TOKEN\" }}\n",
        rig.connector.stream_url(rig.stream())
    );
    put(&rig, "plugins.d/second.toml", &second);
    let (_, told) = rig.reload().await;
    assert_eq!(told["changes"]["streams"]["added"], json!(["second"]), "{told}");
    let connected = tokio::time::timeout(DEADLINE, rig.connector.connected(rig.stream())).await;
    assert_eq!(connected, Ok(true));
    rig.emit(&person.batch(4..5)).await;
    rig.arrives(&conversation, &person, 5).await;
    let (from, to) = (right.find("[streams.all]").unwrap(), right.find("[plugins.bot]").unwrap());
    rig.configure(format!("{}{}", &right[..from], &right[to..]));
    let (_, told) = rig.reload().await;
    assert_eq!(told["changes"]["streams"]["removed"], json!(["all"]), "{told}");
    let streams = get(&rig, "/healthz").await["streams"].as_object().unwrap().clone();
    assert_eq!(streams.keys().collect::<Vec<_>>(), ["second"]);
    rig.emit(&person.batch(5..6)).await;
    rig.arrives(&conversation, &person, 6).await;
    rig.end().await;
    other.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_of_a_product_and_a_plugin_that_are_removed_goes_out_when_they_are_back() {
    let delivery =
        "retry_initial = \"50ms\"\nretry_max = \"200ms\"\nmax_attempts = 10000".to_owned();
    let mut rig = Rig::start(Setup { delivery, ..Setup::default() }).await;
    let person = Person::new("q", "s");
    let conversation = rig.open(&person).await;
    rig.platform.fail(Scope::Any, Fault::status(503), u32::MAX);
    rig.emit(&person.batch(0..5)).await;
    eventually(|| match rig.host().counters().attempts_failed {
        0 => Err("no attempt was made".to_owned()),
        _ => Ok(()),
    })
    .await;
    let right = rig.configuration().to_owned();
    let (from, to) = (right.find("[products.p]").unwrap(), right.len());
    let bare = right[..from].replace("plugins.bot", "plugins.other");
    let bare = format!("{bare}[products.p]\nplugins = [\"other\"]\n");
    rig.configure(bare);
    let (_, told) = rig.reload().await;
    assert_eq!(told["changes"]["plugins"]["removed"], json!(["bot"]), "{told}");
    assert_eq!(told["changes"]["products"]["removed"], json!(["q"]), "{told}");
    rig.platform.heal();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(rig.arrived(&conversation), Vec::<String>::new(), "its plugin isn't there");
    assert!(to > from);
    rig.configure(right);
    assert_eq!(rig.reload().await.0, 200);
    rig.emit(&person.batch(5..8)).await;
    rig.arrives(&conversation, &person, 8).await;
    assert_eq!(rig.host().counters().notes_dead, 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_at_random_moments_under_load_lose_double_and_reorder_nothing() {
    const PEOPLE: usize = 12;
    const RELOADS: u64 = 8;
    let mut rig = Rig::start(Setup::default()).await;
    let right = rig.configuration().to_owned();
    let people: Vec<_> = (0..PEOPLE)
        .map(|n| Person::new(if n % 2 == 0 { "p" } else { "q" }, format!("s{n}")))
        .collect();
    let mut conversations = Vec::new();
    for person in &people {
        conversations.push(rig.open(person).await);
    }
    let mut actions = 0;
    for round in 1..=RELOADS {
        // Another debounce, another setting of the plugin, another limit of it, a stream that comes and goes.
        let mut next = right
            .replacen("[delivery]", &format!("[delivery]\ndebounce = \"{}ms\"", 10 * round), 1)
            .replacen(
                "[plugins.bot.limits]",
                &format!("[plugins.bot.limits]\nconcurrency = {round}"),
                1,
            );
        if round % 2 == 0 {
            next.push_str("[streams.none]\nurl = \"http://127.0.0.1:1/\"\nretry_initial = \"1h\"\nretry_max = \"1h\"\n");
        }
        rig.configure(next);
        let rig = &rig;
        let reloading = async {
            tokio::time::sleep(Duration::from_millis(rand::random_range(0..200))).await;
            rig.reload().await
        };
        tokio::pin!(reloading);
        loop {
            for person in &people {
                rig.emit(&person.batch(actions..actions + 1)).await;
            }
            actions += 1;
            if let Ok((status, told)) =
                tokio::time::timeout(Duration::from_millis(1), &mut reloading).await
            {
                assert_eq!((status, &told["result"]), (200, &json!("applied")), "{told}");
                break;
            }
        }
    }
    for (person, conversation) in people.iter().zip(&conversations) {
        rig.arrives(conversation, person, actions).await;
    }
    let counters = rig.host().counters();
    assert_eq!((counters.notes_dead, counters.dropped_unknown_product), (0, 0));
    let report = get(&rig, "/plugins").await;
    let bot = &report["plugins"][0];
    assert_eq!((&bot["failures"], &bot["traps"]), (&json!(0), &json!(0)), "{report}");
    rig.end().await;
}
