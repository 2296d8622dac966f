//! A host between a connector and a vendor.

use std::collections::BTreeMap;

use sidenote::config::{Cache, Config, Plugin};
use sidenote::host::Host;
use sidenote::ids::PluginName;
use sidenote::plugin::Registry;
use sidenote::session::payload::ActionsPayload;
use sidenote_sim::{Answer, Connector, ConnectorOptions, Emitted, Event, post_json};

use super::contract::Vendor;
use super::server::VendorServer;
use crate::components::{compiled, components};
use crate::patience::{DEADLINE, eventually};

const STREAM: &str = "all";
const API_TOKEN: &str = "api-token";
const STOPS_WITHIN: std::time::Duration = std::time::Duration::from_secs(20);

/// A running host that reads a connector's stream and writes to a vendor, by the plugin of the vendor's name.
/// It serves the product `p`.
pub struct VendorRig {
    /// The connector.
    pub connector: Connector,
    /// The chat platform.
    pub vendor: VendorServer,
    host: Host,
    plugins: BTreeMap<PluginName, Plugin>,
    folder: tempfile::TempDir,
}

impl VendorRig {
    /// Starts everything. `delivery` has keys of `[delivery]`.
    ///
    /// # Panics
    /// When something doesn't start, or the component isn't built.
    pub async fn start(vendor: impl Vendor, delivery: &str) -> Self {
        let secrets = vendor.secrets();
        Self::start_with(vendor, &secrets, delivery).await
    }

    /// As [`Self::start`], with other secrets than the vendor's own.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn start_with(
        vendor: impl Vendor,
        secrets: &[(&'static str, String)],
        delivery: &str,
    ) -> Self {
        if std::env::var_os("SIDENOTE_LOG").is_some() {
            sidenote::telemetry::init(false, tracing::Level::INFO);
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = format!("{}.wasm", vendor.name());
        let from = components().join(&file);
        std::fs::copy(&from, folder.path().join(&file)).unwrap_or_else(|error| {
            panic!("{}: {error}; build the components with `cargo xtask guests`", from.display())
        });
        let vendor = VendorServer::start(vendor).await;
        let connector = Connector::start(ConnectorOptions::default()).await.expect("a free port");
        let mut variables = secrets.to_vec();
        variables.push(("API_TOKEN", API_TOKEN.to_owned()));
        variables.push(("STREAM_TOKEN", connector.token().to_owned()));
        let env = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
        };
        let toml = configuration(&vendor, &connector, delivery);
        let config = Config::from_toml(&toml, folder.path(), &env);
        let config = config.unwrap_or_else(|errors| panic!("{errors}\n{toml}"));
        let plugins = config.plugins.clone();
        let host = Host::start(config).await.unwrap_or_else(|error| panic!("{error}"));
        host.loaded().await;
        let name = vendor.vendor().name();
        vendor.deliver_webhooks_to(format!("http://{}/webhooks/{name}", host.addr()));
        let connected = tokio::time::timeout(DEADLINE, connector.connected(STREAM)).await;
        assert_eq!(connected, Ok(true), "the host opens the stream");
        Self { connector, vendor, host, plugins, folder }
    }

    /// The running host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The plugin with the host's configuration, to be called by hand.
    ///
    /// # Panics
    /// When it doesn't run.
    pub async fn registry(&self) -> Registry {
        let (from, cache) = (self.folder.path(), Cache::at(compiled()));
        let registry = Registry::load_cached(from, &self.plugins, &cache).await;
        let registry = registry.unwrap_or_else(|error| panic!("{error}"));
        for state in registry.states() {
            assert_eq!(state.failed, None, "{}", state.name);
        }
        registry
    }

    /// Sends a batch of actions on the stream.
    ///
    /// # Panics
    /// When the host doesn't read it in time.
    pub async fn emit(&self, batch: &ActionsPayload) {
        self.emit_event(Event::actions(batch)).await;
    }

    /// Sends any event on the stream.
    ///
    /// # Panics
    /// When the host doesn't read it in time.
    pub async fn emit_event(&self, event: Event) {
        let emitted = tokio::time::timeout(DEADLINE, self.connector.emit(STREAM, event)).await;
        assert_eq!(emitted, Ok(Emitted::Queued), "the host reads the stream");
    }

    /// Posts JSON to the host's API with its token.
    ///
    /// # Panics
    /// When the host doesn't answer.
    pub async fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        let url = format!("http://{}{path}", self.host.addr());
        let bearer = format!("Bearer {API_TOKEN}");
        let headers = [("authorization", &*bearer)];
        let answer = post_json(&url, &headers, body.to_string().into()).await;
        answer.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until what a person reads in the notes of a conversation holds all of these.
    ///
    /// # Panics
    /// When it doesn't in time.
    pub async fn reads(&self, conversation: &str, wanted: &[String]) {
        eventually(|| {
            let text = self.vendor.read(conversation).join("\n");
            match wanted.iter().find(|word| !text.contains(word.as_str())) {
                Some(missing) => {
                    Err(format!("{missing:?} in {text:?}; refused: {:?}", self.vendor.refusals()))
                }
                None => Ok(()),
            }
        })
        .await;
    }

    /// Stops everything, the host first.
    ///
    /// # Panics
    /// When the host doesn't stop in good order.
    pub async fn stop(self) {
        self.host.shutdown(STOPS_WITHIN).await.unwrap_or_else(|error| panic!("{error}"));
        self.connector.shutdown().await;
    }
}

fn configuration(vendor: &VendorServer, connector: &Connector, delivery: &str) -> String {
    format!(
        r#"
plugins_folder = "."
cache_folder = {cache:?}

[server]
listen = "127.0.0.1:0"
token = {{ env = "API_TOKEN" }}

[store]
kind = "memory"

[delivery]
{delivery}

[streams.all]
url = "{stream}"
token = {{ env = "STREAM_TOKEN" }}
{plugin}

[products.p]
plugins = ["{name}"]
"#,
        cache = compiled(),
        stream = connector.stream_url(STREAM),
        plugin = vendor.vendor().configuration(&vendor.url()),
        name = vendor.vendor().name(),
    )
}
