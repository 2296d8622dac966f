//! From the stream to the notes, for many people at once.

use sidenote_sim::Opening;
use sidenote_tests::{Person, Rig, Setup, eventually};
use tokio::task::JoinSet;

/// Actions before and after the conversation opens.
const BEFORE: u64 = 3;
const TOTAL: u64 = 8;

/// How a session is linked, and which comes first.
#[derive(Debug, Clone, Copy)]
enum Way {
    WebhookFirst,
    StreamThenWebhook,
    PostFirst,
    StreamThenPost,
    StreamThenWebhookByEmail,
}

const WAYS: [Way; 5] = [
    Way::WebhookFirst,
    Way::StreamThenWebhook,
    Way::PostFirst,
    Way::StreamThenPost,
    Way::StreamThenWebhookByEmail,
];

#[tokio::test(flavor = "multi_thread")]
async fn every_action_of_200_sessions_arrives_once_in_order_in_its_conversation() {
    let rig = std::sync::Arc::new(Rig::start(Setup::default()).await);
    let mut people = JoinSet::new();
    for i in 0..200_usize {
        let (rig, way) = (rig.clone(), WAYS[i % WAYS.len()]);
        people.spawn(async move {
            let person = Person::new("p", format!("s{i}"));
            let conversation = live(&rig, &person, way).await;
            (person, conversation)
        });
    }
    for (person, conversation) in people.join_all().await {
        rig.arrives(&conversation, &person, TOTAL).await;
    }
    let totals = rig.host().counters();
    assert_eq!((totals.actions_accepted, totals.links_made), (200 * TOTAL, 200));
    assert_eq!((totals.dropped_no_session, totals.dropped_window, totals.notes_dead), (0, 0, 0));
    std::sync::Arc::into_inner(rig).expect("all tasks ended").end().await;
}

/// One person's whole story; the conversation.
async fn live(rig: &Rig, person: &Person, way: Way) -> String {
    let before = async {
        // In batches of different sizes.
        rig.emit(&person.batch(0..1)).await;
        rig.emit(&person.batch(1..BEFORE)).await;
    };
    let conversation = match way {
        Way::WebhookFirst => {
            let conversation = rig.open(person).await;
            before.await;
            conversation
        }
        Way::PostFirst => {
            let conversation = rig.conversation(person);
            rig.link(person, &conversation).await;
            before.await;
            conversation
        }
        Way::StreamThenWebhook => {
            before.await;
            rig.open(person).await
        }
        Way::StreamThenPost => {
            before.await;
            let conversation = rig.conversation(person);
            rig.link(person, &conversation).await;
            conversation
        }
        Way::StreamThenWebhookByEmail => {
            before.await;
            linked_by_email(rig, person).await
        }
    };
    rig.emit(&person.batch(BEFORE..BEFORE + 1)).await;
    rig.emit(&person.batch(BEFORE + 1..TOTAL)).await;
    conversation
}

/// A webhook that names the person only. The person must be known by then, so it is sent again until the
/// host has read the stream that far.
async fn linked_by_email(rig: &Rig, person: &Person) -> String {
    let opening = Opening {
        product: person.product.to_owned(),
        email: Some(person.email()),
        ..Opening::default()
    };
    let conversation = rig.platform.create(opening).expect("room for a conversation");
    let deadline = tokio::time::Instant::now() + sidenote_tests::DEADLINE;
    while rig.platform.notes(&conversation).is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "{} is never known", person.session);
        rig.platform.announce(&conversation).await.expect("the host takes the webhook");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    conversation
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_without_a_session_are_dropped_and_counted_and_others_go_on() {
    let rig = Rig::start(Setup::default()).await;
    let person = Person::new("p", "s");
    for range in [0..2, 2..4] {
        let mut batch = Person::new("p", "nobody").batch(range);
        batch.session_id = None;
        rig.emit(&batch).await;
    }
    rig.emit(&Person::new("unknown", "s").batch(0..3)).await;
    let conversation = rig.open(&person).await;
    rig.emit(&person.batch(0..1)).await;
    rig.arrives(&conversation, &person, 1).await;
    let totals = rig.host().counters();
    assert_eq!((totals.dropped_no_session, totals.dropped_unknown_product), (4, 3));
    assert_eq!(totals.actions_accepted, 1);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_session_id_in_two_products_stays_apart() {
    let rig = Rig::start(Setup::default()).await;
    let (in_p, in_q) = (Person::new("p", "same"), Person::new("q", "same"));
    rig.emit(&in_p.batch(0..2)).await;
    rig.emit(&in_q.saying([(0, "secret of q".to_owned())])).await;
    let (of_p, of_q) = (rig.conversation(&in_p), rig.conversation(&in_q));
    rig.link(&in_p, &of_p).await;
    rig.link(&in_q, &of_q).await;
    rig.arrives(&of_p, &in_p, 2).await;
    eventually(|| match rig.platform.notes(&of_q).as_slice() {
        [note] if note.body.ends_with("[1] secret of q") => Ok(()),
        notes => Err(format!("{} notes in the conversation of q", notes.len())),
    })
    .await;
    assert!(rig.platform.notes(&of_p).iter().all(|note| !note.body.contains("secret")));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_and_a_second_conversation_neither_move_nor_repeat_anything() {
    let rig = Rig::start(Setup::default()).await;
    let person = Person::new("p", "s");
    rig.emit(&person.batch(0..2)).await;
    let first = rig.open(&person).await;
    rig.arrives(&first, &person, 2).await;
    rig.platform.reply(&first, "Are you there?").await.expect("the host takes the webhook");
    let second = rig.open(&person).await;
    rig.emit(&person.batch(2..4)).await;
    rig.arrives(&first, &person, 4).await;
    assert_eq!(rig.arrived(&second), [] as [&str; 0]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_not_genuine_links_nothing() {
    let rig = Rig::start(Setup::default()).await;
    let person = Person::new("p", "s");
    rig.emit(&person.batch(0..2)).await;
    let conversation = rig.conversation(&person);
    let forged = serde_json::json!({
        "event": "opened", "conversation_id": conversation, "product_id": "p", "session_id": "s",
    });
    let answer = rig.post("/webhooks/bot", &forged).await;
    assert_eq!(answer.status, 401, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(rig.host().counters().links_made, 0);
    rig.platform.announce(&conversation).await.expect("the genuine one is taken");
    rig.arrives(&conversation, &person, 2).await;
    rig.end().await;
}
