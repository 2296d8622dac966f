//! The chat platforms that people use: one story for all of them, from the conversation's opening on, over
//! sockets, with the plugin's component between a host and a platform that is as strict as its vendor says.

use std::time::Duration;

use sidenote::session::payload::SummaryPayload;
use sidenote_sim::Event;
use sidenote_tests::vendor::{
    Fault, Happening, Intercom, Scope, Trouble, Vendor, VendorRig, Zendesk,
};
use sidenote_tests::{Person, counts, eventually};

const DELIVERY: &str = r#"
debounce = "20ms"
retry_initial = "20ms"
retry_max = "200ms"
call_timeout = "3s"
"#;

/// How long a platform takes nothing.
const HOLD: Duration = Duration::from_secs(2);

/// Markup, and a placeholder that must stay what it is.
const TYPED: &str = "typed <b>\"{{secret:token}}\"</b> & 'left'";

const SUMMARY: &str = "They looked for a way to pay & didn't find it.";

/// What a person reads, however the platform keeps it.
async fn reads(
    rig: &VendorRig,
    conversation: &str,
    person: &Person,
    actions: std::ops::Range<u64>,
) {
    let wanted: Vec<String> = actions.map(|n| person.marker(n)).collect();
    rig.reads(conversation, &wanted).await;
}

/// What must hold of a platform whatever happened.
fn assert_sound(rig: &VendorRig, conversation: &str, person: &Person, actions: u64) {
    let text = rig.vendor.read(conversation).join("\n");
    let words: Vec<&str> = text.split_whitespace().filter(|it| it.starts_with("a-")).collect();
    let wanted: Vec<String> = (0..actions).map(|n| person.marker(n)).collect();
    assert_eq!(words, wanted, "every action once, in order");
    let stats = rig.vendor.stats();
    assert_eq!((stats.refused, stats.early), (0, 0), "{stats:?} {:?}", rig.vendor.refusals());
    assert_eq!(rig.host().counters().notes_dead, 0);
}

/// A conversation opens; notes from before and after arrive; a limit is waited out.
async fn story(vendor: impl Vendor) {
    let rig = VendorRig::start(vendor, DELIVERY).await;
    for hook in rig.vendor.greetings() {
        let method = hook.method;
        let status = rig.vendor.send(hook).await;
        assert!((200..300).contains(&status), "the host answers {status} to a {method}");
    }
    let person = Person::new("p", "s-1");
    rig.emit(&person.batch(0..2)).await;
    eventually(|| match rig.host().counters().actions_accepted {
        2 => Ok(()),
        taken => Err(format!("{taken} of 2 actions taken")),
    })
    .await;

    let conversation = rig.vendor.open(person.opening()).await;
    reads(&rig, &conversation, &person, 0..2).await;
    counts(rig.host(), "links made", |totals| totals.links_made, 1).await;

    rig.emit(&person.batch(2..3)).await;
    reads(&rig, &conversation, &person, 2..3).await;
    rig.emit(&person.saying([(3, format!("{} {TYPED}", person.marker(3)))])).await;
    rig.reads(&conversation, &[TYPED.to_owned()]).await;
    let reply = Happening::Replied("Are you there?".to_owned());
    rig.vendor.tell(&conversation, &reply).await;
    let noted = Happening::Noted(person.marker(3));
    rig.vendor.tell(&conversation, &noted).await;

    for scope in [Scope::Account, Scope::Conversation(conversation.clone())] {
        // A note that can be read may still be asked for its id.
        eventually(|| match rig.host().counters() {
            it if it.notes_posted == it.notes_sealed => Ok(()),
            it => Err(format!("{} of {} notes are on record", it.notes_posted, it.notes_sealed)),
        })
        .await;
        let (before, posted) = (rig.vendor.stats().limited, rig.host().counters().notes_posted);
        rig.vendor.limit(scope.clone(), 0, HOLD);
        let first = if scope == Scope::Account { 4 } else { 6 };
        rig.emit(&person.batch(first..first + 1)).await;
        eventually(|| match rig.vendor.stats().limited - before {
            0 => Err(format!("the limit isn't met: {scope:?}")),
            _ => Ok(()),
        })
        .await;
        rig.emit(&person.batch(first + 1..first + 2)).await;
        reads(&rig, &conversation, &person, first..first + 2).await;
        assert_eq!(rig.vendor.stats().limited - before, 1, "a limit is met once: {scope:?}");
        eventually(|| match rig.host().counters().notes_posted {
            now if now > posted => Ok(()),
            now => Err(format!("{now} notes are on record, as before")),
        })
        .await;
    }
    assert_sound(&rig, &conversation, &person, 8);
    summarised(&rig, &conversation, &person, 8).await;
    erased(&rig, &conversation, &person, 10).await;
    rig.stop().await;
}

