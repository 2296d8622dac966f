//! Whom the host believes, and by what nobody is known: the real plugin, over the real routes.

use reqwest::Method;
use serde_json::{Value, json};
use sidenote::session::payload::ActionsPayload;
use sidenote_sim::PlatformOptions;
use sidenote_tests::{Person, Rig, Setup, eventually};

use crate::replays::{INCOMING, Signed};

const UUID: &str = "018f3a6e-7b1c-7cc2-9d5e-2f6a0b1c2d3e";

async fn start(bot: &str) -> Rig {
    let platform =
        PlatformOptions { webhook_secret: INCOMING.to_owned(), ..PlatformOptions::default() };
    let tables = "[context]\nlookback = \"10m\"".to_owned();
    let bot = bot.to_owned();
    Rig::start(Setup { bot, platform, tables, pushed: true, ..Setup::default() }).await
}

/// Sends a signed webhook that opens a conversation of product `p`; returns when it was taken.
async fn opened(rig: &Rig, conversation: &str, told: Value) {
    let mut body = json!({"event": "opened", "conversation_id": conversation, "product_id": "p"});
    let fields = body.as_object_mut().expect("an object");
    fields.extend(told.as_object().expect("an object").clone());
    let answer = Signed::new(&body).send(rig).await;
    assert_eq!(answer.status, 200, "{body}");
}

/// Has a person act on the stream; returns when it was taken.
async fn acts(rig: &Rig, batch: &ActionsPayload) {
    let before = rig.host().counters().actions_accepted;
    rig.emit(batch).await;
    eventually(|| match rig.host().counters().actions_accepted > before {
        true => Ok(()),
        false => Err("the batch isn't taken".to_owned()),
    })
    .await;
}

