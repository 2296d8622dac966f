//! Random lives of a core, judged from outside: by what it was told, what the platform has, and what is stored.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;
use sidenote_core::engine::erase::OF_SESSION;
use sidenote_core::engine::kept::KeptRow;
use sidenote_core::engine::link::{LinkCommand, LinkMode};
use sidenote_core::engine::rows::session_number;
use sidenote_core::engine::{
    Answer, Call, Command, Decision, LaneKind, NoteRef, Outcome, Settings, Work,
};
use sidenote_core::outbox::attempt::{Asked, Attempt, Attempts, FIRST, LATEST, Status};
use sidenote_core::outbox::lane::{DeadLetter, Progress};
use sidenote_core::outbox::note::{Crash, FailureKind, LimitScope, Note, Posted, SentNote};
use sidenote_core::outbox::redaction::{Job, Why};
use sidenote_core::outbox::sink_delivery::{Content, SinkDelivery};
use sidenote_core::rows::Table;
use sidenote_core::rules::{Delivery, History};
use sidenote_core::session::state::Covers;

use crate::words::{
    CHAT, acts_of, crashed, ended, erase, fails, key, limited, link, settings_of, summary, took,
};
use crate::world::{DAY, World};

const SESSIONS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Step {
    Act {
        session: usize,
        actions: usize,
        user: bool,
    },
    Link {
        session: usize,
        to: usize,
    },
    Summary {
        session: usize,
        covers: u64,
    },
    Pass {
        millis: u64,
    },
    Answer {
        which: usize,
        how: How,
    },
    Retry,
    Purge {
        which: usize,
    },
    Erase {
        session: usize,
    },
    /// The process is killed; calls under way reached the platform or didn't.
    Kill {
        arrived: bool,
    },
    Stop,
    /// Other settings are in force: actions that wait take so many bytes of memory.
    Memory {
        bytes: usize,
    },
    /// The plugin is being made ready from here on, or is ready.
    Coming {
        yes: bool,
    },
    /// An operator moves a session.
    Move {
        session: usize,
        to: usize,
    },
    Drain,
    /// What is kept of sessions is kept from here on, or isn't.
    History {
        on: bool,
    },
    /// What has expired is looked for.
    Sweep,
    /// Batches of several sessions in one transaction.
    Many(Vec<(usize, usize)>),
}

/// What a life goes by.
#[derive(Debug, Clone)]
struct Bounds {
    /// Actions that wait take at most so many bytes of memory.
    memory: usize,
    max_gathered_actions: usize,
    max_note_actions: usize,
    slots: usize,
    /// Whether sessions that have nothing to do leave the memory behind each transaction.
    evicts: bool,
    /// Whether each process finds rows of an earlier version.
    old_rows: bool,
    /// Whether something else may happen before what is to be sent next is read back.
    lazy: bool,
    /// What is kept of sessions for context, where it is.
    history: History,
    keeps: bool,
}

fn history() -> impl Strategy<Value = History> {
    let (seconds, most) = (prop::sample::select(vec![5, 60, DAY.as_secs()]), 1..9_u64);
    (seconds, most, prop::sample::select(vec![400, 1 << 20])).prop_map(
        |(seconds, max_actions, max_bytes)| History {
            keep: Duration::from_secs(seconds),
            max_actions,
            max_bytes,
        },
    )
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let of = |bounds: &[usize]| prop::sample::select(bounds.to_vec());
    let sizes = (of(&[usize::MAX, 200, 0]), of(&[1, 3, 8]), of(&[1, 2, 25]), 1..4_usize);
    (sizes, any::<[bool; 4]>(), history()).prop_map(|(sizes, flags, history)| {
        let (memory, max_gathered_actions, max_note_actions, slots) = sizes;
        let [evicts, old_rows, lazy, keeps] = flags;
        Bounds {
            memory,
            max_gathered_actions,
            max_note_actions,
            slots,
            evicts,
            old_rows,
            lazy,
            history,
            keeps,
        }
    })
}

