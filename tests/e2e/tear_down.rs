//! An offer that nobody answered is removed from the platform by the plugin's redactor.

use std::time::Duration;

use sidenote_sim::{Fault, Scope};
use sidenote_tests::{Person, Rig, eventually};

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
    // What may have been removed is removed again: that does no harm.
    rig.platform.fail(Scope::Any, Fault::reset().but_taken(), 1);
    stands(&rig, &silent, "thinking", "torn_down").await;
    stands(&rig, &answers, "thinking", "delivered").await;
    assert_eq!(rig.platform.messages(&unanswered), []);
    assert_eq!(rig.platform.messages(&answered).len(), 1);
    assert_eq!(rig.host().counters().offers_torn_down, 1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_while_an_offer_is_being_removed_can_still_be_reached() {
    let rig = Rig::start(setup("tear_down = true")).await;
    let person = Person::new("p", "s");
    let conversation = begin(&rig, &person).await;
    visits(&rig, &person, &["a", "b", "a"]).await;
    offers(&rig, &conversation, 1).await;
    stands(&rig, &person, "proactive_assistance", "delivered").await;
    rig.platform.fail(Scope::Any, Fault::slow(Duration::from_secs(3)), 1);
    eventually(|| match rig.platform.messages(&conversation).len() {
        0 => Ok(()),
        _ => Err("the offer is still there".to_owned()),
    })
    .await;
    rig.platform.reply(&conversation, "Yes, please").await.expect("the host hears of it");
    stands(&rig, &person, "reactive_assistance", "interrupted").await;
    let before = rig.platform.notes(&conversation).len();
    visits(&rig, &person, &["c"]).await;
    eventually(|| match rig.platform.notes(&conversation).len() {
        there if there > before => Ok(()),
        there => Err(format!("{there} notes are there")),
    })
    .await;
    rig.stop().await;
}
