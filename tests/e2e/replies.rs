//! Answers to people, the whole way: from the webhook to the model, and back into the conversation.

use std::time::Duration;

use sidenote_sim::{Fault, Message, PlatformOptions, Scope};
use sidenote_tests::llm::{Behaviour, LlmServer, Shape};
use sidenote_tests::{Person, Rig, Setup, counts, eventually};

use crate::replays::INCOMING;

/// A host whose model answers the people of the product `p`.
fn setup(model: &LlmServer, keys: &str) -> Setup {
    let llm = model.table("timeout = \"5s\"\nretries = 0");
    let tables = format!(
        "{llm}\n[context]\n\n[summary]\nenabled = false\n\n[products.p.reply]\nenabled = true\n{keys}\n"
    );
    let platform =
        PlatformOptions { webhook_secret: INCOMING.to_owned(), ..PlatformOptions::default() };
    let secrets = vec![LlmServer::secret()];
    Setup { tables, platform, secrets, messages: true, ..Setup::default() }
}

/// Somebody did something, and their conversation is open.
async fn begin(rig: &Rig) -> (Person, String) {
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.emit(&person.batch(0..1)).await;
    rig.arrives(&conversation, &person, 1).await;
    (person, conversation)
}

async fn answers(rig: &Rig, conversation: &str, wanted: usize) -> Vec<Message> {
    eventually(|| match rig.platform.messages(conversation).len() {
        there if there >= wanted => Ok(()),
        there => Err(format!("{there} answers are there")),
    })
    .await;
    rig.platform.messages(conversation)
}

