//! `[products.ID.reply]`.

use std::time::Duration;

use super::*;
use crate::rules::Reply;

fn read(reply: &str, tables: &str) -> Result<Option<Reply>, Vec<String>> {
    let text = format!("{MINIMAL}[products.acme.reply]\n{reply}\n{tables}");
    match load(&text, &[]) {
        Ok(config) => {
            let product = &config.products[&ProductId::new("acme").unwrap()];
            Ok(product.reply.as_deref().cloned())
        }
        Err(errors) => Err(errors.to_string().lines().map(str::to_owned).collect()),
    }
}

fn with_all(reply: &str) -> Result<Option<Reply>, Vec<String>> {
    read(reply, &format!("[context]\n{MODEL}"))
}

#[test]
fn nobody_is_answered_unless_it_is_switched_on() {
    let without = load(MINIMAL, &[]).unwrap();
    assert!(without.products.values().all(|product| product.reply.is_none()));
    assert_eq!(with_all(""), Ok(None));
    assert_eq!(with_all("enabled = false\ndry_run = true"), Ok(None));
    assert_eq!(with_all("enabled = true"), Ok(Some(Reply::default())));
    assert_eq!(read("enabled = false", ""), Ok(None), "nothing is needed for it");
}

#[test]
fn every_key_is_read() {
    let read = with_all(
        "enabled = true\ndry_run = true\nhand_over = [\"Mensch\", \"echte Person\"]\nexpires = \"30s\"",
    );
    let wanted = Reply {
        dry_run: true,
        hand_over: vec!["Mensch".to_owned(), "echte Person".to_owned()],
        expires: Duration::from_secs(30),
    };
    assert_eq!(read, Ok(Some(wanted)));
    let none = with_all("enabled = true\nhand_over = []").unwrap().unwrap();
    assert!(none.hand_over.is_empty());
}

#[test]
fn without_a_model_or_a_history_it_is_refused_with_what_to_add() {
    let said = read("enabled = true", "").unwrap_err().join("\n");
    for part in ["no [context]", "no [llm]", "provider = ", "language model writes the answers"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!read("enabled = true", "[context]").unwrap_err().join("").contains("no [context]"));
}

#[test]
fn what_means_nothing_is_refused() {
    for (keys, part) in [
        ("hand_over = [\" ! \"]", "no letter or digit"),
        ("hand_over = \"human\"", "a list of words"),
        ("expires = \"2h\"", "longer than an hour"),
        ("dry_run = 1", "dry_run"),
        ("enabeld = true", "enabeld"),
    ] {
        let said = with_all(keys).unwrap_err().join("\n");
        assert!(said.contains(part), "{keys}: {said}");
    }
}

#[test]
fn switching_replies_on_or_changing_them_changes_their_product() {
    let config = |reply: &str| {
        let text = format!("{MINIMAL}[products.acme.reply]\n{reply}\n[context]\n{MODEL}");
        load(&text, &[]).unwrap()
    };
    let (off, on) = (config(""), config("enabled = true"));
    let dry = config("enabled = true\ndry_run = true");
    for (before, after) in [(&off, &on), (&on, &dry), (&dry, &off)] {
        let plan = before.plan(after).unwrap();
        assert_eq!(plan.products.changed, ["acme"]);
    }
    assert!(on.plan(&on.clone()).unwrap().is_empty());
}