/// A summary takes the place of the notes that it covers, and what is done afterwards stands behind it.
async fn summarised(rig: &VendorRig, conversation: &str, person: &Person, actions: u64) {
    let summary = SummaryPayload {
        product_id: person.product.to_owned(),
        session_id: Some(person.session.clone()),
        summary: SUMMARY.to_owned(),
        replaces: actions,
        forwarded_at: 1_700_000_100.0,
    };
    rig.emit_event(Event::summary(&summary)).await;
    rig.reads(conversation, &[SUMMARY.to_owned()]).await;
    let raw: Vec<String> =
        (0..actions).map(|n| person.marker(n)).chain([TYPED.to_owned()]).collect();
    gone(rig, conversation, &raw).await;
    rig.emit(&person.batch(actions..actions + 2)).await;
    reads(rig, conversation, person, actions..actions + 2).await;
    let text = rig.vendor.read(conversation).join("\n");
    let (summary, after) = (text.find(SUMMARY), text.find(&person.marker(actions)));
    assert!(summary.is_some() && summary < after, "{text}");
    let stats = rig.vendor.stats();
    assert_eq!((stats.refused, stats.early), (0, 0), "{stats:?} {:?}", rig.vendor.refusals());
}

/// What was written of a person is redacted at the platform, and the host knows nothing of them.
async fn erased(rig: &VendorRig, conversation: &str, person: &Person, actions: u64) {
    let whom = serde_json::json!({ "product_id": person.product, "session_id": person.session });
    let answer = rig.post("/erase", &whom).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let texts: Vec<String> =
        (0..actions).map(|n| person.marker(n)).chain([SUMMARY.to_owned()]).collect();
    gone(rig, conversation, &texts).await;
    // A session that comes back is a new one, which has no conversation.
    rig.emit(&person.batch(actions..actions + 1)).await;
    eventually(|| match rig.host().counters().actions_accepted {
        taken if taken > actions => Ok(()),
        taken => Err(format!("{taken} actions taken")),
    })
    .await;
    assert!(!rig.vendor.kept(conversation).contains(&person.marker(actions)));
    let stats = rig.vendor.stats();
    assert_eq!((stats.refused, stats.early), (0, 0), "{stats:?} {:?}", rig.vendor.refusals());
}

/// Waits until nothing that the platform keeps of what support wrote holds any of these.
async fn gone(rig: &VendorRig, conversation: &str, texts: &[String]) {
    eventually(|| {
        let kept =
            [rig.vendor.kept(conversation), rig.vendor.read(conversation).join("\n")].concat();
        match texts.iter().find(|text| kept.contains(text.as_str())) {
            Some(text) => Err(format!("{text:?} is still there: {:?}", rig.vendor.refusals())),
            None => Ok(()),
        }
    })
    .await;
}