fn in_path(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_known_by_a_value_that_names_nobody_whichever_way_it_comes() {
    let rig = start("accept_claims = true").await;
    let values = [
        "undefined",
        "null",
        "None",
        "NaN",
        "0",
        "guest",
        "ANONYMOUS",
        "   ",
        "\u{3164}",
        "'null'",
    ];
    for (n, value) in values.into_iter().enumerate() {
        let (ann, bob) = (Person::new("p", format!("ann{n}")), Person::new("p", format!("bob{n}")));
        let named = |person: &Person| ActionsPayload {
            user_id: Some(value.to_owned()),
            email: Some(value.to_owned()),
            ..person.batch(0..1)
        };
        acts(&rig, &named(&ann)).await;
        assert_eq!(rig.push(&bob, &named(&bob)).await, 200);
        let nameless = ActionsPayload { session_id: Some(value.to_owned()), ..bob.batch(1..2) };
        assert_eq!(rig.push(&bob, &nameless).await, 422, "{value:?}: it is no session");
        let conversation = rig.conversation(&ann);
        for told in [
            json!({"user_id": value}),
            json!({"email": value}),
            json!({"user_id": value, "email": value, "session_id": value}),
        ] {
            opened(&rig, &conversation, told).await;
        }
        for body in [
            json!({"product_id": "p", "session_id": value, "conversation_id": conversation}),
            json!({"product_id": "p", "session_id": ann.session, "conversation_id": value}),
        ] {
            assert_eq!(rig.post("/sessions/link", &body).await.status, 422, "{body}");
        }
        let user = in_path(value);
        let context = format!("/context/{user}?product=p&query=How%3F");
        assert_eq!(rig.get(&context).await.0, 404, "{value:?}");
        assert_eq!(rig.get(&format!("/users/p/{user}/live-activity")).await.0, 404, "{value:?}");
        let reset = format!("/admin/reset/{user}?product=p");
        let (status, answer) = rig.ask(Method::POST, &reset, Some("api-token")).await;
        assert_eq!((status, &answer["error"]["code"]), (422, &json!("nobody")), "{value:?}");
        for whom in ["user_id", "email"] {
            let answer = rig.post("/erase", &json!({"product_id": "p", whom: value})).await;
            assert_eq!(answer.status, 422, "{value:?}");
        }
        assert!(rig.arrived(&conversation).is_empty());
    }
    let totals = rig.host().counters();
    assert_eq!((totals.links_made, totals.sessions_erased), (0, 0));
    // Blanks are no value at all on the stream.
    assert!(totals.nobody_ids >= 9 * 12, "{}", totals.nobody_ids);
    // What the operator says goes on, and is beside nobody else's actions.
    let ann = Person::new("p", "ann0");
    let conversation = rig.conversation(&ann);
    rig.link(&ann, &conversation).await;
    rig.arrives(&conversation, &ann, 1).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_joins_a_person_whom_two_systems_call_differently() {
    let mut rig = start("").await;
    for (n, id) in ["ann@p.example", UUID].into_iter().enumerate() {
        let ann = Person::new("p", format!("ann{n}"));
        let user_id = Some(id.replace("ann", &ann.session));
        acts(&rig, &ActionsPayload { user_id, ..ann.batch(0..1) }).await;
        let conversation = rig.conversation(&ann);
        opened(&rig, &conversation, json!({"user_id": "42", "email": ann.email()})).await;
        rig.arrives(&conversation, &ann, 1).await;
    }
    rig.stop_host().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_platform_names_is_linked_by_an_id_that_the_stream_does_not_know() {
    let mut rig = start("user_ids = \"product\"").await;
    let ann = Person::new("p", "ann");
    acts(&rig, &ActionsPayload { user_id: Some(UUID.to_owned()), ..ann.batch(0..1) }).await;
    let conversation = rig.conversation(&ann);
    opened(&rig, &conversation, json!({"session_id": "ann", "user_id": "44"})).await;
    rig.arrives(&conversation, &ann, 1).await;
    rig.stop_host().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_visitor_claims_links_nobody_and_a_verified_person_takes_the_session_back() {
    let mut rig = start("").await;
    let victim = Person::new("p", "victim");
    acts(&rig, &victim.batch(0..1)).await;
    let (mallorys, victims) = (rig.conversation(&victim), rig.conversation(&victim));
    for claim in [
        json!({"email": victim.email().to_uppercase(), "verified": false}),
        json!({"user_id": victim.user_id(), "verified": []}),
        json!({"user_id": victim.user_id(), "email": "mallory@p.example", "verified": ["email"]}),
    ] {
        opened(&rig, &mallorys, claim).await;
    }
    let totals = rig.host().counters();
    assert_eq!((totals.webhooks_claimed, totals.links_made), (2, 0));
    // A session's id can't be guessed: who has it is believed, until somebody is vouched for.
    opened(&rig, &mallorys, json!({"session_id": "victim", "verified": false})).await;
    rig.arrives(&mallorys, &victim, 1).await;
    opened(&rig, &victims, json!({"user_id": victim.user_id()})).await;
    let totals = rig.host().counters();
    assert_eq!((totals.links_made, totals.links_outranked), (2, 1));
    opened(&rig, &mallorys, json!({"session_id": "victim", "verified": false, "text": "again"}))
        .await;
    rig.emit(&victim.batch(1..2)).await;
    eventually(|| match rig.arrived(&victims) == [victim.marker(1)] {
        true => Ok(()),
        false => Err("the victim's action isn't beside the victim's conversation".to_owned()),
    })
    .await;
    assert_eq!(rig.arrived(&mallorys), [victim.marker(0)]);
    rig.stop_host().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_can_accept_what_visitors_say() {
    let mut rig = start("accept_claims = true").await;
    let ann = Person::new("p", "ann");
    acts(&rig, &ann.batch(0..1)).await;
    let conversation = rig.conversation(&ann);
    opened(&rig, &conversation, json!({"email": ann.email(), "verified": false})).await;
    rig.arrives(&conversation, &ann, 1).await;
    rig.stop_host().await;
}
