use super::*;
use crate::offers::content::Offer;

fn hit(trigger: &str, label: &str, timeout: f64) -> Hit {
    let offer = Offer::new(trigger, "Need help?", [(label, None)]);
    let offer = offer.unwrap().with_times(timeout, 2.0 * timeout).unwrap();
    let mut metadata = Map::new();
    metadata.insert(format!("of_{trigger}"), json!(1));
    metadata.insert("of_both".to_owned(), json!(trigger));
    Hit { offer, mode: Mode::Judged, metadata }
}

fn candidates() -> [Hit; 2] {
    [hit("a", "Yes", 11.0), hit("b", "No", 33.0)]
}

fn answer(fields: &Value) -> String {
    let mut answer = json!({
        "send": true, "proactive_valid_timing": true, "short_user_message": "Go?",
        "reasoning": "Ann went back twice", "proactive_intent": "assist",
    });
    for (key, value) in fields.as_object().unwrap() {
        answer[key] = value.clone();
    }
    answer.to_string()
}

fn offered(answer: &str) -> Hit {
    match parse(answer, &candidates()) {
        Verdict::Yes(hit) => hit,
        Verdict::No { why } => panic!("{why:?}: {answer}"),
    }
}

fn refused(answer: &str) -> NoReason {
    match parse(answer, &candidates()) {
        Verdict::No { why } => why,
        Verdict::Yes(hit) => panic!("{hit:?}: {answer}"),
    }
}

#[test]
fn the_named_trigger_gives_options_and_times_and_the_judge_the_words() {
    let hit = offered(&answer(&json!({ "primary_trigger_id": "b" })));
    assert_eq!((hit.offer.trigger(), hit.offer.text()), ("b", "Go?"));
    assert_eq!(hit.offer.options()[0].label, "No");
    assert_eq!((hit.offer.interaction_timeout_s, hit.offer.cooldown_s), (33.0, 66.0));
    assert_eq!(hit.metadata["of_both"], "b");
    assert_eq!(hit.metadata["of_a"], 1, "what the others found stands beside it");
    assert!(!json!(hit.metadata).to_string().contains("Ann"), "its reasoning is no metadata");
    assert_eq!(offered(&answer(&json!({}))).offer.trigger(), "a", "else the first one");
}

#[test]
fn a_trigger_that_was_not_asked_about_is_refused() {
    let named = answer(&json!({ "primary_trigger_id": "zzz" }));
    assert_eq!(refused(&named), NoReason::UnknownTrigger);
    assert_eq!(parse(&answer(&json!({})), &[]), Verdict::No { why: NoReason::UnknownTrigger });
}

#[test]
fn only_a_real_true_is_a_yes() {
    for no in [json!("true"), json!(1), json!(null), json!([true]), json!(false)] {
        assert_eq!(refused(&answer(&json!({ "send": no }))), NoReason::NotSent);
        assert_eq!(refused(&answer(&json!({ "proactive_valid_timing": no }))), NoReason::Timing);
    }
    assert_eq!(refused(&answer(&json!({ "short_user_message": " \n" }))), NoReason::NoText);
}

#[test]
fn one_fence_around_the_answer_is_accepted_and_nothing_else() {
    let plain = answer(&json!({}));
    for fenced in [
        format!("```json\n{plain}\n```"),
        format!("```\n{plain}\n```  "),
        format!("```JSON\n{plain}"),
        format!(" \n{plain} "),
    ] {
        offered(&fenced);
    }
    for other in [
        format!("Sure!\n```json\n{plain}\n```"),
        format!("{plain}\nHope this helps"),
        format!("```json\n```json\n{plain}\n```\n```"),
        plain.replace('"', "'"),
        plain[..plain.len() - 9].to_owned(),
    ] {
        assert_eq!(refused(&other), NoReason::Unreadable(Unreadable::NotJson), "{other}");
    }
}

#[test]
fn any_answer_is_a_decision() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let digits = "9".repeat(5000);
    for (text, why) in [
        ("", Unreadable::Empty),
        ("```\n```", Unreadable::Empty),
        ("null", Unreadable::NotAnObject),
        ("[1]", Unreadable::NotAnObject),
        (deep.as_str(), Unreadable::NotJson),
        ("{\"send\": NaN}", Unreadable::NotJson),
        ("```", Unreadable::NotJson),
    ] {
        assert_eq!(refused(text), NoReason::Unreadable(why), "{why:?}");
    }
    assert!(matches!(refused(&digits), NoReason::Unreadable(_)));
    let number =
        format!("{{\"send\": true, \"proactive_valid_timing\": true, \"body\": {digits}}}");
    let Verdict::No { .. } = parse(&number, &candidates()) else { panic!("it was offered") };
}

#[test]
fn a_message_comes_from_the_first_key_that_has_one_and_is_cut() {
    let hit =
        offered(&answer(&json!({ "short_user_message": "", "body": "B", "what_to_send": "W" })));
    assert_eq!(hit.offer.text(), "W");
    let hit = offered(&answer(&json!({ "short_user_message": "m".repeat(200) })));
    assert_eq!(hit.offer.text().len(), MAX_TEXT);
}

#[test]
fn what_a_judge_wrote_and_what_was_found_are_in_no_debug_text() {
    let judgement = Judgement::of(&answer(&json!({})));
    let shown = format!("{judgement:?} {:?}", judgement.verdict(&candidates()));
    assert!(!shown.contains("Ann") && !shown.contains("Go?"), "{shown}");
}
