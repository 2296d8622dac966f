//! Crisp.

use sidenote_tests::vendor::Crisp;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn notes_arrive_from_before_and_after_a_conversation_opens() {
    story(Crisp::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_whose_answer_was_lost_is_found_and_not_sent_again() {
    lost_answers(Crisp::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_refused_on_both_ways() {
    let wrong = Crisp {
        key: "wrong-one".to_owned(),
        signing_secret: "wrong-one".to_owned(),
        ..Crisp::default()
    };
    wrong_token(Crisp::default(), wrong).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_typed_is_no_markup() {
    typed_is_read(
        Crisp::default(),
        "[your bank](https://evil.example) **b** `c` \\ ~~d~~ _e_ snake_case",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_note_that_meets_a_limit_halfway_goes_on_from_there() {
    long_note(Crisp::default(), 2).await;
}
