//! What is let in, and what comes again.

use super::*;
use crate::session::payload::ActionsPayload;

const KEY: &str = "connector-secret";
const EVENT: &str = r#"{"type":"actions","product_id":"p","session_id":"s","forwarded_at":5.5,"actions":[{"title":"Paid"},null]}"#;

fn verifier() -> WebhookVerifier {
    let secrets = [("p", KEY), ("q", "other-secret"), ("empty", "")];
    let secret = |(id, key): (&str, &str)| (ProductId::new(id).unwrap(), Secret::new(key));
    WebhookVerifier::new(secrets.into_iter().map(secret).collect())
}

fn sign(key: &str, body: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap().chain_update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes())).into_bytes()
}

fn admit(verifier: &WebhookVerifier, body: &str) -> Result<Admitted, PushError> {
    verifier.admit("p", &[sign(KEY, body.as_bytes())], body.as_bytes(), Timestamp(0))
}

fn fresh(admitted: Result<Admitted, PushError>) -> Fresh {
    match admitted {
        Ok(Admitted::Fresh(fresh)) => *fresh,
        other => panic!("{other:?}"),
    }
}

fn actions(fresh: &Fresh) -> &ActionsPayload {
    match &fresh.payload {
        Payload::Actions(batch) => batch,
        Payload::Summary(_) => panic!("a summary"),
    }
}

#[test]
fn a_signed_event_is_read_and_one_bad_action_does_not_take_its_batch() {
    let fresh = fresh(admit(&verifier(), EVENT));
    assert_eq!((fresh.dropped_actions, fresh.bytes), (1, EVENT.len()));
    let titles: Vec<_> = actions(&fresh).actions.iter().map(|action| &*action.title).collect();
    assert_eq!(titles, ["Paid"]);
}

#[test]
fn a_product_without_a_secret_takes_nothing() {
    let verifier = verifier();
    for product in ["empty", "unknown", ""] {
        for key in ["", KEY] {
            let signed = [sign(key, EVENT.as_bytes())];
            let refused = verifier.admit(product, &signed, EVENT.as_bytes(), Timestamp(0));
            assert_eq!(refused.unwrap_err(), PushError::NoProduct, "{product}");
        }
        assert!(
            ProductId::new(product).is_err()
                || !verifier.accepts(&ProductId::new(product).unwrap())
        );
    }
}

#[test]
fn each_signature_must_fit_to_the_letter() {
    let verifier = verifier();
    let good = sign(KEY, EVENT.as_bytes());
    let upper = good.to_ascii_uppercase();
    let digits = [b"sha256=", &upper[7..]].concat();
    let bare = good[7..].to_vec();
    let other = sign("other-secret", EVENT.as_bytes());
    let refused = [
        vec![],
        vec![Vec::new()],
        vec![upper],
        vec![digits],
        vec![bare],
        vec![other.clone()],
        vec![good.clone(), other.clone()],
        vec![other, good.clone()],
    ];
    for signatures in refused {
        let outcome = verifier.admit("p", &signatures, EVENT.as_bytes(), Timestamp(0));
        assert_eq!(outcome.unwrap_err(), PushError::Signature, "{signatures:?}");
    }
    let twice = [good.clone(), good];
    fresh(verifier.admit("p", &twice, EVENT.as_bytes(), Timestamp(0)));
}

#[test]
fn what_is_signed_and_cannot_be_used_is_told_apart() {
    let verifier = verifier();
    let payload = PushError::Payload;
    for (body, error) in [
        ("", payload(PayloadError::NotJson { line: 1, column: 0 })),
        ("{", payload(PayloadError::NotJson { line: 1, column: 1 })),
        ("[1]", payload(PayloadError::NotAnObject)),
        (r#"{"type":"heartbeat"}"#, payload(PayloadError::UnknownType)),
        (r#"{"type":"actions","product_id":"q","session_id":"s"}"#, PushError::OtherProduct),
        (r#"{"type":"actions","product_id":"p"}"#, PushError::NoSession),
        (r#"{"type":"actions","product_id":"p","session_id":""}"#, PushError::NoSession),
        (r#"{"type":"summary","session_id":"s","summary":" "}"#, PushError::NoSummary),
    ] {
        assert_eq!(admit(&verifier, body).unwrap_err(), error, "{body}");
    }
    let bytes = b"\xff{}";
    let outcome = verifier.admit("p", &[sign(KEY, bytes)], bytes, Timestamp(0));
    assert_eq!(outcome.unwrap_err(), PushError::NotText);
}

#[test]
fn an_event_without_a_product_is_of_the_one_that_signed_it() {
    let fresh = fresh(admit(&verifier(), r#"{"type":"actions","session_id":"s","actions":[]}"#));
    assert_eq!(actions(&fresh).product_id, "p");
}

#[test]
fn what_was_taken_is_a_repeat_and_what_was_not_counts_when_it_comes_again() {
    let verifier = verifier();
    let first = fresh(admit(&verifier, EVENT));
    assert!(matches!(admit(&verifier, EVENT), Ok(Admitted::UnderWay)));
    drop(first);
    fresh(admit(&verifier, EVENT)).claim.keep(Timestamp(0));
    assert!(matches!(admit(&verifier, EVENT), Ok(Admitted::Repeat)));
    // The same bytes for another product are another event.
    let body = EVENT.replace("\"p\"", "\"q\"");
    let signed = [sign("other-secret", body.as_bytes())];
    fresh(verifier.admit("q", &signed, body.as_bytes(), Timestamp(0)));
    let later = Timestamp(0) + Limits::DAY.age;
    fresh(verifier.admit("p", &[sign(KEY, EVENT.as_bytes())], EVENT.as_bytes(), later));
}

#[test]
fn what_nothing_tells_from_a_repeat_is_taken_each_time() {
    let verifier = verifier();
    let body = r#"{"type":"actions","session_id":"s","actions":[{"title":"Paid"}]}"#;
    for _ in 0..2 {
        fresh(admit(&verifier, body)).claim.keep(Timestamp(0));
    }
}
