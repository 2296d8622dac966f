//! The rows about triggers, their configuration, and the judge's answer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sidenote::clock::Timestamp;
use sidenote::engine::core::history::KeptBatch;
use sidenote::ids::{ProductId, SessionId, SessionKey};
use sidenote::offers::content::Offer;
use sidenote::session::payload::{Action, ActionsPayload};
use sidenote::triggers::config::{self, Fault, Path};
use sidenote::triggers::configured;
use sidenote::triggers::context::{Context, Scope};
use sidenote::triggers::criteria::Criteria;
use sidenote::triggers::judge::{NoReason, Verdict, parse};
use sidenote::triggers::sections::{Metrics, SectionRule, Sections};
use sidenote::triggers::{Answer, Answers, Choice, Failure, Hit, Mode, Outcome, Times, Triggers};

const BEGIN: f64 = 1_700_000_000.0;

/// An action on a page from one second to another, each after the beginning; `None`: without a time.
type Did<'a> = (&'a str, Option<(f64, f64)>);

/// A session in which something was done.
struct Session {
    key: SessionKey,
    batches: Vec<KeptBatch>,
    now: Timestamp,
}

impl Session {
    /// Each action arrived when it ended, one without a time at the beginning.
    fn of(did: &[Did<'_>], now: f64) -> Self {
        let at = |seconds: f64| Timestamp::from_secs_f64(BEGIN + seconds);
        let kept = |(page, time): &Did<'_>| {
            let action = Action {
                canonical_url: (*page).to_owned(),
                timestamp_start: time.map(|(start, _)| BEGIN + start),
                timestamp_end: time.map(|(_, end)| BEGIN + end),
                ..Action::default()
            };
            let batch = ActionsPayload { actions: vec![action], ..ActionsPayload::default() };
            KeptBatch { first: 1, at: at(time.map_or(0.0, |(_, end)| end)), batch }
        };
        let key = SessionKey {
            product: ProductId::new("p").expect("a name"),
            session: SessionId::new("s").expect("a name"),
        };
        Self { key, batches: did.iter().map(kept).collect(), now: at(now) }
    }

    /// One action each second.
    fn on(pages: &str) -> Self {
        let did: Vec<_> = (0..)
            .zip(pages.split(' '))
            .map(|(second, page)| (page, Some((f64::from(second), f64::from(second)))))
            .collect();
        Self::of(&did, did.len() as f64)
    }

    fn context(&self) -> Context<'_> {
        Context::of(Scope::of(&self.key), &self.batches, self.now).expect("it has names")
    }

    fn outcomes(&self, triggers: &Triggers, answers: &Answers) -> Vec<Outcome> {
        let outcomes = triggers.evaluate(&self.context(), answers);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    fn hits(&self, triggers: &Triggers) -> Vec<Hit> {
        self.outcomes(triggers, &Answers::default()).into_iter().filter_map(hit).collect()
    }

    fn is_hit(&self, row: Value) -> bool {
        !self.hits(&triggers(&json!([row]))).is_empty()
    }
}

fn hit(outcome: Outcome) -> Option<Hit> {
    match outcome {
        Outcome::Hit(hit) => Some(hit),
        Outcome::No | Outcome::Ask(_) | Outcome::Failed(_) => None,
    }
}

fn triggers(rows: &Value) -> Triggers {
    let (triggers, errors) = config::triggers(rows, Times::default());
    assert_eq!(errors, [], "{rows}");
    triggers.expect("the rows are fine")
}

fn refusals(rows: &Value) -> Vec<String> {
    let (_, errors) = config::triggers(rows, Times::default());
    errors.into_iter().map(|error| error.path).collect()
}

fn ping_pong() -> Value {
    json!({ "id": "back", "kind": "ping-pong" })
}

fn dwell() -> Value {
    json!({ "id": "stay", "kind": "page-dwell" })
}

fn helper() -> Value {
    json!({ "id": "own", "kind": "plugin", "plugin": "helper" })
}

fn answered(answer: Answer) -> Answers {
    Answers(BTreeMap::from([("helper".into(), answer)]))
}

fn choice(label: &str) -> Choice {
    Choice { label: label.to_owned(), tour: None }
}

