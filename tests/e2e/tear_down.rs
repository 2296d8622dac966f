//! An offer that nobody answered is removed from the platform by the plugin's redactor.

use sidenote_tests::{Person, Rig};

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
    assert_eq!(rig.host().counters().offers_torn_down, 1);
    rig.stop().await;
}
