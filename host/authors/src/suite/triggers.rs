//! Triggers: what they are asked about is made up, and what they answer must be fit to be offered. They decide, and send
//! nothing.

use std::collections::BTreeSet;

use sidenote::offers::content::{MAX_LABEL, MAX_OPTIONS, MAX_TEXT};
use sidenote::outbox::note::PostError;
use sidenote::plugin::{Offer, TriggerContext};
use sidenote::session::payload::Action;

use super::check::{Check, Verdict};
use super::posting::told;
use super::stage::{Needs, Stage};

pub(super) fn checks() -> Vec<Check> {
    use Needs::Export;
    vec![
        Check::new("decides when to offer help", Export("trigger"), |stage| {
            Box::pin(decides(stage))
        }),
        Check::new("the same session, the same answer", Export("trigger"), |stage| {
            Box::pin(repeats_itself(stage))
        }),
        Check::new("an offer that a person can read", Export("trigger"), |stage| {
            Box::pin(is_readable(stage))
        }),
        Check::new("odd sessions", Export("trigger"), |stage| Box::pin(takes_oddities(stage))),
    ]
}

async fn decides(stage: &Stage<'_>) -> Verdict {
    let mut offers = Vec::new();
    for (name, actions) in sessions() {
        match evaluate(stage, &context(stage, actions)).await {
            Ok(Some(_)) => offers.push(name),
            Ok(None) => {}
            Err(error) => return Verdict::failed(told(&error)),
        }
    }
    let exchanges = stage.mock.take();
    if !exchanges.is_empty() {
        return Verdict::warning(
            "it asks somebody while it decides: the host asks it after each batch, and stops it soon",
        )
        .with(exchanges);
    }
    match offers.as_slice() {
        [] => Verdict::ok("no offer for any of the sessions made up here"),
        names => Verdict::ok(format!("an offer for: {}", names.join(", "))),
    }
}

async fn repeats_itself(stage: &Stage<'_>) -> Verdict {
    for (name, actions) in sessions() {
        let context = context(stage, actions);
        let mut answers = Vec::new();
        for _ in 0..3 {
            match evaluate(stage, &context).await {
                Ok(answer) => answers.push(answer),
                Err(error) => return Verdict::failed(told(&error)),
            }
        }
        if answers.iter().any(|answer| *answer != answers[0]) {
            return Verdict::warning(format!(
                "{name}: asked three times about the same session, it answers differently; an instance is used for many sessions, so decide by what you are handed alone"
            ));
        }
    }
    Verdict::ok("each session asked about three times")
}

async fn is_readable(stage: &Stage<'_>) -> Verdict {
    let (mut offers, mut cut) = (0, BTreeSet::new());
    for (_, actions) in sessions() {
        match evaluate(stage, &context(stage, actions)).await {
            Ok(Some(offer)) => {
                offers += 1;
                cut.extend(excess(&offer));
            }
            Ok(None) => {}
            Err(error) => return Verdict::failed(told(&error)),
        }
    }
    match (offers, cut.is_empty()) {
        (0, _) => Verdict::skipped("it made no offer"),
        (_, true) => Verdict::ok("each as long as the host shows it"),
        (_, false) => Verdict::warning(cut.into_iter().collect::<Vec<_>>().join("; ")),
    }
}

/// What of an offer the host doesn't show.
fn excess(offer: &Offer) -> Vec<String> {
    let mut found = Vec::new();
    if offer.text.chars().count() > MAX_TEXT {
        found.push(format!("its text is cut at {MAX_TEXT} characters"));
    }
    let replies = &offer.quick_replies;
    if replies.len() > MAX_OPTIONS {
        found.push(format!("the host shows its first {MAX_OPTIONS} quick replies"));
    }
    if replies.iter().any(|reply| reply.label.chars().count() > MAX_LABEL) {
        found.push(format!("a label is cut at {MAX_LABEL} characters"));
    }
    let labels: BTreeSet<_> = replies.iter().map(|it| it.label.trim().to_lowercase()).collect();
    if labels.len() < replies.len() {
        found.push("two quick replies look alike: a click can't be told by its label".to_owned());
    }
    found
}

