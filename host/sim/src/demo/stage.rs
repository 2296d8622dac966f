//! The demo's three servers, and the story told on them.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use sidenote::clock::Clock;
use sidenote::config::Config;
use sidenote::host::Host;
use sidenote::plugin::Compiler;
use sidenote::session::payload::{Action, ActionsPayload};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::screen::{Screen, Summary};
use super::story::{self, Deed, Moment, PEOPLE, PRODUCT, Person};
use crate::connector::{Connector, ConnectorOptions, Emitted};
use crate::platform::{Fault, Live, Note, Opening, Platform, PlatformOptions, Scope, WebhookError};

/// The component that writes the notes.
const COMPONENT: &str = "webhook.wasm";
/// How long the host may take to open the stream.
const CONNECTS_WITHIN: Duration = Duration::from_secs(15);
/// How long the last notes may take after the story.
const SETTLES_WITHIN: Duration = Duration::from_secs(10);
/// How long the host may take to stop.
const STOPS_WITHIN: Duration = Duration::from_secs(3);

/// The running servers.
pub(super) struct Stage {
    pub(super) connector: Connector,
    pub(super) platform: Platform,
    host: Host,
    pub(super) live: broadcast::Receiver<Live>,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// Starts both simulators, then the host on them, which serves these products.
    pub(super) async fn set(plugins: &Path, products: &[String]) -> Result<Self> {
        // A folder of its own: the demo needs one component and leaves the others alone.
        // A root that has nothing but the program has no /tmp.
        let folder = tempfile::tempdir().or_else(|_| tempfile::tempdir_in(".")).context(
            "demo: the store can be written neither to the temporary folder nor here; name a folder by TMPDIR",
        )?;
        let component = plugins.join(COMPONENT);
        std::fs::copy(&component, folder.path().join(COMPONENT)).with_context(|| {
            format!(
                "demo: {} can't be read: build it with `cargo xtask guests`, or name its folder with --plugins",
                component.display()
            )
        })?;
        let connector = Connector::start(ConnectorOptions::default())
            .await
            .context("demo: no port for the connector")?;
        let options = PlatformOptions::default();
        let secrets = [
            ("DEMO_STREAM_TOKEN", connector.token().to_owned()),
            ("DEMO_SIGNING", options.signing_secret.clone()),
            ("DEMO_INCOMING", options.webhook_secret.clone()),
        ];
        let platform = Platform::start(options).await.context("demo: no port for the platform")?;
        let live = platform.subscribe();

        let text = configuration(&connector, &platform, products);
        let env = |name: &str| {
            secrets.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
        };
        let config = Config::from_toml(&text, folder.path(), &env)
            .context("demo: the built-in configuration")?;
        let compiler = Compiler::of_this_program().context("demo: the program isn't found")?;
        let host = Host::start_by(compiler, config).await.context("demo: the host didn't start")?;
        // The story begins with a bot that answers.
        host.loaded().await;
        platform.deliver_webhooks_to(format!("http://{}/webhooks/bot", host.addr()));
        match timeout(CONNECTS_WITHIN, connector.connected(PRODUCT)).await {
            Ok(true) => Ok(Self { connector, platform, host, live, _folder: folder }),
            Ok(false) | Err(_) => {
                bail!("demo: the host didn't open the stream within {CONNECTS_WITHIN:?}")
            }
        }
    }

    /// The addresses of the connector, the platform and the host.
    pub(super) fn urls(&self) -> (String, String, String) {
        (self.connector.url(), self.platform.url(), format!("http://{}", self.host.addr()))
    }

