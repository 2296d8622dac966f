use serde_json::json;

use super::*;

fn read(rows: &Value) -> (Vec<String>, Vec<String>) {
    let (triggers, errors) = triggers(rows, Times::default());
    let ids = triggers.iter().flat_map(Triggers::iter).map(|trigger| trigger.id.clone());
    (ids.collect(), errors.into_iter().map(|error| error.to_string()).collect())
}

/// The one thing that is wrong with a row.
fn wrong(row: Value) -> ConfigError {
    let mut tuned = Vec::new();
    let read = trigger(&row, Times::default(), &Path::top("row"), &mut tuned);
    match (read, tuned.as_slice()) {
        (Err(error), []) if !error.has_default => error,
        (Ok(_), [one]) if one.has_default => one.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_row_is_read_with_the_defaults_of_its_kind_and_its_product() {
    let times = Times { interaction_timeout_s: 7.0, cooldown_s: 70.0 };
    let rows = json!([
        { "id": "back", "kind": "ping-pong", "scope": " projects ", "min_cycles": 2, "cooldown": 5 },
        { "id": "stay", "kind": "page-dwell", "mode": "instant", "threshold": 90.5,
          "options": [{ "label": "Show me", "tour": "flow" }, { "label": "No" }] },
        { "id": "own", "kind": "plugin", "plugin": "helper" },
        { "id": "where", "kind": "section-playbook",
          "sections": [{ "prefix": "https://x.io/billing", "id": "billing" }],
          "playbook": { "billing": "Ask me", "other": { "text": "Lost?", "options": [{ "label": "Yes" }] } } },
    ]);
    let (read, errors) = triggers(&rows, times);
    assert_eq!(errors, []);
    let read: Vec<_> = read.unwrap().iter().cloned().collect();
    let Kind::PingPong(back) = &read[0].kind else { panic!("{:?}", read[0]) };
    assert_eq!((back.part.text(), back.min_cycles, back.hesitation), ("projects", 2, Some(3)));
    assert_eq!(read[0].times, Times { interaction_timeout_s: 7.0, cooldown_s: 5.0 });
    assert_eq!((read[0].mode, read[1].mode), (Mode::Judged, Mode::Instant));
    let dwell = PageDwell { threshold: Duration::from_millis(90_500), max_actions: 5 };
    assert_eq!(read[1].kind, Kind::PageDwell(dwell));
    assert_eq!(read[1].options[0].tour.as_deref(), Some("flow"));
    assert_eq!(read[2].kind, Kind::Plugin("helper".into()));
    let Kind::SectionPlaybook(playbook) = &read[3].kind else { panic!("{:?}", read[3]) };
    assert_eq!(playbook.playbook["other"].options.len(), 1);
}

#[test]
fn a_bad_row_is_refused_with_its_path_and_the_good_ones_stay() {
    let (ids, errors) = read(&json!([
        "user_page_dwell",
        { "id": "good", "kind": "page-dwell" },
        { "id": "good", "kind": "ping-pong" },
        { "id": "slow", "kind": "page-dwell", "cooldown": "x" },
    ]));
    assert_eq!(ids, ["good"]);
    assert_eq!(
        errors,
        [
            "reading the triggers: `triggers[0]` isn't an object; write one there",
            "reading the triggers: `triggers[3].cooldown` isn't a number of seconds above 0, at most a day; write one there",
            "reading the triggers: `triggers[2].id` stands at another trigger too; give each an id of its own",
        ]
    );
}

#[test]
fn a_wrong_value_that_merely_tunes_a_trigger_has_its_default_and_is_told() {
    let (triggers, errors) = triggers(
        &json!([
            { "id": "stay", "kind": "page-dwell", "threshold": "x", "max_actions": 0, "text": 5 },
            { "id": "back", "kind": "ping-pong", "hesitation": 1, "min_pages": 1, "min_cycles": [] },
        ]),
        Times::default(),
    );
    let triggers = triggers.unwrap();
    let kinds: Vec<_> = triggers.iter().map(|trigger| trigger.kind.clone()).collect();
    let defaults = [Kind::PageDwell(PageDwell::default()), Kind::PingPong(PingPong::default())];
    assert_eq!(kinds, defaults);
    assert!(triggers.iter().all(|trigger| trigger.text.is_none()));
    assert!(errors.iter().all(|error| error.has_default));
    let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "triggers[0].threshold",
            "triggers[0].max_actions",
            "triggers[0].text",
            "triggers[1].hesitation",
            "triggers[1].min_pages",
            "triggers[1].min_cycles",
        ]
    );
    // What is wrong without a default takes the row with it, and only that is told.
    let row = json!([{ "id": "a", "kind": "page-dwell", "threshold": "x", "cooldown": 0 }]);
    let (triggers, errors) = super::triggers(&row, Times::default());
    assert!(triggers.is_none() && errors.len() == 1 && !errors[0].has_default, "{errors:?}");
}

