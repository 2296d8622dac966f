//! Language models over sockets: what each provider is sent, and what can go wrong with an answer.

use std::collections::BTreeMap;
use std::time::Duration;

use sidenote::backoff::Backoff;
use sidenote::clock::Clock;
use sidenote::config::{Config, Llm};
use sidenote::llm::{Caller, Completion, HttpLlm, Limits, LlmError, Prompt};
use sidenote_tests::llm::{Behaviour, LlmServer, Shape};
use tokio::time::Instant;

const ALL: [Shape; 4] = [Shape::OpenAi, Shape::Azure, Shape::Anthropic, Shape::Gemini];

/// `[llm]` as the configuration reads it.
fn config(server: &LlmServer, keys: &str) -> Llm {
    let text = format!(
        "[streams.main]\nurl = \"https://a.example\"\n[plugins.w]\n[products.p]\nplugins = [\"w\"]\n[summary]\nenabled = false\n{}",
        server.table(keys)
    );
    let env = BTreeMap::from([LlmServer::secret()]);
    let config =
        Config::from_toml(&text, std::path::Path::new("/"), &|name| env.get(name).cloned());
    config.unwrap_or_else(|errors| panic!("{errors}")).llm.expect("a model")
}

fn caller(server: &LlmServer, timeout: Duration) -> Caller {
    let model = HttpLlm::new(&config(server, ""), Clock::system()).expect("a client");
    let backoff = Backoff { initial: Duration::from_millis(10), max: Duration::from_millis(40) };
    Caller::new(model, Limits { timeout, retries: 2, backoff, max_answer_bytes: 4096 })
}

fn prompt() -> Prompt {
    Prompt {
        name: "test".into(),
        version: "1".into(),
        system: "be brief".to_owned(),
        background: String::new(),
        text: "what did Ann do?".to_owned(),
    }
}

const PATIENT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn every_provider_is_sent_what_its_documentation_wants_and_its_answer_is_read() {
    for shape in ALL {
        let server = LlmServer::start(shape, []).await;
        let answer = caller(&server, PATIENT).ask(&prompt()).await;
        let expected = Completion {
            text: "SUM0".to_owned(),
            tokens_in: Some(21),
            tokens_out: Some(7),
            cut: false,
        };
        assert_eq!((answer, server.refusals()), (Ok(expected), Vec::new()), "{shape:?}");
        let question = server.questions().pop().expect("a question");
        assert_eq!((&*question.system, &*question.text), ("be brief", "what did Ann do?"));
    }
}

#[tokio::test]
async fn each_failure_has_its_kind_and_nothing_of_the_question_is_in_it() {
    for shape in ALL {
        let server = LlmServer::start(shape, []).await;
        for (behaviour, kind, tries) in [
            (Behaviour::Fail(401, None), "auth", 1),
            (Behaviour::Fail(403, None), "auth", 1),
            (Behaviour::Fail(404, None), "not_found", 1),
            (Behaviour::Fail(400, None), "refused", 1),
            (Behaviour::Fail(429, None), "rate_limited", 3),
            (Behaviour::Fail(500, None), "unavailable", 3),
            (Behaviour::Fail(529, None), "unavailable", 3),
            (Behaviour::Fail(302, None), "malformed", 1),
            (Behaviour::Body("<html>what did Ann do?</html>".to_owned()), "malformed", 1),
            (Behaviour::Body("{}".to_owned()), "malformed", 1),
            (Behaviour::Answer(" \n".to_owned()), "empty", 1),
            (Behaviour::Answer("x".repeat(5000)), "too_long", 1),
            (Behaviour::Body("x".repeat(10 << 20)), "too_long", 1),
        ] {
            server.always(Some(behaviour.clone()));
            let before = server.questions().len();
            let error = caller(&server, PATIENT).ask(&prompt()).await.expect_err("a failure");
            let said = format!("{error} {error:?}");
            assert_eq!(error.kind(), kind, "{shape:?} {behaviour:?}: {said}");
            assert!(!said.contains("Ann"), "{said}");
            assert_eq!(server.questions().len() - before, tries, "{shape:?} {behaviour:?}");
        }
        assert_eq!(server.refusals(), Vec::<String>::new(), "{shape:?}");
    }
}

#[tokio::test]
async fn a_wait_that_the_provider_asks_for_is_told_on() {
    let server = LlmServer::start(Shape::Anthropic, [Behaviour::Fail(429, Some(3600))]).await;
    let error = caller(&server, PATIENT).ask(&prompt()).await;
    let retry_after = Some(Duration::from_secs(3600));
    assert_eq!(error, Err(LlmError::RateLimited { retry_after }));
    assert_eq!(server.questions().len(), 1, "it isn't asked before");
}

