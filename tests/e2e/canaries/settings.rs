//! Configurations that can't be used, a store's server that refuses, and what `Debug` shows.

use std::path::Path;
use std::process::Output;

use sidenote::config::{Config, Secret};
use sidenote_tests::{RedisServer, binary};

use super::Trial;
use super::table::{Outlet, Told};

/// A configuration that can be used, without its `[server]`.
const FINE: &str =
    "[streams.main]\nurl = \"https://a.example\"\n[plugins.w]\n[products.p]\nplugins = [\"w\"]\n";

/// What somebody writes where it doesn't belong, `CANARY` for the secret.
const MISTAKES: [(&str, &str); 18] = [
    ("a token in the text", "[server]\ntoken = \"CANARY\"\n"),
    ("a token in a list", "[server]\ntoken = [\"CANARY\"]\n"),
    ("a token as another key", "[server]\ntoken = { value = \"CANARY\" }\n"),
    ("a broken line", "[server]\ntoken = { env = 'CANARY }\n"),
    ("no quotes", "[server]\ntoken = CANARY\n"),
    ("a password in a stream's address", "[streams.s]\nurl = \"https://me:CANARY@a.example\"\n"),
    ("an address that is none", "[streams.s]\nurl = \"CANARY\"\n"),
    (
        "a token in another scheme's address",
        "[streams.s]\nurl = \"ftp://a.example/?token=CANARY\"\n",
    ),
    (
        "a password in a store's address",
        "[store]\nkind = \"redis\"\nurl = \"redis://:CANARY@127.0.0.1\"\n",
    ),
    (
        "a password of the store",
        "[store]\nkind = \"redis\"\nurl = \"redis://127.0.0.1\"\npassword = \"CANARY\"\n",
    ),
    ("a password in a host", "[plugins.x.grants]\nhosts = [\"me:CANARY@a.example\"]\n"),
    ("a plugin's secret in the text", "[plugins.x.secrets]\ntoken = \"CANARY\"\n"),
    (
        "an ingest secret in the text",
        "[products.x]\nplugins = [\"w\"]\ningest_secret = \"CANARY\"\n",
    ),
    (
        "a model's key in the text",
        "[llm]\nprovider = \"openai\"\nmodel = \"m\"\napi_key = \"CANARY\"\n",
    ),
    (
        "a key in a model's address",
        "[llm]\nprovider = \"openai\"\nmodel = \"m\"\nbase_url = \"https://CANARY@a.example\"\n",
    ),
    (
        "an events secret in the text",
        "[operator_events]\nurl = \"https://me:CANARY@a.example\"\nsecret = \"CANARY\"\n",
    ),
    (
        "a header in the text",
        "[traces]\nendpoint = \"https://a.example\"\n[traces.headers]\nx-api-key = \"CANARY\"\n",
    ),
    ("a token of odd characters", "[server]\ntoken = { env = \"ODD\" }\n"),
];

/// What reads a configuration beside `check`.
const OTHERS: [&[&str]; 4] =
    [&["check", "--json"], &["run"], &["--log-json", "run"], &["doctor", "--offline"]];

impl Trial {
    /// What came out.
    pub(super) async fn settings(&self) -> Vec<Told> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("sidenote.toml");
        let mut found = Vec::new();
        for (n, (what, text)) in MISTAKES.into_iter().enumerate() {
            let canary = self.canaries.secret(format!("a mistake: {what}"));
            std::fs::write(&file, text.replace("CANARY", &canary) + FINE)
                .expect("it can be written");
            let odd = format!("{canary} é");
            for command in [&["check"][..], OTHERS[n % OTHERS.len()]] {
                let run = sidenote(command, &file, &[("ODD", &odd)]);
                assert!(!run.status.success(), "{what}");
                self.canaries.arrived(&canary);
                found.push(told(Outlet::Check, &format!("{command:?}, {what}"), &run));
            }
        }
        let overlay = self.canaries.secret("a mistake: a token in the overlay");
        std::fs::write(&file, FINE).expect("it can be written");
        let run = sidenote(&["check"], &file, &[("SIDENOTE__SERVER__TOKEN", &overlay)]);
        assert!(!run.status.success());
        self.canaries.arrived(&overlay);
        found.push(told(Outlet::Check, "the overlay", &run));
        found.extend(self.a_server_refuses(folder.path()).await);
        found.push(self.debug());
        found
    }

    async fn a_server_refuses(&self, folder: &Path) -> Vec<Told> {
        let wanted = self.canaries.secret("redis: the right password");
        let Some(server) = RedisServer::start(&[("requirepass", &wanted)]).await else {
            self.canaries.arrived(&wanted);
            return Vec::new();
        };
        let wrong = self.canaries.secret("redis: a wrong password");
        let file = folder.join("redis.toml");
        let url = server.url();
        let store = format!(
            "[store]\nkind = \"redis\"\nurl = \"{url}\"\npassword = {{ env = \"PASSWORD\" }}\n"
        );
        std::fs::write(&file, store + FINE).expect("it can be written");
        let mut found = Vec::new();
        for password in [&wrong, &wanted] {
            let doctor =
                sidenote(&["doctor"], &file, &[("PASSWORD", password), ("SIDENOTE_LOG", "trace")]);
            found.push(told(Outlet::Doctor, "redis", &doctor));
        }
        let run = sidenote(&["run"], &file, &[("PASSWORD", &wrong), ("SIDENOTE_LOG", "trace")]);
        assert!(!run.status.success(), "the server refuses it");
        found.push(told(Outlet::Log, "redis", &run));
        self.canaries.arrived(&format!("{wanted} {wrong}"));
        found
    }

    /// What every value of the configuration in force shows of itself.
    fn debug(&self) -> Told {
        let env = |name: &str| {
            let known = self.env.iter().find(|(variable, _)| *variable == name);
            known.map(|(_, value)| value.clone())
        };
        let read = Config::from_toml(self.rig.configuration(), self.rig.plugins_folder(), &env);
        let config = read.unwrap_or_else(|errors| panic!("{errors}"));
        let shown = format!("{config:?} {config:#?} {:?}", Secret::new(self.token.clone()));
        Told::new(Outlet::Debug, "the configuration", shown)
    }
}

fn told(outlet: Outlet, name: &str, run: &Output) -> Told {
    Told::new(outlet, name, [&*run.stdout, &run.stderr].concat())
}

fn sidenote(command: &[&str], file: &Path, env: &[(&str, &str)]) -> Output {
    let mut run = std::process::Command::new(binary());
    run.args(command).arg("--config").arg(file).env_clear().envs(env.iter().copied());
    run.output().expect("the binary runs")
}