#[derive(Debug, Clone, Copy)]
enum How {
    Takes,
    Refuses,
    Fails,
    Limits(LimitScope),
    /// Nobody hears of it.
    Late {
        arrived: bool,
    },
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        6 => Just(How::Takes),
        1 => Just(How::Refuses),
        2 => Just(How::Fails),
        1 => Just(How::Limits(LimitScope::Account)),
        1 => Just(How::Limits(LimitScope::Conversation)),
        1 => any::<bool>().prop_map(|arrived| How::Late { arrived }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let session = || 0..SESSIONS.len();
    prop_oneof![
        8 => (session(), 1..4_usize, any::<bool>())
            .prop_map(|(session, actions, user)| Step::Act { session, actions, user }),
        3 => (session(), 0..2_usize).prop_map(|(session, to)| Step::Link { session, to }),
        1 => (session(), 0..9_u64).prop_map(|(session, covers)| Step::Summary { session, covers }),
        4 => (1..4000_u64).prop_map(|millis| Step::Pass { millis }),
        1 => (1..400_u64).prop_map(|seconds| Step::Pass { millis: seconds * 1000 }),
        8 => (any::<usize>(), how()).prop_map(|(which, how)| Step::Answer { which, how }),
        1 => Just(Step::Retry),
        1 => any::<usize>().prop_map(|which| Step::Purge { which }),
        1 => session().prop_map(|session| Step::Erase { session }),
        1 => any::<bool>().prop_map(|arrived| Step::Kill { arrived }),
        1 => Just(Step::Stop),
        1 => prop::sample::select(vec![0, 300, usize::MAX]).prop_map(|bytes| Step::Memory { bytes }),
        2 => any::<bool>().prop_map(|yes| Step::Coming { yes }),
        2 => (session(), 0..3_usize).prop_map(|(session, to)| Step::Move { session, to }),
        1 => Just(Step::Drain),
        1 => any::<bool>().prop_map(|on| Step::History { on }),
        2 => Just(Step::Sweep),
        3 => prop::collection::vec((session(), 1..5_usize), 1..5).prop_map(Step::Many),
    ]
}

/// What was told, and what the platform and the sink have.
struct Life {
    world: World,
    /// Actions that were accepted of each session and not erased, in order.
    accepted: BTreeMap<&'static str, Vec<String>>,
    actions: usize,
    /// Actions of notes that the core was told are posted, or that a person purged.
    ended: HashSet<String>,
    /// Actions that the sink took, by session, as the core was told.
    sunk: BTreeMap<String, Vec<String>>,
    /// Notes that the platform has: by key, and whether their session was erased since.
    platform: HashMap<String, (String, bool)>,
    /// Notes by key: no two share it, and none changes.
    notes: HashMap<String, (String, u64, String)>,
    /// Notes that were dead letters once, or were purged: whether the platform has them is a person's business.
    given_up: HashSet<String>,
    /// Actions that left the window, as they were counted, but for those of sessions that were erased since.
    dropped: i64,
    /// Whether a person had anything sent again.
    requeued: bool,
    bounds: Bounds,
}

fn told(note: &Note) -> Vec<String> {
    note.actions.unpack().into_iter().map(|action| action.description).collect()
}

fn held(delivery: &SinkDelivery) -> Vec<String> {
    match &delivery.content {
        Content::Actions(batch) => batch.actions.iter().map(|it| it.description.clone()).collect(),
        Content::Summary(_) => Vec::new(),
    }
}

impl Life {
    fn new(bounds: Bounds) -> Self {
        let Bounds { max_gathered_actions, max_note_actions, .. } = bounds;
        let rules = Delivery { max_gathered_actions, max_note_actions, ..Delivery::default() };
        let rules = Delivery { max_lane_notes: 6, ..rules };
        let mut settings = settings_of(&[CHAT, "sink"], rules).with_concurrency(CHAT, bounds.slots);
        settings.max_waiting_bytes = bounds.memory;
        settings.history = bounds.keeps.then(|| bounds.history.clone());
        if bounds.evicts {
            settings.max_live = 0;
        }
        let mut world = World::new(settings);
        world.evicts = bounds.evicts;
        world.sink("sink", false);
        Self {
            world,
            accepted: SESSIONS.map(|session| (session, Vec::new())).into(),
            actions: 0,
            ended: HashSet::new(),
            sunk: BTreeMap::new(),
            platform: HashMap::new(),
            notes: HashMap::new(),
            given_up: HashSet::new(),
            dropped: 0,
            requeued: false,
            bounds,
        }
    }

