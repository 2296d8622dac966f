//! `init`: by its flags, and as somebody at a terminal answers it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use sidenote_tests::{binary, components};

use crate::sidenote::sidenote;

/// Sits at a terminal: answers each question when it is asked, and repeats all that was shown.
const AT_A_TERMINAL: &str = r#"
import os, pty, signal, sys, termios, time
signal.alarm(60)
answers = sys.argv[1].split("|")
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
shown = b""
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        break
    if not piece:
        break
    shown += piece
    if answers and b"%d of 6" % (7 - len(answers)) in shown and shown.endswith(b"\n"):
        # What is typed before the terminal hides it is thrown away.
        while len(answers) == 4 and termios.tcgetattr(terminal)[3] & termios.ECHO:
            time.sleep(0.01)
        os.write(terminal, answers.pop(0).encode() + b"\n")
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

fn init(folder: &Path, args: &[&str]) -> crate::sidenote::Run {
    let file = folder.join("sidenote.toml").display().to_string();
    let plugins = components().display().to_string();
    sidenote(&[&["init", &file, "--plugins", &plugins], args].concat(), &[])
}

/// The secrets that were made, each for its owner alone.
fn secrets(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder.join("secrets")).expect("a step of the test").flatten();
    let mut names = Vec::new();
    for file in files {
        assert_eq!(
            file.metadata().expect("a step of the test").permissions().mode() & 0o777,
            0o600
        );
        names.push(file.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    names
}

fn passes_check(folder: &Path) {
    let file = folder.join("sidenote.toml").display().to_string();
    let check = sidenote(&["check", "--config", &file], &[]);
    assert_eq!(check.code, 0, "{}", check.stderr);
    assert!(!check.stderr.contains("warning"), "{}", check.stderr);
}

#[test]
fn flags_make_a_configuration_that_passes_and_replace_nothing() {
    for (args, made) in [
        (&["--product", "shop", "--pushed"][..], &["connector", "server-token"][..]),
        (
            &[
                "--product",
                "shop",
                "--stream",
                "https://connector.example.com/s",
                "--bot",
                "https://bot.example.com/n",
            ],
            &["bot-incoming", "bot-signing", "server-token"],
        ),
        (
            &[
                "--product",
                "a b",
                "--pushed",
                "--bot",
                "http://127.0.0.1:9/n",
                "--listen",
                "0.0.0.0:1",
            ],
            &["bot-incoming", "bot-signing", "connector", "server-token"],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let run = init(folder.path(), args);
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        assert_eq!(secrets(folder.path()), made);
        passes_check(folder.path());
        let written = std::fs::read_to_string(folder.path().join("sidenote.toml")).unwrap();
        for name in made {
            let secret = std::fs::read_to_string(folder.path().join("secrets").join(name)).unwrap();
            assert!(secret.len() >= 64, "{name}");
            assert!(!written.contains(&secret) && !run.stderr.contains(&secret), "{name}");
        }
        let again = init(folder.path(), args);
        assert_eq!(again.code, 1, "{}", again.stderr);
        assert!(again.stderr.contains("isn't replaced"), "{}", again.stderr);
        let left = std::fs::read_to_string(folder.path().join("sidenote.toml")).unwrap();
        assert_eq!(left, written);
    }
}

#[test]
fn what_cannot_be_asked_or_used_leaves_nothing_behind() {
    for (args, said) in [
        (&[][..], "give --product ID"),
        (&["--product", "p"], "give --stream URL, or --pushed"),
        (&["--product", "p", "--pushed", "--connector-secret", "hunter2"], "can be seen by others"),
        (&["--product", "p", "--pushed", "--bot", "chat"], "no address of a bot"),
        (&["--product", "p", "--pushed", "--listen", "8787"], "no IP address with a port"),
        (&["--product", "p", "--stream", "ftp://x"], "nothing was written"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let run = init(folder.path(), args);
        assert!(run.code == 1 || run.code == 2, "{args:?}: {}", run.code);
        assert!(run.stderr.contains(said), "{args:?}: {}", run.stderr);
        assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{args:?}");
    }
}

#[test]
fn somebody_at_a_terminal_answers_six_questions_and_the_token_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sidenote.toml");
    let plugins = components().display().to_string();
    let answers = format!("shop|https://connector.example.com/s|hunter2-typed||{plugins}|");
    let mut run = Command::new("python3");
    run.args(["-c", AT_A_TERMINAL, &answers]).arg(binary());
    let output = run.arg("init").arg(&file).output().expect("python3 is here");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    for number in 1..=6 {
        assert!(shown.contains(&format!("{number} of 6")), "{shown}");
    }
    assert!(!shown.contains("hunter2-typed"), "{shown}");
    assert_eq!(secrets(folder.path()), ["connector", "server-token"]);
    let token = std::fs::read_to_string(folder.path().join("secrets/connector")).unwrap();
    assert_eq!(token, "hunter2-typed");
    passes_check(folder.path());
}
