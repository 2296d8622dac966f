//! Slack.

use sidenote_sim::Opening;
use sidenote_tests::vendor::Slack;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn notes_arrive_from_before_and_after_a_conversation_opens() {
    story(Slack::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_whose_answer_was_lost_is_found_and_not_sent_again() {
    lost_answers(Slack::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_refused_on_both_ways() {
    let wrong = Slack { token: "wrong-one".to_owned(), signing_secret: "wrong-one".to_owned() };
    wrong_token(Slack::default(), wrong).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_typed_calls_nobody_and_is_no_link() {
    typed_is_read(
        Slack::default(),
        "<!channel> <@U0PERSON1> <https://evil.example|your bank> &lt;!here&gt; *b*",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_note_that_meets_a_limit_halfway_goes_on_from_there() {
    long_note(Slack::default(), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_a_person_opens_is_linked_by_their_address() {
    let rig = VendorRig::start(Slack::default(), DELIVERY).await;
    let person = Person::new("p", "s-1");
    rig.emit(&person.batch(0..1)).await;
    eventually(|| match rig.host().counters().actions_accepted {
        1 => Ok(()),
        taken => Err(format!("{taken} of 1 actions taken")),
    })
    .await;
    let opening = Opening { session: None, email: Some(person.email()), ..person.opening() };
    let conversation = rig.vendor.open(opening).await;
    reads(&rig, &conversation, &person, 0..1).await;
    assert_sound(&rig, &conversation, &person, 1);
    rig.stop().await;
}
