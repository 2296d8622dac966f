//! `[products.ID.offers]`.

use std::time::Duration;

use sidenote_core::triggers::{Kind, Mode, PING_PONG, Times};

use super::*;

/// A configuration with a model, a history and this table.
fn with(offers: &str) -> String {
    format!("{MINIMAL}[products.acme.offers]\n{offers}\n[context]\n{MODEL}")
}

fn product(text: &str) -> Product {
    load(text, &[]).unwrap().products[&ProductId::new("acme").unwrap()].clone()
}

fn ids(product: &Product) -> Vec<&str> {
    product.triggers.iter().map(|trigger| trigger.id.as_str()).collect()
}

#[test]
fn help_is_offered_only_where_the_table_is_there() {
    let without = product(MINIMAL);
    assert!(without.offers.is_none() && without.triggers.is_empty());
    let product = product(&with(""));
    assert_eq!(product.offers.as_deref(), Some(&Offers::default()));
    assert_eq!(ids(&product), [PING_PONG]);
}

#[test]
fn the_reference_file_names_the_keys_of_every_kind() {
    let words: Vec<_> = REFERENCE.split(|c: char| !(c.is_ascii_lowercase() || c == '_')).collect();
    for kind in ["ping-pong", "page-dwell", "section-playbook", "criteria", "plugin"] {
        for key in sidenote_core::triggers::config::keys(kind).unwrap() {
            assert!(words.contains(&key), "{key} of {kind} isn't in the reference file");
        }
    }
}

#[test]
fn every_limit_is_read_and_some_can_be_switched_off() {
    let product = product(&with(
        "expires = \"20s\"\nmin_interval = \"0s\"\nper_session_hour = 4\nper_user_day = 10\n\
         per_product_minute = 60\nquiet_after_agent = \"1h\"\nquiet_after_person = \"0s\"\nkeep_decisions = \"48h\"\n\
         tear_down = true",
    ));
    let read = Offers {
        expires: Duration::from_secs(20),
        min_interval: Duration::ZERO,
        per_session_hour: 4,
        per_user_day: 10,
        per_product_minute: 60,
        quiet_after_agent: Duration::from_secs(3600),
        quiet_after_person: Duration::ZERO,
        keep_decisions: Duration::from_secs(48 * 3600),
        tear_down: true,
    };
    assert_eq!(product.offers.as_deref(), Some(&read));
}

const TRIGGERS: &str = r#"
interaction_timeout = "20s"
cooldown = "2m"
[[products.acme.offers.triggers]]
id = "stuck"
kind = "page-dwell"
mode = "instant"
threshold = "90s"
text = "Stuck? I can show you how."
options = [{ label = "Show me", tour = "flow_1" }, { label = "No, thanks" }]
cooldown = "5m"
[[products.acme.offers.triggers]]
id = "billing"
kind = "section-playbook"
sections = [{ prefix = "https://app.example.com/billing", id = "billing" }]
[products.acme.offers.triggers.playbook]
billing = "Questions about an invoice?"
[[products.acme.offers.triggers]]
id = "lost"
kind = "criteria"
text = "Looking for something?"
[products.acme.offers.triggers.criteria]
operator = "AND"
conditions = [{ type = "stuck" }, { operator = "OR", conditions = [{ type = "canonical_url_ping_pong" }] }]
[[products.acme.offers.triggers]]
id = "own"
kind = "plugin"
plugin = "webhook"
"#;

#[test]
fn triggers_are_read_in_order_with_the_times_of_the_table_where_they_say_none() {
    let product = product(&with(TRIGGERS));
    assert_eq!(ids(&product), ["stuck", "billing", "lost", "own"]);
    let triggers: Vec<_> = product.triggers.iter().collect();
    assert_eq!(triggers[0].mode, Mode::Instant);
    assert_eq!(triggers[0].times, Times { interaction_timeout_s: 20.0, cooldown_s: 300.0 });
    assert_eq!(triggers[0].options[0].tour.as_deref(), Some("flow_1"));
    assert_eq!(triggers[1].times, Times { interaction_timeout_s: 20.0, cooldown_s: 120.0 });
    let Kind::Criteria(tree) = &triggers[2].kind else { panic!("{:?}", triggers[2]) };
    let names: Vec<_> = tree.leaves().into_iter().map(|leaf| leaf.trigger.as_str()).collect();
    assert_eq!(names, ["stuck", PING_PONG]);
    assert_eq!(triggers[3].kind, Kind::Plugin("webhook".into()));
}

