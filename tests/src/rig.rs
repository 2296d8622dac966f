//! A connector, a chat platform and a host between them, on sockets of this machine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidenote::config::{Cache, Config, Source};
use sidenote::host::Host;
use sidenote::outbox::lane::DeadLetter;
use sidenote::plugin::Compiler;
use sidenote::session::payload::ActionsPayload;
use sidenote_sim::{
    Answer, Connector, ConnectorOptions, Emitted, Event, Marker, Note, Platform, PlatformOptions,
    PostError, post_json,
};
use tokio::time::Instant;

use crate::acting::Person;
use crate::components::{components, test_guests};
use crate::configuration::configuration;
use crate::files::files_with;
use crate::patience::{DEADLINE, eventually};
use crate::process::{Feed, Log, Process, Program, Starting};
use crate::store_kind::{FILE, StoreKind};

/// The one stream of a rig; events of all products come on it.
pub(crate) const STREAM: &str = "all";
/// The bearer token of the host's API.
pub(crate) const API_TOKEN: &str = "api-token";
/// The plugin that posts to the platform.
pub(crate) const COMPONENT: &str = "webhook.wasm";
/// How long a host may take to stop.
const STOPS_WITHIN: Duration = Duration::from_secs(20);

/// What a rig is made of. The products `p` and `q` are served by the plugin `bot`, which posts to the
/// platform.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Where the host keeps its rows.
    pub store: StoreKind,
    /// Keeps the host's files in memory where the machine offers that (`/dev/shm`), for measurements that
    /// aren't of the disk.
    pub in_memory_files: bool,
    /// Further keys of `[store]`.
    pub store_keys: String,
    /// Keys of `[server]`.
    pub server: String,
    /// Keys of `[delivery]`.
    pub delivery: String,
    /// Keys of `[streams.all]`.
    pub stream: String,
    /// Keys of `[plugins.bot]`.
    pub bot: String,
    /// Keys of `[plugins.bot.limits]`.
    pub limits: String,
    /// Whether a connector may push: the products have [`Person::ingest_secret`] then.
    pub pushed: bool,
    /// Whether the bot can offer help and reply, and be asked whether something came.
    pub messages: bool,
    /// Plugins of the product `p` beside the bot; their tables are among the further ones.
    pub beside: &'static [&'static str],
    /// Further tables.
    pub tables: String,
    /// The environment's variables that they name.
    pub secrets: Vec<(&'static str, String)>,
    /// Where the components are; [`components`] by default.
    pub components: Option<PathBuf>,
    /// Files of further components.
    pub files: &'static [&'static str],
    /// Whether the host is a process of its own, as `sidenote run`. It can be killed then, and looked at
    /// only from outside.
    pub process: bool,
    /// The program `taker`: the host is a process of its own, which is fed through [`Rig::feed`] and says
    /// when a batch is taken.
    pub taker: Option<PathBuf>,
    /// The program `peer`, which does a host's job by hand and is in its place, for a comparison.
    pub peer: Option<PathBuf>,
    /// Who compiles the host's plugins, where that isn't this process. Nobody waits for them then, and what was
    /// compiled isn't kept.
    pub compiler: Option<Compiler>,
    /// How the platform behaves.
    pub platform: PlatformOptions,
    /// How the connector behaves.
    pub connector: ConnectorOptions,
}

/// A running rig.
pub struct Rig {
    /// The connector.
    pub connector: Connector,
    /// The chat platform.
    pub platform: Platform,
    toml: String,
    secrets: Arc<Mutex<Vec<(&'static str, String)>>>,
    folder: tempfile::TempDir,
    /// What runs the host, where it is a process of its own.
    program: Option<Program>,
    compiler: Option<Compiler>,
    host: Option<Running>,
}

impl Rig {
    /// Starts the connector, the platform, and a host that reads the one and posts to the other.
    ///
    /// # Panics
    /// When something doesn't start.
    pub async fn start(setup: Setup) -> Self {
        // A test that is looked into shows its host's log.
        if std::env::var_os("SIDENOTE_LOG").is_some() {
            sidenote::telemetry::init(false, tracing::Level::INFO);
        }
        let folder = temporary_folder(setup.in_memory_files);
        let components = setup.components.clone().unwrap_or_else(components);
        for file in setup.files.iter().chain([&COMPONENT]) {
            // A folder of its own: a host lists everything that it finds.
            let from = if file.starts_with("guest_") { &test_guests() } else { &components };
            let (from, to) = (from.join(file), folder.path().join(file));
            std::fs::copy(&from, to).unwrap_or_else(|error| {
                panic!(
                    "{}: {error}; build the components with `cargo xtask guests`",
                    from.display()
                )
            });
        }
        let mut secrets = vec![
            ("API_TOKEN", API_TOKEN.to_owned()),
            ("STREAM_TOKEN", setup.connector.token.clone()),
            ("SIGNING", setup.platform.signing_secret.clone()),
            ("INCOMING", setup.platform.webhook_secret.clone()),
        ];
        secrets.extend(setup.secrets.iter().cloned());
        let ingest = ["p", "q"].map(|product| Person::new(product, "").ingest_secret());
        secrets.extend(["INGEST_P", "INGEST_Q"].into_iter().zip(ingest));
        let connector = Connector::start(setup.connector.clone()).await.expect("a free port");
        let platform = Platform::start(setup.platform.clone()).await.expect("a free port");
        let toml = configuration(&setup, &connector, &platform);
        let program = match (&setup.taker, &setup.peer) {
            (Some(taker), _) => Some(Program::Taker(taker.clone())),
            (None, Some(peer)) => Some(Program::Peer(peer.clone())),
            (None, None) => setup.process.then_some(Program::Sidenote),
        };
        let secrets = Arc::new(Mutex::new(secrets));
        let (compiler, host) = (setup.compiler, None);
        let mut rig = Self { connector, platform, toml, secrets, folder, program, compiler, host };
        rig.start_host().await;
        rig
    }

