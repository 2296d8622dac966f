//! The book's table of what each address needs, made of the table of routes.
//!
//! `SIDENOTE_ROUTES=write cargo test -p sidenote --lib http::tests::page` writes it again.

use crate::http::gate::{Access, Of};
use crate::http::routes::table;

/// What stands around it.
const BEGIN: &str = "cargo test -p sidenote --lib http::tests::page` -->\n";
const END: &str = "<!-- routes end -->";

fn rows() -> String {
    let mut rows = "| address | methods | scope | product |\n|---|---|---|---|\n".to_owned();
    for route in table() {
        let methods =
            if route.methods.is_empty() { "any".to_owned() } else { route.methods.join(", ") };
        let (scope, product) = match route.access {
            Access::Anyone => ("none", "open to anyone".to_owned()),
            Access::Signed => ("none", "whoever signs the body".to_owned()),
            Access::Source => ("none", "whoever has a write key of the source".to_owned()),
            Access::Browser => ("none", "a token of the session's own".to_owned()),
            Access::Needs(scope, of) | Access::Agents(scope, of) => (scope.name(), words(of)),
        };
        rows += &format!("| `{}` | {methods} | {scope} | {product} |\n", route.path);
    }
    rows
}

fn words(of: Of) -> String {
    match of {
        Of::Path => "that of the address".to_owned(),
        Of::Body(field) => format!("`{field}` of the body; without it, the key's"),
        Of::Filter(name) => format!("`{name}` of the query; without it, the key's"),
        Of::User => "`product` of the query; without it, the key's only one".to_owned(),
        Of::Tool => "`product_id` of the tool; without it, the key's only one".to_owned(),
        Of::AnyProduct => "any".to_owned(),
        Of::Host => "the whole host: for keys of all products".to_owned(),
    }
}

#[test]
fn the_book_says_what_each_address_needs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/operators/access.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (head, rest) = page.split_once(BEGIN).expect("the table has its beginning");
    let (_, tail) = rest.split_once(END).expect("the table has its end");
    let made = format!("{head}{BEGIN}\n{}\n{END}{tail}", rows());
    if std::env::var_os("SIDENOTE_ROUTES").is_some_and(|what| what == "write") {
        std::fs::write(path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(
        committed == made,
        "docs/src/operators/access.md isn't what the routes make of it: SIDENOTE_ROUTES=write writes it again"
    );
}
