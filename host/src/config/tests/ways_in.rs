//! Products that are pushed to, and agents that ask.

use super::*;
use crate::http::mcp::Origin;

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
    let origins = vec![Origin::parse("https://a.example:443").unwrap()];
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