#[test]
fn d64_going_back_and_forth_is_seen_however_much_is_done_on_each_page() {
    let strict = json!({ "id": "back", "kind": "ping-pong", "hesitation": false });
    for pages in ["/a /b /a", "/a /a /b /b /a /a", "/a /b /b /a", "/a /a /a /b /a"] {
        assert!(Session::on(pages).is_hit(strict.clone()), "{pages}");
    }
}

#[test]
fn d65_going_forward_is_no_return_however_much_is_done_on_each_page() {
    for pages in ["/a /a /b /c", "/a /b /c /c", "/a /a /b /b /c /c", "/a /a /a"] {
        assert!(!Session::on(pages).is_hit(ping_pong()), "{pages}");
    }
    let two = json!({ "id": "back", "kind": "ping-pong", "min_pages": 2 });
    assert!(!Session::on("/a /a /b").is_hit(two));
    assert!(Session::on("/a /b /c /a").is_hit(ping_pong()), "a return over another page is one");
}

#[test]
fn d66_one_leg_at_least_lies_in_the_scope() {
    let scoped = json!({ "id": "back", "kind": "ping-pong", "scope": "projects" });
    assert!(!Session::on("/home /team /home /projects/a").is_hit(scoped.clone()));
    assert!(Session::on("/home /projects/a /home").is_hit(scoped.clone()));
    assert!(Session::on("/projects/a /team /projects/a").is_hit(scoped));
}

#[test]
fn d67_a_stay_lasts_until_now_whatever_was_done_in_it() {
    let at = |start: f64, end: f64| ("/p", Some((start, end)));
    for did in [
        vec![at(0.0, 0.0), at(5.0, 5.0)],
        vec![at(0.0, 0.0), at(0.0, 0.0)],
        vec![at(0.0, 1.0)],
        vec![at(100.0, 100.0), at(0.0, 0.0)],
        vec![at(0.0, 0.0)],
    ] {
        let session = Session::of(&did, 600.0);
        let hits = session.hits(&triggers(&json!([dwell()])));
        assert_eq!(hits[0].metadata["user_page_dwell_seconds"], 600.0, "{did:?}");
    }
    let early = Session::of(&[at(0.0, 0.0), at(5.0, 5.0)], 5.0);
    assert!(!early.is_hit(dwell()));
    let looked = triggers(&json!([dwell()])).next_look(&early.context());
    assert_eq!(looked, Some(Timestamp::from_secs_f64(BEGIN + 60.0)), "silence alone makes it hit");
}

#[test]
fn d68_an_action_without_a_time_was_done_when_it_arrived() {
    assert!(!Session::of(&[("/p", None)], 1.0).is_hit(dwell()));
    assert!(Session::of(&[("/p", None)], 61.0).is_hit(dwell()));
    let session = Session::of(&[("/p", None)], 1.0);
    let rule = SectionRule { prefix: "/p".to_owned(), section: "p".to_owned() };
    let metrics = Metrics::of(&session.context().actions, &Sections::of([rule]));
    let begin = Timestamp::from_secs_f64(BEGIN);
    assert_eq!((metrics.sections["p"].first, metrics.sections["p"].last), (begin, begin));
}

#[test]
fn d69_a_trigger_that_fails_and_a_value_that_is_wrong_leave_the_others() {
    let session = Session::on("/a /b /a");
    let triggers_with_helper = triggers(&json!([helper(), ping_pong()]));
    let failed = answered(Answer::Failed("it trapped".to_owned()));
    let outcomes = session.outcomes(&triggers_with_helper, &failed);
    assert_eq!(outcomes[0], Outcome::Failed(Failure::Plugin("it trapped".to_owned())));
    assert!(matches!(outcomes[1], Outcome::Hit(_)));

    let mut rows = vec![ping_pong()];
    for (key, value) in [
        ("threshold", json!("x")),
        ("threshold", json!(0)),
        ("text", json!(5)),
        ("max_actions", json!("many")),
    ] {
        let mut row = dwell();
        row[key] = value;
        row["id"] = json!(format!("bad {}", rows.len()));
        rows.push(row);
    }
    let (usable, errors) = config::triggers(&json!(rows), Times::default());
    let told: Vec<_> = errors.iter().map(|it| (it.path.as_str(), it.has_default)).collect();
    let reported = [
        ("triggers[1].threshold", true),
        ("triggers[2].threshold", true),
        ("triggers[3].text", true),
        ("triggers[4].max_actions", true),
    ];
    assert_eq!(told, reported);
    let usable = usable.expect("all can be used");
    assert_eq!(usable.iter().count(), 5, "each with the default in the place of what is wrong");
    assert_eq!(session.hits(&usable).len(), 1);
}

