use std::time::Duration;

use sidenote_plugin::http::Response;
use sidenote_plugin::{Failure, LimitScope, Posted, Sent};

// ANCHOR: own
/// What an answer of this platform means.
fn outcome(response: Response) -> Result<Posted, Failure> {
    match response.status {
        // It has a note with this key: an earlier attempt got through.
        409 => Ok(Posted::without_id()),
        // Its word for a conversation that is closed. Trying again is of no use.
        423 => {
            Err(Failure::not_found("closed", "the conversation is closed").with_sent(Sent::Sent))
        }
        // All other statuses mean what they usually do.
        _ => response.error_for_status().map(|_| Posted::without_id()),
    }
}
// ANCHOR_END: own

// ANCHOR: pause
/// The platform tells that the limit of this conversation is used up: nothing more goes there for a
/// minute, and other conversations go on.
fn used_up() -> Posted {
    Posted::without_id().with_pause(Duration::from_secs(60), LimitScope::Conversation)
}
// ANCHOR_END: pause

#[test]
fn answers_mean_what_the_book_says() {
    use sidenote_plugin::FailureKind::{NotFound, Transient};

    let answer = |status| outcome(Response { status, headers: Vec::new(), body: Vec::new() });
    assert_eq!(answer(200), Ok(Posted::without_id()));
    assert_eq!(answer(409), Ok(Posted::without_id()));
    let failures = [(423, NotFound, Sent::Sent), (502, Transient, Sent::Unknown)];
    for (status, kind, sent) in failures {
        let failure = answer(status).unwrap_err();
        assert_eq!((failure.kind, failure.sent), (kind, sent), "{status}");
    }
    let pause = ("pause-ms".to_owned(), "60000".to_owned());
    assert_eq!(used_up().extras[0], pause);
}
