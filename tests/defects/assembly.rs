//! The rows about what is put together when somebody asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sidenote::clock::Timestamp;
use sidenote::context::assembly::{
    Article, Ask, Assembler, Assembly, Budgets, Question, Settings, Slot, Source, SourceError,
    Sources, Turn, Watermark, Why, history_text, inbound_at, knowledge_text,
};
use tokio::time::Instant;

use crate::session_core::tagged;

const SECOND: Duration = Duration::from_secs(1);

/// What each source does: answers after a time, or fails.
#[derive(Default)]
struct Script {
    answers: BTreeMap<Slot, (Duration, Result<Value, String>)>,
    users: Mutex<Vec<String>>,
}

impl Script {
    fn of<const N: usize>(answers: [(Slot, Value); N]) -> Self {
        Self::timed(answers.map(|(slot, answer)| (slot, Duration::ZERO, Ok(answer))))
    }

    fn timed<const N: usize>(answers: [(Slot, Duration, Result<Value, String>); N]) -> Self {
        let answers = answers.map(|(slot, latency, answer)| (slot, (latency, answer)));
        Self { answers: answers.into(), users: Mutex::default() }
    }

    /// What is known about a question, the sources of the script being there.
    async fn assemble(self, question: Question) -> (Assembly, Vec<String>) {
        self.assemble_within(question, Settings::default()).await
    }

    async fn assemble_within(
        self,
        question: Question,
        settings: Settings,
    ) -> (Assembly, Vec<String>) {
        let has = |slot: Slot| self.answers.contains_key(&slot);
        let there = [
            has(Slot::Activity),
            has(Slot::ActivitySince),
            has(Slot::Live) || has(Slot::Turns),
            has(Slot::Knowledge),
        ];
        let script = Arc::new(self);
        let [activity, since, memory, knowledge] =
            there.map(|there| there.then(|| -> Arc<dyn Source> { script.clone() }));
        let sources = Sources { activity, since, memory, knowledge };
        let assembly = Assembler { sources, settings }.assemble(&question).await;
        let users = script.users.lock().expect("nothing panics with it").clone();
        (assembly, users)
    }
}

#[async_trait::async_trait]
impl Source for Script {
    async fn ask(&self, ask: &Ask) -> Result<Value, SourceError> {
        if let Ask::Live { user, .. } | Ask::Turns { user, .. } = ask {
            self.users.lock().expect("nothing panics with it").push(user.clone());
        }
        let Some((latency, answer)) = self.answers.get(&ask.slot()) else { return Ok(Value::Null) };
        tokio::time::sleep(*latency).await;
        answer.clone().map_err(SourceError)
    }
}

fn question() -> Question {
    Question {
        product: "p".to_owned(),
        session: Some("s1".to_owned()),
        conversation: Some("c1".to_owned()),
        email: Some("ann@example.com".to_owned()),
        text: "How do I export?".to_owned(),
        cutoff: Some(1.0),
        ..Question::default()
    }
}

fn turns() -> Value {
    json!([{"role": "user", "content": "Hi"}])
}

fn articles() -> Value {
    json!([{"title": "Exports", "content": "Click Export."}])
}

