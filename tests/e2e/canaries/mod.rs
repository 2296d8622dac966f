//! Everything that is secret or somebody's is told to a real host, on every way in, refusals included; then everything
//! that comes out of it unasked is searched for it.
//!
//! | file | what |
//! |---|---|
//! | `table` | what is told, and where which kind of it may stand |
//! | `mirror` | a vendor that says again what it was sent |
//! | `people` | what comes by the stream, by webhooks, and back from vendors and the model |
//! | `requests` | what strangers and operators send to the API and the dashboard |
//! | `settings` | configurations that can't be used, and what `Debug` shows |
//! | `outlets` | all that comes out |

mod mirror;
mod outlets;
mod people;
mod requests;
mod settings;
mod table;

use reqwest::Method;
use sidenote_sim::{ConnectorOptions, PlatformOptions};
use sidenote_tests::{Rig, Setup};

use mirror::Mirror;
use table::Canaries;

/// A host, what surrounds it, and what it is told.
struct Trial {
    rig: Rig,
    mirror: Mirror,
    canaries: Canaries,
    client: reqwest::Client,
    token: String,
    dashboard: String,
    /// The environment of the host.
    env: Vec<(&'static str, String)>,
}

impl Trial {
    async fn start() -> Self {
        sidenote::tls::install_provider();
        let (canaries, mirror) = (Canaries::default(), Mirror::start().await);
        let token = canaries.secret("configuration: server.token");
        let mut env = vec![("API_TOKEN", token.clone())];
        for (variable, what) in [
            ("DESK_SIGNING", "a plugin's signing secret"),
            ("DESK_INCOMING", "a plugin's webhook secret"),
            ("DESK_SPARE", "a plugin's secret that nobody uses"),
            ("LINES_TOKEN", "a sink's token"),
            ("LINES_SIGNING", "a sink's signing secret"),
            ("INGEST_D", "ingest_secret"),
            ("WRITE_KEY", "the key of a source"),
            ("EVENTS", "operator_events.secret"),
            ("TRACES", "traces.token"),
            ("TRACES_KEY", "a header of traces"),
            ("LLM", "llm.api_key"),
        ] {
            env.push((variable, canaries.secret(format!("configuration: {what}"))));
        }
        let connector = ConnectorOptions {
            token: canaries.secret("configuration: a stream's token"),
            ..ConnectorOptions::default()
        };
        let platform = PlatformOptions {
            signing_secret: canaries.secret("configuration: the bot's signing secret"),
            webhook_secret: canaries.secret("configuration: the bot's webhook secret"),
            ..PlatformOptions::default()
        };
        // The log says where the API listens, and it is asked for nothing else.
        let dashboard = sidenote_tests::free_address().to_string();
        env.push(("SIDENOTE_LOG", "debug,sidenote=trace,sidenote_core=trace".to_owned()));
        let setup = Setup {
            tables: tables(&mirror.url(), &dashboard),
            secrets: env.clone(),
            delivery: "debounce = \"20ms\"\nmax_wait = \"200ms\"\nretry_initial = \"20ms\"\nretry_max = \"50ms\"".to_owned(),
            bot: String::new(),
            messages: true,
            files: &["jsonl-http.wasm", "events.wasm", "guest_trap.wasm"],
            process: true,
            connector: connector.clone(),
            platform: platform.clone(),
            ..Setup::default()
        };
        let rig = Rig::start(setup).await;
        env.push(("STREAM_TOKEN", connector.token));
        env.push(("SIGNING", platform.signing_secret));
        env.push(("INCOMING", platform.webhook_secret));
        let client = reqwest::Client::builder().no_proxy();
        let client = client.redirect(reqwest::redirect::Policy::none()).build();
        let client = client.expect("a plain client");
        Self { rig, mirror, canaries, client, token, dashboard, env }
    }

    fn secret(&self, variable: &str) -> &str {
        let found = self.env.iter().find(|(name, _)| *name == variable);
        found.map(|(_, value)| value.as_str()).expect("it is one of them")
    }
}

fn tables(mirror: &str, dashboard: &str) -> String {
    format!(
        r#"
[context]

[dashboard]
listen = "{dashboard}"

[llm]
provider = "openai"
model = "m"
base_url = "{mirror}/llm"
api_key = {{ env = "LLM" }}
timeout = "5s"
retries = 0

[summary]
threshold = 3
retry_initial = "20ms"
retry_max = "50ms"

[operator_events]
url = "{mirror}/hook"
secret = {{ env = "EVENTS" }}
dead_letters = 0

[traces]
endpoint = "{mirror}/v1/traces"
token = {{ env = "TRACES" }}

[traces.headers]
x-api-key = {{ env = "TRACES_KEY" }}

[plugins.desk]
file = "webhook.wasm"

[plugins.desk.config]
url = "{mirror}/notes"

[plugins.desk.secrets]
signing = {{ env = "DESK_SIGNING", hosts = [] }}
incoming = {{ env = "DESK_INCOMING", hosts = [] }}

[plugins.desk.grants]
hosts = ["{mirror}"]
private = true

[plugins.desk.breaker]
failures = 0

[plugins.lines]
file = "jsonl-http.wasm"

[plugins.lines.config]
url = "{mirror}/lines"
bearer = "true"
signed = "true"

[plugins.lines.secrets]
token = {{ env = "LINES_TOKEN", hosts = ["{mirror}"] }}
signing = {{ env = "LINES_SIGNING", hosts = [] }}

[plugins.lines.grants]
hosts = ["{mirror}"]
private = true

[plugins.lines.breaker]
failures = 0

[plugins.trap]
file = "guest_trap.wasm"

[plugins.trap.secrets]
spare = {{ env = "DESK_SPARE", hosts = [] }}

[plugins.events.source.keys.website]
key = {{ env = "WRITE_KEY" }}
product = "d"

[products.d]
plugins = ["desk", "lines"]
ingest_secret = {{ env = "INGEST_D" }}

[products.t]
plugins = ["trap"]

[products.p.reply]
enabled = true
"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_and_nothing_of_people_comes_out_unasked_on_any_way() {
    let mut trial = Trial::start().await;
    let tap = trial.follow().await;
    trial.people_act().await;
    trial.vendors_refuse().await;
    trial.the_model_answers().await;
    trial.people_write().await;
    trial.odd_events_come().await;
    trial.a_connector_pushes().await;
    trial.a_tool_sends().await;
    trial.a_plugin_traps().await;
    let (_, document) = trial.rig.ask(Method::GET, "/openapi.json", Some(&trial.token)).await;
    trial.everybody_asks_everything(trial.rig.url("").trim_end_matches('/'), &document).await;
    trial.operators_decide().await;
    trial.strangers_at_the_dashboard().await;
    trial.secrets_are_used();

    let mut told = trial.settings().await;
    told.extend(trial.outlets(tap).await);
    let empty: Vec<_> =
        told.iter().filter(|it| it.text.is_empty()).map(|it| it.name.as_str()).collect();
    assert!(empty.is_empty(), "nothing came out of {empty:?}");
    let found = trial.canaries.leaks(&told);
    let missing = trial.canaries.missing("");
    assert!(missing.is_empty(), "the host never had them: {missing:#?}");
    assert!(trial.canaries.count() >= 200, "{} are told", trial.canaries.count());
    assert!(found.is_empty(), "{} came out:\n{}", found.len(), found.join("\n"));
    trial.rig.stop().await;
}
