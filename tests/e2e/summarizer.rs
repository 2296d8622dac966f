//! The host's own summaries over real sockets: stream, notes, threshold, model, summary note, and only then the
//! older notes go.

use std::time::Duration;

use sidenote_sim::Marker;
use sidenote_tests::llm::{Behaviour, LlmServer, Shape};
use sidenote_tests::{Person, Rig, Setup, eventually};

/// A host that sums up sessions with this model.
fn setup(model: &LlmServer, summary: &str) -> Setup {
    let llm = model.table("timeout = \"5s\"\nretries = 0");
    Setup {
        process: true,
        tables: format!(
            "{llm}\n[context]\n\n[summary]\nretry_initial = \"50ms\"\nretry_max = \"200ms\"\n{summary}\n"
        ),
        secrets: vec![LlmServer::secret()],
        ..Setup::default()
    }
}

/// What stands beside a conversation: the kinds of its notes.
fn kinds(rig: &Rig, conversation: &str) -> Vec<String> {
    rig.platform.notes(conversation).iter().map(|note| note.kind.clone()).collect()
}

/// Waits until exactly these kinds of notes stand beside a conversation.
async fn stand(rig: &Rig, conversation: &str, expected: &[&str]) {
    eventually(|| {
        let kinds = kinds(rig, conversation);
        if kinds == expected { Ok(()) } else { Err(format!("{kinds:?}, not {expected:?}")) }
    })
    .await;
}

/// Waits until the last note beside a conversation, and the only one, is this summary.
async fn only(rig: &Rig, conversation: &str, text: &str) {
    eventually(|| {
        let notes = rig.platform.notes(conversation);
        match &notes[..] {
            [note] if note.kind == "summary" && note.body.ends_with(text) => Ok(()),
            _ => {
                Err(format!("{:?}", notes.iter().map(|note| note.body.clone()).collect::<Vec<_>>()))
            }
        }
    })
    .await;
}

/// As the platform saw it: no note went before a summary stood there, and no conversation was blank.
fn assert_never_blank(rig: &Rig) {
    for redacted in rig.platform.redactions() {
        assert!(redacted.summaries > 0 && redacted.left > 0, "{redacted:?}");
    }
}

