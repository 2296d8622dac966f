//! Whatever comes in: nothing panics, what comes out is bounded, and planted secrets aren't in it.

use proptest::prelude::*;
use serde_json::{Map, Value};
use sidenote_core::clock::Timestamp;
use sidenote_sources::{Batch, Element, Event, Identity, Kind, Memory, Merge, Settings, Wording};

/// Longest text of an action, in bytes: 400 characters and what a mask adds.
const MOST: usize = 2048;
/// What must never be told, wherever it stands.
const SECRETS: [&str; 8] = [
    "mara.lind@example.test",
    "mara.lind%40example.test",
    "4242 4242 4242 4242",
    "+49 30 555 0100",
    "tok_invented_query_31c",
    "key_invented_7f3a",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "DE89370400440532013000",
];

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![
        Kind::Custom,
        Kind::Page,
        Kind::Screen,
        Kind::Click,
        Kind::Change,
        Kind::Submit,
        Kind::RageClick,
        Kind::DeadClick,
        Kind::Error,
        Kind::Identity,
    ])
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9 _./:#?=&%-]{0,40}",
        2 => "(?s).{0,40}",
        1 => "[\u{0}-\u{1f}\u{7f}-\u{9f}\u{202a}-\u{202e}\u{2066}-\u{2069}a@.]{0,40}",
        1 => "[a-z@%0-9 ]{2}".prop_map(|it| it.repeat(4000)),
        1 => "https?://[a-z.]{0,9}/[a-z0-9/?#=%]{0,30}",
        1 => (prop::sample::select(SECRETS.to_vec()), "[a-z ]{0,9} ").prop_map(|(secret, before)| format!("{before}{secret}")),
    ]
}