    fn step(&mut self, step: &Step) {
        self.world.lazy =
            self.bounds.lazy && !matches!(step, Step::Pass { .. } | Step::Erase { .. });
        match step {
            Step::Act { session, actions, user } => {
                let command = self.act(*session, *actions, *user);
                let answer = self.tell(command);
                assert!(matches!(answer, Answer::Accepted), "{answer:?}");
            }
            Step::Link { session, to } => {
                drop(self.tell(Command::Link(link(SESSIONS[*session], &format!("c{to}")))));
            }
            Step::Summary { session, covers } => {
                drop(self.tell(summary(SESSIONS[*session], "Sum", Covers::Next(*covers))));
            }
            Step::Pass { millis } => self.world.pass(Duration::from_millis(*millis)),
            Step::Answer { which, how } => self.answer(*which, *how),
            Step::Retry => self.retry(),
            Step::Memory { bytes } => {
                let mut settings = Settings::clone(&self.world.settings);
                settings.max_waiting_bytes = *bytes;
                self.world.change_settings(settings);
            }
            Step::Coming { yes } => {
                self.world.plugins.set(CHAT, |it| it.coming = *yes);
                self.world.round(Vec::new());
            }
            Step::Move { session, to } => {
                let to = link(SESSIONS[*session], &format!("c{to}"));
                let command = LinkCommand { mode: LinkMode::Move, ..to };
                drop(self.tell(Command::Link(command)));
            }
            Step::Drain => drop(self.tell(Command::Drain)),
            Step::History { on } => {
                let mut settings = Settings::clone(&self.world.settings);
                settings.history = on.then(|| self.bounds.history.clone());
                self.world.change_settings(settings);
            }
            Step::Sweep => self.world.sweep_at(self.world.now),
            Step::Many(all) => {
                let commands =
                    all.iter().map(|(session, actions)| self.act(*session, *actions, false));
                let commands = commands.collect();
                self.world.round(commands);
            }
            Step::Purge { which } => self.purge(*which),
            Step::Erase { session } => self.erase(SESSIONS[*session]),
            Step::Kill { arrived } => self.end(*arrived),
            Step::Stop => {
                self.tell(Command::Stop);
                self.end(false);
            }
        }
    }

    /// A batch of this many actions, which counts as accepted.
    fn act(&mut self, session: usize, actions: usize, user: bool) -> Command {
        let session = SESSIONS[session];
        let fresh: Vec<_> =
            (0..actions).map(|n| format!("{session}{:05}", self.actions + n)).collect();
        self.actions += actions;
        let user = user.then(|| format!("user of {session}"));
        let texts: Vec<_> = fresh.iter().map(String::as_str).collect();
        let command = acts_of(session, (user.as_deref(), None), &texts);
        self.accepted.get_mut(session).expect("it is one of them").extend(fresh);
        command
    }

    fn tell(&mut self, command: Command) -> Answer {
        self.world.tell(command)
    }

    fn end(&mut self, arrived: bool) {
        for call in self.world.calls.clone() {
            if arrived {
                self.reach(&call);
            }
        }
        self.dropped += self.window();
        if self.bounds.old_rows {
            self.world.age_rows();
        }
        self.world.restart();
        self.dropped -= self.window();
    }

    fn window(&self) -> i64 {
        self.world.totals().dropped_window as i64
    }

    /// A call reaches the platform, which carries it out. Returns whether it had the note already.
    fn reach(&mut self, call: &Call) -> bool {
        match &call.work {
            Work::Note { note, unknown } => {
                let key = &note.idempotency_key;
                let had = self.platform.contains_key(key);
                assert!(!had || *unknown || self.given_up.contains(key), "posted twice: {note:?}");
                if !had {
                    let erased = !self.waits(note);
                    let of = note.key.session.to_string();
                    self.platform.insert(key.clone(), (of, erased));
                }
                had
            }
            Work::Redaction { note, .. } => {
                self.platform.remove(&note.idempotency_key);
                false
            }
            Work::Sink(_) | Work::Timer(_) | Work::Message { .. } => false,
        }
    }