#[test]
fn d70_every_offer_has_1_to_150_characters_and_3_options_at_most() {
    let own = triggers(&json!([helper()]));
    let session = Session::on("/a");
    let offer = |text: &str| Answer::Offer {
        text: text.to_owned(),
        options: ["1", "2", "3", "4", "5"].map(choice).to_vec(),
    };
    let hits = session.outcomes(&own, &answered(offer(&"ä".repeat(151))));
    let hit = hits.into_iter().find_map(hit).expect("it is cut, not lost");
    assert_eq!((hit.offer.text().chars().count(), hit.offer.options().len()), (150, 3));
    for empty in ["", " \n"] {
        let outcomes = session.outcomes(&own, &answered(offer(empty)));
        assert!(matches!(outcomes[..], [Outcome::Failed(Failure::NoOffer(_))]), "{outcomes:?}");
    }
    // What is configured is refused when it is read.
    let five: Vec<_> = (0..5).map(|label| json!({ "label": label.to_string() })).collect();
    let playbook = json!({ "id": "where", "kind": "section-playbook",
        "sections": [{ "prefix": "/", "id": "all" }],
        "playbook": { "all": { "text": "Ask", "options": five } } });
    let long = json!({ "id": "long", "kind": "ping-pong", "text": "x".repeat(151) });
    let refused = refusals(&json!([playbook, long]));
    assert_eq!(refused, ["triggers[0].playbook.all.options", "triggers[1].text"]);
}

#[test]
fn d71_a_row_that_is_none_and_a_time_that_is_none_are_typed_errors() {
    let with = |key: &str, value: Value| {
        let mut row = dwell();
        row[key] = value;
        row
    };
    for (row, path) in [
        (json!("user_page_dwell"), "triggers[0]"),
        (json!(null), "triggers[0]"),
        (with("cooldown", json!(true)), "triggers[0].cooldown"),
        (with("cooldown", json!(0)), "triggers[0].cooldown"),
        (with("cooldown", json!(f64::MAX)), "triggers[0].cooldown"),
        (with("interaction_timeout", json!("soon")), "triggers[0].interaction_timeout"),
        (with("interaction_timeout", json!(-1)), "triggers[0].interaction_timeout"),
    ] {
        assert_eq!(refusals(&json!([row])), [path]);
    }
    let offer = Offer::new("t", "Help?", []).expect("it has a text");
    for bad in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
        assert!(offer.clone().with_times(bad, 1.0).is_err(), "{bad}");
    }
}

#[test]
fn d72_an_offer_carries_the_times_of_its_own_trigger_and_keeps_them_when_it_is_stored() {
    let row =
        json!({ "id": "back", "kind": "ping-pong", "interaction_timeout": 7, "cooldown": 70 });
    let hits = Session::on("/a /b /a").hits(&triggers(&json!([row])));
    let stored = serde_json::to_vec(&hits[0].offer).expect("an offer can be stored");
    let offer: Offer = serde_json::from_slice(&stored).expect("and read again");
    assert_eq!((offer.interaction_timeout_s, offer.cooldown_s), (7.0, 70.0));
}

#[test]
fn d76_no_two_options_have_one_id_and_the_same_configuration_gives_the_same_ids() {
    let ids = |trigger: &str| -> Vec<String> {
        let labels = ["Yes!", "Yes?", "Yes!"].map(|label| (label, None));
        let other = ["はい", "いいえ"].map(|label| (label, None));
        let offers = [
            Offer::new(trigger, "Help?", labels).expect("a text"),
            Offer::new(&format!("{trigger} 2"), "Help?", other).expect("a text"),
        ];
        offers.iter().flat_map(Offer::options).map(|option| option.id.clone()).collect()
    };
    let all: Vec<_> = [ids("a"), ids("b")].concat();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 10);
    assert_eq!(ids("a"), ids("a"));
}

