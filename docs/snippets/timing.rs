// ANCHOR: writer
use std::time::Duration;

use sidenote_plugin::timer::{self, DueTimer};
use sidenote_plugin::{Call, Failure, Note, OnTimer, Posted, Writer, config, http};

struct Desk;

impl Writer for Desk {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        let url = config::require("url")?;
        http::Request::post(format!("{url}/notes/{}", http::encode(&note.conversation_id)))
            .header("idempotency-key", call.idempotency_key)
            .body(note.body)
            .send()?
            .error_for_status()?;
        // Half an hour after the latest note: the same name sets the timer anew.
        timer::set("quiet", Duration::from_secs(1800), note.conversation_id)?;
        Ok(Posted::without_id())
    }
}

impl OnTimer for Desk {
    fn wake(call: Call, timer: DueTimer) -> Result<(), Failure> {
        let url = config::require("url")?;
        let conversation = String::from_utf8_lossy(&timer.payload);
        http::Request::post(format!("{url}/snooze/{}", http::encode(&conversation)))
            // The same for every attempt.
            .header("idempotency-key", call.idempotency_key)
            .send()?
            .error_for_status()?;
        Ok(())
    }
}
// ANCHOR_END: writer

// ANCHOR: test
#[test]
fn a_conversation_without_notes_for_half_an_hour_is_snoozed() {
    use sidenote_plugin::test::{self, Host};

    let host = Host::new().config("url", "https://desk.example").at(1_700_000_000);
    let host = host.respond(201, "").respond(201, "").respond(200, "").install();
    Desk::post_note(test::call(), test::note("clicked")).unwrap();
    Desk::post_note(test::call(), test::note("paid")).unwrap();
    let timers = host.take_timers();
    let due: Vec<_> = timers.iter().map(|timer| (timer.name.as_str(), timer.at_ms)).collect();
    assert_eq!(due, [("quiet", 1_700_001_800_000)]);
    for timer in timers {
        Desk::wake(test::call(), timer).unwrap();
    }
    assert_eq!(host.requests()[2].url, "https://desk.example/snooze/c-1");
}
// ANCHOR_END: test
