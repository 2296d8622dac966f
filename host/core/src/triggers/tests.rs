use serde_json::json;

use super::context::Scope;
use super::*;
use crate::engine::history::KeptBatch;
use crate::ids::{ProductId, SessionId, SessionKey};
use crate::session::payload::{Action, ActionsPayload};

/// Evaluates triggers over pages, one action each second on each, some time after the last one.
struct Stage {
    key: SessionKey,
    batch: KeptBatch,
    now: Timestamp,
}

impl Stage {
    fn of(pages: &[&str], later: f64) -> Self {
        let begin = 1_700_000_000.0;
        let time = |place: usize| Some(begin + place as f64);
        let action = |(place, page): (usize, &&str)| Action {
            canonical_url: (*page).to_owned(),
            timestamp_start: time(place),
            timestamp_end: time(place),
            ..Action::default()
        };
        let actions: Vec<_> = pages.iter().enumerate().map(action).collect();
        let last = begin + actions.len().saturating_sub(1) as f64;
        let at = Timestamp::from_secs_f64(last);
        let key = SessionKey {
            product: ProductId::new("p").unwrap(),
            session: SessionId::new("s").unwrap(),
        };
        let batch = KeptBatch {
            first: 1,
            at,
            batch: ActionsPayload {
                product_id: "p".to_owned(),
                actions,
                ..ActionsPayload::default()
            },
        };
        Self { key, batch, now: Timestamp::from_secs_f64(last + later) }
    }

    fn context(&self) -> Context<'_> {
        Context::of(Scope::of(&self.key), [&self.batch], self.now).unwrap()
    }

    fn outcomes(&self, triggers: &Triggers, answers: &Answers) -> Vec<(String, Outcome)> {
        let outcomes = triggers.evaluate(&self.context(), answers);
        outcomes.into_iter().map(|(trigger, outcome)| (trigger.id.clone(), outcome)).collect()
    }

    fn hits(&self, triggers: &Triggers) -> Vec<String> {
        let outcomes = self.outcomes(triggers, &Answers::default());
        let hit = outcomes.into_iter().filter(|(_, outcome)| matches!(outcome, Outcome::Hit(_)));
        hit.map(|(id, _)| id).collect()
    }
}

fn triggers(rows: Value) -> Triggers {
    let (triggers, errors) = config::triggers(&rows, Times::default());
    assert_eq!(errors, []);
    triggers.unwrap()
}

fn both(names: [&str; 2], operator: &str) -> Value {
    let leaf = |name: &str| json!({ "id": name, "name": name, "type": name });
    json!({ "id": "both", "kind": "criteria", "text": "Both?", "mode": "instant", "criteria": {
        "id": "root", "name": "root", "operator": operator, "conditions": names.map(leaf) } })
}

fn answer(answer: Answer) -> Answers {
    Answers(BTreeMap::from([("helper".into(), answer)]))
}

const BACK_AND_FORTH: [&str; 6] = ["/a", "/a", "/b", "/b", "/a", "/a"];

#[test]
fn hits_come_in_the_order_of_the_triggers_each_with_its_text_times_and_what_was_found() {
    let triggers = triggers(json!([
        { "id": "stay", "kind": "page-dwell", "mode": "instant", "threshold": 30, "text": "Stuck?",
          "options": [{ "label": "Show me", "tour": "flow" }], "interaction_timeout": 5, "cooldown": 50 },
        { "id": PING_PONG, "kind": "ping-pong" },
    ]));
    let outcomes = Stage::of(&BACK_AND_FORTH, 60.0).outcomes(&triggers, &Answers::default());
    let [(_, Outcome::Hit(stay)), (_, Outcome::Hit(back))] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(
        (stay.offer.trigger(), stay.offer.text(), stay.mode),
        ("stay", "Stuck?", Mode::Instant)
    );
    assert_eq!((stay.offer.interaction_timeout_s, stay.offer.cooldown_s), (5.0, 50.0));
    assert_eq!(stay.offer.options()[0].tour.as_deref(), Some("flow"));
    assert_eq!(stay.metadata["user_page_dwell_seconds"], 61.0);
    assert_eq!(back.offer.text(), PING_PONG_TEXT);
    assert_eq!(back.mode, Mode::Judged);
    assert_eq!(back.metadata["matched"], json!(["strict_ping_pong"]));
}