    fn answer(&mut self, which: usize, how: How) {
        if self.world.calls.is_empty() {
            return;
        }
        let call = self.world.calls.remove(which % self.world.calls.len());
        let said = match how {
            How::Takes => took(),
            How::Refuses => fails(FailureKind::Permanent),
            How::Fails => fails(FailureKind::Transient),
            How::Limits(scope) => limited(scope, Duration::from_secs(5)),
            How::Late { .. } => crashed(Crash::Timeout),
        };
        let mut found = false;
        if matches!(how, How::Takes | How::Late { arrived: true }) {
            found = self.reach(&call);
        }
        let takes = matches!(how, How::Takes);
        match &call.work {
            Work::Note { note, .. } if takes => self.ended.extend(told(note)),
            Work::Sink(delivery) if takes => {
                let of = delivery.key.session.to_string();
                // Of one that was erased meanwhile nothing is to be known.
                if self.waits_for_sink(delivery) {
                    self.sunk.entry(of).or_default().extend(held(delivery));
                }
            }
            Work::Note { .. }
            | Work::Sink(_)
            | Work::Timer(_)
            | Work::Message { .. }
            | Work::Redaction { .. } => {}
        }
        let command = match (ended(&call, said), found) {
            (Command::Ended(mut ended), true) => {
                if let Outcome::Note { result, .. } = &mut ended.outcome {
                    ended.course.asked = Some(Asked::Found);
                    *result = Ok(Posted { note_id: Some("id".to_owned()), pause: None });
                }
                Command::Ended(ended)
            }
            (command, _) => command,
        };
        if found && let Work::Note { note, .. } = &call.work {
            self.ended.extend(told(note));
        }
        self.tell(command);
    }

    /// Whether it waits, rather than another one of its number.
    fn waits(&self, note: &Note) -> bool {
        let waiting: Vec<Note> = self.world.all(Table::Outbox);
        waiting.iter().any(|it| it.idempotency_key == note.idempotency_key)
    }

    fn waits_for_sink(&self, delivery: &SinkDelivery) -> bool {
        let waiting: Vec<SinkDelivery> = self.world.all(Table::SinkQueue);
        waiting.iter().any(|it| it.idempotency_key == delivery.idempotency_key)
    }

    fn letters(&self) -> Vec<NoteRef> {
        let dead = self.world.all::<DeadLetter>(Table::Dead).into_iter();
        dead.map(|letter| NoteRef::note(letter.note.key.clone(), letter.note.seq)).collect()
    }

    fn retry(&mut self) {
        let mut named = self.letters();
        let sinks = self.world.all::<DeadLetter<SinkDelivery>>(Table::SinkDead).into_iter();
        named.extend(sinks.map(|letter| NoteRef {
            key: letter.note.key.clone(),
            lane: LaneKind::Sink,
            seq: letter.note.seq,
        }));
        let dead = named.len();
        self.requeued |= dead > 0;
        let answer = self.tell(Command::Decide(Decision::Retry, named));
        let Answer::Decided(done) = answer else { panic!("{answer:?}") };
        assert_eq!(done, dead);
    }

    fn purge(&mut self, which: usize) {
        let dead = self.letters();
        let waiting = self.world.all::<Note>(Table::Outbox).into_iter();
        let waiting = waiting.map(|note| NoteRef::note(note.key.clone(), note.seq));
        let all: Vec<_> = dead.into_iter().chain(waiting).collect();
        let Some(named) = all.get(which % all.len().max(1)).cloned() else { return };
        let (session, seq) = (named.key.session.to_string(), named.seq);
        let note = match self.world.has(Table::Dead, &named.key, seq) {
            true => (*self.world.row::<DeadLetter>(Table::Dead, &session, seq).note).clone(),
            false => self.world.row::<Note>(Table::Outbox, &session, seq),
        };
        let answer = self.tell(Command::Decide(Decision::Purge, vec![named]));
        let Answer::Decided(done) = answer else { panic!("{answer:?}") };
        if done > 0 {
            self.ended.extend(told(&note));
            self.given_up.insert(note.idempotency_key);
        }
    }

