//! Replies: what the model is asked, when it is asked again, and what comes of its answer. A scripted model, paused
//! time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidenote::backoff::Backoff;
use sidenote::clock::{Clock, Timestamp};
use sidenote::config::{Context, Delivery, History, Product};
use sidenote::context::{Recent, follow};
use sidenote::engine::Settings;
use sidenote::engine::helping::commands::Turn;
use sidenote::ids::ConversationId;
use sidenote::llm::{Caller, Completion, Limits, LlmError, Prompt, Replies, from_fn};
use sidenote::prompts::Prompts;
use sidenote::replies::answer::HandOver;
use sidenote::replying::Replying;
use sidenote::rules::Reply;
use sidenote::session::turn::Meaning;
use sidenote::store::{Store, Table};
use sidenote_tests::fresh_store;
use sidenote_tests::world::{BEGIN, Platform, World, wait};
use tokio::task::JoinSet;

/// What the model answers to its `n`-th question, after how long.
type Said = (f64, Result<&'static str, LlmError>);

fn settings(rules: Reply) -> Settings {
    let product = Product::of(vec!["bot".into()], Delivery::default()).with_reply(rules);
    let id = sidenote::ids::ProductId::new("p").expect("it is short");
    let mut settings = Settings::of_products([(id, product)]).with_history(History::default());
    settings.jitter = || 1.0;
    settings
}

/// A host's part that answers; it ends when it is dropped.
struct Desk {
    asked: Arc<Mutex<Vec<Prompt>>>,
    _tasks: JoinSet<()>,
}

impl Desk {
    /// Answers the people of a world, from this moment on by this clock.
    fn start(
        wall: f64,
        world: &World,
        model: impl Fn(usize) -> Said + Send + Sync + 'static,
    ) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, model) = (asked.clone(), Arc::new(model));
        let llm = from_fn("scripted", move |prompt: Prompt| {
            let (seen, model) = (seen.clone(), model.clone());
            async move {
                let n = {
                    let mut seen = seen.lock().expect("no holder panics");
                    seen.push(prompt);
                    seen.len() - 1
                };
                let (after, said) = model(n);
                tokio::time::sleep(Duration::from_secs_f64(after)).await;
                said.map(Completion::of)
            }
        });
        let second = Duration::from_secs(1);
        let backoff = Backoff { initial: second, max: second };
        let timeout = Duration::from_secs(600);
        let limits = Limits { timeout, retries: 0, backoff, max_answer_bytes: 1 << 16 };
        let replies = Replies::new(Caller::new(llm, limits), Arc::new(Prompts::default()));
        let clock = Clock::starting_at(Timestamp::from_secs_f64(wall));
        let config = Context { lookback: Duration::from_secs(600), ..Context::default() };
        let recent = Recent::of(&config, Arc::default(), clock).expect("these settings are fine");
        let mut tasks = JoinSet::new();
        let following = follow(world.handle.clone(), recent.clone());
        tasks.spawn(following);
        let replying = Replying::new(world.handle.clone(), replies, recent, clock);
        let replying = replying.with_jitter(|| 1.0);
        tasks.spawn(async move { replying.run().await.expect("no task panics") });
        Self { asked, _tasks: tasks }
    }

    fn asked(&self) -> Vec<Prompt> {
        self.asked.lock().expect("no holder panics").clone()
    }
}

/// A world of which session `s` did something and is linked to the conversation `c`.
async fn begin(rules: Reply) -> World {
    let store: Arc<dyn Store> = fresh_store();
    let world = World::start_with(BEGIN, store, Platform::new([]), settings(rules));
    world.act("s", "opened billing").await;
    world.link("s", "c").await.expect("a link");
    wait(1.0).await;
    world
}

async fn turn(world: &World, meaning: Meaning, id: &str, text: &str) {
    let turn = Turn {
        plugin: "bot".into(),
        conversation: ConversationId::new("c").expect("it is short"),
        meaning,
        option_id: None,
        text: Some(text.to_owned()),
        message_id: Some(id.to_owned()),
    };
    world.handle.turn(turn).await.expect("the engine runs");
}

async fn writes(world: &World, id: &str, text: &str) {
    turn(world, Meaning::PersonWrote, id, text).await;
}

/// The notes behind the one of what was done.
fn notes(world: &World) -> Vec<String> {
    world.platform.lines().split_off(1)
}

fn unavailable() -> Said {
    (0.0, Err(LlmError::unavailable("scripted")))
}