#[test]
fn a_plugin_is_asked_and_its_failure_leaves_the_others() {
    let triggers = triggers(json!([
        { "id": "own", "kind": "plugin", "plugin": "helper", "cooldown": 7 },
        { "id": "back", "kind": "ping-pong" },
    ]));
    let stage = Stage::of(&BACK_AND_FORTH, 0.0);
    let own = |answers: &Answers| {
        let mut outcomes = stage.outcomes(&triggers, answers);
        assert!(matches!(outcomes.pop(), Some((_, Outcome::Hit(_)))), "the other one hits");
        outcomes.pop().map(|(_, outcome)| outcome)
    };
    assert_eq!(own(&Answers::default()), Some(Outcome::Ask("helper".into())));
    assert_eq!(own(&answer(Answer::Nothing)), Some(Outcome::No));
    let failed = own(&answer(Answer::Failed("it took too long".to_owned())));
    assert_eq!(failed, Some(Outcome::Failed(Failure::Plugin("it took too long".to_owned()))));
    let offer = |text: &str| answer(Answer::Offer { text: text.to_owned(), options: Vec::new() });
    assert_eq!(own(&offer(" ")), Some(Outcome::Failed(Failure::NoOffer(NoOffer::Empty))));
    let Some(Outcome::Hit(hit)) = own(&offer(&"x".repeat(400))) else { panic!("no hit") };
    assert_eq!(
        (hit.offer.trigger(), hit.offer.text().len(), hit.offer.cooldown_s),
        ("own", 150, 7.0)
    );
}

#[test]
fn criteria_hit_when_their_conditions_do() {
    let part = json!({ "id": "stay", "kind": "page-dwell", "threshold": 30, "alone": false });
    let all = triggers(json!([part, both(["stay", PING_PONG], "AND")]));
    let one = triggers(json!([part, both(["stay", PING_PONG], "OR")]));
    assert_eq!(Stage::of(&BACK_AND_FORTH, 0.0).hits(&all), [""; 0]);
    assert_eq!(Stage::of(&BACK_AND_FORTH, 0.0).hits(&one), ["both"]);
    assert_eq!(Stage::of(&["/a"], 60.0).hits(&all), [""; 0]);
    assert_eq!(
        Stage::of(&BACK_AND_FORTH, 60.0).hits(&all),
        ["both"],
        "the part isn't offered alone"
    );
    let outcomes = Stage::of(&BACK_AND_FORTH, 60.0).outcomes(&all, &Answers::default());
    let [(_, Outcome::Hit(hit))] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(hit.offer.text(), "Both?");
    assert_eq!(hit.metadata["conditions"]["stay"]["user_page_dwell_seconds"], 61.0);
}

#[test]
fn criteria_ask_the_plugin_that_they_depend_on() {
    let own = json!({ "id": "own", "kind": "plugin", "plugin": "helper", "alone": false });
    let triggers = triggers(json!([own, both(["own", PING_PONG], "AND")]));
    let outcome = |pages: &[&str], answers: &Answers| {
        Stage::of(pages, 0.0).outcomes(&triggers, answers).pop().map(|(_, outcome)| outcome)
    };
    assert_eq!(
        outcome(&["/a"], &Answers::default()),
        Some(Outcome::No),
        "nobody needs to be asked"
    );
    let asked = outcome(&BACK_AND_FORTH, &Answers::default());
    assert_eq!(asked, Some(Outcome::Ask("helper".into())));
    let offer = Answer::Offer { text: "Hi".to_owned(), options: Vec::new() };
    assert!(matches!(outcome(&BACK_AND_FORTH, &answer(offer)), Some(Outcome::Hit(_))));
    let failed = outcome(&BACK_AND_FORTH, &answer(Answer::Failed("trap".to_owned())));
    assert_eq!(failed, Some(Outcome::No));
}

#[test]
fn a_dwell_says_when_silence_makes_it_hit() {
    let triggers = triggers(json!([
        { "id": "long", "kind": "page-dwell", "threshold": 600 },
        { "id": "stay", "kind": "page-dwell" },
    ]));
    let stage = Stage::of(&["/q", "/p", "/p"], 0.0);
    let next = triggers.next_look(&stage.context()).unwrap();
    assert_eq!(next, Timestamp::from_secs_f64(1_700_000_061.0));
    assert_eq!(
        Stage { now: next, ..Stage::of(&["/q", "/p", "/p"], 0.0) }.hits(&triggers),
        ["stay"]
    );
    let later = Stage { now: next, ..Stage::of(&["/q", "/p", "/p"], 0.0) };
    let next = triggers.next_look(&later.context()).unwrap();
    assert_eq!(next, Timestamp::from_secs_f64(1_700_000_601.0));
    let last = Stage { now: next, ..Stage::of(&["/q", "/p", "/p"], 0.0) };
    assert_eq!(last.hits(&triggers), ["long", "stay"], "the window is shorter than the silence");
    assert_eq!(triggers.next_look(&last.context()), None);
    assert_eq!(
        triggers.next_look(&Stage::of(&["/p"; 6], 0.0).context()),
        None,
        "who does more is busy"
    );
    let built_in = Triggers::of(vec![Trigger::of("g", {
        let leaf = json!({ "id": "l", "name": "l", "type": PAGE_DWELL });
        let tree = Criteria::from_value(&leaf, &config::Path::top("criteria")).unwrap();
        Kind::Criteria(tree)
    })]);
    let next = built_in.unwrap().next_look(&stage.context());
    assert_eq!(next, Some(Timestamp::from_secs_f64(1_700_000_061.0)));
}