    fn erase(&mut self, session: &'static str) {
        // What is due at this moment is counted before.
        self.world.run();
        let open: BTreeSet<_> = self.stored(session).into_iter().collect();
        let missing = self.accepted[session].iter();
        let missing = missing.filter(|it| !open.contains(*it) && !self.ended.contains(*it)).count();
        self.dropped -= missing as i64;
        for (of, erased) in self.platform.values_mut() {
            *erased |= of == session;
        }
        self.tell(erase(&[session], false));
        // A key is of the moment, too.
        self.world.now = self.world.now + Duration::from_micros(1);
        self.accepted.insert(session, Vec::new());
        self.sunk.remove(session);
        for table in OF_SESSION.iter().filter(|table| **table != Table::Redact) {
            assert_eq!(self.world.numbers(*table, session), [0_u64; 0], "{table:?}");
        }
        let number = session_number(&key(session));
        let indexed = self.world.rows.keys().filter(|key| {
            [Table::Person, Table::Conversation].contains(&key.table) && key.number == number
        });
        assert_eq!(indexed.count(), 0, "it is in no index");
    }

    /// The actions of a session that are stored for its notes, in the order of these.
    fn stored(&self, session: &str) -> Vec<String> {
        let mut notes = BTreeMap::new();
        for seq in self.world.numbers(Table::Outbox, session) {
            notes.insert(seq, told(&self.world.row::<Note>(Table::Outbox, session, seq)));
        }
        for seq in self.world.numbers(Table::Dead, session) {
            let letter: DeadLetter = self.world.row(Table::Dead, session, seq);
            let waits = notes.insert(seq, told(&letter.note));
            assert_eq!(waits, None, "a dead letter waits for nothing");
        }
        let open = self.world.open(session).into_iter().map(|action| action.description);
        notes.into_values().flatten().chain(open).collect()
    }

    fn judge(&mut self) {
        let dead = self.world.all::<DeadLetter>(Table::Dead).into_iter();
        self.given_up.extend(dead.map(|letter| letter.note.idempotency_key.clone()));
        let mut missing = 0;
        for session in SESSIONS {
            let stored = self.stored(session);
            assert!(stored.is_sorted(), "in the order in which they came: {stored:?}");
            let once: BTreeSet<_> = stored.iter().cloned().collect();
            assert_eq!(once.len(), stored.len(), "each stands once");
            assert!(
                once.is_disjoint(&self.ended.iter().cloned().collect()),
                "what is done is gone"
            );
            let all = &self.accepted[session];
            assert!(once.iter().all(|action| all.contains(action)), "nothing was made up");
            let known = |action: &&String| !once.contains(*action) && !self.ended.contains(*action);
            missing += all.iter().filter(known).count() as i64;
            self.judge_sink(session);
        }
        assert_eq!(missing, self.dropped + self.window(), "each drop counts");
        self.judge_calls();
        self.judge_logs();
    }

    /// What was tried is told in order and within bounds, and of who was erased nothing is.
    fn judge_logs(&self) {
        let whole = |log: &Attempts| {
            let kept = log.kept();
            let over = |it: &&Attempt| it.status != Status::UnderWay;
            assert!(kept.len() <= FIRST + LATEST);
            assert!(kept.iter().rev().skip(1).all(|it| over(&it)), "only the last is under way");
        };
        for note in self.world.all::<SentNote>(Table::Sent) {
            let last = note.tries.last().map(|last| last.status);
            assert_eq!(last, Some(Status::Sent), "what is sent was tried");
            whole(&note.tries);
        }
        self.world.all::<Progress>(Table::Attempt).iter().for_each(|it| whole(&it.tries));
        self.world.all::<Progress>(Table::SinkAttempt).iter().for_each(|it| whole(&it.tries));
        self.world.all::<DeadLetter>(Table::Dead).iter().for_each(|it| whole(&it.tries));
        for job in self.world.all::<Job>(Table::Redact) {
            whole(&job.tries);
            let bare = job.note == job.note.clone().without_its_story();
            assert!(bare || job.why == Why::Replaced, "an erased one's story is gone");
        }
    }

