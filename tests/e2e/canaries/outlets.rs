//! All that comes out of the host unasked.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use sidenote_tests::{DEADLINE, binary};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::Trial;
use super::mirror::{HOOK, TRACES};
use super::table::{Outlet, Told};

/// Addresses that tell without being asked for what people did, and what they are.
const TOLD: [(Outlet, &str); 14] = [
    (Outlet::Health, "/healthz"),
    (Outlet::Health, "/readyz"),
    (Outlet::Metrics, "/metrics"),
    (Outlet::Audit, "/audit"),
    (Outlet::Lists, "/plugins"),
    (Outlet::Lists, "/outbox"),
    (Outlet::Lists, "/outbox?state=dead"),
    (Outlet::Lists, "/outbox?state=due%2Cgiven_up"),
    (Outlet::Lists, "/offers"),
    (Outlet::Lists, "/keys"),
    (Outlet::Lists, "/reload"),
    (Outlet::Lists, "/erase?plugin=desk"),
    (Outlet::Lists, "/erase?product=d"),
    (Outlet::Lists, "/openapi.json"),
];
const PAGES: [&str; 7] =
    ["/", "/plugins", "/outbox", "/outbox?state=dead%2Cgiven_up", "/offers", "/audit", "/sessions"];

/// What somebody hears who follows.
pub(super) struct Followed {
    heard: Arc<Mutex<Vec<u8>>>,
    _tasks: JoinSet<()>,
}

impl Trial {
    /// Follows what happens, as `sidenote tap` and the dashboard's pages do.
    pub(super) async fn follow(&self) -> Followed {
        let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
        let mut tasks = JoinSet::new();
        let cookie = self.log_in().await;
        for (url, header, value) in [
            (self.rig.url("/tap"), "authorization", format!("Bearer {}", self.token)),
            (format!("http://{}/live", self.dashboard), "cookie", cookie),
        ] {
            let answer =
                self.client.get(url).header(header, value).send().await.expect("it answers");
            assert!(answer.status().is_success(), "{}", answer.status());
            let (mut body, heard) = (answer.bytes_stream(), heard.clone());
            tasks.spawn(async move {
                while let Some(Ok(piece)) = body.next().await {
                    heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece);
                }
            });
        }
        Followed { heard, _tasks: tasks }
    }

    /// All that comes out.
    pub(super) async fn outlets(&mut self, followed: Followed) -> Vec<Told> {
        let mut all = Vec::new();
        for (outlet, path) in TOLD {
            all.push(Told::new(outlet, path, self.told(path, "*/*").await));
        }
        let open = self.told("/metrics", "application/openmetrics-text; version=1.0.0").await;
        all.push(Told::new(Outlet::Metrics, "OpenMetrics", open));
        for path in self.rows().await {
            all.push(Told::new(Outlet::Lists, path.clone(), self.told(&path, "*/*").await));
        }
        let cookie = self.log_in().await;
        for page in PAGES {
            let page = format!("http://{}{page}", self.dashboard);
            let asked = self.client.get(&page).header("cookie", &cookie).send().await;
            let text = asked.expect("it answers").bytes().await.expect("it is whole").to_vec();
            all.push(Told::new(Outlet::Dashboard, page, text));
        }
        all.push(Told::new(Outlet::OperatorEvents, "the webhook", self.mirror.bodies(HOOK)));
        let heard = followed.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.push(Told::new(Outlet::Tap, "who follows", heard));
        let (stdout, stderr) = self.command(&["doctor"]).await;
        all.push(Told::new(Outlet::Doctor, "doctor", [stdout, stderr].concat()));
        let (stdout, stderr) = self.command(&["check"]).await;
        all.push(Told::new(Outlet::Check, "check", [stdout, stderr].concat()));
        let log = self.rig.log();
        self.rig.stop_host().await;
        all.push(Told::new(Outlet::Log, "in JSON", log.text().into_bytes()));
        all.push(Told::new(Outlet::Traces, "the collector", self.mirror.bodies(TRACES)));
        all.push(Told::new(Outlet::Log, "as text", self.runs_in_text().await));
        self.rig.start_host().await;
        all
    }

    async fn told(&self, path: &str, accept: &str) -> Vec<u8> {
        let asked = self.client.get(self.rig.url(path)).bearer_auth(&self.token);
        let answer = asked.header("accept", accept).send().await.expect("the host answers");
        assert!(!answer.status().is_client_error(), "{path}: {}", answer.status());
        answer.bytes().await.expect("it is whole").to_vec()
    }

    /// The deliveries and the sessions of the outbox, without their texts.
    async fn rows(&self) -> Vec<String> {
        let listed = self.told("/outbox?limit=20", "*/*").await;
        let listed: serde_json::Value = serde_json::from_slice(&listed).expect("JSON");
        let rows = listed["entries"].as_array().expect("a list");
        assert!(!rows.is_empty(), "there are dead letters");
        let of = |row: &serde_json::Value| {
            let part = |name: &str| row[name].as_str().expect("a text").to_owned();
            let (product, session) = (part("product"), part("session"));
            [
                format!("/sessions/{product}/{session}/timeline"),
                format!("/deliveries/{}", part("id")),
            ]
        };
        rows.iter().flat_map(of).collect()
    }

    fn run(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args).arg("--config").arg(self.rig.plugins_folder().join("sidenote.toml"));
        command.env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }

    /// A command beside the host.
    async fn command(&self, args: &[&str]) -> (Vec<u8>, Vec<u8>) {
        let mut command = self.run(args);
        if args == ["doctor"] {
            command.args(["--host", self.rig.url("").trim_end_matches('/')]);
        }
        let output = command.output().await.expect("the binary runs");
        (output.stdout, output.stderr)
    }

    /// The same host once more, with a log for people: what strangers send it, and its log.
    async fn runs_in_text(&self) -> Vec<u8> {
        let mut child = self.run(&["run"]).spawn().expect("the binary runs");
        let mut stderr = child.stderr.take().expect("it is piped");
        let text: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (to, mut tasks) = (text.clone(), JoinSet::new());
        tasks.spawn(async move {
            let mut piece = [0; 8192];
            while let Ok(read @ 1..) = stderr.read(&mut piece).await {
                to.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..read]);
            }
        });
        let written = || {
            let text = text.lock().unwrap_or_else(PoisonError::into_inner);
            String::from_utf8_lossy(&text).into_owned()
        };
        let mut addr = None;
        sidenote_tests::eventually(|| {
            let log = written();
            let line = log.lines().find(|line| line.contains("sidenote is running"));
            addr = line.and_then(|line| Some(line.split("addr=").nth(1)?.trim().to_owned()));
            if addr.is_some() { Ok(()) } else { Err(format!("it doesn't run: {log}")) }
        })
        .await;
        let host = format!("http://{}", addr.expect("it was found"));
        let document = std::fs::read_to_string("../docs/src/operators/openapi.json");
        let document = serde_json::from_str(&document.expect("the copy")).expect("JSON");
        self.everybody_asks_everything(&host, &document).await;
        let id = child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(sent.expect("kill is there").success());
        let ended = tokio::time::timeout(DEADLINE, child.wait()).await.expect("it stops in time");
        assert!(ended.expect("it can be waited for").success());
        tasks.join_all().await;
        written().into_bytes()
    }
}