async fn takes_oddities(stage: &Stage<'_>) -> Verdict {
    let long = "ü".repeat(20_000);
    let odd = Action { kind: String::new(), ..action(0, &long, &long, f64::NAN) };
    let early = action(1, "", "", -1.0e18);
    let late = action(i64::MIN, "\u{202e}\u{0}", "not a url", 1.0e18);
    let bare = Action { timestamp_start: None, timestamp_end: None, ..action(2, "", "", 0.0) };
    let many = vec![bare.clone(); 50];
    for actions in [vec![], vec![odd, early, late], many] {
        let whole = context(stage, actions);
        let nobody = TriggerContext {
            user_id: None,
            email: None,
            conversation: None,
            summary: Some(long.clone()),
            ..whole.clone()
        };
        for context in [whole, nobody] {
            if let Err(error) = evaluate(stage, &context).await {
                return Verdict::failed(format!(
                    "a session with odd or missing values ends it, and it is held back after five of these: {}",
                    told(&error)
                ));
            }
        }
    }
    Verdict::ok("answered for sessions without a person, pages, times or actions")
}

async fn evaluate(stage: &Stage<'_>, context: &TriggerContext) -> Result<Option<Offer>, PostError> {
    let timeout = stage.usual_call().timeout;
    let answer = stage.bench.registry.evaluate(&stage.bench.name, context, timeout).await;
    stage.look_for_crash(&answer);
    answer
}

fn context(stage: &Stage<'_>, actions: Vec<Action>) -> TriggerContext {
    let (note, _) = stage.note("");
    TriggerContext {
        key: note.key.clone(),
        user_id: note.user_id.clone(),
        email: note.email.clone(),
        conversation: Some(note.conversation.clone()),
        actions,
        summary: None,
        now: stage.clock.now(),
    }
}

/// Sessions that a trigger may be for, by what they are.
fn sessions() -> Vec<(&'static str, Vec<Action>)> {
    let page = |name: &str| format!("https://shop.example/{name}");
    let visits = |pages: &[&str]| -> Vec<Action> {
        let numbered = (0_i64..).zip(pages);
        numbered
            .map(|(n, name)| action(n, &format!("opened {name}"), &page(name), n as f64 * 10.0))
            .collect()
    };
    let same = |text: &str| -> Vec<Action> {
        (0..6).map(|n| action(n, text, &page("pay"), n as f64)).collect()
    };
    vec![
        ("nothing done", Vec::new()),
        ("one action", visits(&["cart"])),
        ("back and forth between two pages", visits(&["cart", "pay", "cart", "pay", "cart"])),
        ("the same click again and again", same("clicked Pay")),
        ("error messages", same("saw the error \"card declined\"")),
        ("help and prices", visits(&["help", "pricing", "help/billing", "pricing"])),
        (
            "long on one page",
            vec![
                action(0, "opened pay", &page("pay"), 0.0),
                action(1, "scrolled", &page("pay"), 100.0),
            ],
        ),
    ]
}

fn action(index: i64, description: &str, url: &str, at: f64) -> Action {
    Action {
        index,
        kind: "click".to_owned(),
        title: description.chars().take(40).collect(),
        description: description.to_owned(),
        canonical_url: url.to_owned(),
        raw_url: url.to_owned(),
        timestamp_start: Some(1_700_000_000.0 + at),
        timestamp_end: Some(1_700_000_001.0 + at),
        ..Action::default()
    }
}

#[cfg(test)]
mod tests {
    use sidenote::plugin::QuickReply;

    use super::*;

    #[test]
    fn what_the_host_does_not_show_is_named() {
        let reply = |label: &str| QuickReply { id: "x".to_owned(), label: label.to_owned() };
        let offer = |text: &str, labels: &[&str]| Offer {
            text: text.to_owned(),
            quick_replies: labels.iter().map(|label| reply(label)).collect(),
        };
        assert_eq!(excess(&offer("Stuck?", &["Yes", "No"])), Vec::<String>::new());
        assert_eq!(excess(&offer(&"x".repeat(151), &[])).len(), 1);
        assert_eq!(excess(&offer("x", &["1", "2", "3", "4"])).len(), 1);
        assert_eq!(excess(&offer("x", &["Yes", " yes"])).len(), 1);
        assert_eq!(excess(&offer("x", &[&*"y".repeat(81)])).len(), 1);
    }
}
