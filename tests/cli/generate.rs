//! Completions in a real shell, and the manual in a real reader.

use std::process::Command;

use crate::sidenote::sidenote;

#[test]
fn bash_completes_commands_and_their_options() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_str().expect("a plain name");
    let run = sidenote(&["generate", "completions", "bash", "--out", out], &[]);
    assert_eq!((run.code, &*run.stdout), (0, ""), "{}", run.stderr);
    let script =
        std::fs::read_dir(out).expect("a folder").next().expect("a file").expect("an entry");
    let lines = format!(
        "source {}; complete -p sidenote; COMP_WORDS=(sidenote outbox li); COMP_CWORD=2; _sidenote sidenote li outbox; echo \
         \"${{COMPREPLY[@]}}\"; COMP_WORDS=(sidenote tap --pl); COMP_CWORD=2; _sidenote sidenote --pl tap; echo \"${{COMPREPLY[@]}}\"",
        script.path().display()
    );
    let Ok(bash) = Command::new("bash").args(["--norc", "-c", &lines]).output() else {
        println!("left out: there is no bash on this machine");
        return;
    };
    let shown = String::from_utf8(bash.stdout).expect("it writes UTF-8");
    assert!(bash.status.success(), "{}", String::from_utf8_lossy(&bash.stderr));
    let lines: Vec<_> = shown.lines().collect();
    assert!(
        lines[0].starts_with("complete ") && lines[0].ends_with("-F _sidenote sidenote"),
        "{shown}"
    );
    assert_eq!(lines[1..], ["list", "--plugin"], "{shown}");
}

#[test]
fn every_shells_completions_name_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = sidenote(&["generate", "completions", shell], &[]);
        assert_eq!((run.code, &*run.stderr), (0, ""), "{shell}");
        for name in ["outbox", "smoke-test", "tap"] {
            assert!(run.stdout.contains(name), "{shell}: {name}");
        }
    }
    assert_eq!(sidenote(&["generate", "completions", "csh"], &[]).code, 2);
}

#[test]
fn the_manual_has_a_page_for_each_command_and_reads_without_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("man");
    let run = sidenote(&["generate", "man", "--out", out.to_str().expect("a plain name")], &[]);
    assert_eq!((run.code, &*run.stdout), (0, ""), "{}", run.stderr);
    let names =
        ["sidenote.1", "sidenote-tap.1", "sidenote-outbox-list.1", "sidenote-stream-record.1"];
    for name in names {
        let page = std::fs::read_to_string(out.join(name)).expect(name);
        assert!(page.contains(".SH SYNOPSIS") || page.contains(".SH COMMANDS"), "{page}");
    }
    let first = sidenote(&["generate", "man"], &[]);
    assert!(first.stdout.contains(".TH sidenote"), "{}", first.stdout);
    let reader = |program: &str, args: &[&str]| {
        let file = out.join("sidenote-tap.1");
        Command::new(program)
            .args(args)
            .arg(file)
            .env("MANWIDTH", "100")
            .env("LC_ALL", "C.UTF-8")
            .output()
    };
    let read = reader("mandoc", &["-T", "lint", "-W", "error"])
        .or_else(|_| reader("man", &["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]));
    match read {
        Ok(read) if read.status.success() => {
            assert!(read.stderr.is_empty(), "{}", String::from_utf8_lossy(&read.stderr));
        }
        // A `man` without groff, or of a system without manuals, reads nothing.
        Ok(_) | Err(_) => println!("left out: no reader of manuals works on this machine"),
    }
}

#[test]
fn the_documents_are_the_books_copies_on_stdout_and_in_a_file() {
    for (command, name) in [("openapi", "openapi.json"), ("config-schema", "sidenote.schema.json")]
    {
        let book = format!("../docs/src/operators/{name}");
        let book = std::fs::read_to_string(book).expect("the copy");
        let run = sidenote(&["generate", command], &[]);
        assert_eq!((run.code, &*run.stderr), (0, ""));
        assert!(run.stdout == book, "{command} isn't the book's copy");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(name);
        let out = file.to_str().expect("a plain name");
        let run = sidenote(&["generate", command, "--out", out], &[]);
        assert_eq!((run.code, &*run.stdout), (0, ""), "{}", run.stderr);
        assert!(std::fs::read_to_string(&file).expect("it is written") == book);
        let run = sidenote(&["generate", command, "--out", "/nowhere/a.json"], &[]);
        assert_ne!(run.code, 0);
        assert!(run.stderr.contains("--out"), "{}", run.stderr);
    }
}
