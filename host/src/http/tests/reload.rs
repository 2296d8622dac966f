//! Reloads over the API: who may ask for one, and what is answered.

use super::*;

#[tokio::test]
async fn only_the_bearer_has_the_configuration_read_again_and_is_told_of_it() {
    let host = Host::start(Server { token: Some(Secret::new("right")), ..Server::default() }).await;
    for method in ["GET", "POST"] {
        for headers in [&[][..], &[("authorization", "Bearer wrong")]] {
            let answer = host.send(method, "/reload", headers, "").await;
            assert_eq!(
                (answer.status(), answer.code().as_str()),
                (401, "unauthorized"),
                "{method}"
            );
        }
    }
    let right = [("authorization", "Bearer right")];
    let told = host.send("GET", "/reload", &right, "").await;
    assert_eq!(told.status(), 200);
    let body: Value = serde_json::from_str(told.0.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(serde_json::from_value::<Reloads>(body).unwrap(), Reloads::default());
    assert_eq!(host.send("PUT", "/reload", &right, "").await.status(), 405);
}

#[tokio::test]
async fn a_refusal_says_why_and_what_to_do_with_a_status_of_its_kind() {
    let host = Host::start(Server::default()).await;
    let answer = host.send("POST", "/reload", &[], "").await;
    assert_eq!((answer.status(), answer.code().as_str()), (409, "no_file"));
    let body: Value = serde_json::from_str(answer.0.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert!(body["error"]["next"].as_str().unwrap().contains("sidenote run"));
    assert_eq!(body["reload"]["result"], "refused");
}

#[test]
fn what_is_told_of_a_reload_can_be_read_again() {
    let problem = ReloadProblem {
        file: Some("sidenote.toml".to_owned()),
        line: Some(3),
        variable: None,
        section: "plugins.bot".to_owned(),
        message: "no; do that".to_owned(),
    };
    let of_variable =
        ReloadProblem { variable: Some("V".to_owned()), ..ReloadProblem::of("", "no") };
    let problems = vec![problem, of_variable];
    let refusal = ReloadRefusal { code: RefusalCode::Plugin, problems };
    assert_eq!(
        refusal.to_string(),
        "sidenote.toml:3: [plugins.bot] no; do that\nenvironment variable V: no"
    );
    for outcome in [
        ReloadOutcome::Unchanged,
        ReloadOutcome::Applied { changes: Box::default() },
        ReloadOutcome::Refused(refusal),
    ] {
        let reload = Reload { at: 1.5, seconds: 0.25, by: AskedBy::Signal, outcome };
        let text = serde_json::to_string(&reload).unwrap();
        assert_eq!(serde_json::from_str::<Reload>(&text).unwrap(), reload, "{text}");
    }
}
