//! `POST /sessions/link`.

use super::*;

#[tokio::test]
async fn a_link_answers_what_became_of_it() {
    let host = Host::start(Server::default()).await;
    let body = json!({"product_id": "p", "session_id": "s", "conversation_id": "c", "plugin": "webhook", "mode": "move"});
    for (event, text) in [
        (LinkEvent::New, "NEW"),
        (LinkEvent::ReplyExisting, "REPLY_EXISTING"),
        (LinkEvent::Kept, "KEPT"),
        (LinkEvent::Moved, "MOVED"),
    ] {
        *host.backend.linked.lock().unwrap() = Ok(event);
        let answer = host.link(&body).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(
            answer.json(),
            json!({"session_id": "s", "conversation_id": "c", "event": text})
        );
    }
    let request = LinkRequest {
        product_id: Some(ProductId::new("p").unwrap()),
        session_id: SessionId::new("s").unwrap(),
        conversation_id: ConversationId::new("c").unwrap(),
        plugin: Some("webhook".into()),
        mode: LinkMode::Move,
    };
    assert_eq!(host.links(), vec![request; 4]);

    host.link(&json!({"session_id": "s", "conversation_id": "c"})).await;
    let [request] = host.links().try_into().unwrap();
    assert_eq!((request.product_id, request.plugin, request.mode), (None, None, LinkMode::Auto));
}

#[tokio::test]
async fn numbers_are_ids_as_on_the_stream() {
    let host = Host::start(Server::default()).await;
    let body = json!({"product_id": 7, "session_id": 4242, "conversation_id": -1, "plugin": 3});
    assert_eq!(host.link(&body).await.status(), 200);
    let [request] = &*host.links() else { panic!("one request") };
    let product = request.product_id.as_ref().map(ProductId::as_str);
    assert_eq!((product, request.plugin.as_deref()), (Some("7"), Some("3")));
    assert_eq!((request.session_id.as_str(), request.conversation_id.as_str()), ("4242", "-1"));
}

#[tokio::test]
async fn an_id_that_names_none_is_refused_in_words() {
    let host = Host::start(Server::default()).await;
    *host.backend.linked.lock().unwrap() = Err(LinkError::Nobody("session"));
    let answer = host.link(&json!({"session_id": "undefined", "conversation_id": "c"})).await;
    assert_eq!((answer.status(), answer.code().as_str()), (422, "nobody"));
    assert!(answer.body().contains("the session's id names none"), "{}", answer.body());
}

#[tokio::test]
async fn a_link_with_unusable_ids_changes_nothing() {
    let host = Host::start(Server::default()).await;
    let unusable = [
        json!(""),
        json!(null),
        json!(4.5),
        json!(1e300),
        json!(true),
        json!(["c"]),
        json!({"id": "c"}),
    ];
    for field in ["session_id", "conversation_id", "product_id", "plugin"] {
        for value in &unusable {
            let mut body = json!({"product_id": "p", "session_id": "s", "conversation_id": "c", "plugin": "w"});
            body[field] = value.clone();
            let answer = host.link(&body).await;
            assert_eq!(
                (answer.status(), answer.code().as_str()),
                (422, "invalid_id"),
                "{field} = {value}"
            );
        }
    }
    let message = host
        .link(&json!({"session_id": "s", "conversation_id": 4.5}))
        .await
        .json()["error"]["message"]
        .to_string();
    assert!(message.contains("a number with a fraction"), "{message}");

    let long = "x".repeat(ConversationId::MAX_BYTES + 1);
    for (body, status, code) in [
        (json!({"session_id": "s", "conversation_id": long}).to_string(), 422, "invalid_id"),
        (json!({"session_id": "s"}).to_string(), 422, "missing_field"),
        (json!({"conversation_id": "c"}).to_string(), 422, "missing_field"),
        (
            json!({"session_id": "s", "conversation_id": "c", "mode": "steal"}).to_string(),
            422,
            "invalid_mode",
        ),
        (
            json!({"session_id": "s", "conversation_id": "c", "mode": null}).to_string(),
            422,
            "invalid_mode",
        ),
        (json!({"session_id": "s", "conversationId": "c"}).to_string(), 422, "unknown_field"),
    ] {
        let answer = host.send("POST", "/sessions/link", &[JSON], &body).await;
        assert_eq!((answer.status(), answer.code().as_str()), (status, code), "{body:.80}");
    }
    assert_eq!(host.links(), []);
}

#[tokio::test]
async fn a_link_that_fails_says_why_and_when_to_come_again() {
    let host = Host::start(Server::default()).await;
    for (error, status, code, retry_after) in [
        (LinkError::NotFound("no product has this plugin"), 404, "not_linked", None),
        (LinkError::Ambiguous, 409, "ambiguous_session", None),
        (LinkError::Foreign, 409, "foreign_conversation", None),
        (LinkError::Unavailable, 503, "store_unavailable", Some("2")),
        (LinkError::Closed, 503, "shutting_down", Some("2")),
    ] {
        *host.backend.linked.lock().unwrap() = Err(error);
        let answer = host.link(&json!({"session_id": "s", "conversation_id": "c"})).await;
        assert_eq!(
            (answer.status(), answer.code().as_str(), answer.header("retry-after")),
            (status, code, retry_after)
        );
    }
}