/// A platform that took a note and never said so isn't sent it again; one that is in trouble is.
async fn lost_answers(vendor: impl Vendor) {
    let rig = VendorRig::start(vendor, DELIVERY).await;
    let person = Person::new("p", "s-1");
    let conversation = rig.vendor.open(person.opening()).await;
    let troubles = [
        Fault { trouble: Trouble::Status(500), taken: true },
        Fault { trouble: Trouble::Hang, taken: true },
        Fault { trouble: Trouble::Status(503), taken: false },
        Fault { trouble: Trouble::Hang, taken: false },
    ];
    for (n, fault) in (0..).zip(troubles) {
        rig.vendor.break_next(1, fault);
        rig.emit(&person.batch(n..n + 1)).await;
        reads(&rig, &conversation, &person, n..n + 1).await;
        eventually(|| match rig.host().counters().notes_posted {
            posted if posted > n => Ok(()),
            posted => Err(format!("{posted} of {} notes are on record as sent", n + 1)),
        })
        .await;
    }
    assert_eq!(rig.vendor.stats().faults, 4);
    assert_sound(&rig, &conversation, &person, 4);
    rig.stop().await;
}

/// A limit that the platform tells of before it is met isn't met.
async fn told_in_time(vendor: impl Vendor) {
    let rig = VendorRig::start(vendor, DELIVERY).await;
    let person = Person::new("p", "s-1");
    let conversation = rig.vendor.open(person.opening()).await;
    rig.vendor.limit(Scope::Account, 1, HOLD);
    for n in 0..3 {
        rig.emit(&person.batch(n..n + 1)).await;
        reads(&rig, &conversation, &person, n..n + 1).await;
    }
    assert_eq!(rig.vendor.stats().limited, 0);
    assert_sound(&rig, &conversation, &person, 3);
    rig.stop().await;
}

/// Credentials that aren't the platform's are refused, and the note waits for the operator.
async fn wrong_token(right: impl Vendor, wrong: impl Vendor) {
    let rig = VendorRig::start_with(right, &wrong.secrets(), DELIVERY).await;
    let person = Person::new("p", "s-1");
    let conversation = rig.vendor.create(person.opening());
    let hook = rig.vendor.hook(&conversation, &Happening::Opened);
    assert_eq!(rig.vendor.send(hook).await, 401, "a webhook that another secret signed");
    let link = serde_json::json!({
        "product_id": "p", "session_id": "s-1", "conversation_id": conversation,
    });
    assert_eq!(rig.post("/sessions/link", &link).await.status, 200);
    rig.emit(&person.batch(0..1)).await;
    eventually(|| match rig.vendor.refusals() {
        refusals if refusals.is_empty() => Err("the platform isn't asked".to_owned()),
        // Slack says it with 200.
        refusals
            if refusals.iter().all(|it| it.contains(": 401 ") || it.contains("invalid_auth")) =>
        {
            Ok(())
        }
        refusals => panic!("{refusals:?}"),
    })
    .await;
    assert_eq!(rig.vendor.notes(&conversation).len(), 0);
    assert_eq!(rig.host().counters().notes_dead, 0);
    rig.stop().await;
}

/// A note for a conversation that isn't there is given up, and the next conversation has its notes.
async fn wrong_conversation(vendor: impl Vendor) {
    let missing = vendor.conversation_id(999);
    let rig = VendorRig::start(vendor, DELIVERY).await;
    let link = serde_json::json!({
        "product_id": "p", "session_id": "lost", "conversation_id": missing,
    });
    assert_eq!(rig.post("/sessions/link", &link).await.status, 200);
    rig.emit(&Person::new("p", "lost").batch(0..1)).await;
    eventually(|| match rig.host().counters().notes_dead {
        1 => Ok(()),
        dead => Err(format!("{dead} of 1 notes given up: {:?}", rig.vendor.refusals())),
    })
    .await;
    let person = Person::new("p", "s-1");
    let conversation = rig.vendor.open(person.opening()).await;
    rig.emit(&person.batch(0..1)).await;
    reads(&rig, &conversation, &person, 0..1).await;
    assert_eq!(rig.vendor.stats().refused, 1, "asked once: {:?}", rig.vendor.refusals());
    rig.stop().await;
}

/// What a person typed is read as it was typed.
async fn typed_is_read(vendor: impl Vendor, typed: &str) {
    let rig = VendorRig::start(vendor, DELIVERY).await;
    let person = Person::new("p", "s-1");
    let conversation = rig.vendor.open(person.opening()).await;
    rig.emit(&person.saying([(0, format!("{} {typed}", person.marker(0)))])).await;
    rig.reads(&conversation, &[format!("{} {typed}", person.marker(0))]).await;
    assert_sound(&rig, &conversation, &person, 1);
    rig.stop().await;
}

