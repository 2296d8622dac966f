// ANCHOR: webhook
use sidenote_plugin::crypto::{Encoding, Hash};
use sidenote_plugin::json;
use sidenote_plugin::webhook::{Event, Hmac, Identity, Rejection, Request, Turn, check_age};
use sidenote_plugin::{Call, Failure, Note, Posted, Webhook, Writer};

/// How the platform signs: with the secret `incoming` of the configuration.
const SIGNATURE: Hmac = Hmac { secret: "incoming", hash: Hash::Sha256, encoding: Encoding::Hex };

struct Desk;

impl Webhook for Desk {
    fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
        let timestamp = request.required_header("x-desk-timestamp")?;
        let signature = request.required_header("x-desk-signature")?;
        let signed = [timestamp.as_bytes(), b".", &request.body].concat();
        SIGNATURE.verify(&signed, signature)?;
        check_age(timestamp.parse().unwrap_or(0), 300)?;

        let body = request.value()?;
        let conversation = json::id(&body["conversation"])
            .ok_or_else(|| Rejection::new(400, "body", "`conversation` is missing"))?;
        let turn = Turn { email: json::id(&body["email"]), ..Turn::new(conversation) };
        // Whoever writes to this desk has signed in there with this address.
        let turn = turn.vouched([Identity::Email]);
        Ok(vec![match body["event"].as_str() {
            Some("conversation.created") => Event::Opened(turn),
            Some("message.created") => Event::Replied(turn),
            _ => Event::Ignored,
        }])
    }
}
// ANCHOR_END: webhook

impl Writer for Desk {
    fn post_note(_: Call, _: Note) -> Result<Posted, Failure> {
        Ok(Posted::without_id())
    }
}

// ANCHOR: export
sidenote_plugin::export!(Desk: Writer, Webhook);
// ANCHOR_END: export

// ANCHOR: test
#[test]
fn a_request_that_nobody_signed_means_nothing() {
    use sidenote_plugin::{crypto, test};

    let host = test::Host::new().at(1_700_000_000).secret("incoming", "k").install();
    let body =
        r#"{"event": "conversation.created", "conversation": "c-1", "email": "ann@example.com"}"#;
    let data = format!("1700000000.{body}");
    let signature = crypto::hmac_sign("incoming", Hash::Sha256, Encoding::Hex, data.as_bytes());
    let signature = signature.unwrap();

    let headers = [("x-desk-timestamp", "1700000000"), ("x-desk-signature", &*signature)];
    let request = test::webhook("POST", &headers, body);
    let turn = Turn { email: Some("ann@example.com".to_owned()), ..Turn::new("c-1") };
    let turn = turn.vouched([Identity::Email]);
    assert_eq!(Desk::receive(request.clone()), Ok(vec![Event::Opened(turn)]));

    let forged = test::webhook("POST", &headers, body.replace("c-1", "c-2"));
    assert_eq!(Desk::receive(forged).unwrap_err().code, "signature");

    host.at(1_700_000_301);
    assert_eq!(Desk::receive(request).unwrap_err().code, "timestamp");
}
// ANCHOR_END: test
