//! A system without CA certificates: what needs none runs, and what needs them is refused in words.

use std::process::{Child, Command, Stdio};

use sidenote_tests::{DEADLINE, binary, compiled, components, free_address};
use tokio::time::Instant;

/// Nothing is there.
const NONE: [(&str, &str); 2] =
    [("SSL_CERT_FILE", "/nowhere/bundle.crt"), ("SSL_CERT_DIR", "/nowhere")];

/// Ends with the test.
struct Host(Child);

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn sidenote() -> Command {
    let mut command = Command::new(binary());
    command.env_clear().env("SIDENOTE_CACHE", compiled()).envs(NONE);
    command
}

#[test]
fn the_demo_and_plain_http_need_no_certificates() {
    let demo = sidenote().args(["demo", "--seconds", "2", "--plugins"]).arg(components()).output();
    let demo = demo.unwrap();
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
}

#[test]
fn a_plugin_that_is_granted_https_is_refused_with_the_next_step_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("sidenote.toml");
    let listen = free_address().to_string();
    let init = sidenote()
        .args(["init", "--product", "shop", "--pushed", "--listen", &listen])
        .args(["--bot", "https://bot.example/notes", "--plugins"])
        .arg(components())
        .arg(&config)
        .output()
        .unwrap();
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    let mut text = std::fs::read_to_string(&config).unwrap();
    text += "[plugins.console]\n[plugins.console.grants]\nstdout = true\n";
    std::fs::write(&config, text).unwrap();
    let run = sidenote().args(["run", "--config"]).arg(&config).stderr(Stdio::null()).spawn();
    let _host = Host(run.unwrap());
    let began = Instant::now();
    let line = |list: &str, name: &str| {
        list.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned()
    };
    let list = loop {
        // Asks over plain HTTP: that needs none either.
        let list = sidenote().args(["plugin", "list", "--config"]).arg(&config).output().unwrap();
        let list = String::from_utf8(list.stdout).unwrap();
        if line(&list, "bot").contains("failed") && line(&list, "console").contains("loaded") {
            break list;
        }
        assert!(began.elapsed() < DEADLINE, "{list}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert!(list.contains("No CA certificates were loaded"), "{list}");
    assert!(list.contains("SSL_CERT_FILE"), "{list}");
}
