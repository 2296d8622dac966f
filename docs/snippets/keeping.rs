// ANCHOR: writer
use sidenote_plugin::kv::{self, Scope};
use sidenote_plugin::{Call, Failure, Note, Posted, Writer, config, http};

struct Threads;

impl Writer for Threads {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        let url = config::require("url")?;
        // The notes of a session stand in one thread: the first of them opens it.
        let thread = match kv::get_text(Scope::Session, "thread")? {
            Some(thread) => thread,
            None => {
                let thread = open(&url, &call, &note)?;
                kv::set(Scope::Session, "thread", &thread)?;
                thread
            }
        };
        http::Request::post(format!("{url}/threads/{}", http::encode(&thread)))
            .header("idempotency-key", call.idempotency_key)
            .body(note.body)
            .send()?
            .error_for_status()?;
        Ok(Posted::without_id())
    }
}

fn open(url: &str, call: &Call, note: &Note) -> Result<String, Failure> {
    #[derive(serde::Deserialize)]
    struct Thread {
        id: String,
    }
    let opened = http::Request::post(format!("{url}/threads"))
        // Where the note fails after this, the thread is asked for again: the same key, the same thread.
        .header("idempotency-key", format!("{}-thread", call.idempotency_key))
        .json(&serde_json::json!({ "conversation": note.conversation_id }))?
        .send()?
        .error_for_status()?;
    Ok(opened.json::<Thread>()?.id)
}
// ANCHOR_END: writer

// ANCHOR: test
#[test]
fn the_second_note_goes_into_the_thread_of_the_first() {
    use sidenote_plugin::test::{self, Host};

    let host = Host::new().config("url", "https://desk.example").install();
    let host = host.respond(201, r#"{"id":"t-7"}"#).respond(200, "").respond(200, "").install();
    Threads::post_note(test::call(), test::note("clicked")).unwrap();
    Threads::post_note(test::call(), test::note("paid")).unwrap();
    let urls: Vec<_> = host.requests().into_iter().map(|request| request.url).collect();
    let thread = "https://desk.example/threads/t-7";
    assert_eq!(urls, ["https://desk.example/threads", thread, thread]);
    assert_eq!(host.kept(Scope::Session, "thread").as_deref(), Some(&b"t-7"[..]));
}
// ANCHOR_END: test