#[test]
fn d78_malformed_configuration_is_named_by_its_path_and_the_good_entries_stay() {
    let leaf = || json!({ "id": "l", "name": "l", "type": "user_page_dwell" });
    let entry = |criteria: Value, messages: Value| json!({ "id": "t", "name": "n", "proactive_criteria": criteria, "messages": messages });
    let good = || json!([{ "id": "m", "label": "Yes" }]);
    let group = |conditions: Value| json!({ "id": "g", "name": "g", "operator": "AND", "conditions": conditions });
    let entries = json!({ configured::KEY: [
        entry(leaf(), json!(null)),
        entry(leaf(), json!(5)),
        entry(leaf(), json!(["x"])),
        entry(group(json!(["operator"])), good()),
        entry(json!(null), good()),
        entry(leaf(), good()),
    ] });
    let (usable, errors) = configured::read(&entries);
    let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "proactive_intercom[0].messages",
            "proactive_intercom[1].messages",
            "proactive_intercom[2].messages[0]",
            "proactive_intercom[3].proactive_criteria.conditions[0]",
            "proactive_intercom[4].proactive_criteria",
        ]
    );
    assert_eq!(usable.len(), 1);

    let deep = (0..100).fold(leaf(), |inner, _| group(json!([inner])));
    let refused = Criteria::from_value(&deep, &Path::top("criteria")).expect_err("it is too deep");
    assert_eq!(refused.fault, Fault::TooDeep);
}

/// Two hits that wait for a judge, with times of their own.
fn candidates() -> [Hit; 2] {
    [("a", "Yes", 11.0), ("b", "No", 33.0)].map(|(trigger, label, seconds)| {
        let offer = Offer::new(trigger, "Help?", [(label, None)]).expect("a text");
        let offer = offer.with_times(seconds, 2.0 * seconds).expect("these are times");
        Hit { offer, mode: Mode::Judged, metadata: Default::default() }
    })
}

#[test]
fn d81_any_answer_of_a_judge_is_a_decision() {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let long = "9".repeat(5000);
    let inner = format!("{{\"send\": true, \"proactive_valid_timing\": true, \"x\": {long}}}");
    for answer in [deep.as_str(), long.as_str(), inner.as_str(), "", "\u{0}", "{", "null", "```"] {
        let Verdict::No { .. } = parse(answer, &candidates()) else { panic!("{answer}") };
    }
}

#[test]
fn d82_the_named_trigger_gives_its_own_options_and_times_and_an_unknown_one_is_refused() {
    let answer = |primary: &str| {
        json!({ "send": true, "proactive_valid_timing": true, "short_user_message": "Go?",
            "primary_trigger_id": primary })
        .to_string()
    };
    let Verdict::Yes(hit) = parse(&answer("b"), &candidates()) else { panic!("it was refused") };
    assert_eq!((hit.offer.trigger(), hit.offer.text()), ("b", "Go?"));
    assert_eq!(hit.offer.options()[0].label, "No");
    assert_eq!((hit.offer.interaction_timeout_s, hit.offer.cooldown_s), (33.0, 66.0));
    let unknown = Verdict::No { why: NoReason::UnknownTrigger };
    assert_eq!(parse(&answer("zzz"), &candidates()), unknown);
}

#[test]
fn d99_a_tree_of_criteria_decides_and_names_only_triggers_that_are_there() {
    let criteria = |operator: &str, other: &str| {
        let leaf = |name: &str| json!({ "id": name, "name": name, "type": name });
        let conditions = ["canonical_url_ping_pong", other].map(leaf);
        json!([{ "id": "both", "kind": "criteria", "text": "Both?", "criteria": {
            "id": "g", "name": "g", "operator": operator, "conditions": conditions } }])
    };
    let back = Session::on("/a /b /a");
    let both = Session { now: Timestamp::from_secs_f64(BEGIN + 90.0), ..Session::on("/a /b /a") };
    let dwell = "user_page_dwell";
    for (session, operator, hits) in
        [(&back, "AND", 0), (&back, "OR", 1), (&both, "AND", 1), (&both, "OR", 1)]
    {
        let hit = session.hits(&triggers(&criteria(operator, dwell)));
        assert_eq!(hit.len(), hits, "{operator}");
    }
    assert_eq!(refusals(&criteria("OR", "url_change")), ["triggers[0].criteria"]);
}