fn element() -> impl Strategy<Value = Element> {
    let tag = prop::sample::select(vec![
        "button", "a", "input", "select", "form", "label", "div", "svg", "", "x-y",
    ]);
    let name = prop::sample::select(vec![
        "id",
        "name",
        "type",
        "href",
        "aria-label",
        "data-testid",
        "value",
        "role",
        "class",
    ]);
    let value = prop_oneof![
        text(),
        prop::sample::select(vec!["checkbox", "submit", "password"]).prop_map(str::to_owned)
    ];
    (tag, text(), prop::collection::vec((name.prop_map(str::to_owned), value), 0..4))
        .prop_map(|(tag, text, attributes)| Element { tag: tag.to_owned(), text, attributes })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(16, 64, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z.]{1,6}", inner), 0..4)
                .prop_map(|it| Value::from(it.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn id() -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop_oneof![4 => "[a-c]", 1 => "(?s).{0,9}", 1 => Just("x".repeat(10_000))])
}

fn event() -> impl Strategy<Value = Event> {
    let identity = (id(), id(), id(), prop::option::of("[ab]@example\\.test")).prop_map(
        |(session_id, anonymous_id, user_id, email)| Identity {
            session_id,
            anonymous_id,
            user_id,
            email,
        },
    );
    let properties = prop::collection::vec(
        (prop::sample::select(vec!["format", "plan", "x", "status"]), value()),
        0..5,
    );
    let time = prop::option::of(prop_oneof![3 => 1_000_000.0..1_000_100.0, 1 => any::<f64>()]);
    let what = (kind(), text(), text(), text(), text(), text(), text());
    (what, identity, time, prop::collection::vec(element(), 0..5), properties, id()).prop_map(
        |(
            (kind, name, title, description, url, page_title, heading),
            identity,
            at,
            elements,
            properties,
            conversation_id,
        )| Event {
            id: String::new(),
            kind,
            message: name.clone(),
            name,
            identity,
            at,
            title,
            description,
            url,
            page_title,
            elements,
            properties: properties.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
            conversation_id,
            heading,
        },
    )
}

fn batch() -> impl Strategy<Value = Batch> {
    let merge = ("[a-d]{1,2}", "[a-d]{1,2}").prop_map(|(from, into)| Merge { from, into });
    (prop::collection::vec(event(), 0..12), prop::collection::vec(merge, 0..4))
        .prop_map(|(events, merges)| Batch { product_id: None, events, merges })
}

fn wording() -> Wording {
    let settings = Settings::parse(
        "site_names = ['Acme']\nkeep_query = ['tab', 'a']\n\
         [[rules]]\nkind = 'error'\ndescription = '{message} {name} {page} {heading} {property.x} {default}'\n\
         [[rules]]\nkind = ['click', 'custom']\nname = '*a*'\ntitle = '{text} {host}'\nshow = ['x', 'format']\n\
         [[pages]]\nurl = '/a/*'\nname = 'A'\ncanonical = '/a/:id'\n",
    );
    Wording::new(&settings.expect("the rules are right")).expect("the rules are right")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_in_what_comes_out_is_bounded_and_holds_no_secret(batches in prop::collection::vec(batch(), 1..4)) {
        let wording = wording();
        let mut memory = Memory::default();
        for batch in batches {
            let events = batch.events.len();
            let worded = wording.words(&mut memory, batch, "p", Timestamp::from_secs_f64(1_000_050.0));
            let told: usize = worded.sessions.iter().map(|it| it.actions.len()).sum();
            let left: u32 = worded.left_out.values().sum();
            prop_assert_eq!(told + left as usize, events, "each event is told or left out for a reason");
            for session in &worded.sessions {
                prop_assert!(session.session_id.as_ref().is_some_and(|it| !it.is_empty() && it.len() < 1024));
                for action in &session.actions {
                    prop_assert!(!action.description.is_empty() && !action.title.is_empty());
                    for text in [&action.title, &action.description, &action.canonical_url, &action.raw_url] {
                        prop_assert!(text.len() <= MOST, "{} bytes", text.len());
                        prop_assert!(!text.chars().any(char::is_control), "{text:?}");
                        let turns = text.contains(['\u{202e}', '\u{2066}']);
                        prop_assert!(!turns);
                        for secret in SECRETS {
                            prop_assert!(!text.contains(secret), "{text:?}");
                        }
                    }
                    prop_assert!(action.timestamp_start.is_some_and(|at| at <= 1_000_110.0));
                }
            }
        }
    }
}

/// Ten thousand properties, and values within values a thousand deep.
#[test]
fn many_and_deep_properties_cost_nothing_that_is_told() {
    let mut deep = Value::from("x");
    for _ in 0..1000 {
        deep = Value::from(vec![deep]);
    }
    let mut properties: Map<String, Value> =
        (0..10_000).map(|at| (format!("p{at}"), Value::from(at))).collect();
    properties.insert("format".into(), deep);
    let identity = Identity { session_id: Some("s".into()), ..Identity::default() };
    let event = Event { name: "E".into(), identity, properties, ..Event::default() };
    let batch = Batch { events: vec![event; 10], ..Batch::default() };
    let worded = wording().words(&mut Memory::default(), batch, "p", Timestamp(0));
    assert_eq!(worded.sessions[0].actions.len(), 10);
    assert_eq!(worded.sessions[0].actions[0].description, "E");
}

/// As many sessions and names of one person as a request holds, each joined with the one before: looking for
/// each among all the others would take minutes.
#[test]
fn many_sessions_and_names_of_one_person_are_all_told() {
    let event = |at: usize| {
        let session_id = Some(format!("s{at}"));
        let identity = Identity { session_id, user_id: Some("u".into()), ..Identity::default() };
        Event { name: "E".into(), identity, ..Event::default() }
    };
    let merge = |at: usize| Merge { from: format!("v{at}"), into: format!("v{}", at + 1) };
    let merges = (0..5000).map(merge).collect();
    let batch = Batch { events: (0..5000).map(event).collect(), merges, ..Batch::default() };
    let worded = wording().words(&mut Memory::default(), batch, "p", Timestamp(0));
    assert_eq!(worded.sessions.len(), 5000);
}