    /// Each action is with the sink, or waits for it, or is a dead letter; and once.
    fn judge_sink(&self, session: &str) {
        let mut all = self.sunk.get(session).cloned().unwrap_or_default();
        for seq in self.world.numbers(Table::SinkQueue, session) {
            all.extend(held(&self.world.row(Table::SinkQueue, session, seq)));
        }
        for seq in self.world.numbers(Table::SinkDead, session) {
            let letter: DeadLetter<SinkDelivery> = self.world.row(Table::SinkDead, session, seq);
            all.extend(held(&letter.note));
        }
        all.sort();
        assert_eq!(all, self.accepted[session], "for the sink");
    }

    fn judge_calls(&mut self) {
        let mut posting = HashSet::new();
        for call in &self.world.calls {
            match &call.work {
                Work::Note { note, .. } => {
                    let of = note.key.session.to_string();
                    let same = (of.clone(), note.seq, note.body.clone());
                    let known = self.notes.insert(note.idempotency_key.clone(), same.clone());
                    assert!(known.is_none_or(|known| known == same), "a key is one note's");
                    // One of a session that was erased goes on beside those that come anew.
                    if self.waits(note) {
                        let first = self.world.numbers(Table::Outbox, &of)[0];
                        assert!(posting.insert(of), "one at a time");
                        assert!(first == note.seq || self.requeued, "the first goes first");
                    }
                }
                Work::Sink(delivery) if self.waits_for_sink(delivery) => {
                    let of = delivery.key.session.as_str();
                    let first = self.world.numbers(Table::SinkQueue, of)[0];
                    assert!(first == delivery.seq || self.requeued, "the first goes first");
                }
                Work::Sink(_) | Work::Timer(_) | Work::Message { .. } | Work::Redaction { .. } => {}
            }
        }
        let chat = self.world.calls.iter().filter(|call| !matches!(call.work, Work::Sink(_)));
        // Posts, and redactions as many.
        assert!(chat.count() <= 4 * self.bounds.slots, "no more than there are slots");
    }

    /// In the end the platform is well: everything arrives that can.
    fn finish(&mut self) {
        self.world.lazy = false;
        self.world.plugins.set(CHAT, |it| it.coming = false);
        let waiting = [Table::Outbox, Table::Dead, Table::SinkQueue, Table::SinkDead];
        for _ in 0..20 {
            self.retry();
            for _ in 0..1000 {
                if self.world.calls.is_empty() {
                    break;
                }
                self.answer(0, How::Takes);
                self.world.run();
            }
            self.world.pass(Duration::from_secs(600));
            self.judge();
            if self.world.calls.is_empty() && waiting.iter().all(|it| self.world.count(*it) == 0) {
                break;
            }
        }
        for table in waiting.into_iter().chain([Table::Attempt, Table::SinkAttempt]) {
            assert_eq!(self.world.count(table), 0, "{table:?}");
        }
        let linked = |session: &&&str| {
            self.world.rows.keys().any(|place| {
                place.table == Table::Conversation && place.number == session_number(&key(session))
            })
        };
        for session in SESSIONS.iter().filter(linked) {
            assert_eq!(self.world.numbers(Table::Open, session), [0_u64; 0]);
        }
        let left = self
            .platform
            .iter()
            .filter(|(key, (_, erased))| *erased && !self.given_up.contains(*key));
        let kept = self.world.all::<KeptRow>(Table::Kept);
        let kept = kept.iter().filter(|row| row.why == Why::Erased).count();
        assert!(
            left.clone().count() <= kept,
            "of who is erased nothing stays unseen: {:?}",
            left.collect::<Vec<_>>()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn everything_accepted_is_in_one_place_at_any_time_and_arrives_in_the_end(
        steps in prop::collection::vec(step(), 1..60),
        bounds in bounds(),
    ) {
        let mut life = Life::new(bounds);
        for step in &steps {
            life.step(step);
            life.judge();
        }
        life.finish();
    }
}
