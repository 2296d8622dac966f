//! The chat platforms that people use: one story for all of them, from the conversation's opening on, over
//! sockets, with the plugin's component between a host and a platform that is as strict as its vendor says.

use std::time::Duration;

use sidenote_tests::vendor::{
    Fault, Happening, Intercom, Scope, Trouble, Vendor, VendorRig, Zendesk,
};
use sidenote_tests::{Person, eventually};

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
    eventually(|| match rig.host().counters().actions_taken {
        2 => Ok(()),
        taken => Err(format!("{taken} of 2 actions taken")),
    })
    .await;

    let conversation = rig.vendor.open(person.opening()).await;
    reads(&rig, &conversation, &person, 0..2).await;
    assert_eq!(rig.host().counters().links_made, 1);

    rig.emit(&person.batch(2..3)).await;
    reads(&rig, &conversation, &person, 2..3).await;
    rig.emit(&person.saying([(3, format!("{} {TYPED}", person.marker(3)))])).await;
    rig.reads(&conversation, &[TYPED.to_owned()]).await;
    let reply = Happening::Replied("Are you there?".to_owned());
    rig.vendor.tell(&conversation, &reply).await;
    let noted = Happening::Noted(person.marker(3));
    rig.vendor.tell(&conversation, &noted).await;

    for scope in [Scope::Account, Scope::Conversation(conversation.clone())] {
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
        assert!(rig.host().counters().notes_posted > posted);
    }
    assert_sound(&rig, &conversation, &person, 8);
    rig.stop().await;
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
        refusals if refusals.iter().all(|it| it.contains(": 401 ")) => Ok(()),
        refusals => panic!("{refusals:?}"),
    })
    .await;
    assert_eq!(rig.vendor.notes(&conversation).len(), 0);
    assert_eq!(rig.host().counters().notes_dead, 0);
    rig.stop().await;
}

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
    async fn wrong_credentials_are_refused_on_both_ways() {
        let wrong = Intercom {
            token: "wrong".to_owned(),
            client_secret: "wrong".to_owned(),
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
    async fn a_note_whose_answer_was_lost_is_found_and_not_sent_again() {
        lost_answers(Zendesk::default()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_limit_that_is_told_in_time_is_not_met() {
        told_in_time(Zendesk::default()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn wrong_credentials_are_refused_on_both_ways() {
        let wrong = Zendesk {
            token: "wrong".to_owned(),
            signing_secret: "wrong".to_owned(),
            ..Zendesk::default()
        };
        wrong_token(Zendesk::default(), wrong).await;
    }
}
