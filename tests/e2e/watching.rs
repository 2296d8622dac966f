//! `sidenote tap` and `sidenote top` beside a running host, as an operator has them.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use sidenote_sim::{Fault, Scope};
use sidenote_tests::{DEADLINE, Person, Rig, Setup, binary};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A command that goes on until Ctrl-C.
struct Watching {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watching {
    /// Runs it, and waits until the host tells it what happens.
    async fn start(rig: &Rig, args: &[&str]) -> Self {
        let mut child = command(rig, "tap", args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary runs");
        let stdout = child.stdout.take().expect("it is piped");
        Self { child, lines: BufReader::new(stdout).lines() }
    }

    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(DEADLINE, self.lines.next_line()).await;
        line.expect("something happens").expect("it writes UTF-8").expect("it goes on")
    }

    async fn json(&mut self) -> Value {
        serde_json::from_str(&self.line().await).expect("an object a line")
    }

    /// Ends it with Ctrl-C: its exit code, and what it said.
    async fn interrupt(mut self) -> (Option<i32>, String) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status().await;
        assert!(sent.expect("kill is there").success());
        let status = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().expect("it is piped");
        stderr.read_to_string(&mut said).await.expect("it writes UTF-8");
        (status.expect("it ends").expect("it can be waited for").code(), said)
    }
}

fn command(rig: &Rig, name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    let url = rig.url("");
    command.args([name, "--host", url.trim_end_matches('/')]).args(args);
    command.env_clear().env("SIDENOTE_TOKEN", "api-token");
    command
}

