//! Summaries that take the place of raw notes, and people who are erased, over real sockets.

use std::time::Duration;

use sidenote::session::payload::SummaryPayload;
use sidenote_sim::{Event, Note};
use sidenote_tests::{Person, Rig, Setup, counts, eventually};

fn summary(person: &Person, text: &str, replaces: u64) -> Event {
    Event::summary(&SummaryPayload {
        product_id: person.product.to_owned(),
        session_id: Some(person.session.clone()),
        summary: text.to_owned(),
        replaces,
        forwarded_at: 1_700_000_000.0,
    })
}

/// What stands beside a conversation: the kinds of its notes.
fn kinds(rig: &Rig, conversation: &str) -> Vec<String> {
    rig.platform.notes(conversation).iter().map(|note| note.kind.clone()).collect()
}

/// Waits until exactly these kinds of notes stand beside a conversation.
async fn stand(rig: &Rig, conversation: &str, expected: &[&str]) {
    eventually(|| {
        let kinds = kinds(rig, conversation);
        if kinds == expected { Ok(()) } else { Err(format!("{kinds:?}, not {expected:?}")) }
    })
    .await;
}

/// As the platform saw it: no raw note went before a summary stood there, and no conversation was blank.
fn assert_never_blank(rig: &Rig) {
    for redacted in rig.platform.redactions() {
        assert!(redacted.summaries > 0 && redacted.left > 0, "{redacted:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_from_the_connector_takes_the_place_of_the_notes_that_it_covers() {
    let rig = Rig::start(Setup::default()).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.emit(&person.batch(0..2)).await;
    rig.arrives(&conversation, &person, 2).await;
    rig.emit_event(summary(&person, "they clicked twice", 2)).await;
    stand(&rig, &conversation, &["summary"]).await;
    rig.emit(&person.batch(2..4)).await;
    stand(&rig, &conversation, &["summary", "actions"]).await;
    let texts = |note: &std::sync::Arc<Note>| note.body.clone();
    let bodies: Vec<_> = rig.platform.notes(&conversation).iter().map(texts).collect();
    assert!(bodies[0].ends_with("\n\nthey clicked twice"), "{}", bodies[0]);
    assert!(bodies[1].contains(&person.marker(2)), "{}", bodies[1]);
    rig.emit_event(summary(&person, "they clicked four times", 2)).await;
    stand(&rig, &conversation, &["summary"]).await;
    assert_never_blank(&rig);
    counts(rig.host(), "redactions done", |totals| totals.redactions_done, 3).await;
    rig.end().await;
}

/// The host is killed again and again, at moments that move over the whole of what it does.
#[tokio::test(flavor = "multi_thread")]
async fn post_then_confirm_then_redact_holds_at_the_platform_over_kills() {
    let platform = sidenote_sim::PlatformOptions {
        // Long enough that kills hit posts and redactions that are under way.
        answers_after: Duration::from_millis(40),
        ..Default::default()
    };
    let setup = Setup { process: true, platform, ..Setup::default() };
    let mut rig = Rig::start(setup).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    for round in 0..6_u64 {
        for n in 0..3 {
            let action = round * 3 + n;
            rig.emit(&person.batch(action..action + 1)).await;
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        rig.emit_event(summary(&person, &format!("summary {round}"), 3)).await;
        tokio::time::sleep(Duration::from_millis(30 + 70 * round)).await;
        rig.kill_host().await;
        rig.start_host().await;
    }
    // What was read from the stream and not stored at a kill is the connector's to send again; this one
    // doesn't. So the end is told by a last summary of everything.
    rig.emit(&person.batch(100..101)).await;
    rig.emit_event(summary(&person, "the last one", 1000)).await;
    eventually(|| {
        let notes = rig.platform.notes(&conversation);
        let last = notes.last().is_some_and(|note| note.body.ends_with("the last one"));
        if notes.len() == 1 && last {
            Ok(())
        } else {
            Err(format!("{:?}", kinds(&rig, &conversation)))
        }
    })
    .await;
    assert_never_blank(&rig);
    assert!(rig.platform.redactions().len() > 6, "{:?}", rig.platform.stats());
    assert_eq!(rig.platform.stats().changed_repeats, 0);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_erased_by_a_request_and_their_notes_go_from_the_platform() {
    let mut rig = Rig::start(Setup { process: true, ..Setup::default() }).await;
    let (ann, bob) = (Person::new("p", "ann-session"), Person::new("p", "bob-session"));
    let (with_ann, with_bob) = (rig.open(&ann).await, rig.open(&bob).await);
    for person in [&ann, &bob] {
        rig.emit(&person.batch(0..2)).await;
    }
    rig.arrives(&with_ann, &ann, 2).await;
    rig.arrives(&with_bob, &bob, 2).await;
    let body = serde_json::json!({"product_id": "p", "user_id": ann.user_id()});
    let mut dry = body.clone();
    dry["dry_run"] = true.into();
    let json = |answer: sidenote_sim::Answer| {
        serde_json::from_slice::<serde_json::Value>(&answer.body).expect("JSON")
    };
    assert_eq!(json(rig.post("/erase", &dry).await)["sessions"], 1);
    assert_eq!(kinds(&rig, &with_ann).len(), 1, "a dry run changes nothing");
    let erased = json(rig.post("/erase", &body).await);
    assert_eq!((&erased["sessions"], &erased["redactions"]), (&1.into(), &1.into()), "{erased}");
    stand(&rig, &with_ann, &[]).await;
    assert_eq!(kinds(&rig, &with_bob), ["actions"]);

    // A start writes the files anew at once; within one run there is a minute in between.
    rig.stop_host().await;
    rig.start_host().await;
    let markers = [ann.user_id(), ann.email(), ann.session.clone()];
    eventually(|| {
        let found = |marker: &&String| !rig.store_files_with(marker).is_empty();
        match markers.iter().find(found) {
            None => Ok(()),
            Some(marker) => Err(format!("{marker} is in {:?}", rig.store_files_with(marker))),
        }
    })
    .await;
    assert!(!rig.store_files_with(&bob.session).is_empty(), "the search finds what is there");
    rig.stop().await;
}
