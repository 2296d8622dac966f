use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const HOST: &str = "https://api.example.com";

fn request(path: &str, headers: &[(&str, &str)], body: &Value) -> AskedRequest {
    let header = |(name, value): &(&str, &str)| {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    };
    AskedRequest {
        method: Method::POST,
        url: format!("{HOST}{path}"),
        headers: headers.iter().map(header).collect(),
        body: Bytes::from(body.to_string()),
    }
}

fn ending(word: &'static str, fields: &[(&'static str, &str)]) -> Ending {
    let field = |(name, text): &(&'static str, &str)| (*name, Field::Told((*text).to_owned()));
    Ending { word, fields: fields.iter().map(field).collect() }
}

/// The differences of requests, where each has the counterpart that is said.
fn of_requests(old: &[AskedRequest], new: &[(AskedRequest, Option<usize>)]) -> Vec<String> {
    let posted = Ending { word: "posted", ..Ending::default() };
    let new = new.iter().map(|(request, counterpart)| NewRequest {
        request,
        counterpart: *counterpart,
        is_granted: true,
    });
    let found = compare(&Both {
        old: old.iter().collect(),
        new: new.collect(),
        is_whole: true,
        endings: [&posted, &posted],
        writes: [&Writes::default(), &Writes::default()],
        private: &["ann".to_owned()],
    });
    found.keys().map(told).collect()
}

fn told(difference: &Difference) -> String {
    let Difference { what, request, at, change, from, to } = difference;
    let all = [
        Some(format!("{what:?}")),
        request.clone(),
        at.clone(),
        change.map(|change| format!("{change:?}")),
        from.clone(),
        to.clone(),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn of_endings(old: &Ending, new: &Ending) -> Vec<(String, Values)> {
    let found = compare(&Both {
        old: Vec::new(),
        new: Vec::new(),
        is_whole: true,
        endings: [old, new],
        writes: [&Writes::default(), &Writes::default()],
        private: &[],
    });
    found.iter().map(|(difference, values)| (told(difference), values.clone())).collect()
}

#[test]
fn headers_are_told_by_name_and_bodies_by_pointer() {
    let old = request(
        "/notes",
        &[("x-kept", "1"), ("x-gone", "1"), ("x-other", "1"), ("traceparent", "a")],
        &json!({"text": "secret text", "parts": [{"kind": "a"}, {"kind": "a"}], "old": 1}),
    );
    let new = request(
        "/notes",
        &[("x-kept", "1"), ("x-new", "1"), ("x-other", "2"), ("traceparent", "b")],
        &json!({"text": "other text", "parts": [{"kind": "a"}, {"kind": "b"}], "new": 1}),
    );
    assert_eq!(
        of_requests(&[old], &[(new, Some(0))]),
        [
            "Header POST https://api.example.com/notes x-gone Removed",
            "Header POST https://api.example.com/notes x-new Added",
            "Header POST https://api.example.com/notes x-other Changed",
            "Body POST https://api.example.com/notes /new Added",
            "Body POST https://api.example.com/notes /old Removed",
            "Body POST https://api.example.com/notes /parts/*/kind Changed",
            "Body POST https://api.example.com/notes /text Changed",
        ]
    );
}

#[test]
fn a_request_without_a_counterpart_is_extra_and_one_that_nobody_sends_is_missing() {
    let [a, b, c] = ["/a", "/b", "/c"].map(|path| request(path, &[], &Value::Null));
    assert_eq!(
        of_requests(&[a.clone(), b.clone()], &[(b.clone(), Some(1)), (c, None)]),
        [
            "RequestMissing POST https://api.example.com/a",
            "RequestExtra POST https://api.example.com/c"
        ]
    );
    assert_eq!(
        of_requests(&[a.clone(), b.clone()], &[(b, Some(1)), (a, Some(0))]),
        ["RequestMoved POST https://api.example.com/a"]
    );
}

#[test]
fn what_may_be_about_somebody_is_left_out_of_addresses_and_pointers() {
    let path = "/v1/users/Ann/notes/8f14e45f/ann@example.com?since=1700000000&8f14e45f=1&token=x";
    let new = request(path, &[], &json!({"by_user": {"ann": 1, "8f14e45f": 1}}));
    assert_eq!(
        of_requests(&[], &[(new.clone(), None)]),
        ["RequestExtra POST https://api.example.com/v1/users/*/notes/*/*?*&since&token"]
    );
    let old = AskedRequest { body: Bytes::from(r#"{"by_user":{}}"#), ..new.clone() };
    let found = of_requests(&[old], &[(new, Some(0))]);
    assert!(found.iter().all(|told| told.ends_with("/by_user/* Added")), "{found:?}");
}

#[test]
fn a_host_that_isnt_granted_isnt_named() {
    let odd = request("/x", &[], &Value::Null);
    let posted = Ending::default();
    let new = vec![NewRequest { request: &odd, counterpart: None, is_granted: false }];
    let writes = Writes::default();
    let found = compare(&Both {
        old: Vec::new(),
        new,
        is_whole: true,
        endings: [&posted, &posted],
        writes: [&writes, &writes],
        private: &[],
    });
    let found: Vec<_> = found.keys().map(told).collect();
    assert_eq!(found, ["RequestExtra POST a host or a request that isn't granted"]);
}

#[test]
fn another_outcome_is_told_with_the_delays_and_no_other_field() {
    let posted = ending("posted", &[("note_id", "7")]);
    let limited = ending("rate-limited", &[(RETRY_AFTER, "2000"), ("code", "429")]);
    assert_eq!(
        of_endings(&posted, &limited),
        [
            ("Outcome posted rate-limited".to_owned(), None),
            (
                "Answer retry_after_ms Added".to_owned(),
                Some(["none".to_owned(), "2000".to_owned()])
            ),
        ]
    );
    let later = ending("rate-limited", &[(RETRY_AFTER, "3000"), ("code", "429")]);
    assert_eq!(
        of_endings(&limited, &later),
        [(
            "Answer retry_after_ms Changed".to_owned(),
            Some(["2000".to_owned(), "3000".to_owned()])
        )]
    );
    let hidden = |hash| Ending {
        word: "posted",
        fields: BTreeMap::from([("note_id", Field::Hidden(hash))]),
    };
    assert_eq!(of_endings(&hidden(1), &hidden(2)), [("Answer note_id Changed".to_owned(), None)]);
}

#[test]
fn what_is_kept_is_told_by_whose_it_is() {
    let (mut old, mut new) = (Writes::default(), Writes::default());
    old.put(Scope::Plugin, "ann", Some(b"1".to_vec()));
    new.put(Scope::Plugin, "ann", Some(b"2".to_vec()));
    new.put(Scope::Session, "bob", None);
    let timer = |at| SetTimer {
        at: crate::clock::Timestamp(at),
        set_at: None,
        payload: crate::engine::core::values::Bytes(Vec::new()),
    };
    old.put_timer("soon", Some(timer(10_000_000)));
    new.put_timer("soon", Some(timer(10_500_000)));
    new.put_timer("later", Some(timer(20_000_000)));
    let ending = Ending::default();
    let found = compare(&Both {
        old: Vec::new(),
        new: Vec::new(),
        is_whole: true,
        endings: [&ending, &ending],
        writes: [&old, &new],
        private: &[],
    });
    let found: Vec<_> = found.keys().map(told).collect();
    assert_eq!(found, ["Kv plugin Changed", "Kv session Added", "Timer Added"]);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z@0-9 ]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z@0-9]{0,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| strings(value, found)),
        Value::Object(map) => map.values().for_each(|value| strings(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

proptest! {
    #[test]
    fn equal_bodies_have_no_difference_and_others_have_some(old in any_json(), new in any_json()) {
        let of = |a: &Value, b: &Value| bodies(a.to_string().as_bytes(), b.to_string().as_bytes(), &[]);
        prop_assert!(of(&old, &old).is_empty());
        prop_assert_eq!(of(&old, &new).is_empty(), old == new);
        prop_assert!(of(&old, &new).len() <= MOST);
        // The other way round, what was added is removed.
        let turned = |change| match change {
            Becomes::Added => Becomes::Removed,
            Becomes::Removed => Becomes::Added,
            Becomes::Changed => Becomes::Changed,
        };
        let there = of(&old, &new);
        let back: BTreeMap<_, _> = of(&new, &old).into_iter().map(|(at, change)| (at, turned(change))).collect();
        prop_assert_eq!(there.keys().collect::<Vec<_>>(), back.keys().collect::<Vec<_>>());
    }

    #[test]
    fn no_value_of_a_body_is_told(old in any_json(), new in any_json()) {
        let mut values = Vec::new();
        strings(&old, &mut values);
        strings(&new, &mut values);
        let mut names = Vec::new();
        let marked = |value: &Value| value.to_string();
        for (pointer, _) in bodies(marked(&old).as_bytes(), marked(&new).as_bytes(), &[]) {
            names.extend(pointer.unwrap_or_default().split('/').map(str::to_owned));
        }
        for name in names.iter().filter(|name| !name.is_empty() && *name != "*") {
            prop_assert!(part(name, &[]) == *name, "{name}");
            prop_assert!(!name.contains('@') && !name.contains(' '));
        }
    }

    #[test]
    fn a_part_of_an_address_is_a_word_or_a_star(name in "\\PC{0,60}", private in "[a-z]{3,8}") {
        let told = part(&name, std::slice::from_ref(&private));
        prop_assert!(told == "*" || told == name);
        prop_assert!(!told.to_ascii_lowercase().contains(&private));
        prop_assert!(told.len() <= LONGEST);
    }
}