/// Waits for a note with these words.
async fn noted(rig: &Rig, conversation: &str, words: &str) {
    eventually(|| {
        let notes = rig.platform.notes(conversation);
        let found = notes.iter().any(|note| note.body.contains(words));
        if found { Ok(()) } else { Err(format!("no note says {words:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_writes_is_answered_once_with_what_they_did() {
    let model = LlmServer::start(Shape::OpenAi, []).await;
    model.always(Some(Behaviour::Answer("Open Settings, then Export.".to_owned())));
    let rig = Rig::start(setup(&model, "")).await;
    let (person, conversation) = begin(&rig).await;
    let before = model.questions().len();
    rig.platform.reply(&conversation, "Where do I export?").await.unwrap();
    let made = answers(&rig, &conversation, before + 1).await;
    let last = made.last().expect("an answer");
    assert_eq!((&*last.kind, &*last.text), ("reply", "Open Settings, then Export."));
    let question = model.questions().pop().expect("a question");
    assert!(question.text.contains("Where do I export?"));
    assert!(question.text.contains(&person.marker(0).to_string()), "{}", question.text);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(rig.platform.messages(&conversation).len(), made.len(), "once");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_has_the_conversation_until_it_is_closed() {
    let model = LlmServer::start(Shape::OpenAi, []).await;
    model.always(Some(Behaviour::Answer("Hello.".to_owned())));
    let rig = Rig::start(setup(&model, "")).await;
    let (_, conversation) = begin(&rig).await;
    rig.platform.agent_writes(&conversation, "I'm on it").await.unwrap();
    let before = (model.questions().len(), rig.platform.messages(&conversation).len());
    rig.platform.reply(&conversation, "Thank you, and the invoice?").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let now = (model.questions().len(), rig.platform.messages(&conversation).len());
    assert_eq!(now, before);
    rig.platform.close(&conversation).await.unwrap();
    rig.platform.reply(&conversation, "It is me again").await.unwrap();
    answers(&rig, &conversation, before.1 + 1).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_a_human_and_what_the_model_isnt_sure_of_is_for_people() {
    let model = LlmServer::start(Shape::OpenAi, []).await;
    model.always(Some(Behaviour::Answer("[[HANDOVER]]\nPerhaps a refund.".to_owned())));
    let rig = Rig::start(setup(&model, "hand_over = [\"real person\"]")).await;
    let (_, conversation) = begin(&rig).await;
    rig.platform.reply(&conversation, "May I speak to a real person?").await.unwrap();
    noted(&rig, &conversation, "asks for a human").await;
    rig.platform.reply(&conversation, "I was charged twice").await.unwrap();
    noted(&rig, &conversation, "Perhaps a refund.").await;
    assert_eq!(rig.platform.messages(&conversation), []);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_dry_run_people_see_the_draft_and_the_person_nothing() {
    let model = LlmServer::start(Shape::OpenAi, []).await;
    model.always(Some(Behaviour::Answer("Open Settings.".to_owned())));
    let rig = Rig::start(setup(&model, "dry_run = true")).await;
    let (_, conversation) = begin(&rig).await;
    rig.platform.reply(&conversation, "Where do I export?").await.unwrap();
    noted(&rig, &conversation, "Draft of a reply, not sent:\nOpen Settings.").await;
    assert_eq!(rig.platform.messages(&conversation), []);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_may_have_come_is_found_and_not_sent_again() {
    let model = LlmServer::start(Shape::OpenAi, []).await;
    model.always(Some(Behaviour::Answer("Hello.".to_owned())));
    let rig = Rig::start(setup(&model, "")).await;
    let (_, conversation) = begin(&rig).await;
    let before = rig.platform.stats().messages;
    let delivered = rig.host().counters().replies_delivered;
    rig.platform.fail(Scope::Any, Fault::reset().but_taken(), 1);
    rig.platform.reply(&conversation, "Where do I export?").await.unwrap();
    eventually(|| match rig.host().counters().replies_delivered {
        now if now == delivered + 1 => Ok(()),
        _ => Err("the platform isn't asked yet".to_owned()),
    })
    .await;
    let stats = rig.platform.stats();
    assert_eq!((stats.messages, stats.message_repeats), (before + 1, 0), "it was asked for");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_model_that_is_away_is_answered_after_a_kill() {
    let model = LlmServer::start(Shape::OpenAi, []).await;
    model.always(Some(Behaviour::Fail(503, None)));
    let mut rig = Rig::start(Setup { process: true, ..setup(&model, "") }).await;
    let (_, conversation) = begin(&rig).await;
    rig.platform.reply(&conversation, "Where do I export?").await.unwrap();
    eventually(|| match model.questions().is_empty() {
        false => Ok(()),
        true => Err("the model isn't asked yet".to_owned()),
    })
    .await;
    rig.kill_host().await;
    model.always(Some(Behaviour::Answer("Open Settings.".to_owned())));
    rig.start_host().await;
    answers(&rig, &conversation, 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let texts: Vec<_> =
        rig.platform.messages(&conversation).into_iter().map(|it| it.text).collect();
    assert!(texts.iter().all(|text| text == "Open Settings."), "{texts:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_platform_refuses_for_good_is_told_to_people() {
    let model = LlmServer::start(Shape::OpenAi, []).await;
    model.always(Some(Behaviour::Answer("Open Settings.".to_owned())));
    let rig = Rig::start(setup(&model, "")).await;
    let (_, conversation) = begin(&rig).await;
    let before = rig.platform.messages(&conversation).len();
    rig.platform.fail(Scope::Any, Fault::status(422), 1);
    rig.platform.reply(&conversation, "Where do I export?").await.unwrap();
    noted(&rig, &conversation, "the platform didn't accept it").await;
    noted(&rig, &conversation, "Open Settings.").await;
    assert_eq!(rig.platform.messages(&conversation).len(), before);
    counts(rig.host(), "replies failed", |totals| totals.replies_failed, 1).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_is_told_first_what_is_new_since_the_last_answer() {
    const NEW: &str = "[ACTIVITY SINCE YOUR LAST CHAT MESSAGE]";
    let model = LlmServer::start(Shape::OpenAi, []).await;
    model.always(Some(Behaviour::Answer("Open Settings.".to_owned())));
    let rig = Rig::start(setup(&model, "")).await;
    let (person, conversation) = begin(&rig).await;
    let marker = |n| person.marker(n).to_string();
    // What is new of a text, and what isn't.
    let new = |text: &str| -> Option<String> {
        let (_, behind) = text.split_once(NEW)?;
        behind.split("[RECENT PRODUCT ACTIVITY]").next().map(str::to_owned)
    };
    rig.platform.reply(&conversation, "Where do I export?").await.unwrap();
    answers(&rig, &conversation, 1).await;
    eventually(|| match rig.host().counters().replies_delivered {
        0 => Err("nothing is on record as answered".to_owned()),
        _ => Ok(()),
    })
    .await;
    rig.emit(&person.batch(1..2)).await;
    rig.arrives(&conversation, &person, 2).await;
    rig.platform.reply(&conversation, "And import?").await.unwrap();
    let asked = || model.questions().into_iter().find(|it| it.text.contains("And import?"));
    eventually(|| asked().map(drop).ok_or("the model isn't asked".to_owned())).await;
    let told = new(&asked().expect("it was").text).expect("something is new");
    assert!(told.contains(&marker(1)) && !told.contains(&marker(0)), "{told}");

    // Whoever asks by address names the conversation.
    let path = format!("/reply/{}?query=how&product=p&conversation_id=chat-7", person.user_id());
    let (status, first) = rig.get(&path).await;
    assert_eq!((status, new(first["context"].as_str().expect("text"))), (200, None), "{first}");
    rig.emit(&person.batch(2..3)).await;
    let known = format!("/context/{}?query=&product=p", person.user_id());
    for _ in 0..600 {
        let (_, context) = rig.get(&known).await;
        if context["context"].as_str().is_some_and(|text| text.contains(&marker(2))) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (_, second) = rig.get(&path).await;
    let told = new(second["context"].as_str().expect("text")).expect("something is new");
    assert!(told.contains(&marker(2)) && !told.contains(&marker(1)), "{told}");
    rig.stop().await;
}