#[tokio::test]
async fn an_answer_that_hangs_or_drips_is_cut_at_the_total_time_out() {
    let timeout = Duration::from_millis(700);
    for behaviour in [Behaviour::Hang, Behaviour::Drip] {
        let server = LlmServer::start(Shape::OpenAi, [behaviour.clone()]).await;
        let begin = Instant::now();
        let error = caller(&server, timeout).ask(&prompt()).await;
        assert_eq!(error, Err(LlmError::TimedOut { after: timeout }), "{behaviour:?}");
        assert!(begin.elapsed() < timeout + Duration::from_secs(5), "{:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn a_failure_that_passes_is_one_nobody_hears_of() {
    let fail = Behaviour::Fail(503, Some(0));
    let server = LlmServer::start(Shape::Gemini, [fail.clone(), fail]).await;
    let answer = caller(&server, PATIENT).ask(&prompt()).await.expect("an answer");
    assert_eq!((&*answer.text, server.questions().len()), ("SUM2", 3));
}

#[tokio::test]
async fn a_model_that_is_not_there_is_unavailable() {
    let server = LlmServer::start(Shape::OpenAi, []).await;
    let caller = caller(&server, PATIENT);
    drop(server);
    let error = caller.ask(&prompt()).await.expect_err("nobody answers");
    assert_eq!(error.kind(), "unavailable", "{error}");
}

/// What a provider answers where its model thinks first: in the text, and in fields of its own.
fn thinking(shape: Shape) -> Vec<Behaviour> {
    let thought = "This person seems slow.";
    let tagged = [
        format!("<think>\n{thought}\n</think>\n\nSAID"),
        format!("{thought}</think>SAID"),
        format!("<reasoning>{thought}</reasoning> SAID"),
        format!("SAID <think>{thought}"),
    ];
    let mut answers: Vec<_> = tagged.into_iter().map(Behaviour::Answer).collect();
    answers.push(Behaviour::Body(match shape {
        Shape::OpenAi | Shape::Azure | Shape::Gateway => format!(
            r#"{{"choices":[{{"message":{{"content":[{{"type":"thinking","thinking":[{{"type":"text","text":"{thought}"}}]}},{{"type":"text","text":"SAID"}}],"reasoning_content":"{thought}"}},"finish_reason":"stop"}}]}}"#
        ),
        Shape::Anthropic => format!(
            r#"{{"content":[{{"type":"thinking","thinking":"{thought}"}},{{"type":"something_new"}},{{"type":"text","text":"SAID"}}],"stop_reason":"end_turn"}}"#
        ),
        Shape::Gemini => format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{thought}","thought":true}},{{"functionCall":{{}}}},{{"text":"SAID"}}]}},"finishReason":"STOP"}}]}}"#
        ),
    }));
    answers
}

#[tokio::test]
async fn what_a_model_thinks_on_the_way_is_never_its_answer() {
    for shape in ALL {
        let server = LlmServer::start(shape, []).await;
        for behaviour in thinking(shape) {
            server.always(Some(behaviour.clone()));
            let answer = caller(&server, PATIENT).ask(&prompt()).await.expect("an answer");
            assert_eq!(answer.text, "SAID", "{shape:?} {behaviour:?}");
        }
        server.always(Some(Behaviour::Answer("<think>This person seems slow.</think>".to_owned())));
        let error = caller(&server, PATIENT).ask(&prompt()).await.expect_err("thoughts only");
        assert_eq!(error, LlmError::Empty, "{shape:?}");
    }
}

#[tokio::test]
async fn an_error_in_a_good_answer_is_asked_about_again() {
    let error = |code: &str| {
        Behaviour::Body(format!(
            r#"{{"error":{{"message":"Provider returned error","code":{code}}}}}"#
        ))
    };
    for shape in ALL {
        for code in ["429", "\"429\"", "502", "503", "null"] {
            let server = LlmServer::start(shape, [error(code)]).await;
            let answer = caller(&server, PATIENT).ask(&prompt()).await.expect("an answer");
            assert_eq!(answer.text, "SUM1", "{shape:?} {code}");
        }
        for (code, kind) in [("401", "auth"), ("402", "setting"), ("404", "not_found")] {
            let server = LlmServer::start(shape, [error(code)]).await;
            let failed = caller(&server, PATIENT).ask(&prompt()).await.expect_err("a refusal");
            assert_eq!(failed.kind(), kind, "{shape:?} {code}");
        }
    }
}

#[tokio::test]
async fn a_bound_that_is_called_otherwise_is_asked_with_its_other_name_once_and_remembered() {
    let old = r#"{"error":{"message":"Unrecognized request argument supplied: max_completion_tokens","type":"invalid_request_error","param":null,"code":null}}"#;
    let server = LlmServer::start(Shape::Gateway, []).await;
    let caller_of_gateway = caller(&server, PATIENT);
    for n in 0..3 {
        let answer = caller_of_gateway.ask(&prompt()).await.expect("an answer");
        assert_eq!(answer.text, format!("SUM{n}"));
    }
    assert_eq!(server.refusals().len(), 1, "it is remembered");

    // Other words that don't help are not remembered.
    let server = LlmServer::start(Shape::Azure, [Behaviour::FailWith(400, old.to_owned())]).await;
    let caller_of_azure = caller(&server, PATIENT);
    caller_of_azure.ask(&prompt()).await.expect_err("it takes neither name this time");
    assert_eq!(caller_of_azure.ask(&prompt()).await.expect("an answer").text, "SUM1");
    assert_eq!(server.refusals().len(), 1);
}

#[tokio::test]
async fn an_encoded_answer_is_refused_in_words() {
    let server = LlmServer::start(Shape::OpenAi, []).await;
    server.always(Some(Behaviour::Encoded("gzip".to_owned())));
    let error = caller(&server, PATIENT).ask(&prompt()).await.expect_err("it can't be read");
    assert!(error.to_string().contains("encoded (gzip)"), "{error}");
    assert!(server.encodings().iter().all(|asked| asked == "identity"), "{:?}", server.encodings());
}