    /// Starts a host on the store as it is.
    ///
    /// # Panics
    /// When it doesn't start, or when one runs already.
    pub async fn start_host(&mut self) {
        assert!(self.host.is_none(), "a host runs already");
        let running = match self.begin_process().await {
            None => Running::Here(Box::new(self.start_here().await)),
            Some(starting) => Running::Process(Box::new(starting.listens().await)),
        };
        self.platform.deliver_webhooks_to(format!("http://{}/webhooks/bot", running.addr()));
        self.host = Some(running);
        let connected = tokio::time::timeout(DEADLINE, self.connector.connected(STREAM)).await;
        assert_eq!(connected, Ok(true), "the host opens the stream");
    }

    async fn start_here(&self) -> Host {
        let secrets = self.secrets.clone();
        let env = move |name: &str| {
            let secrets = secrets.lock().expect("nothing panics while it holds this lock");
            secrets.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
        };
        let source = Source::of(self.write_configuration()).with_env(env);
        let config = source.load().unwrap_or_else(|errors| panic!("{errors}\n{}", self.toml));
        let Some(compiler) = self.compiler.clone() else {
            let host = Host::start_from(Compiler::in_process(), source, config).await;
            let host = host.unwrap_or_else(|error| panic!("{error}"));
            host.loaded().await;
            return host;
        };
        let config = Config { cache: Cache::at(self.folder.path().join("cache")), ..config };
        Host::start_by(compiler, config).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts the host's process, and doesn't wait until it listens.
    async fn begin_process(&self) -> Option<Starting> {
        let program = self.program.as_ref()?;
        let file = self.write_configuration();
        let secrets = self.secrets.lock().expect("nothing panics while it holds this lock").clone();
        Some(program.start(&file, &secrets).await)
    }

    fn write_configuration(&self) -> PathBuf {
        let file = self.folder.path().join("sidenote.toml");
        std::fs::write(&file, &self.toml).expect("the temporary folder takes a file");
        file
    }

    /// The text of the host's configuration.
    pub fn configuration(&self) -> &str {
        &self.toml
    }

    /// Writes another configuration; the host isn't told.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn configure(&mut self, toml: impl Into<String>) {
        self.toml = toml.into();
        self.write_configuration();
    }

    /// Sets a variable of the environment of a host that is no process of its own.
    ///
    /// # Panics
    /// Never.
    pub fn set_variable(&self, name: &'static str, value: impl Into<String>) {
        let mut secrets = self.secrets.lock().expect("nothing panics while it holds this lock");
        secrets.retain(|(known, _)| *known != name);
        secrets.push((name, value.into()));
    }

    /// Has the host read its configuration again by `POST /reload`: the status and what it says.
    ///
    /// # Panics
    /// When it doesn't answer, or not in JSON.
    pub async fn reload(&self) -> (u16, serde_json::Value) {
        let answer = self.post("/reload", &serde_json::json!({})).await;
        (answer.status, serde_json::from_slice(&answer.body).expect("JSON"))
    }

    /// Starts the host's process and kills it so long after, whatever it has come to by then.
    ///
    /// # Panics
    /// When the host isn't a process of its own, or when one runs already.
    pub async fn kill_while_starting(&mut self, after: Duration) {
        assert!(self.host.is_none(), "a host runs already");
        let starting = self.begin_process().await.expect("the host is a process of its own");
        tokio::time::sleep(after).await;
        starting.kill().await;
    }

    /// The way into a taker; once per start.
    ///
    /// # Panics
    /// When the host is no taker, or its feed was taken.
    pub fn feed(&mut self) -> Feed {
        match self.host.as_mut().expect("a host runs") {
            Running::Here(_) => panic!("the host is no process of its own: set `taker`"),
            Running::Process(process) => process.take_feed().expect("a taker's feed, once"),
        }
    }

