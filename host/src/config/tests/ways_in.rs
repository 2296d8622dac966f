//! Products that are pushed to, and agents that ask.

use super::*;

#[test]
fn a_product_that_is_pushed_to_needs_no_stream() {
    let pushed = "[plugins.webhook]\n[products.acme]\nplugins = [\"webhook\"]\ningest_secret = { env = \"S\" }\n";
    let config = load(pushed, &[("S", "hunter2 \u{e9}")]).unwrap();
    assert!(config.streams.is_empty());
    assert_eq!(config.ingest[&ProductId::new("acme").unwrap()].expose(), "hunter2 \u{e9}");
    assert!(load(MINIMAL, &[]).unwrap().ingest.is_empty());
    for (text, env, wanted) in [
        (pushed.to_owned(), vec![("S", "")], "S is empty"),
        (pushed.to_owned(), vec![], "S isn't set"),
        (pushed.replace("{ env = \"S\" }", "\"hunter2\""), vec![], "a secret doesn't belong"),
    ] {
        let errors = errors(&text, &env);
        assert!(matches!(&*errors, [error] if error.contains(wanted)), "{wanted}: {errors:?}");
        assert!(!errors[0].contains("hunter2"), "{errors:?}");
    }
}

#[test]
fn agents_are_told_only_what_is_kept_and_only_with_a_token() {
    let server = "[server]\ntoken = { env = \"S\" }\n";
    let all = format!(
        "{MINIMAL}{server}[context]\n[mcp]\nhosts = [\"a.example:8\"]\norigins = [\"https://A.example\"]\n"
    );
    let config = load(&all, &[("S", "s")]).unwrap();
    let origins = vec![PageOrigin::parse("https://a.example:443").unwrap()];
    assert_eq!(config.server.mcp, Some(Mcp { hosts: vec!["a.example:8".to_owned()], origins }));
    assert_eq!(load(MINIMAL, &[]).unwrap().server.mcp, None);
    for (text, wanted) in [
        (all.replace("[context]\n", ""), "nothing of that is kept"),
        (all.replace(server, ""), "no token is set"),
        (all.replace("a.example:8", "https://a.example"), "this is no name of a host"),
        (all.replace("a.example:8", "user@a.example"), "this is no name of a host"),
        (all.replace("https://A.example", "null"), "this is no origin of a web page"),
        (all.replace("https://A.example", "https://a.example/mcp"), "no origin of a web page"),
    ] {
        let errors = errors(&text, &[("S", "s")]);
        assert!(matches!(&*errors, [error] if error.contains(wanted)), "{wanted}: {errors:?}");
    }
    let off = all.replace("[mcp]", "[mcp]\nenabled = false").replace("[context]\n", "");
    assert_eq!(load(&off, &[("S", "s")]).unwrap().server.mcp, None);
}

/// A secret of each kind: where it stands, and what it may be.
#[test]
fn a_password_is_any_text_and_a_token_is_what_a_header_carries() {
    let store =
        "[store]\nkind = \"redis\"\nurl = \"redis://127.0.0.1\"\npassword = { env = \"S\" }\n";
    let redis = format!("{MINIMAL}{store}");
    let ingest = format!("{MINIMAL}ingest_secret = {{ env = \"S\" }}\n");
    let plugin = format!("{MINIMAL}[plugins.webhook.secrets]\nkey = {{ env = \"S\" }}\n");
    for text in [&redis, &ingest, &plugin] {
        for value in ["päss wörd", "a\"b'c\\d", "  both ends  ", "日本", "a\tb"] {
            let config = load(text, &[("S", value)]).unwrap_or_else(|it| panic!("{value:?}: {it}"));
            let told = match &config.store {
                Store::Redis(redis) => redis.password.clone(),
                Store::Memory | Store::Embedded { .. } => config
                    .ingest
                    .values()
                    .next()
                    .or(config.plugins["webhook"].secrets.values().map(|it| &it.value).next())
                    .cloned(),
            };
            assert_eq!(told.expect("a secret").expose(), value);
        }
    }
    let token = MINIMAL.replace("[plugins", "token = { env = \"S\" }\n[plugins");
    for (value, odd) in [
        ("to ken", "a blank (U+0020) as character 3 of 6"),
        ("token ", "a blank (U+0020) as character 6 of 6"),
        ("t\u{200B}oken", "an invisible character (U+200B) as character 2 of 6"),
        ("tok\nen", "a line break as character 4 of 6"),
        ("tok\u{7}en", "a control character (U+0007) as character 4 of 6"),
        ("toké", "one outside of ASCII as character 4 of 4"),
    ] {
        let errors = errors(&token, &[("S", value)]);
        assert!(matches!(&*errors, [error] if error.contains(odd)), "{odd}: {errors:?}");
    }
}

#[test]
fn what_copying_puts_around_a_secret_is_left_out_and_what_may_be_meant_is_told() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.secret");
    let text = format!("{MINIMAL}ingest_secret = {{ file = \"s.secret\" }}\n");
    let told = |bytes: &[u8], mode: u32| {
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let main = (Path::new("sidenote.toml"), &*text);
        let config = build(main, &[], folder.path(), &|_| None, Vec::new());
        let config = config.unwrap();
        let secret = config.ingest.values().next().unwrap().expose().to_owned();
        (secret, config.warnings.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    for accident in [
        &b"hunter2"[..],
        b"hunter2\n",
        b"hunter2\r\n",
        b"hunter2\r\n\r\n",
        b"\xef\xbb\xbfhunter2\r\n",
    ] {
        assert_eq!(told(accident, 0o600), ("hunter2".to_owned(), vec![]), "{accident:?}");
    }
    for (bytes, secret, odd) in [
        (&b"hunter2 \n"[..], "hunter2 ", "a blank (U+0020) as character 8 of 8"),
        ("hun\u{200D}ter2".as_bytes(), "hun\u{200D}ter2", "(U+200D) as character 4 of 8"),
        ("hunter2\u{A0}x".as_bytes(), "hunter2\u{A0}x", "(U+00A0) as character 8 of 9"),
        (b"hunter\x002", "hunter\x002", "(U+0000) as character 7 of 8"),
    ] {
        let (value, warnings) = told(bytes, 0o600);
        assert_eq!(value, secret);
        assert!(matches!(&*warnings, [only] if only.contains(odd)), "{odd}: {warnings:?}");
        assert!(!warnings[0].contains("hunter"), "{warnings:?}");
    }
    for (mode, others) in
        [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o644, true), (0o620, true)]
    {
        let (_, warnings) = told(b"hunter2", mode);
        assert_eq!(warnings.len(), usize::from(others), "{mode:o}: {warnings:?}");
        let paste = format!("chmod 600 {}", path.display());
        assert!(warnings.iter().all(|it| it.ends_with(&paste)), "{warnings:?}");
    }
}
