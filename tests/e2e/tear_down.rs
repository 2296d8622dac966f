//! An offer that nobody answered is removed from the platform by the plugin's redactor.

use std::time::Duration;

use sidenote_sim::{Fault, Scope};
use sidenote_tests::{Person, Rig, Setup, counts, eventually};

use crate::offers::{begin, offers, setup, stands, visits};

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_nobody_answered_is_removed_from_the_platform_and_an_answered_one_stays() {
    let rig = Rig::start(setup("tear_down = true")).await;
    let (silent, answers) = (Person::new("p", "silent"), Person::new("p", "answers"));
    let [unanswered, answered] = [begin(&rig, &silent).await, begin(&rig, &answers).await];
    for person in [&silent, &answers] {
        visits(&rig, person, &["a", "b", "a"]).await;
    }
    offers(&rig, &unanswered, 1).await;
    let made = offers(&rig, &answered, 1).await;
    stands(&rig, &answers, "proactive_assistance", "delivered").await;
    rig.platform.click(&answered, &made[0].quick_replies[0]).await.expect("the host hears of it");
    stands(&rig, &silent, "thinking", "torn_down").await;
    stands(&rig, &answers, "thinking", "delivered").await;
    assert_eq!(rig.platform.messages(&unanswered), []);
    assert_eq!(rig.platform.messages(&answered).len(), 1);
    counts(rig.host(), "offers torn down", |totals| totals.offers_torn_down, 1).await;
    rig.stop().await;
}

/// What is retried is retried soon.
const SOON: &str = "retry_initial = \"50ms\"\nretry_max = \"200ms\"";

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_the_platform_refuses_for_now_is_tried_again_and_one_that_comes_too_late_is_told()
 {
    let setup = Setup { delivery: SOON.to_owned(), ..setup("tear_down = true\nexpires = \"4s\"") };
    let rig = Rig::start(setup).await;
    let person = Person::new("p", "s");
    let conversation = begin(&rig, &person).await;
    visits(&rig, &person, &["a", "b", "a"]).await;
    offers(&rig, &conversation, 1).await;
    stands(&rig, &person, "proactive_assistance", "delivered").await;
    // One is refused and one is cut: nobody knows whether it is gone, and asking again does no harm.
    rig.platform.fail(Scope::Redactions, Fault::status(503), 1);
    rig.platform.fail(Scope::Redactions, Fault::reset().but_taken(), 1);
    stands(&rig, &person, "thinking", "torn_down").await;
    assert_eq!(rig.platform.messages(&conversation), []);
    counts(rig.host(), "offers torn down", |totals| totals.offers_torn_down, 1).await;
    assert_eq!(rig.host().counters().tear_downs_failed, 0);
    assert_eq!(rig.platform.stats().faults, 2);

    // A platform that is away for longer keeps the offer, and that is told.
    tokio::time::sleep(Duration::from_secs(2)).await;
    visits(&rig, &person, &["a", "b", "a"]).await;
    offers(&rig, &conversation, 1).await;
    stands(&rig, &person, "proactive_assistance", "delivered").await;
    rig.platform.fail(Scope::Redactions, Fault::status(503), 10_000);
    stands(&rig, &person, "thinking", "tear_down_failed").await;
    assert_eq!(rig.platform.messages(&conversation).len(), 1);
    counts(rig.host(), "tear-downs failed", |totals| totals.tear_downs_failed, 1).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_while_the_offer_is_being_removed_keeps_the_session_as_it_is() {
    let rig = Rig::start(setup("tear_down = true")).await;
    let person = Person::new("p", "s");
    let conversation = begin(&rig, &person).await;
    visits(&rig, &person, &["a", "b", "a"]).await;
    offers(&rig, &conversation, 1).await;
    stands(&rig, &person, "proactive_assistance", "delivered").await;
    rig.platform.fail(Scope::Redactions, Fault::slow(Duration::from_secs(2)), 1);
    // The call is under way.
    eventually(|| match rig.platform.stats().faults {
        1 => Ok(()),
        faults => Err(format!("{faults} calls are slow")),
    })
    .await;
    rig.platform.reply(&conversation, "Where do I pay?").await.expect("the host hears of it");
    stands(&rig, &person, "reactive_assistance", "interrupted").await;
    let totals = rig.host().counters();
    assert_eq!((totals.tear_downs_interrupted, totals.offers_torn_down), (1, 0));
    // Its conversation is still its own: what is done goes there.
    rig.emit(&person.batch(9..10)).await;
    eventually(|| {
        match rig
            .platform
            .notes(&conversation)
            .iter()
            .any(|note| note.body.contains(&person.marker(9).to_string()))
        {
            true => Ok(()),
            false => Err("no note of it came".to_owned()),
        }
    })
    .await;
    rig.stop().await;
}