    /// Tells the story within `length`, then waits for the last notes.
    pub(super) async fn tell<W: Write>(
        &mut self,
        screen: &mut Screen<W>,
        length: Duration,
    ) -> Result<Summary> {
        let moments = story::within(length);
        let mut telling = Telling::new(self.connector.clone(), self.platform.clone(), screen);
        let interrupt = tokio::signal::ctrl_c();
        tokio::pin!(interrupt);
        let mut next = moments.iter();
        let mut moment = next.next();
        let mut settle_by = None;
        loop {
            let due = match (moment, settle_by) {
                (Some(Moment { at, .. }), _) => telling.began + *at,
                (None, None) => *settle_by.insert(Instant::now() + SETTLES_WITHIN),
                (None, Some(by)) => by,
            };
            if moment.is_none() && telling.settled() {
                break;
            }
            tokio::select! {
                biased;
                stopped = &mut interrupt => {
                    stopped.context("demo: can't listen for Ctrl-C")?;
                    telling.interrupted = true;
                    break;
                }
                live = self.live.recv() => match live {
                    Ok(live) => telling.show(&live)?,
                    Err(RecvError::Lagged(missed)) => bail!("demo: {missed} events of the platform were missed"),
                    Err(RecvError::Closed) => bail!("demo: the platform ended"),
                },
                Some(announced) = telling.announcing.join_next() => {
                    announced.context("demo: a task of the platform failed")?.context("demo: a webhook wasn't accepted")?;
                }
                () = sleep_until(due) => match moment {
                    Some(now) => {
                        telling.happen(now).await?;
                        moment = next.next();
                    }
                    None => break,
                },
            }
        }
        Ok(telling.summary())
    }

    /// Stops everything, the host first.
    pub(super) async fn strike(self) -> Result<()> {
        let stopped = self.host.shutdown(STOPS_WITHIN).await;
        self.connector.shutdown().await;
        self.platform.shutdown().await;
        stopped.context("demo: the host didn't stop in good order")
    }
}

/// The story as far as it has been told.
struct Telling<'a, W> {
    connector: Connector,
    platform: Platform,
    screen: &'a mut Screen<W>,
    began: Instant,
    clock: Clock,
    /// Per session, what was done.
    done: HashMap<&'static str, Vec<&'static str>>,
    /// Per session, what arrived.
    arrived: HashMap<String, Vec<String>>,
    /// Per session, the conversation.
    conversations: HashMap<&'static str, String>,
    announcing: JoinSet<Result<(), WebhookError>>,
    /// Per idempotency key, how often a note was refused that hasn't arrived yet.
    refused: HashMap<String, u32>,
    notes: usize,
    interrupted: bool,
}

impl<'a, W: Write> Telling<'a, W> {
    fn new(connector: Connector, platform: Platform, screen: &'a mut Screen<W>) -> Self {
        Self {
            connector,
            platform,
            screen,
            began: Instant::now(),
            clock: Clock::system(),
            done: HashMap::new(),
            arrived: HashMap::new(),
            conversations: HashMap::new(),
            announcing: JoinSet::new(),
            refused: HashMap::new(),
            notes: 0,
            interrupted: false,
        }
    }

    async fn happen(&mut self, moment: &Moment) -> Result<()> {
        let person = &PEOPLE[moment.who];
        match moment.deed {
            Deed::Acts(kind, page, description) => self.act(person, kind, page, description).await,
            Deed::Asks(text) => self.ask(person, text),
            Deed::IsLimited => {
                if let Some(conversation) = self.conversations.get(person.session) {
                    let limit = Fault::rate_limited(Duration::from_secs(1));
                    self.platform.fail(Scope::Conversation(conversation.clone()), limit, 1);
                }
                Ok(())
            }
        }
    }

    async fn act(
        &mut self,
        person: &Person,
        kind: &str,
        page: &str,
        description: &'static str,
    ) -> Result<()> {
        self.screen.act(self.began.elapsed(), person.name, description)?;
        let now = self.clock.now().as_secs_f64();
        let url = format!("https://app.example.com{page}");
        let action = Action {
            title: kind.to_owned(),
            description: description.to_owned(),
            canonical_url: url.clone(),
            raw_url: url,
            kind: kind.to_owned(),
            timestamp_start: Some(now),
            timestamp_end: Some(now),
            ..Action::default()
        };
        let batch = ActionsPayload {
            product_id: PRODUCT.to_owned(),
            session_id: Some(person.session.to_owned()),
            user_id: Some(person.user_id.to_owned()),
            email: Some(person.email.to_owned()),
            actions: vec![action],
            forwarded_at: now,
            ..ActionsPayload::default()
        };
        self.done.entry(person.session).or_default().push(description);
        match self.connector.emit_actions(&batch).await {
            Emitted::Queued => Ok(()),
            Emitted::Dropped | Emitted::Closed => bail!("demo: the connector ended"),
        }
    }