#[test]
fn an_error_says_its_row_and_key() {
    let rows = json!([{ "id": "a", "kind": "ping-pong", "options": [{ "label": 5 }] }, 5]);
    let (_, errors) = triggers(&rows, Times::default());
    let places: Vec<_> = errors.iter().map(|error| (error.row, error.key.as_deref())).collect();
    assert_eq!(places, [(Some(0), Some("options")), (Some(1), None)]);
    assert_eq!(triggers(&json!([]), Times::default()).1[0].row, None);
}

#[test]
fn an_empty_list_is_refused_and_no_list_is_a_ping_pong() {
    for rows in [json!([]), json!({ "id": "a" })] {
        let (triggers, errors) = triggers(&rows, Times::default());
        assert!(triggers.is_none() && errors.len() == 1, "{rows}");
    }
    assert_eq!(read(&json!(null)), (vec!["canonical_url_ping_pong".to_owned()], Vec::new()));
}

#[test]
fn further_triggers_come_behind_the_list_and_take_the_place_of_none() {
    let further = || vec![Trigger::of("further", Kind::PageDwell(PageDwell::default()))];
    let ids = |rows: Value| {
        let (triggers, errors) = with_further(&rows, further(), Times::default());
        let ids = triggers.iter().flat_map(Triggers::iter).map(|trigger| trigger.id.clone());
        (ids.collect::<Vec<_>>(), errors.len())
    };
    assert_eq!(ids(json!(null)), (vec!["further".to_owned()], 0));
    let listed = ids(json!([{ "id": "first", "kind": "ping-pong" }]));
    assert_eq!(listed, (vec!["first".to_owned(), "further".to_owned()], 0));
    assert_eq!(ids(json!([{ "id": "further", "kind": "ping-pong" }])).1, 1, "one id twice");
}