    /// How large the store's file is, in bytes; 0 where there is none.
    pub fn store_bytes(&self) -> u64 {
        std::fs::metadata(self.folder.path().join(FILE)).map_or(0, |file| file.len())
    }

    /// Puts another file in the place of the store's, as a person does who restores a copy. No host may run.
    ///
    /// # Panics
    /// When a host runs, or it can't be put there.
    pub fn replace_store(&self, with: &Path) {
        assert!(self.host.is_none(), "a host runs");
        let own = self.folder.path().join(FILE);
        std::fs::copy(with, own).unwrap_or_else(|error| panic!("{}: {error}", with.display()));
    }

    /// The files of the store in which a text is, the file itself and those beside it.
    ///
    /// # Panics
    /// When they can't be read.
    pub fn store_files_with(&self, text: &str) -> Vec<PathBuf> {
        let of_store = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(FILE))
        };
        files_with(self.folder.path(), text).into_iter().filter(of_store).collect()
    }

    /// Whether a host runs.
    pub fn is_running(&self) -> bool {
        self.host.is_some()
    }

    /// Stops the host in good order. The connector and the platform go on.
    ///
    /// # Panics
    /// When it doesn't stop in good order.
    pub async fn stop_host(&mut self) {
        match self.host.take().expect("a host runs") {
            Running::Here(host) => {
                host.shutdown(STOPS_WITHIN).await.unwrap_or_else(|error| panic!("{error}"));
            }
            Running::Process(process) => process.terminate().await,
        }
    }

    /// Kills the host's process as a power cut would.
    ///
    /// # Panics
    /// When the host isn't a process of its own.
    pub async fn kill_host(&mut self) {
        match self.host.take().expect("a host runs") {
            Running::Here(_) => panic!("the host is no process of its own: set `process`"),
            Running::Process(process) => process.kill().await,
        }
    }

    /// The log of the host's process, from when it listened.
    ///
    /// # Panics
    /// When the host isn't a process of its own.
    pub fn log(&self) -> Log {
        match self.host.as_ref().expect("a host runs") {
            Running::Here(_) => panic!("the host is no process of its own: set `process`"),
            Running::Process(process) => process.log(),
        }
    }

    /// The id of the host's process, where it has one of its own.
    pub fn host_process(&self) -> Option<u32> {
        match self.host.as_ref()? {
            Running::Here(_) => None,
            Running::Process(process) => Some(process.id()),
        }
    }

    /// The folder of the host's plugins.
    pub fn plugins_folder(&self) -> &Path {
        self.folder.path()
    }

    /// The running host.
    ///
    /// # Panics
    /// When none runs, or when it is a process of its own.
    pub fn host(&self) -> &Host {
        match self.host.as_ref().expect("a host runs") {
            Running::Here(host) => host,
            Running::Process(_) => panic!("the host is a process of its own: look from outside"),
        }
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

    /// The name of the stream, for the connector's commands.
    pub fn stream(&self) -> &'static str {
        STREAM
    }

    /// Links a session to a conversation by `POST /sessions/link`.
    ///
    /// # Panics
    /// When the host doesn't answer 200.
    pub async fn link(&self, person: &Person, conversation: &str) {
        let wish = serde_json::json!({
            "product_id": person.product,
            "session_id": person.session,
            "conversation_id": conversation,
        });
        let answer = self.post("/sessions/link", &wish).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }

    /// Opens a conversation that the host isn't told of: for [`Self::link`].
    ///
    /// # Panics
    /// When the platform has too many.
    pub fn conversation(&self, person: &Person) -> String {
        self.platform.create(person.opening()).expect("room for a conversation")
    }

    /// Opens a conversation of which the platform tells the host by webhook.
    ///
    /// # Panics
    /// When the host doesn't take the webhook.
    pub async fn open(&self, person: &Person) -> String {
        let opened = self.platform.open(person.opening()).await;
        opened.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The whole address of a path of the host's.
    ///
    /// # Panics
    /// When no host runs.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host.as_ref().expect("a host runs").addr())
    }

    /// Pushes a batch, signed as its product's connector does. The status.
    ///
    /// # Panics
    /// When the host doesn't answer.
    pub async fn push(&self, person: &Person, batch: &ActionsPayload) -> u16 {
        let body = Event::actions(batch).pushed().expect("a batch is an event");
        let signature = person.sign(&body);
        let headers = [("x-connector-signature", &*signature)];
        let url = self.url(&format!("/ingest/{}", person.product));
        let answer = post_json(&url, &headers, body).await;
        answer.unwrap_or_else(|error| panic!("{error}")).status
    }

    /// Posts JSON to the host's API with its token.
    ///
    /// # Panics
    /// When the host doesn't answer.
    pub async fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        self.try_post(path, body).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`Self::post`], of a host that may be gone before it answers.
    ///
    /// # Errors
    /// When no complete answer came.
    ///
    /// # Panics
    /// When no host was started.
    pub async fn try_post(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<Answer, PostError> {
        let url = self.url(path);
        let bearer = format!("Bearer {API_TOKEN}");
        post_json(&url, &[("authorization", &bearer)], body.to_string().into()).await
    }

    /// The markers that arrived in a conversation, in the order of arrival, from the notes' text.
    pub fn arrived(&self, conversation: &str) -> Vec<String> {
        let notes = self.platform.notes(conversation);
        notes.iter().flat_map(markers).collect()
    }

    /// Waits until the person's first `count` actions have arrived in the conversation, and asserts that
    /// they arrived there once, in order, with nothing else.
    ///
    /// # Panics
    /// When they don't arrive in time or not like that.
    pub async fn arrives(&self, conversation: &str, person: &Person, count: u64) {
        let expected: Vec<String> = (0..count).map(|n| person.marker(n)).collect();
        eventually(|| {
            let arrived = self.arrived(conversation);
            if arrived.len() >= expected.len() {
                return Ok(());
            }
            Err(format!("{} of {count} actions of {} arrived", arrived.len(), person.session))
        })
        .await;
        assert_eq!(self.arrived(conversation), expected, "{} in {conversation}", person.session);
    }

    /// Waits until exactly so many notes are dead letters, and reads them.
    ///
    /// # Panics
    /// When there are fewer at the deadline, or more.
    pub async fn dead_letters(&self, count: usize) -> Vec<DeadLetter> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let letters = self.host().dead_letters(count + 1).await;
            let letters = letters.unwrap_or_else(|error| panic!("{error}"));
            assert!(letters.len() <= count, "more than {count} dead letters");
            if letters.len() == count {
                return letters;
            }
            assert!(
                Instant::now() < deadline,
                "{} of {count} notes are dead letters",
                letters.len()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asserts what must hold of the platform whatever happened: no action twice, out of order, skipped
    /// or in a foreign note, no note changed or malformed.
    ///
    /// # Panics
    /// When it doesn't hold.
    pub fn assert_sound(&self) {
        let totals = self.platform.tally(|tally| tally.totals());
        let stats = self.platform.stats();
        let faults = [
            ("actions doubled", totals.doubled),
            ("actions out of order", totals.out_of_order),
            ("actions skipped", totals.skipped),
            ("actions in a foreign note", totals.misplaced),
            ("actions not judged", totals.unjudged),
            ("notes in a foreign conversation", stats.foreign),
            ("notes whose seq goes back", stats.seq_out_of_order),
            ("notes changed between attempts", stats.changed_repeats),
            ("malformed notes", stats.malformed),
            ("notes with a bad signature", stats.unsigned),
            ("notes for no conversation", stats.unknown_conversation),
            ("notes forgotten by the platform", stats.forgotten),
        ];
        let found: Vec<_> = faults.iter().filter(|(_, count)| *count > 0).collect();
        assert!(found.is_empty(), "{found:?}");
        // One lane per session: the next note waits until the one before is answered.
        assert!(stats.most_concurrent_per_conversation <= 1, "{stats:?}");
    }

    /// Stops everything, the host first, and asserts [`Self::assert_sound`].
    ///
    /// # Panics
    /// When something doesn't stop in good order or isn't sound.
    pub async fn end(mut self) {
        self.stop_host().await;
        self.assert_sound();
        self.stop().await;
    }

    /// Stops everything, the host first.
    ///
    /// # Panics
    /// When the host doesn't stop in good order.
    pub async fn stop(mut self) {
        if self.host.is_some() {
            self.stop_host().await;
        }
        self.connector.shutdown().await;
        self.platform.shutdown().await;
    }
}

/// A host, here or elsewhere.
enum Running {
    Here(Box<Host>),
    Process(Box<Process>),
}

impl Running {
    fn addr(&self) -> SocketAddr {
        match self {
            Self::Here(host) => host.addr(),
            Self::Process(process) => process.addr(),
        }
    }
}

/// The markers in a note's text. The structured actions must say the same.
fn markers(note: &Arc<Note>) -> Vec<String> {
    let from_text: Vec<String> =
        Marker::find_all(&note.body).map(|marker| marker.to_string()).collect();
    let descriptions = note.actions.iter().flat_map(|action| Marker::find_all(&action.description));
    let from_actions: Vec<String> = descriptions.map(|marker| marker.to_string()).collect();
    assert_eq!(from_text, from_actions, "text and actions of note {} differ", note.id);
    from_text
}

fn temporary_folder(in_memory: bool) -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let folder = match in_memory && memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    folder.expect("a temporary folder")
}