#[tokio::test(start_paused = true)]
async fn a_message_is_answered_once_with_what_its_person_did() {
    let world = begin(Reply::default()).await;
    let desk = Desk::start(BEGIN + 1.0, &world, |_| (2.0, Ok("Open Settings.")));
    writes(&world, "m1", "Where is the invoice?").await;
    writes(&world, "m1", "Where is the invoice?").await;
    wait(5.0).await;
    assert_eq!(world.platform.said(), ["c: Open Settings."]);
    let asked = desk.asked();
    assert_eq!(asked.len(), 1);
    for part in ["opened billing", "Where is the invoice?"] {
        assert!(asked[0].text.contains(part), "{part}");
    }
    assert!(asked[0].system.contains("[[HANDOVER]]"));
    assert_eq!(notes(&world), Vec::<String>::new());
    assert_eq!(world.handle.counters().replies_delivered.get(), 1);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_model_is_told_what_is_new_since_the_person_was_answered_also_after_a_restart() {
    const NEW: &str = "[ACTIVITY SINCE YOUR LAST CHAT MESSAGE]";
    let world = begin(Reply::default()).await;
    let desk = Desk::start(BEGIN + 1.0, &world, |_| (2.0, Ok("Open Settings.")));
    writes(&world, "m1", "Where is the invoice?").await;
    wait(1.0).await;
    world.act("s", "opened the invoices").await;
    wait(5.0).await;
    writes(&world, "m2", "And the receipt?").await;
    wait(5.0).await;
    let asked = desk.asked();
    assert!(!asked[0].text.contains(NEW), "nothing was answered before: {}", asked[0].text);
    let new = |asked: &Prompt| -> String {
        let (_, text) = asked.text.split_once(NEW).expect("something is new");
        text.split("[RECENT PRODUCT ACTIVITY]").next().unwrap_or_default().to_owned()
    };
    let told = new(&asked[1]);
    assert!(told.contains("opened the invoices") && !told.contains("opened billing"), "{told}");
    assert!(asked[1].text.contains("opened billing"), "what was before is told as well");
    drop(desk);
    let (store, platform) = world.crash().await;
    let world = World::start_with(BEGIN + 20.0, store, platform, settings(Reply::default()));
    world.act("s", "opened the receipts").await;
    let desk = Desk::start(BEGIN + 20.0, &world, |_| (0.0, Ok("Here.")));
    wait(1.0).await;
    writes(&world, "m3", "Is that all?").await;
    wait(5.0).await;
    let told = new(&desk.asked()[0]);
    assert!(told.contains("opened the receipts") && !told.contains("the invoices"), "{told}");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_questions_of_a_session_are_answered_in_their_order() {
    let world = begin(Reply::default()).await;
    let slow_first = |n| if n == 0 { (9.0, Ok("first")) } else { (0.0, Ok("second")) };
    let _desk = Desk::start(BEGIN + 1.0, &world, slow_first);
    writes(&world, "m1", "one?").await;
    writes(&world, "m2", "two?").await;
    wait(20.0).await;
    assert_eq!(world.platform.said(), ["c: first", "c: second"]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_human_gets_no_answer_and_people_a_note() {
    let world = begin(Reply::default()).await;
    let desk = Desk::start(BEGIN + 1.0, &world, |_| (0.0, Ok("Open Settings.")));
    writes(&world, "m1", "I want a HUMAN, now").await;
    wait(2.0).await;
    assert_eq!((desk.asked().len(), world.platform.said().len()), (0, 0));
    assert_eq!(notes(&world), [format!("c: {}", HandOver::Wished.words())]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_model_isnt_sure_of_is_a_note() {
    let world = begin(Reply::default()).await;
    let _desk = Desk::start(BEGIN + 1.0, &world, |_| (0.0, Ok("[[HANDOVER]]\nPerhaps a refund.")));
    writes(&world, "m1", "I was charged twice").await;
    wait(2.0).await;
    assert_eq!(world.platform.said(), Vec::<String>::new());
    let words = HandOver::Unsure.words();
    assert_eq!(notes(&world), [format!("c: {words}||Draft:|Perhaps a refund.")]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_away_is_asked_again_until_people_are_told() {
    let world = begin(Reply::default()).await;
    let desk = Desk::start(BEGIN + 1.0, &world, |_| unavailable());
    writes(&world, "m1", "hello?").await;
    wait(115.0).await;
    assert!((5..20).contains(&desk.asked().len()), "{}", desk.asked().len());
    assert_eq!(notes(&world), Vec::<String>::new());
    wait(25.0).await;
    assert_eq!(notes(&world), [format!("c: {}", HandOver::Unanswered.words())]);
    assert_eq!(world.platform.said(), Vec::<String>::new());
    let asked = desk.asked().len();
    wait(300.0).await;
    assert_eq!((desk.asked().len(), notes(&world).len()), (asked, 1), "once");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_model_that_comes_back_in_time_answers_and_one_that_hangs_is_not_waited_for() {
    let world = begin(Reply::default()).await;
    let back = |n| if n < 3 { unavailable() } else { (0.0, Ok("Here.")) };
    let desk = Desk::start(BEGIN + 1.0, &world, back);
    writes(&world, "m1", "hello?").await;
    wait(30.0).await;
    assert_eq!(world.platform.said(), ["c: Here."]);
    drop(desk);
    let _desk = Desk::start(BEGIN + 31.0, &world, |_| (500.0, Ok("Too late.")));
    writes(&world, "m2", "hello again?").await;
    wait(600.0).await;
    assert_eq!(world.platform.said().len(), 1);
    assert_eq!(notes(&world), [format!("c: {}", HandOver::Unanswered.words())]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_question_that_the_model_refuses_goes_to_people_at_once() {
    let world = begin(Reply::default()).await;
    let desk = Desk::start(BEGIN + 1.0, &world, |_| (0.0, Err(LlmError::Refused { code: None })));
    writes(&world, "m1", "hello?").await;
    wait(2.0).await;
    assert_eq!((desk.asked().len(), notes(&world).len()), (1, 1));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn about_whom_nothing_is_known_the_model_isnt_asked() {
    let store: Arc<dyn Store> = fresh_store();
    let world = World::start_with(BEGIN, store, Platform::new([]), settings(Reply::default()));
    world.link("s", "c").await.expect("a link");
    let desk = Desk::start(BEGIN, &world, |_| (0.0, Ok("Hello.")));
    writes(&world, "m1", "hello?").await;
    wait(5.0).await;
    assert_eq!((desk.asked().len(), world.platform.said().len()), (0, 0));
    assert_eq!(world.platform.lines(), [format!("c: {}", HandOver::Unknown.words())]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn when_an_agent_writes_while_the_model_thinks_nothing_is_sent() {
    let world = begin(Reply::default()).await;
    let desk = Desk::start(BEGIN + 1.0, &world, |_| (10.0, Ok("Open Settings.")));
    writes(&world, "m1", "hello?").await;
    wait(5.0).await;
    turn(&world, Meaning::AgentWrote, "m2", "I'm on it").await;
    wait(60.0).await;
    assert_eq!((desk.asked().len(), world.platform.said().len()), (1, 0));
    assert_eq!(notes(&world), Vec::<String>::new());
    assert_eq!(world.handle.counters().replies_left_to_agents.get(), 1);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_what_waited_is_asked_again_and_answered_once() {
    let world = begin(Reply::default()).await;
    let desk = Desk::start(BEGIN + 1.0, &world, |_| (1000.0, Ok("never")));
    writes(&world, "m1", "hello?").await;
    wait(5.0).await;
    assert_eq!(desk.asked().len(), 1);
    drop(desk);
    let (store, platform) = world.crash().await;
    let settings = settings(Reply::default());
    let world = World::start_with(BEGIN + 10.0, store, platform, settings);
    let desk = Desk::start(BEGIN + 10.0, &world, |_| (0.0, Ok("Open Settings.")));
    wait(20.0).await;
    assert_eq!(world.platform.said(), ["c: Open Settings."]);
    writes(&world, "m1", "hello?").await;
    wait(20.0).await;
    assert_eq!((desk.asked().len(), world.platform.said().len()), (1, 1));
    assert_eq!(world.rows(Table::Message).await, 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn in_a_dry_run_people_get_the_draft_and_the_person_nothing() {
    let world = begin(Reply { dry_run: true, ..Reply::default() }).await;
    let _desk = Desk::start(BEGIN + 1.0, &world, |_| (0.0, Ok("Open Settings.")));
    writes(&world, "m1", "hello?").await;
    wait(2.0).await;
    assert_eq!(world.platform.said(), Vec::<String>::new());
    assert_eq!(notes(&world), ["c: Draft of a reply, not sent:|Open Settings."]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn two_hosts_parts_beside_each_other_answer_once() {
    let world = begin(Reply::default()).await;
    let first = Desk::start(BEGIN + 1.0, &world, |_| (2.0, Ok("one")));
    let second = Desk::start(BEGIN + 1.0, &world, |_| (3.0, Ok("two")));
    writes(&world, "m1", "hello?").await;
    wait(30.0).await;
    assert_eq!(world.platform.said(), ["c: one"], "a reload has two for a moment");
    assert_eq!((first.asked().len(), second.asked().len()), (1, 1));
    world.end().await;
}
