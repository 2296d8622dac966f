//! `GET /reply/{user_id}`.

use super::*;
use crate::backoff::Backoff;
use crate::clock::{Clock, Timestamp};
use crate::context::{Recent, Settings, UserSettings};
use crate::llm::{Caller, Completion, Limits, LlmError, from_fn};
use crate::prompts::Prompts;
use crate::session::payload::{Action, ActionsPayload};

const TOKEN: (&str, &str) = ("authorization", "Bearer t");

/// A host that knows what `u` did, and whose model answers like this; the questions that it was asked.
async fn start(answer: Option<Result<&'static str, LlmError>>) -> (Host, Arc<Mutex<Vec<String>>>) {
    let token = Some(Secret::new("t"));
    let host = Host::start(Server { token, ..Server::default() }).await;
    let clock = Clock::starting_at(Timestamp::from_secs_f64(1_700_000_000.0));
    let recent = Recent::new(Settings::default(), UserSettings::default(), clock).unwrap();
    recent.take(&ActionsPayload {
        product_id: "p".to_owned(),
        session_id: Some("s".to_owned()),
        user_id: Some("u".to_owned()),
        actions: vec![Action { description: "clicked".to_owned(), ..Action::default() }],
        forwarded_at: 1_700_000_000.0,
        ..ActionsPayload::default()
    });
    *host.backend.recent.lock().unwrap() = Some(recent);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let replies = answer.map(|answer| {
        let asked = asked.clone();
        let model = from_fn("fake", move |prompt| {
            asked.lock().unwrap().push(prompt.text);
            let answer = answer.clone();
            async move { answer.map(Completion::of) }
        });
        let second = Duration::from_secs(1);
        let backoff = Backoff { initial: second, max: second };
        let limits = Limits { timeout: PATIENCE, retries: 0, backoff, max_answer_bytes: 1000 };
        Replies::new(Caller::new(model, limits), Arc::new(Prompts::default()))
    });
    *host.backend.replies.lock().unwrap() = replies;
    (host, asked)
}

async fn get(host: &Host, path: &str) -> Answer {
    host.send("GET", path, &[TOKEN], "").await
}

#[tokio::test]
async fn a_question_is_answered_with_what_its_user_did_before_it() {
    let (host, asked) = start(Some(Ok("press Save"))).await;
    let answer = get(&host, "/reply/u?query=how%20do%20I&product=p").await;
    assert_eq!(answer.status(), 200);
    let context = "Session s (p):\nRecent activity:\n1. [0] : clicked — ";
    assert_eq!(
        answer.json(),
        json!({"user_id": "u", "query": "how do I", "reply": "press Save", "context": context})
    );
    let asked = asked.lock().unwrap();
    let data =
        format!("\n\n[User ID]\nu\n\n[Recent activity]\n{context}\n\n[User query]\nhow do I");
    assert!(matches!(&asked[..], [text] if text.ends_with(&data)), "{asked:?}");
}

#[tokio::test]
async fn the_model_is_not_asked_for_who_is_not_known_or_may_not_ask() {
    let (host, asked) = start(Some(Ok("yes"))).await;
    for (path, status, code) in [
        ("/reply/nobody?query=q&product=p", 404, "unknown_user"),
        ("/reply/u?query=q&product=q", 404, "unknown_user"),
        ("/reply/u?query=q&product=x", 404, "unknown_product"),
        ("/reply/u?query=q", 422, "which_product"),
        ("/reply/u?product=p", 422, "missing_query"),
    ] {
        let answer = get(&host, path).await;
        assert_eq!((answer.status(), answer.code()), (status, code.to_owned()), "{path}");
    }
    let path = "/reply/u?query=q&product=p";
    assert_eq!(host.send("GET", path, &[], "").await.status(), 401);
    for method in ["HEAD", "POST", "DELETE"] {
        let answer = host.send(method, path, &[TOKEN], "").await;
        assert_eq!((answer.status(), answer.header("allow")), (405, Some("GET")));
    }
    assert_eq!(*asked.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_model_that_fails_is_a_typed_error_that_repeats_nothing() {
    for (error, status, code) in [
        (LlmError::TimedOut { after: PATIENCE }, 504, "llm_timed_out"),
        (LlmError::RateLimited { retry_after: None }, 502, "llm_rate_limited"),
        (LlmError::unavailable("Ann's server"), 502, "llm_unavailable"),
        (LlmError::Auth { status: 401 }, 502, "llm_auth"),
        (LlmError::Setting { code: None }, 502, "llm_setting"),
        (LlmError::Refused { code: None }, 502, "llm_refused"),
        (LlmError::Malformed { cause: "Ann".to_owned() }, 502, "llm_malformed"),
    ] {
        let (host, _) = start(Some(Err(error))).await;
        let answer = get(&host, "/reply/u?query=q&product=p").await;
        assert_eq!((answer.status(), answer.code()), (status, code.to_owned()));
        assert!(!answer.body().contains("Ann"), "{}", answer.body());
    }
    let (host, _) = start(Some(Ok(" "))).await;
    let answer = get(&host, "/reply/u?query=q&product=p").await;
    assert_eq!((answer.status(), answer.code()), (502, "llm_empty".to_owned()));
    let (host, _) = start(None).await;
    let answer = get(&host, "/reply/u?query=q&product=p").await;
    assert_eq!((answer.status(), answer.code()), (503, "llm_off".to_owned()));
}