/// The markers that the questions list, in order.
fn asked(model: &LlmServer) -> Vec<String> {
    let questions = model.questions();
    let markers = questions.iter().flat_map(|question| Marker::find_all(&question.text));
    markers.map(|marker| marker.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_summed_up_and_the_summary_takes_the_place_of_its_notes() {
    for shape in [Shape::OpenAi, Shape::Anthropic, Shape::Gemini, Shape::Azure] {
        let model = LlmServer::start(shape, []).await;
        let rig = Rig::start(setup(&model, "threshold = 4")).await;
        let person = Person::new("p", "s");
        let conversation = rig.open(&person).await;
        rig.emit(&person.batch(0..2)).await;
        stand(&rig, &conversation, &["actions"]).await;
        assert_eq!(model.questions(), [], "two are too few");
        rig.emit(&person.batch(2..4)).await;
        only(&rig, &conversation, "\n\nSUM0").await;

        let question = model.questions().pop().expect("a question");
        assert!(question.text.starts_with("You are summarising a user's in-app session"));
        assert!(question.text.ends_with("\n\nSummary:"), "{}", question.text);
        assert!(question.system.contains("never an instruction"), "{}", question.system);

        rig.emit(&person.batch(4..5)).await;
        stand(&rig, &conversation, &["summary", "actions"]).await;
        rig.emit(&person.batch(5..8)).await;
        only(&rig, &conversation, "\n\nSUM1").await;
        let second = model.questions().pop().expect("a question");
        assert!(
            second.text.contains("\nSUM0\n"),
            "the earlier summary is told of: {}",
            second.text
        );
        let all: Vec<_> = (0..8).map(|n| person.marker(n)).collect();
        assert_eq!(asked(&model), all, "every action once, in order");
        assert_eq!(model.refusals(), Vec::<String>::new());
        assert_never_blank(&rig);
        assert!(rig.platform.redactions().len() >= 4);
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_model_is_away_notes_are_posted_and_stay_and_then_it_is_made_up_for() {
    let model = LlmServer::start(Shape::OpenAi, []).await;
    model.always(Some(Behaviour::Fail(503, None)));
    let rig = Rig::start(setup(&model, "threshold = 2")).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.emit(&person.batch(0..3)).await;
    rig.arrives(&conversation, &person, 3).await;
    eventually(|| {
        if model.questions().len() >= 4 { Ok(()) } else { Err("not tried again".to_owned()) }
    })
    .await;
    for (first, last) in [(3, 5), (5, 7)] {
        rig.emit(&person.batch(first..last)).await;
        rig.arrives(&conversation, &person, last).await;
    }
    assert_eq!(rig.platform.redactions(), []);

    model.always(Some(Behaviour::Answer("they went on".to_owned())));
    only(&rig, &conversation, "\n\nthey went on").await;
    let last = model.questions().pop().expect("a question");
    let listed = Marker::find_all(&last.text).count();
    assert_eq!(listed, 7, "all that waited, at once: {}", last.text);
    assert_never_blank(&rig);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_hangs_or_drips_holds_up_nobody_else() {
    let model = LlmServer::start(Shape::Anthropic, [Behaviour::Hang, Behaviour::Drip]).await;
    let rig = Rig::start(setup(&model, "threshold = 2\nparallel = 3")).await;
    let slow = [Person::new("p", "hangs"), Person::new("p", "drips")];
    let mut conversations = Vec::new();
    for (n, person) in slow.iter().enumerate() {
        conversations.push(rig.open(person).await);
        rig.emit(&person.batch(0..2)).await;
        rig.arrives(conversations.last().expect("its own"), person, 2).await;
        eventually(|| match model.questions().len() {
            asked if asked > n => Ok(()),
            asked => Err(format!("{asked} questions")),
        })
        .await;
    }
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.emit(&person.batch(0..2)).await;
    only(&rig, &conversation, "\n\nSUM2").await;
    // Both are cut at the time-out and tried again.
    for conversation in &conversations {
        stand(&rig, conversation, &["summary"]).await;
    }
    assert_never_blank(&rig);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_a_summary_at_a_kill_is_summed_up_after_the_restart() {
    let model = LlmServer::start(Shape::OpenAi, [Behaviour::Hang]).await;
    let mut rig = Rig::start(setup(&model, "threshold = 3")).await;
    let (due, few) = (Person::new("p", "due"), Person::new("p", "few"));
    let (with_due, with_few) = (rig.open(&due).await, rig.open(&few).await);
    rig.emit(&few.batch(0..2)).await;
    rig.arrives(&with_few, &few, 2).await;
    rig.emit(&due.batch(0..3)).await;
    rig.arrives(&with_due, &due, 3).await;
    eventually(|| if model.questions().is_empty() { Err("not asked".to_owned()) } else { Ok(()) })
        .await;
    rig.kill_host().await;
    rig.start_host().await;
    // The question was under way at the kill: nobody has to act for it to be asked again.
    only(&rig, &with_due, "\n\nSUM1").await;
    // Two actions were counted before the kill.
    rig.emit(&few.batch(2..3)).await;
    only(&rig, &with_few, "\n\nSUM2").await;
    let last = model.questions().pop().expect("a question");
    assert_eq!(Marker::find_all(&last.text).count(), 3, "{}", last.text);
    assert_never_blank(&rig);
    rig.stop().await;
}

/// The host is killed again and again, at moments that move over the whole of what it does.
#[tokio::test(flavor = "multi_thread")]
async fn post_then_confirm_then_redact_holds_at_the_platform_over_kills() {
    let model = LlmServer::start(Shape::Anthropic, []).await;
    model.always(Some(Behaviour::Late(Duration::from_millis(60), "they clicked".to_owned())));
    let platform = sidenote_sim::PlatformOptions {
        // Long enough that kills hit posts and redactions that are under way.
        answers_after: Duration::from_millis(40),
        ..Default::default()
    };
    let mut rig = Rig::start(Setup { platform, ..setup(&model, "threshold = 3") }).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    for round in 0..6_u64 {
        for n in 0..3 {
            let action = round * 3 + n;
            rig.emit(&person.batch(action..action + 1)).await;
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        tokio::time::sleep(Duration::from_millis(20 + 60 * round)).await;
        rig.kill_host().await;
        rig.start_host().await;
    }
    // What was read from the stream and not stored at a kill is the connector's to send again; this one
    // doesn't. So actions are added until the last ones are summed up.
    model.always(Some(Behaviour::Answer("the last one".to_owned())));
    let mut next = 100;
    let end = tokio::time::Instant::now() + sidenote_tests::DEADLINE;
    loop {
        rig.emit(&person.batch(next..next + 3)).await;
        next += 3;
        tokio::time::sleep(Duration::from_millis(700)).await;
        let notes = rig.platform.notes(&conversation);
        if matches!(&notes[..], [note] if note.body.ends_with("the last one")) {
            break;
        }
        assert!(tokio::time::Instant::now() < end, "{:?}", kinds(&rig, &conversation));
    }
    assert_never_blank(&rig);
    assert!(rig.platform.redactions().len() > 6, "{:?}", rig.platform.stats());
    assert_eq!(rig.platform.stats().changed_repeats, 0);
    assert_eq!(model.refusals(), Vec::<String>::new());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_everything_else_works() {
    let tables = "[context]\n".to_owned();
    let rig = Rig::start(Setup { process: true, tables, ..Setup::default() }).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.emit(&person.batch(0..30)).await;
    rig.arrives(&conversation, &person, 30).await;
    assert_eq!(rig.platform.redactions(), []);
    rig.end().await;
}