/// Does something again until a follower shows that it follows.
async fn followed(rig: &Rig, watching: &mut [&mut Watching]) {
    let other = Person::new("q", "elsewhere");
    for watching in watching {
        for n in 0.. {
            assert!(n < 200, "it doesn't follow");
            rig.emit(&other.batch(n..n + 1)).await;
            let line = tokio::time::timeout(Duration::from_millis(100), watching.lines.next_line());
            if line.await.is_ok() {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_live_with_its_filters_and_texts_for_whoever_asks() {
    let delivery = "retry_initial = \"100ms\"\nretry_max = \"200ms\"".to_owned();
    let mut rig = Rig::start(Setup { delivery, ..Setup::default() }).await;
    let mut all = Watching::start(&rig, &["--json", "--show-text"]).await;
    let mut plain = Watching::start(&rig, &[]).await;
    let mut attempts = Watching::start(&rig, &["--json", "--only", "attempts,events"]).await;
    followed(&rig, &mut [&mut all, &mut plain, &mut attempts]).await;

    let person = Person::new("p", "s");
    rig.platform.fail(Scope::Any, Fault::status(503), 1);
    let mut batch = person.batch(0..2);
    batch.actions[0].title = "Opened \u{1b}[2JInvoices".to_owned();
    let conversation = rig.open(&person).await;
    rig.emit(&batch).await;
    rig.arrives(&conversation, &person, 2).await;

    let (mut seen, mut done) = (Vec::new(), false);
    while !done {
        let told = all.json().await;
        done = told["what"] == "ended" && told["next"] == "done";
        if told["session"] == "s" {
            seen.push(told);
        }
    }
    let of = |what: &str| seen.iter().filter(|it| it["what"] == what).collect::<Vec<_>>();
    let accepted: Vec<_> = of("accepted");
    assert_eq!((accepted.len(), &accepted[0]["actions"]), (1, &Value::from(2)), "{seen:?}");
    let title = accepted[0]["titles"][0].as_str().expect("a title");
    assert!(title.starts_with("Opened") && !title.contains('\u{1b}'), "{title:?}");
    assert_eq!(of("linked")[0]["conversation"], *conversation, "{seen:?}");
    assert_eq!((of("sealed").len(), &of("sealed")[0]["plugin"]), (1, &Value::from("bot")));
    assert_eq!(of("begun").iter().map(|it| &it["attempt"]).collect::<Vec<_>>(), [1, 2]);
    let ended = of("ended");
    assert_eq!(
        (&ended[0]["outcome"], &ended[0]["next"]),
        (&Value::from("transient"), &Value::from("retry")),
        "{ended:?}"
    );
    assert_eq!(ended[0]["code"], "503", "{ended:?}");
    assert!(ended[0]["retry_at"].as_f64() > ended[0]["at"].as_f64(), "{ended:?}");
    assert_eq!(ended[1]["outcome"], "ok");
    assert!(ended.iter().all(|it| it["seconds"].as_f64().is_some_and(|it| it > 0.0)), "{ended:?}");

    let mut lines = String::new();
    while !lines.contains("ok after") {
        lines += &(plain.line().await + "\n");
    }
    assert!(lines.contains("p/s") && lines.contains("2 actions\n"), "{lines}");
    assert!(!lines.contains("Invoices"), "texts aren't told unless asked for: {lines}");
    let mut only = Vec::new();
    while only.last() != Some(&Value::from("ended")) {
        let told = attempts.json().await;
        assert!(told["titles"].is_null());
        only.push(told["what"].clone());
    }
    assert!(!only.contains(&"sealed".into()) && !only.contains(&"linked".into()), "{only:?}");

    // The host restarts at the same address.
    let address = rig.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let there = format!("listen = {address:?}");
    let toml = rig.configuration().replace("listen = \"127.0.0.1:0\"", &there);
    rig.stop_host().await;
    rig.configure(toml);
    rig.start_host().await;
    followed(&rig, &mut [&mut all]).await;
    let (code, said) = all.interrupt().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the host went away") && said.contains("the host is back"), "{said}");
    assert_eq!(plain.interrupt().await.0, Some(0));

    let wrong = command(&rig, "tap", &[]).env("SIDENOTE_TOKEN", "wrong").output().await;
    let wrong = wrong.expect("it runs");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("401 Unauthorized"));
    drop(attempts);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_host_does_is_one_table_or_one_object() {
    let rig = Rig::start(Setup::default()).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.emit(&person.batch(0..2)).await;
    rig.arrives(&conversation, &person, 2).await;
    let (table, object) = tokio::join!(
        async { command(&rig, "top", &["--once"]).output().await.expect("it runs") },
        async { command(&rig, "top", &["--json"]).output().await.expect("it runs") },
    );
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it writes UTF-8");
    assert_eq!(table.status.code(), Some(0), "{}", text(&table.stderr));
    let table = text(&table.stdout);
    for part in ["  ready\n", "STREAM", "all", "connected", "PLUGIN", "bot", "loaded", "closed"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert!(!table.contains('\u{1b}'), "nothing steers a terminal that isn't there");
    let object: Value = serde_json::from_slice(&object.stdout).expect("one object");
    assert_eq!(
        (&object["ready"], &object["streams"][0]["state"]),
        (&true.into(), &"connected".into())
    );
    assert_eq!(object["plugins"][0]["name"], "bot");
    assert!(object["plugins"][0]["p99_seconds"].as_f64().is_some_and(|it| it > 0.0), "{object}");
    assert!(object["engine"]["store"] == "serving", "{object}");
    let refused = command(&rig, "top", &[]).output().await.expect("it runs");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("--once"), "{}", text(&refused.stderr));
    rig.stop().await;
}

/// A real terminal, made by `script`, keeps nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_drawn_over_and_left_as_it_was() {
    let there = Command::new("script").arg("--version").output().await;
    if there.is_err() {
        println!("left out: there is no `script` on this machine");
        return;
    }
    let rig = Rig::start(Setup::default()).await;
    let url = rig.url("");
    let line =
        format!("{} top --host {}; echo; stty -a", binary().display(), url.trim_end_matches('/'));
    let mut child = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("SIDENOTE_TOKEN", "api-token")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("script runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    let mut stdout = child.stdout.take().expect("it is piped");
    let (mut shown, mut part, mut quit) = (String::new(), [0; 4096], false);
    let read = async {
        loop {
            let read = stdout.read(&mut part).await.expect("it can be read");
            if read == 0 {
                break;
            }
            shown += &String::from_utf8_lossy(&part[..read]);
            if !quit && shown.contains("PLUGIN") {
                quit = true;
                tokio::io::AsyncWriteExt::write_all(&mut stdin, b"q").await.expect("a key");
            }
        }
    };
    tokio::time::timeout(DEADLINE, read).await.expect("q ends it");
    let (before, after) = shown.split_once("\u{1b}[?1049l").expect("the screen is given back");
    assert!(before.contains("\u{1b}[?1049h") && before.contains("connected"), "{before:?}");
    assert!(before.ends_with("\u{1b}[?25h"), "the cursor is shown again: {before:?}");
    assert!(!after.contains("-icanon") && !after.contains("-echo "), "{after}");
    assert!(after.contains("icanon"), "{after}");
    rig.stop().await;
}