#[test]
fn every_field_says_what_it_wants() {
    let with = |kind: &str, key: &str, value: Value| {
        let mut row = json!({ "id": "t", "kind": kind });
        if kind == "plugin" {
            row["plugin"] = json!("helper");
        }
        row[key] = value;
        row
    };
    let playbook = |key: &str, value: Value| {
        let mut row = json!({ "id": "t", "kind": "section-playbook", "playbook": { "a": "Ask" },
            "sections": [{ "prefix": "/a", "id": "a" }] });
        row[key] = value;
        row
    };
    let option = |option: Value| with("ping-pong", "options", json!([option]));
    for (row, path) in [
        (json!(5), "row"),
        (json!({ "kind": "ping-pong" }), "row.id"),
        (json!({ "id": " ", "kind": "ping-pong" }), "row.id"),
        (json!({ "id": "x".repeat(MAX_ID + 1), "kind": "ping-pong" }), "row.id"),
        (json!({ "id": "t" }), "row.kind"),
        (json!({ "id": "t", "kind": "pingpong" }), "row.kind"),
        (with("ping-pong", "mode", json!("later")), "row.mode"),
        (with("ping-pong", "mode", json!(1)), "row.mode"),
        (with("ping-pong", "min_cycles", json!(0)), "row.min_cycles"),
        (with("ping-pong", "min_cycles", json!(1.5)), "row.min_cycles"),
        (with("ping-pong", "min_pages", json!(1)), "row.min_pages"),
        (with("ping-pong", "hesitation", json!("no")), "row.hesitation"),
        (
            json!({ "id": "t", "kind": "ping-pong", "hesitation": false, "min_pages": 3 }),
            "row.min_pages",
        ),
        (playbook("text", json!("Hi")), "row.text"),
        (with("ping-pong", "scope", json!(" ")), "row.scope"),
        (with("ping-pong", "threshold", json!(5)), "row.threshold"),
        (with("ping-pong", "text", json!("x".repeat(MAX_TEXT + 1))), "row.text"),
        (with("ping-pong", "text", json!("")), "row.text"),
        (with("ping-pong", "cooldown", json!(0)), "row.cooldown"),
        (with("ping-pong", "cooldown", json!(true)), "row.cooldown"),
        (with("ping-pong", "cooldown", json!(1e300)), "row.cooldown"),
        (with("ping-pong", "interaction_timeout", json!(-1)), "row.interaction_timeout"),
        (with("ping-pong", "options", json!("Yes")), "row.options"),
        (with("ping-pong", "options", json!([{}, {}, {}, {}])), "row.options"),
        (option(json!("Yes")), "row.options[0]"),
        (option(json!({ "label": " " })), "row.options[0].label"),
        (option(json!({ "label": "Yes", "tour": "  " })), "row.options[0].tour"),
        (option(json!({ "label": "Yes", "color": 1 })), "row.options[0].color"),
        (with("page-dwell", "max_actions", json!("5")), "row.max_actions"),
        (with("page-dwell", "alone", json!(0)), "row.alone"),
        (with("plugin", "text", json!("Hi")), "row.text"),
        (json!({ "id": "t", "kind": "plugin" }), "row.plugin"),
        (json!({ "id": "t", "kind": "criteria", "text": "Hi" }), "row.criteria"),
        (with("criteria", "criteria", json!({ "id": "a", "name": "a", "type": "t" })), "row.text"),
        (playbook("playbook", json!({})), "row.playbook"),
        (playbook("playbook", json!({ "b": "Ask" })), "row.playbook"),
        (playbook("playbook", json!({ "a": 5 })), "row.playbook.a"),
        (playbook("playbook", json!({ "a": { "text": " " } })), "row.playbook.a.text"),
        (playbook("sections", json!([])), "row.sections"),
        (playbook("sections", json!([{ "prefix": "", "id": "a" }])), "row.sections[0].prefix"),
        (playbook("sections", json!([{ "prefix": "/a" }])), "row.sections[0].id"),
    ] {
        assert_eq!(wrong(row.clone()).path, path, "{row}");
    }
}

#[test]
fn criteria_name_triggers_that_are_there() {
    let criteria = |id: &str, names: &[&str]| {
        let leaf = |name: &&str| json!({ "id": name, "name": name, "type": name });
        json!({ "id": id, "kind": "criteria", "text": "Hi", "criteria": {
            "id": "g", "name": "g", "operator": "AND", "conditions": names.iter().map(leaf).collect::<Vec<_>>() } })
    };
    let dwell = json!({ "id": "stay", "kind": "page-dwell", "alone": false });
    let (ids, errors) =
        read(&json!([dwell, criteria("both", &["stay", "canonical_url_ping_pong"])]));
    assert_eq!((ids.len(), errors.len()), (2, 0));

    let (ids, errors) = read(&json!([dwell, criteria("both", &["stay", "scrolled"])]));
    assert!(ids.is_empty());
    assert!(
        errors[0].contains("`triggers[1].criteria` is \"scrolled\", which isn't known"),
        "{errors:?}"
    );
    assert!(errors[0].contains("canonical_url_ping_pong, stay, user_page_dwell"), "{errors:?}");
    assert!(errors[1].contains("`triggers[0].alone` is false"), "what it was for was refused");

    let (ids, errors) =
        read(&json!([criteria("one", &["user_page_dwell"]), criteria("two", &["one"])]));
    assert_eq!(ids, ["one"]);
    assert!(errors[0].contains("can't be a condition of another one"), "{errors:?}");
}