#[test]
fn the_section_with_the_longest_dwell_counts_and_the_last_one_otherwise() {
    let triggers = triggers(json!([{ "id": SECTION_PLAYBOOK, "kind": "section-playbook",
        "options": [{ "label": "Yes" }],
        "sections": [{ "prefix": "/billing", "id": "billing" }, { "prefix": "/reports", "id": "reports" }],
        "playbook": { "billing": "Invoices?", "reports": { "text": "A report?", "options": [{ "label": "No" }] } } }]));
    let text = |pages: &[&str]| {
        let outcomes = Stage::of(pages, 0.0).outcomes(&triggers, &Answers::default());
        match outcomes.into_iter().next() {
            Some((_, Outcome::Hit(hit))) => {
                Some((hit.offer.text().to_owned(), hit.offer.options()[0].label.clone()))
            }
            _ => None,
        }
    };
    let said = |text: &str, label: &str| Some((text.to_owned(), label.to_owned()));
    assert_eq!(text(&["/billing/1", "/home"]), said("Invoices?", "Yes"));
    assert_eq!(text(&["/billing", "/reports", "/billing"]), said("Invoices?", "Yes"));
    assert_eq!(text(&["/reports"]), said("A report?", "No"));
    assert_eq!(text(&["/home"]), None);
}

#[test]
fn without_a_judge_what_needs_one_is_off_and_stays_a_condition() {
    let part = json!({ "id": "stay", "kind": "page-dwell", "threshold": 30 });
    let alone = json!({ "id": "back", "kind": "ping-pong" });
    let off = triggers(json!([part, alone, both(["stay", PING_PONG], "AND")])).without_judged();
    assert_eq!(off.iter().map(|trigger| trigger.id.as_str()).collect::<Vec<_>>(), ["stay", "both"]);
    assert_eq!(Stage::of(&BACK_AND_FORTH, 60.0).hits(&off), ["both"]);
    assert!(triggers(json!([part, alone])).without_judged().is_empty());
}

#[test]
fn texts_are_in_no_debug_text() {
    let triggers = triggers(json!([
        { "id": "stay", "kind": "page-dwell", "threshold": 30, "text": "Secret words" },
        { "id": "where", "kind": "section-playbook", "sections": [{ "prefix": "/", "id": "all" }],
          "playbook": { "all": { "text": "Secret too", "options": [{ "label": "Secret label" }] } } },
    ]));
    let stage = Stage::of(&["/secret"], 60.0);
    let shown = format!(
        "{triggers:?} {:?} {:?}",
        stage.context(),
        triggers.evaluate(&stage.context(), &Answers::default())
    );
    assert!(!shown.to_lowercase().contains("secret"), "{shown}");
}

proptest::proptest! {
    /// Whatever was done and whenever it is said to have been done, each trigger says something, an offer keeps its
    /// bounds, and the next look lies ahead.
    #[test]
    fn any_actions_come_to_outcomes_within_bounds(
        did in proptest::collection::vec(
            ("[ab/ ]{0,3}", proptest::option::of(proptest::num::f64::ANY), proptest::option::of(1.69e9..1.71e9f64)),
            0..80,
        ),
        arrived in proptest::collection::vec(-200.0..200.0f64, 80),
        later in 0.0..1000.0f64,
    ) {
        let triggers = triggers(json!([
            { "id": "back", "kind": "ping-pong" },
            { "id": "stay", "kind": "page-dwell", "threshold": 0.5 },
            { "id": "where", "kind": "section-playbook", "sections": [{ "prefix": "a", "id": "a" }],
              "playbook": { "a": "Ask", "other": "Other" } },
            both(["back", "stay"], "OR"),
        ]));
        let begin = 1_700_000_000.0;
        let kept = |((page, start, end), arrived): (&(String, Option<f64>, Option<f64>), &f64)| KeptBatch {
            first: 1,
            at: Timestamp::from_secs_f64(begin + arrived),
            batch: ActionsPayload {
                actions: vec![Action {
                    canonical_url: page.clone(),
                    timestamp_start: *start,
                    timestamp_end: *end,
                    ..Action::default()
                }],
                ..ActionsPayload::default()
            },
        };
        let batches: Vec<_> = did.iter().zip(&arrived).map(kept).collect();
        let stage = Stage::of(&[], 0.0);
        let now = Timestamp::from_secs_f64(begin + later);
        let context = Context::of(Scope::of(&stage.key), &batches, now).unwrap();
        proptest::prop_assert!(context.actions.len() <= context::MAX_ACTIONS);
        let outcomes = triggers.evaluate(&context, &Answers::default());
        proptest::prop_assert_eq!(outcomes.len(), 4);
        for (trigger, outcome) in outcomes {
            match outcome {
                Outcome::Hit(hit) => {
                    proptest::prop_assert_eq!(hit.offer.trigger(), &trigger.id);
                    proptest::prop_assert!((1..=150).contains(&hit.offer.text().chars().count()));
                }
                Outcome::No => {}
                other @ (Outcome::Ask(_) | Outcome::Failed(_)) => panic!("{other:?}"),
            }
        }
        if let Some(next) = triggers.next_look(&context) {
            proptest::prop_assert!(next > now);
        }
    }
}
