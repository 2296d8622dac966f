// ANCHOR: writer
use sidenote_plugin::{Call, Failure, Note, Posted, Writer, config, http};

struct Bot;

impl Writer for Bot {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        #[derive(serde::Deserialize)]
        struct Answer {
            id: String,
        }
        let url = config::require("url")?;
        let answer = http::Request::post(url)
            .bearer_secret("token")
            .header("idempotency-key", call.idempotency_key)
            .json(&serde_json::json!({ "conversation": note.conversation_id, "text": note.body }))?
            .send()?
            .error_for_status()?;
        // The bot has the note, also where its answer can't be read.
        Ok(match answer.json() {
            Ok(Answer { id }) => Posted::with_id(id),
            Err(_) => Posted::without_id(),
        })
    }
}

sidenote_plugin::export!(Bot);
// ANCHOR_END: writer

// ANCHOR: test
#[test]
fn a_note_is_posted_under_its_key() {
    use sidenote_plugin::test::{self, Host};

    let host = Host::new()
        .config("url", "https://bot.example/notes")
        .respond(201, r#"{"id": "n1"}"#)
        .install();

    let posted = Bot::post_note(test::call(), test::note("clicked Pay")).unwrap();

    assert_eq!(posted.note_id.as_deref(), Some("n1"));
    let request = &host.requests()[0];
    assert_eq!(request.url, "https://bot.example/notes");
    let key = ("idempotency-key".to_owned(), test::call().idempotency_key);
    assert!(request.headers.contains(&key));
}
// ANCHOR_END: test

#[test]
fn a_note_whose_answer_cannot_be_read_is_posted() {
    use sidenote_plugin::test::{self, Host};

    Host::new().config("url", "https://bot.example/notes").respond(200, "done").install();

    assert_eq!(Bot::post_note(test::call(), test::note("clicked Pay")).unwrap().note_id, None);
}

// ANCHOR: refusal
#[test]
fn a_limit_is_told_to_the_host() {
    use sidenote_plugin::FailureKind;
    use sidenote_plugin::test::{self, Host, Response};

    let headers = vec![("retry-after".to_owned(), "7".to_owned())];
    let answer = Response { status: 429, headers, body: Vec::new() };
    Host::new().config("url", "https://bot.example/notes").respond_with(Ok(answer)).install();

    let failure = Bot::post_note(test::call(), test::note("clicked Pay")).unwrap_err();

    assert_eq!((failure.kind, failure.retry_after_ms), (FailureKind::RateLimited, Some(7000)));
}
// ANCHOR_END: refusal
