//! autoplay-sdk's own check of signatures, from its package.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

/// What the package is, and the program that asks it.
const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/autoplay-sdk");
/// Where it is installed.
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/autoplay-sdk");

/// A signed body that autoplay-sdk is asked about.
pub(super) struct Case {
    pub(super) secret: String,
    pub(super) body: Vec<u8>,
    pub(super) signature: Option<String>,
}

/// What autoplay-sdk says to each.
pub(super) async fn verdicts(cases: Vec<Case>) -> Vec<bool> {
    let ask = move || {
        let input = tempfile::NamedTempFile::new().expect("a temporary file");
        let lines = cases.iter().map(|case| {
            let Case { secret, body, signature } = case;
            let case = json!({"secret": secret, "body": hex::encode(body), "signature": signature});
            format!("{case}\n")
        });
        std::fs::write(input.path(), lines.collect::<String>()).expect("it takes the cases");
        let mut asked = Command::new(python());
        asked.arg(Path::new(PACKAGE).join("verify.py"));
        asked.stdin(input.reopen().expect("the cases")).stderr(Stdio::inherit());
        let answer = asked.output().expect("Python runs");
        assert!(answer.status.success(), "autoplay-sdk answers");
        let text = String::from_utf8(answer.stdout).expect("text");
        text.lines().map(|line| line.parse().expect("true or false")).collect()
    };
    tokio::task::spawn_blocking(ask).await.expect("no panic")
}

/// Python with the package, which is installed where it isn't yet.
fn python() -> PathBuf {
    let (from, to) = (Path::new(PACKAGE).join("requirements.txt"), Path::new(INSTALLED));
    let (python, stamp) = (to.join("bin/python"), to.join("installed.txt"));
    let wanted = std::fs::read(&from).expect("what to install");
    if python.is_file() && std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return python;
    }
    let run = |command: &mut Command| {
        let status = command.status().expect("Python 3.10 or later is there, with venv");
        assert!(status.success(), "{command:?}: {status}");
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(to));
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    run(Command::new(&python).args(install).arg(&from));
    std::fs::write(stamp, wanted).expect("a stamp in target");
    python
}