#[tokio::test(start_paused = true)]
async fn d83_a_source_that_fails_or_hangs_is_left_out_and_told_of_and_the_others_stay() {
    let all = [
        (Slot::Activity, json!("[1] Opened reports")),
        (Slot::ActivitySince, json!("[2] Clicked export")),
        (Slot::Live, json!("")),
        (Slot::Turns, turns()),
        (Slot::Knowledge, articles()),
    ];
    let whole = ["[1] Opened reports", "[2] Clicked export", "user: Hi", "Click Export."];
    let part_of = |slot: Slot| match slot {
        Slot::Activity => Some(whole[0]),
        Slot::ActivitySince => Some(whole[1]),
        Slot::Turns => Some(whole[2]),
        Slot::Knowledge => Some(whole[3]),
        Slot::Live => None,
    };
    for broken in all.clone().map(|(slot, _)| slot) {
        let failing =
            (Duration::ZERO, Err("503".to_owned()), Why::Failed(SourceError("503".into())));
        let hanging = (SECOND * 3600, Ok(json!("late")), Why::Late);
        for (latency, answer, why) in [failing, hanging] {
            let script = all.clone().map(|(slot, good)| match slot == broken {
                true => (slot, latency, answer.clone()),
                false => (slot, Duration::ZERO, Ok(good)),
            });
            let begun = Instant::now();
            let (assembly, _) = Script::timed(script).assemble(question()).await;
            assert!(begun.elapsed() <= Settings::default().per_source);
            let missing = assembly.missing.iter().map(|missing| (missing.slot, &missing.why));
            assert_eq!(missing.collect::<Vec<_>>(), [(broken, &why)]);
            let block = assembly.user_block();
            for part in whole {
                assert_eq!(
                    block.contains(part),
                    part_of(broken) != Some(part),
                    "{broken:?}: {block}"
                );
            }
            assert!(block.ends_with("[CURRENT USER MESSAGE]\nHow do I export?"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn d83_independent_sources_are_asked_at_once_and_all_together_within_one_time() {
    let one_second = |answer: Value| (SECOND, Ok(answer));
    let script = [
        (Slot::Activity, one_second(json!("a"))),
        (Slot::ActivitySince, one_second(json!("b"))),
        (Slot::Live, one_second(json!(""))),
        (Slot::Turns, one_second(json!([]))),
        (Slot::Knowledge, one_second(json!([]))),
    ]
    .map(|(slot, (latency, answer))| (slot, latency, answer));
    let begun = Instant::now();
    let (assembly, _) = Script::timed(script.clone()).assemble(question()).await;
    assert_eq!(assembly.missing, []);
    // Memory and history, then both kinds of activity, then the knowledge base, which needs them.
    assert_eq!(begun.elapsed(), SECOND * 3);

    let settings = Settings { in_all: SECOND * 2 + SECOND / 2, ..Settings::default() };
    let begun = Instant::now();
    let (assembly, _) = Script::timed(script.clone()).assemble_within(question(), settings).await;
    assert_eq!(begun.elapsed(), SECOND * 2 + SECOND / 2);
    assert_eq!(assembly.missing.len(), 1);
    assert_eq!((assembly.missing[0].slot, &assembly.missing[0].why), (Slot::Knowledge, &Why::Late));
    assert_eq!(assembly.recent_activity, "a");

    let settings = Settings { memory_is_enough: false, ..Settings::default() };
    let begun = Instant::now();
    Script::timed(script).assemble_within(question(), settings).await;
    assert_eq!(begun.elapsed(), SECOND * 2, "who doesn't wait for the memory is asked beside it");
}

#[tokio::test]
async fn d84_nobody_is_asked_for_by_a_blank_address() {
    for (email, user) in [
        (None, "s1"),
        (Some(""), "s1"),
        (Some("   "), "s1"),
        (Some(" ann@example.com "), "ann@example.com"),
    ] {
        let question = Question { email: email.map(str::to_owned), ..question() };
        let script = Script::of([(Slot::Live, json!("live")), (Slot::Turns, turns())]);
        let (_, users) = script.assemble(question).await;
        assert_eq!(users, [user, user], "{email:?}");
    }
}

#[tokio::test]
async fn d85_null_and_odd_types_are_absent_and_counted() {
    for (slot, answer, unread) in [
        (Slot::ActivitySince, json!(null), 0),
        (Slot::ActivitySince, json!(5), 1),
        (Slot::Activity, json!(["a"]), 1),
        (Slot::Live, json!({}), 1),
        (Slot::Turns, json!(null), 0),
        (Slot::Turns, json!(["hi", {"role": "user", "content": 5}, {"content": "good"}]), 2),
        (Slot::Turns, json!({"role": "user"}), 1),
        (Slot::Knowledge, json!(null), 0),
        (Slot::Knowledge, json!([5, {"content": []}, {"content": "good"}]), 2),
    ] {
        let (assembly, _) = Script::of([(slot, answer.clone())]).assemble(question()).await;
        let counted: usize = assembly
            .missing
            .iter()
            .map(|missing| match missing.why {
                Why::Unreadable(count) => count,
                Why::Late | Why::Failed(_) => panic!("{missing}"),
            })
            .sum();
        assert_eq!(counted, unread, "{slot:?} {answer}");
        assert_eq!(assembly.user_block().contains("good"), answer.to_string().contains("good"));
    }
    assert!(tagged("rag", "D85").len() > 4);
}

#[tokio::test]
async fn d86_every_part_and_all_of_them_are_bounded_the_newest_is_kept_and_the_cut_stated() {
    let lines = |what: &str| {
        let lines: Vec<_> = (0..200_000).map(|n| format!("[{n}] {what}")).collect();
        lines.join("\n")
    };
    let said: Vec<_> = (0..50_000).map(|n| json!({"content": format!("message {n}")})).collect();
    let article = json!({"content": "y".repeat(2_000_000)});
    let script = Script::of([
        (Slot::Activity, json!(lines("opened"))),
        (Slot::ActivitySince, json!(lines("since"))),
        (Slot::Turns, json!(said)),
        (Slot::Knowledge, json!([{"content": "best"}, article])),
    ]);
    let question = Question { text: "q".repeat(2_000_000), ..question() };
    let (assembly, _) = script.assemble(question).await;
    let budgets = Budgets::default();
    for (part, most) in [
        (&assembly.recent_activity, budgets.activity),
        (&assembly.since, budgets.since),
        (&assembly.history, budgets.history),
        (&assembly.knowledge, budgets.knowledge),
        (&assembly.question, budgets.question),
    ] {
        assert!(part.len() <= most && part.contains("left out)"), "{} {most}", part.len());
    }
    assert!(assembly.user_block().len() <= budgets.all + 1000);
    assert!(assembly.recent_activity.ends_with("[199999] opened"));
    assert!(assembly.since.ends_with("[199999] since"));
    assert!(assembly.history.ends_with("user: message 49999"));
    assert!(assembly.first_question.len() <= budgets.question);
}

#[test]
fn d87_no_heading_stands_alone() {
    for blanks in [json!([]), json!([{"content": " "}]), json!([{"title": "A"}, {"content": null}])]
    {
        assert_eq!(history_text(&Turn::read_list(&blanks).0, 1000), "");
        assert_eq!(knowledge_text(&Article::read_list(&blanks).0, 1000), "");
    }
    for blank in ["", " ", "\n\t\n"] {
        let assembly = Assembly {
            since: blank.to_owned(),
            recent_activity: blank.to_owned(),
            history: blank.to_owned(),
            knowledge: blank.to_owned(),
            question: "q".to_owned(),
            ..Assembly::default()
        };
        assert_eq!(assembly.user_block(), "[CURRENT USER MESSAGE]\nq");
        assert_eq!(assembly.selected_context(), "");
    }
}

#[test]
fn d88_a_late_message_never_moves_the_mark_back() {
    let cases = tagged("rag", "D88");
    let late = cases.iter().find(|case| case["when"]["call"] == "turns").expect("a late message");
    let mut mark = Watermark::default();
    let mut latest: Option<Timestamp> = None;
    for message in late["when"]["messages"].as_array().unwrap() {
        let at = inbound_at(&message["created_at"], Timestamp(0));
        mark.advance(at);
        latest = latest.max(Some(at));
        assert_eq!(mark.cutoff(), latest);
    }
    assert_eq!(latest, Some(Timestamp::from_secs_f64(1_700_000_100.0)));
}

#[tokio::test]
async fn d95_blank_text_of_the_memory_hides_nothing() {
    for blank in ["", " ", " \n", "\u{A0}"] {
        for settings in [
            Settings::default(),
            Settings { memory_is_enough: false, ..Settings::default() },
            Settings { prefer_memory: false, ..Settings::default() },
        ] {
            let script = Script::of([
                (Slot::Live, json!(blank)),
                (Slot::Turns, turns()),
                (Slot::Activity, json!("[1] Opened reports")),
            ]);
            let (assembly, _) = script.assemble_within(question(), settings).await;
            assert_eq!(assembly.recent_activity, "[1] Opened reports");
            assert_eq!(assembly.history, "Prior conversation:\nuser: Hi");
        }
    }
    let script = Script::of([(Slot::Live, json!("live")), (Slot::Activity, json!(" \n"))]);
    let settings =
        Settings { prefer_memory: false, memory_is_enough: false, ..Settings::default() };
    let (assembly, _) = script.assemble_within(question(), settings).await;
    assert_eq!(assembly.recent_activity, "live", "the other way round too");
}
