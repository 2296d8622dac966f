use sidenote_plugin::test::{self, Host};

use super::*;

fn send(body: &str) -> Result<Received, Rejection> {
    Shop::receive(test::request("POST", "/orders", &[], body))
}

const PAID: &str = r#"{"event": "Paid", "number": 2, "customer": "c-7", "at": 1700000004.5, "amount": "12.00"}"#;
const VISITED: &str = r#"{"event": "visited", "number": 1, "customer": 7, "page": "https://shop.example.com/cart"}"#;

#[test]
fn what_a_customer_did_is_told_and_what_is_nobodys_is_left_out() {
    Host::new().install();
    let received = send(&format!(r#"[{VISITED}, {PAID}, {{"event": "Paid"}}, 7]"#)).unwrap();
    let [visit, paid] = &*received.batches[0].events else { panic!("{received:?}") };
    assert_eq!((visit.kind, visit.url.as_str()), (EventKind::Page, "https://shop.example.com/cart"));
    assert_eq!(visit.identity.user_id.as_deref(), Some("7"));
    assert_eq!((paid.name.as_str(), paid.id.as_str(), paid.at), ("Paid", "2", Some(1_700_000_004.5)));
    assert_eq!(paid.properties, r#"{"amount":"12.00"}"#);
    assert_eq!(received.ignored, [Ignored::new("no event of a customer", 2)]);
    assert_eq!(received.response.body, br#"{"accepted":2}"#);
    let again = send(&format!("[{PAID}]")).unwrap();
    assert_eq!(again.batches[0].events[0], *paid, "sent again, it is the same");
}

#[test]
fn the_operator_may_leave_visits_out() {
    Host::new().config("visits", "false").install();
    let received = send(&format!("[{VISITED}, {PAID}]")).unwrap();
    assert_eq!(received.batches[0].events.len(), 1);
}

#[test]
fn what_is_no_list_and_what_is_sent_elsewhere_is_refused() {
    Host::new().install();
    for body in ["", "{}", "[", "7"] {
        assert_eq!(send(body).unwrap_err().kind, RejectionKind::Malformed, "{body}");
    }
    let elsewhere = Shop::receive(test::request("POST", "/", &[], "[]")).unwrap_err();
    assert_eq!(elsewhere.kind, RejectionKind::NotFound);
    let read = Shop::receive(test::request("GET", "/orders", &[], "")).unwrap_err();
    assert_eq!(read.kind, RejectionKind::Method);
}