/// A note too long for one message takes several. A limit that is met after `calls` calls leaves it half done,
/// and nothing of it is there twice in the end.
async fn long_note(vendor: impl Vendor, calls: u64) {
    let rig = VendorRig::start(vendor, DELIVERY).await;
    let person = Person::new("p", "s-1");
    let conversation = rig.vendor.open(person.opening()).await;
    let filling = "clicked <Pay> & *waited* ".repeat(4);
    let actions = (0..80).map(|n| (n, format!("{} {filling}", person.marker(n))));
    rig.vendor.limit(Scope::Account, calls, HOLD);
    rig.emit(&person.saying(actions)).await;
    reads(&rig, &conversation, &person, 0..80).await;
    eventually(|| match rig.host().counters().notes_posted {
        1 => Ok(()),
        posted => Err(format!("{posted} of 1 notes are on record as sent")),
    })
    .await;
    assert!(rig.vendor.notes(&conversation).len() > 1);
    assert_eq!(rig.vendor.stats().limited, 1);
    assert_sound(&rig, &conversation, &person, 80);
    rig.stop().await;
}

mod chatwoot;
mod crisp;
mod slack;
mod strictness;

mod intercom {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn notes_arrive_from_before_and_after_a_conversation_opens() {
        story(Intercom::default()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_note_whose_answer_was_lost_is_found_and_not_sent_again() {
        lost_answers(Intercom::default()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_limit_that_is_told_in_time_is_not_met() {
        told_in_time(Intercom::default()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_note_for_a_conversation_that_is_not_there_is_given_up() {
        wrong_conversation(Intercom::default()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn wrong_credentials_are_refused_on_both_ways() {
        let wrong = Intercom {
            token: "wrong-token".to_owned(),
            client_secret: "wrong-secret".to_owned(),
            ..Intercom::default()
        };
        wrong_token(Intercom::default(), wrong).await;
    }
}

mod zendesk {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn notes_arrive_from_before_and_after_a_conversation_opens() {
        story(Zendesk::default()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn events_terse_answers_and_legacy_credentials_do_as_well() {
        let basic = Some(("bot@acme.example".to_owned(), "api-token".to_owned()));
        story(Zendesk { basic, terse: true, events: true, ..Zendesk::default() }).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_ticket_is_left_alone_between_notes_and_what_happens_gathers() {
        let rig = VendorRig::start(Zendesk { pace: 1, ..Zendesk::default() }, DELIVERY).await;
        let person = Person::new("p", "s-1");
        let conversation = rig.vendor.open(person.opening()).await;
        for n in 0..12 {
            rig.emit(&person.batch(n..n + 1)).await;
            reads(&rig, &conversation, &person, 0..n.min(1)).await;
        }
        reads(&rig, &conversation, &person, 0..12).await;
        let notes = rig.vendor.notes(&conversation);
        assert!((2..12).contains(&notes.len()), "{} notes of 12 actions", notes.len());
        for pair in notes.windows(2) {
            let pause = pair[1].at.since(pair[0].at);
            assert!(pause >= Duration::from_secs(1), "{pause:?} between two notes");
        }
        assert_sound(&rig, &conversation, &person, 12);
        rig.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_note_whose_answer_was_lost_is_found_and_not_sent_again() {
        lost_answers(Zendesk::default()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_limit_that_is_told_in_time_is_not_met() {
        told_in_time(Zendesk::default()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_note_for_a_conversation_that_is_not_there_is_given_up() {
        wrong_conversation(Zendesk::default()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn wrong_credentials_are_refused_on_both_ways() {
        let wrong = Zendesk {
            token: "wrong-token".to_owned(),
            signing_secret: "wrong-secret".to_owned(),
            ..Zendesk::default()
        };
        wrong_token(Zendesk::default(), wrong).await;
    }
}