    fn ask(&mut self, person: &Person, text: &str) -> Result<()> {
        let opening = Opening {
            user_id: Some(person.user_id.to_owned()),
            email: Some(person.email.to_owned()),
            text: Some(text.to_owned()),
            ..Opening::session(PRODUCT, person.session)
        };
        let conversation =
            self.platform.create(opening).context("demo: no further conversation fits")?;
        self.screen.ask(self.began.elapsed(), person.name, &conversation, text)?;
        self.conversations.insert(person.session, conversation.clone());
        let platform = self.platform.clone();
        self.announcing.spawn(async move { platform.announce(&conversation).await });
        Ok(())
    }

    fn show(&mut self, live: &Live) -> Result<()> {
        let at = self.began.elapsed();
        match live {
            Live::Note(note) => self.note(at, note)?,
            Live::Struck { conversation, fault, key } => {
                *self.refused.entry(key.clone()).or_default() += 1;
                self.screen.struck(at, conversation, fault)?;
            }
            // The platform recognised the note and shows it once.
            Live::Repeat { .. } => {}
        }
        Ok(())
    }

    fn note(&mut self, at: Duration, note: &Arc<Note>) -> Result<()> {
        let arrived = self.arrived.entry(note.session_id.clone()).or_default();
        let first = arrived.is_empty();
        arrived.extend(note.actions.iter().map(|action| action.description.clone()));
        self.notes += 1;
        let refused = self.refused.remove(&note.idempotency_key).unwrap_or_default();
        Ok(self.screen.note(at, note, first, refused)?)
    }

    /// Whether everything that people with a conversation did has arrived.
    fn settled(&self) -> bool {
        self.announcing.is_empty() && self.faithful()
    }

    /// Whether what arrived is what people with a conversation did: all of it, once, in order.
    fn faithful(&self) -> bool {
        let nothing = Vec::new();
        self.arrived.keys().all(|session| self.conversations.contains_key(&**session))
            && self.conversations.keys().all(|session| {
                let done = self.done.get(session).map_or(&[][..], Vec::as_slice);
                done == self.arrived.get(*session).unwrap_or(&nothing).as_slice()
            })
    }

    fn summary(&self) -> Summary {
        Summary {
            done: self
                .conversations
                .keys()
                .filter_map(|session| self.done.get(session))
                .map(Vec::len)
                .sum(),
            arrived: self.arrived.values().map(Vec::len).sum(),
            faithful: self.faithful(),
            notes: self.notes,
            conversations: self.conversations.len(),
            interrupted: self.interrupted,
        }
    }
}

/// What an operator would write into `sidenote.toml`.
fn configuration(connector: &Connector, platform: &Platform, products: &[String]) -> String {
    let products: String = products
        .iter()
        .map(|product| format!("[products.{}]\nplugins = [\"bot\"]\n", Value::from(&**product)))
        .collect();
    format!(
        r#"
plugins_folder = "."

[server]
listen = "127.0.0.1:0"

[store]
kind = "embedded"
path = "demo.redb"

[streams.demo]
url = "{stream}"
token = {{ env = "DEMO_STREAM_TOKEN" }}

[plugins.bot]
file = "{COMPONENT}"

[plugins.bot.config]
url = "{notes}"

[plugins.bot.secrets]
signing = {{ env = "DEMO_SIGNING", hosts = [] }}
incoming = {{ env = "DEMO_INCOMING", hosts = [] }}

[plugins.bot.grants]
hosts = ["{platform}"]
private = true

{products}
"#,
        stream = connector.stream_url(PRODUCT),
        notes = platform.notes_url(),
        platform = platform.url(),
    )
}