#[test]
fn a_configuration_of_autoplay_sdk_is_brought_along_by_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let load = |json: &str, also: &str| {
        std::fs::write(folder.path().join("sdk.json"), json).unwrap();
        let text = with(&format!("proactive_intercom = \"sdk.json\"\ncooldown = \"2m\"\n{also}"));
        Config::from_toml(&text, folder.path(), &|_| None)
    };
    let entry = |kind: &str| {
        format!(
            r#"{{"proactive_intercom": [{{"id": "t1", "name": "Stuck?", "proactive_criteria": {{"id": "l", "name": "l", "type": "{kind}"}},
            "messages": [{{"id": "m", "label": "Show me", "user_tour_exists": true, "user_tour_id": "flow"}}]}}]}}"#
        )
    };
    let acme = ProductId::new("acme").unwrap();
    let alone = load(&entry("user_page_dwell"), "").unwrap().products[&acme].clone();
    assert_eq!(ids(&alone), ["t1"]);
    let trigger = alone.triggers.iter().next().unwrap();
    assert_eq!((trigger.mode, trigger.times.cooldown_s), (Mode::Judged, 120.0));
    assert_eq!(trigger.options[0].tour.as_deref(), Some("flow"));
    let both = load(&entry("user_page_dwell"), TRIGGERS_ALONE).unwrap().products[&acme].clone();
    assert_eq!(ids(&both), ["stuck", "t1"]);

    for (json, wanted) in [
        (entry("url_change"), "is \"url_change\", which isn't known"),
        ("{".to_owned(), "isn't JSON (line 1, column 1)"),
        ("{}".to_owned(), "has no list \"proactive_intercom\", or an empty one"),
        (r#"{"proactive_intercom": [5]}"#.to_owned(), "`proactive_intercom[0]` of"),
    ] {
        let refused = load(&json, "").unwrap_err();
        assert!(refused.to_string().contains(wanted), "{json}: {refused}");
        assert!(refused.to_string().starts_with("sidenote.toml:8: "), "{refused}");
    }
}

/// One trigger of the list.
const TRIGGERS_ALONE: &str =
    "[[products.acme.offers.triggers]]\nid = \"stuck\"\nkind = \"page-dwell\"\n";

#[test]
fn without_a_model_what_needs_a_judge_is_off_and_that_is_said() {
    let text = with(TRIGGERS).replace(MODEL, "");
    let config = load(&text, &[]).unwrap();
    let product = &config.products[&ProductId::new("acme").unwrap()];
    assert_eq!(ids(product), ["stuck"]);
    let said: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    let line = text.lines().position(|line| line == "id = \"billing\"").unwrap();
    let wanted = format!(
        "sidenote.toml:{line}: [products.acme.offers] the trigger \"billing\" waits for a judge, and there is no [llm]: it is off; add [llm], or write mode = \"instant\""
    );
    assert_eq!(said[0], wanted);
}

#[test]
fn without_a_history_offers_are_refused() {
    let text = with("").replace("[context]\n", "").replace(MODEL, "");
    let found = errors(&text, &[]);
    let [found] = &found[..] else { panic!("{found:?}") };
    assert!(
        found.contains("no [context]: help is offered by what is kept of a session"),
        "{found}"
    );
}

#[test]
fn a_value_that_merely_tunes_a_trigger_stops_nothing_and_is_told_with_its_line() {
    for (keys, wanted) in [
        ("threshold = 60", "\"triggers[0].threshold\": it is a whole number; write a duration"),
        ("threshold = \"48h\"", "\"triggers[0].threshold\": it isn't a number of seconds above 0"),
        ("max_actions = nan", "\"triggers[0].max_actions\": it isn't a whole number from 1"),
        ("text = 5", "\"triggers[0].text\": it isn't a text"),
    ] {
        let row = "[[products.acme.offers.triggers]]\nid = \"t\"\nkind = \"page-dwell\"\nmode = \"instant\"";
        let text = with(&format!("{row}\n{keys}"));
        let config = load(&text, &[]).unwrap_or_else(|errors| panic!("{keys}: {errors}"));
        let product = &config.products[&ProductId::new("acme").unwrap()];
        assert_eq!(ids(product), ["t"]);
        let said: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
        let [said] = &said[..] else { panic!("{keys}: {said:#?}") };
        assert!(said.contains(wanted) && said.ends_with("its default is used"), "{said}");
        let line = text.lines().position(|line| line == keys).unwrap() + 1;
        assert!(
            said.starts_with(&format!("sidenote.toml:{line}: [products.acme.offers] ")),
            "{said}"
        );
    }
}

