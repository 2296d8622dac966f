use sidenote_plugin::http::{Error, Request, Response};

fn send(url: &str) -> Result<[Response; 3], Error> {
    // ANCHOR: secrets
    // Authorization: Bearer …
    let bearer = Request::get(url).bearer_secret("token").send()?;
    // Authorization: Basic …, a user and a secret as the password
    let basic = Request::get(url).basic_secret("ann@example.com/token", "api").send()?;
    // any other header
    let header = Request::get(url).header("x-api-key", "{{secret:api}}").send()?;
    // ANCHOR_END: secrets
    Ok([bearer, basic, header])
}

// ANCHOR: text
/// A note's text for a platform that takes HTML of at most 5,000 characters.
fn html(body: &str) -> String {
    use sidenote_plugin::text::{cut, escape_html};

    // Cut first: a cut through an escape would show.
    escape_html(&cut(body, 4_000)).replace('\n', "<br>")
}
// ANCHOR_END: text

#[test]
fn secrets_are_named_and_text_is_escaped() {
    use sidenote_plugin::test::Host;

    let host = Host::new().respond(200, "").respond(200, "").respond(200, "").install();
    send("https://api.example.com/me").unwrap();
    let values = host.requests().into_iter().map(|it| it.headers[0].1.clone()).collect::<Vec<_>>();
    let basic = "Basic ann@example.com/token:{{secret:api}}";
    assert_eq!(values, ["Bearer {{secret:token}}", basic, "{{secret:api}}"]);
    assert_eq!(html("a <b>\nc"), "a &lt;b&gt;<br>c");
}
