//! `plugin add` at a terminal, beside a running host: a real pseudo terminal, and somebody who types.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use sidenote_tests::{DEADLINE, Rig, Setup, binary, components, eventually};

/// What the plugin can be told and needn't be, in its manifest's order.
const OPTIONAL: [&str; 6] =
    ["redact_url (", "find_url (", "offer_url (", "reply_url (", "bearer (", "unsigned ("];

/// A program at a terminal.
struct Terminal {
    child: Child,
    ours: File,
    shown: Arc<Mutex<String>>,
    /// How much of what is shown was looked at.
    read: usize,
}

impl Terminal {
    fn start(command: &mut Command) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo terminal");
        grantpt(&ours).expect("it is ours");
        unlockpt(&ours).expect("it is ours");
        let name = ptsname(&ours, Vec::new()).expect("it has a name");
        let name = name.into_string().expect("a plain name");
        let theirs = || File::options().read(true).write(true).open(&name).expect("it is there");
        let child = command.stdin(theirs()).stdout(theirs()).stderr(theirs()).spawn();
        let child = child.expect("the binary runs");
        let ours = File::from(ours);
        let (mut reading, shown) = (ours.try_clone().expect("one more"), Arc::default());
        let to: Arc<Mutex<String>> = Arc::clone(&shown);
        // It ends with the program: nobody writes any more then, and reading fails.
        std::thread::spawn(move || {
            let mut piece = [0; 1024];
            while let Ok(read @ 1..) = reading.read(&mut piece) {
                let text = String::from_utf8_lossy(&piece[..read]).into_owned();
                to.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
        });
        Self { child, ours, shown, read: 0 }
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until this is asked, beyond what was answered.
    async fn asks(&mut self, question: &str) {
        eventually(|| {
            let shown = self.shown();
            match shown[self.read..].find(question) {
                Some(at) => {
                    self.read += at + question.len();
                    Ok(())
                }
                None => Err(format!("{question:?} isn't asked: {shown}")),
            }
        })
        .await;
    }

    fn types(&mut self, text: &str) {
        self.ours.write_all(format!("{text}\n").as_bytes()).expect("somebody reads");
    }

    /// Types what isn't shown, once it isn't. What was asked for before is read by then: this was asked behind it.
    async fn types_unseen(&mut self, text: &str) {
        eventually(|| {
            let modes = tcgetattr(&self.ours).expect("it is a terminal").local_modes;
            if modes.contains(LocalModes::ECHO) {
                Err("it would be shown".to_owned())
            } else {
                Ok(())
            }
        })
        .await;
        self.types(text);
    }

    async fn ends(mut self) -> (ExitStatus, String) {
        let mut status = None;
        eventually(|| {
            status = self.child.try_wait().expect("it can be asked");
            status.map(|_| ()).ok_or_else(|| format!("it goes on: {}", self.shown()))
        })
        .await;
        // What it wrote last is read a moment later.
        tokio::time::sleep(Duration::from_millis(50)).await;
        (status.expect("it has ended"), self.shown())
    }
}

fn add(rig: &Rig, name: &str) -> Command {
    let mut command = Command::new(binary());
    let url = rig.url("");
    command.args(["plugin", "add"]).arg(components().join("webhook.wasm"));
    command.args(["--name", name, "--grant", "desk.example.com"]);
    command.args(["--host", url.trim_end_matches('/'), "--config"]);
    command.arg(rig.plugins_folder().join("sidenote.toml"));
    command.env_clear().env("SIDENOTE_TOKEN", "api-token");
    let env = ["API_TOKEN", "STREAM_TOKEN", "SIGNING", "INCOMING"];
    command.envs(env.map(|name| (name, "a-value-of-a-test")));
    command
}

fn mode(file: &Path) -> u32 {
    std::fs::metadata(file).expect("it is there").permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_needs_is_asked_for_secrets_unseen_and_the_host_has_it_at_once() {
    const SECRET: &str = "canary-typed-secret";
    let rig = Rig::start(Setup::default()).await;
    let mut terminal = Terminal::start(&mut add(&rig, "desk"));
    terminal.asks("url (required)").await;
    terminal.types("https://desk.example.com/notes");
    for question in OPTIONAL {
        terminal.asks(question).await;
        terminal.types("");
    }
    terminal.asks("secret incoming, optional (it isn't shown)").await;
    terminal.types_unseen("").await;
    // One that it needs is asked for again.
    terminal.asks("secret signing (it isn't shown)").await;
    terminal.types_unseen("").await;
    terminal.asks("it can't be empty").await;
    terminal.asks("secret signing (it isn't shown)").await;
    terminal.types_unseen(SECRET).await;
    terminal.asks("secret token, optional (it isn't shown)").await;
    terminal.types_unseen("").await;
    terminal.asks("desk is added").await;
    let (status, shown) = terminal.ends().await;
    assert!(status.success(), "{shown}");
    assert!(!shown.contains(SECRET), "{shown}");
    assert!(shown.contains("reloaded: ") || shown.contains("nothing to reload"), "{shown}");

    let table = std::fs::read_to_string(rig.plugins_folder().join("plugins.d/desk.toml"));
    let table = table.expect("it is written");
    assert!(table.contains("https://desk.example.com/notes") && !table.contains(SECRET), "{table}");
    let file = sidenote_tests::files_with(rig.plugins_folder(), SECRET);
    let [file] = &file[..] else { panic!("one file has it: {file:?}") };
    assert_eq!(mode(file), 0o600, "{}", file.display());
    let loaded = async {
        loop {
            let (_, plugins) = rig.get("/plugins").await;
            let all = plugins["plugins"].as_array().expect("a list").clone();
            if all.iter().any(|it| it["name"] == "desk" && it["health"] == "loaded") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, loaded).await.expect("the host runs it");

    // Who never says what it needs has added nothing.
    let mut terminal =
        Terminal::start(add(&rig, "other").args(["--set", "url=https://desk.example.com/n"]));
    for question in OPTIONAL {
        terminal.asks(question).await;
        terminal.types("");
    }
    terminal.asks("secret incoming").await;
    terminal.types_unseen("").await;
    for _ in 0..3 {
        terminal.asks("secret signing").await;
        terminal.types_unseen("").await;
    }
    let (status, shown) = terminal.ends().await;
    assert_eq!(status.code(), Some(1), "{shown}");
    assert!(shown.contains("it needs the secret signing"), "{shown}");
    assert!(!rig.plugins_folder().join("plugins.d/other.toml").exists());
    rig.stop().await;
}