#[test]
fn every_mistake_about_offers_is_named_with_line_key_and_way_out() {
    let row = |keys: &str| format!("[[products.acme.offers.triggers]]\nid = \"t\"\n{keys}");
    let cases = [
        ("expires = \"0s\"".to_owned(), "\"expires\": \"0s\" is no time at all"),
        ("min_interval = 300".to_owned(), "\"min_interval\" is a whole number; write a duration"),
        ("min_interval = \"0ms\"".to_owned(), "\"0s\" is for none"),
        ("per_user_day = -1".to_owned(), "\"per_user_day\": it isn't a whole number from 0"),
        ("per_user_day = 1000001".to_owned(), "write less, or 0 for no limit"),
        ("cooldown = \"0s\"".to_owned(), "\"cooldown\": \"0s\" is no time at all"),
        ("cooldwn = \"1s\"".to_owned(), "unknown key \"cooldwn\"; did you mean \"cooldown\"?"),
        ("triggers = []".to_owned(), "\"triggers\": it isn't a list with one trigger at least"),
        (
            "[products.acme.offers.triggers]\nid = \"t\"".to_owned(),
            "\"triggers\" is a table; write a list of tables",
        ),
        (
            row("kind = \"dwell\""),
            "\"triggers[0].kind\": it is \"dwell\", which isn't known; write one of ping-pong",
        ),
        (row(""), "\"triggers[0].kind\": it isn't a text"),
        (
            row("kind = \"page-dwell\"\ncooldown = inf"),
            "\"triggers[0].cooldown\" is a number with a fraction",
        ),
        (
            row("kind = \"page-dwell\"\nscope = \"x\""),
            "\"triggers[0].scope\": it means nothing here",
        ),
        (
            row("kind = \"plugin\"\nplugin = \"webhok\""),
            "\"plugin\" names the plugin \"webhok\", which isn't there; did you mean \"webhook\"?",
        ),
        (
            row("kind = \"criteria\"\ntext = \"Hi\"\ncriteria = { type = \"scrolled\" }"),
            "\"triggers[0].criteria\": it is \"scrolled\", which isn't known",
        ),
        (
            row(
                "kind = \"criteria\"\ntext = \"Hi\"\ncriteria = { type = \"user_page_dwell\", op = 1 }",
            ),
            "\"op\" of criteria means nothing; keys of a condition: id",
        ),
        (
            row("kind = \"ping-pong\"\noptions = [{ label = \" \" }]"),
            "\"triggers[0].options[0].label\": it isn't a text with something in it",
        ),
    ];
    for (keys, wanted) in cases {
        let text = with(&keys);
        let found = errors(&text, &[]);
        let [one] = &found[..] else { panic!("{keys}: {found:#?}") };
        assert!(one.contains(wanted), "{keys}: {one}");
        assert!(one.contains("[products.acme.offers]"), "{one}");
        // The line is that of what is wrong: the last one that was written.
        let first = text.lines().position(|line| line == "[products.acme.offers]").unwrap() + 1;
        let line: usize = one.split(':').nth(1).unwrap().parse().unwrap();
        assert!((first..=first + keys.lines().count()).contains(&line), "{one}");
    }
}

#[test]
fn a_changed_trigger_is_a_changed_product() {
    let before = load(&with(TRIGGERS), &[]).unwrap();
    let after = load(&with(&TRIGGERS.replace("90s", "91s")), &[]).unwrap();
    assert_eq!(before.plan(&after).unwrap().products.changed, ["acme"]);
    assert!(before.plan(&before.clone()).unwrap().is_empty());
}
