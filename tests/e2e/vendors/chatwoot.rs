//! Chatwoot.

use sidenote_tests::vendor::Chatwoot;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn notes_arrive_from_before_and_after_a_conversation_opens() {
    story(Chatwoot::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_whose_answer_was_lost_is_found_and_not_sent_again() {
    lost_answers(Chatwoot::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_refused_on_both_ways() {
    let wrong = Chatwoot {
        token: "wrong-one".to_owned(),
        webhook_secret: "wrong-one".to_owned(),
        ..Chatwoot::default()
    };
    wrong_token(Chatwoot::default(), wrong).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_typed_fills_in_no_template_and_calls_no_agent() {
    typed_is_read(
        Chatwoot::default(),
        "{{contact.email}} {% comment %} `{{x}}` [a](mention://user/1/Ann) (mention://user/1/Ann) *b*",
    )
    .await;
}
