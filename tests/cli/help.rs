//! Help texts and wrong command lines.

use crate::sidenote::sidenote;

#[test]
fn help_texts_are_as_reviewed() {
    insta::assert_snapshot!("help", sidenote(&["--help"], &[]).shown());
    insta::assert_snapshot!("help_check", sidenote(&["check", "--help"], &[]).shown());
    insta::assert_snapshot!("help_outbox", sidenote(&["outbox", "--help"], &[]).shown());
    for command in ["list", "show", "timeline", "retry", "resend", "purge"] {
        let help = sidenote(&["outbox", command, "--help"], &[]);
        insta::assert_snapshot!(format!("help_outbox_{command}"), help.shown());
    }
    for command in ["new", "list", "revoke"] {
        let help = sidenote(&["key", command, "--help"], &[]);
        insta::assert_snapshot!(format!("help_key_{command}"), help.shown());
    }
    insta::assert_snapshot!("help_audit", sidenote(&["audit", "--help"], &[]).shown());
    insta::assert_snapshot!("help_plugin", sidenote(&["plugin", "--help"], &[]).shown());
    let inspect = sidenote(&["plugin", "inspect", "--help"], &[]);
    insta::assert_snapshot!("help_plugin_inspect", inspect.shown());
    insta::assert_snapshot!(
        "help_plugin_pack",
        sidenote(&["plugin", "pack", "--help"], &[]).shown()
    );
    for command in ["call", "new", "test", "watch"] {
        let help = sidenote(&["plugin", command, "--help"], &[]);
        insta::assert_snapshot!(format!("help_plugin_{command}"), help.shown());
    }
    let retry = sidenote(&["stream", "retry", "--help"], &[]);
    let said = ["Usage: sidenote stream retry [OPTIONS] [NAME]", "--config <FILE>", "--host <URL>"];
    assert!(said.iter().all(|part| retry.stdout.contains(part)), "{}", retry.stdout);
    insta::assert_snapshot!("help_reload", sidenote(&["reload", "--help"], &[]).shown());
    insta::assert_snapshot!("help_smoke_test", sidenote(&["smoke-test", "--help"], &[]).shown());
}

#[test]
fn the_help_never_shows_a_token_of_the_environment() {
    let help = sidenote(&["smoke-test", "--help"], &[("SIDENOTE_STREAM_TOKEN", "hunter2")]);
    assert!(help.stdout.contains("SIDENOTE_STREAM_TOKEN"));
    assert!(!help.stdout.contains("hunter2"));
}

#[test]
fn a_wrong_command_line_ends_with_2_and_says_how_it_is_written() {
    for args in [
        &[][..],
        &["serve"],
        &["check", "--file", "x"],
        &["smoke-test"],
        &["smoke-test", "--url", "ftp://example.com"],
        &["smoke-test", "--url", "example.com"],
        &["smoke-test", "--url", "https://example.com", "--seconds", "0"],
    ] {
        let run = sidenote(args, &[]);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{args:?}");
        assert!(run.stderr.contains("--help"), "{args:?}: {}", run.stderr);
    }
}
