//! `sidenote key` and `sidenote audit`, with no host running and beside one.

use serde_json::{Value, json};

use super::filled::{Filled, PERSONAL, TOKEN};
use super::running::start;
use crate::sidenote::{Run, sidenote};

fn run(filled: &Filled, args: &[&str], env: &[(&str, &str)]) -> Run {
    let config = filled.config().display().to_string();
    let env = [&[("API_TOKEN", TOKEN)], env].concat();
    sidenote(&[args, &["--config", &config]].concat(), &env)
}

fn lines(run: &Run) -> Vec<Value> {
    assert_eq!(run.code, 0, "{}", run.stderr);
    run.stdout.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_made_offline_opens_the_host_that_is_started_then() {
    let filled = Filled::store().await;
    let made = run(
        &filled,
        &["key", "new", "grafana", "--scope", "read,text", "--product", "p", "--json"],
        &[],
    );
    let made = lines(&made).remove(0);
    let (id, secret) = (made["id"].as_str().expect("an id"), made["secret"].as_str());
    let secret = secret.expect("a secret");
    assert!(secret.starts_with(&format!("sn_{id}_")), "{made}");
    assert_eq!((&made["scopes"], &made["products"]), (&json!(["read", "text"]), &json!(["p"])));
    let taken = run(&filled, &["key", "new", "grafana", "--scope", "read", "--all-products"], &[]);
    assert_eq!((taken.code, taken.stdout.as_str()), (1, ""));
    assert!(taken.stderr.contains("there is a key of this name already"), "{}", taken.stderr);
    let unknown = run(&filled, &["key", "new", "n", "--scope", "read", "--product", "none"], &[]);
    assert!(unknown.stderr.contains("isn't configured"), "{}", unknown.stderr);
    // What erases says whom in no word of the log.
    let who = ["erase", "--product", "q", "--email", PERSONAL[2], "--yes"];
    assert_eq!(run(&filled, &who, &[]).code, 0);
    let purge = ["outbox", "purge", "--session", "refused", "--reason", "no", "--yes"];
    assert_eq!(run(&filled, &purge, &[]).code, 0);

    let host = start(&filled).await;
    let address = host.addr().to_string();
    let here = [("SIDENOTE__SERVER__LISTEN", address.as_str())];
    let by_key = [here[0], ("SIDENOTE_TOKEN", secret)];
    let listed = run(&filled, &["outbox", "list", "--json"], &by_key);
    let products: Vec<_> = lines(&listed).iter().map(|note| note["product"].clone()).collect();
    assert!(!products.is_empty() && products.iter().all(|id| id == "p"), "{products:?}");
    for args in [&["outbox", "list", "--product", "q"][..], &["plugin", "list"], &["audit"]] {
        let refused = run(&filled, args, &by_key);
        let said = refused.stderr.contains("403 Forbidden");
        assert!(refused.code == 1 && said, "{args:?}: {} {}", refused.stdout, refused.stderr);
    }
    let purge = ["outbox", "purge", "--product", "p", "--state", "dead", "--yes"];
    let refused = run(&filled, &purge, &by_key);
    assert!(refused.stderr.contains("this needs the scope operate"), "{}", refused.stderr);
    for said in [&listed, &refused] {
        assert!(!said.stdout.contains(secret) && !said.stderr.contains(secret));
    }

    let list = run(&filled, &["key", "list"], &here);
    assert!(list.stdout.contains("grafana") && list.stdout.contains(id), "{}", list.stdout);
    let revoked = run(&filled, &["key", "revoke", id], &here);
    assert_eq!(revoked.code, 0, "{}", revoked.stderr);
    let gone = run(&filled, &["outbox", "list"], &by_key);
    assert!(gone.code == 1 && gone.stderr.contains("or it was revoked"), "{}", gone.stderr);

    let log = run(&filled, &["audit", "--json"], &here);
    let log = lines(&log);
    let told: Vec<_> = log
        .iter()
        .map(|entry| (entry["act"]["what"].as_str(), entry["by"]["kind"].as_str()))
        .collect();
    let expected = [
        ("key_revoke", "token"),
        ("outbox_purge", "offline"),
        ("erase", "offline"),
        ("key_new", "offline"),
        ("key_new", "offline"),
        ("key_new", "offline"),
    ];
    assert_eq!(told, expected.map(|(what, by)| (Some(what), Some(by))));
    assert_eq!(log[0]["act"]["name"], "grafana");
    assert_eq!(log[1]["act"]["filter"], "session=.. reason=..");
    assert_eq!(log[1]["outcome"], json!({"result": "done", "affected": 1}));
    assert_eq!(log[2]["act"]["subject"]["kind"], "email");
    assert_eq!(log[3]["outcome"], json!({"result": "refused", "reason": "unknown_product"}));
    assert_eq!(log[5]["outcome"], json!({"result": "done", "affected": null}));
    let shown = run(&filled, &["audit", "--limit", "3"], &here);
    assert!(shown.stdout.contains("offline command"), "{}", shown.stdout);
    assert!(shown.stderr.contains("the newest 3; raise --limit for more"), "{}", shown.stderr);
    for text in PERSONAL.into_iter().chain([secret, "refused\"", "hash\":["]) {
        let log = json!(log).to_string();
        assert!(!log.contains(text) || text == "refused\"", "{text}: {log}");
        assert!(!shown.stdout.contains(text), "{text}: {}", shown.stdout);
    }
    host.shutdown(std::time::Duration::from_secs(5)).await.expect("the host stops");
    let after = run(&filled, &["audit", "--offline", "--json"], &[]);
    assert_eq!(lines(&after), log);
    assert_eq!(run(&filled, &["key", "list", "--json"], &[]).stdout, "");
    let rows = format!("{:?}", filled.rows().await);
    assert!(!rows.contains(&secret[14..]), "no store has the secret");
}

#[tokio::test]
async fn a_key_that_is_not_said_clearly_is_refused() {
    let filled = Filled::store().await;
    for args in [
        &["new", "n"][..],
        &["new", "n", "--scope", "read"],
        &["new", "n", "--product", "p"],
        &["new", "n", "--scope", "write", "--product", "p"],
        &["new", "a b", "--scope", "read", "--product", "p"],
        &["new", "n", "--scope", "read", "--product", "p", "--all-products"],
        &["new", "n", "--scope", "read", "--all-products", "--expires", "0d"],
        &["revoke", "grafana"],
        &["revoke"],
    ] {
        let run = run(&filled, &[&["key"], args].concat(), &[]);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{args:?}: {}", run.stderr);
    }
}

/// What stands for a person in every change that can be asked for.
const CANARY: &str = "canary-4711@example.com";

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_tells_nothing_of_whom_something_was_about() {
    let filled = Filled::store().await;
    let made =
        run(&filled, &["key", "new", "ops", "--scope", "operate,admin", "--all-products"], &[]);
    let key = made.stdout.trim().to_owned();
    let host = start(&filled).await;
    let (client, base) = (reqwest::Client::new(), format!("http://{}", host.addr()));
    let link = json!({"product_id": "p", "session_id": CANARY, "conversation_id": CANARY});
    let calls = [
        ("/sessions/link".to_owned(), link),
        (format!("/sessions/p/{CANARY}/help"), json!({"change": "start_tour", "tour": CANARY})),
        (format!("/admin/reset/{CANARY}?product=p"), json!({})),
        ("/erase".to_owned(), json!({"product_id": "p", "user_id": CANARY})),
        ("/erase".to_owned(), json!({"product_id": "p", "email": CANARY})),
        ("/erase".to_owned(), json!({"product_id": "p", "session_id": CANARY})),
        ("/outbox/retry".to_owned(), json!({"reason": CANARY})),
        ("/outbox/purge".to_owned(), json!({"conversation": CANARY, "session": CANARY})),
        ("/streams/retry".to_owned(), json!({})),
        ("/reload".to_owned(), json!({})),
    ];
    for (path, body) in &calls {
        let asked = client.post(format!("{base}{path}")).bearer_auth(&key).json(body).send().await;
        let status = asked.expect("the host answers").status();
        assert!(
            !matches!(status.as_u16(), 401 | 403 | 404 | 405) || path.ends_with("help"),
            "{path}: {status}"
        );
    }
    host.shutdown(std::time::Duration::from_secs(5)).await.expect("the host stops");
    let log = run(&filled, &["audit", "--json"], &[]);
    let told: Vec<_> = lines(&log);
    let told: Vec<_> = told.iter().filter_map(|entry| entry["act"]["what"].as_str()).collect();
    let expected = [
        "reload",
        "streams_retry",
        "outbox_purge",
        "outbox_retry",
        "erase",
        "erase",
        "erase",
        "reset",
        "help",
        "link",
        "key_new",
    ];
    assert_eq!(told, expected);
    assert!(log.stdout.matches("\"name\":\"ops\"").count() == calls.len() + 1, "{}", log.stdout);
    for text in [CANARY, "canary", "4711", &key[14..]] {
        assert!(!log.stdout.contains(text), "{text}: {}", log.stdout);
    }
    // It was used, and that is known after the host has stopped.
    let listed = lines(&run(&filled, &["key", "list", "--json"], &[]));
    assert!(listed[0]["used_at"].is_number(), "{listed:?}");
}
