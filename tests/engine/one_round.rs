//! Inputs that fall into one round: what a person decides is decided about what the inputs before it left.

use std::sync::Arc;
use std::time::Duration;

use sidenote::config::Delivery;
use sidenote::engine::{Decision, LaneKind, NoteRef};
use sidenote::ids::{SessionId, SessionKey};
use sidenote::outbox::note::{Failure, FailureKind, LimitScope, PostError, Posted, Sent};
use sidenote::store::{Change, Group, Key, MemoryStore, Rows, Store, StoreError, Table};
use sidenote_tests::world::{BEGIN, Platform, World, batch, product, settings_with, wait};
use tokio::sync::watch;

/// A store whose commits can be held up, so that what happens meanwhile falls into one round.
struct Held {
    rows: MemoryStore,
    open: watch::Sender<bool>,
}

#[async_trait::async_trait]
impl Store for Held {
    async fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<Rows>, StoreError> {
        self.rows.load(table, groups).await
    }

    async fn scan(
        &self,
        table: Table,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.rows.scan(table, after, limit).await
    }

    async fn commit(&self, changes: Arc<[Change]>) -> Result<(), StoreError> {
        let mut open = self.open.subscribe();
        drop(open.wait_for(|open| *open).await.expect("the store is there"));
        self.rows.commit(changes).await
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Delivered,
    Dead,
    Retried,
}

impl Ends {
    fn answer(self) -> Result<(), PostError> {
        let kind = match self {
            Self::Delivered => return Ok(()),
            Self::Dead => FailureKind::NotFound,
            Self::Retried => FailureKind::Transient,
        };
        let (code, message) = ("503".to_owned(), "no".to_owned());
        let (scope, sent) = (LimitScope::Conversation, Sent::Sent);
        Err(PostError::Failed(Failure { kind, code, message, retry_after: None, scope, sent }))
    }
}

/// The plugins of these tests set none.
const NO_TIMERS: &str = "nobody sets a timer here";

/// What is left when a first attempt ended so and a person decided so in the same round: for how many it was
/// carried out, how many calls were made, and what rows there are: waiting, attempts, dead letters.
async fn in_one_round(
    lane: LaneKind,
    ends: Ends,
    decision: Decision,
) -> (usize, usize, [usize; 3]) {
    let plugin = match lane {
        LaneKind::Note => "bot",
        LaneKind::Sink => "sink",
        LaneKind::Timer => panic!("{NO_TIMERS}"),
    };
    let rules = Delivery {
        retry_initial: Duration::from_secs(3600),
        retry_max: Duration::from_secs(3600),
        ..Delivery::default()
    };
    let store = Arc::new(Held { rows: MemoryStore::new(), open: watch::Sender::new(true) });
    let platform = Platform::new([]);
    let latency = Duration::from_secs(10);
    match lane {
        LaneKind::Note => {
            let posted = ends.answer().map(|()| Posted { note_id: None, pause: None });
            platform.then([(latency, posted)]);
        }
        LaneKind::Sink => {
            platform.sinks.add(&["sink"]);
            platform.sinks.script("sink", [(latency, ends.answer())]);
        }
        LaneKind::Timer => panic!("{NO_TIMERS}"),
    }
    let world = World::start_with(BEGIN, store.clone(), platform, settings_with(&rules, &[plugin]));
    world.act("s", "a").await;
    if lane == LaneKind::Note {
        world.link("s", "c").await.expect("a link");
    }
    wait(1.0).await;
    store.open.send_replace(false);
    let other = batch("other", []);
    world
        .handle
        .accept(sidenote::session::payload::Payload::Actions(other), 1)
        .await
        .expect("it runs");
    let other = batch("other", [sidenote_tests::world::action("b")]);
    world
        .handle
        .accept(sidenote::session::payload::Payload::Actions(other), 1)
        .await
        .expect("it runs");
    wait(20.0).await;
    let session = SessionId::new("s").expect("not empty");
    let key = SessionKey { product: product("p"), session };
    let decide = world.handle.decide(decision, vec![NoteRef { key, lane, seq: 1 }]);
    let release = async {
        wait(1.0).await;
        store.open.send_replace(true);
    };
    let (decided, ()) = tokio::join!(decide, release);
    wait(5.0).await;
    let calls = match lane {
        LaneKind::Note => world.platform.posts().len(),
        LaneKind::Sink => {
            let handed = world.platform.sinks.handed_to("sink");
            handed.iter().filter(|handed| handed.delivery.key.session.as_str() == "s").count()
        }
        LaneKind::Timer => panic!("{NO_TIMERS}"),
    };
    let tables = match lane {
        LaneKind::Note => [Table::Outbox, Table::Attempt, Table::Dead],
        LaneKind::Sink => [Table::SinkQueue, Table::SinkAttempt, Table::SinkDead],
        LaneKind::Timer => panic!("{NO_TIMERS}"),
    };
    let mut rows = [0; 3];
    for (rows, table) in rows.iter_mut().zip(tables) {
        *rows = world.rows(table).await;
    }
    world.crash().await;
    (decided.expect("the engine runs"), calls, rows)
}

#[tokio::test(start_paused = true)]
async fn a_decision_is_about_what_the_outcome_in_its_round_left() {
    let nothing = [0, 0, 0];
    for lane in [LaneKind::Note, LaneKind::Sink] {
        for (ends, decision, left) in [
            // It was delivered: there is nothing to be sent again, and nothing to be removed.
            (Ends::Delivered, Decision::Retry, (0, 1, nothing)),
            (Ends::Delivered, Decision::Purge, (0, 1, nothing)),
            // It became a dead letter, which is sent again, or removed.
            (Ends::Dead, Decision::Retry, (1, 2, nothing)),
            (Ends::Dead, Decision::Purge, (1, 1, nothing)),
            // It waits for an hour: it is due at once, or removed.
            (Ends::Retried, Decision::Retry, (1, 2, nothing)),
            (Ends::Retried, Decision::Purge, (1, 1, nothing)),
        ] {
            let seen = in_one_round(lane, ends, decision).await;
            assert_eq!(seen, left, "{lane:?} {ends:?} {decision:?}");
        }
    }
}
