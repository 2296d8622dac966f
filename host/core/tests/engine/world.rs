//! A core over rows in a map: a clock that the test moves, calls that it answers, a process that it kills.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::de::DeserializeOwned;
use sidenote_core::clock::Timestamp;
use sidenote_core::engine::event::What;
use sidenote_core::engine::history::KeptBatch;
use sidenote_core::engine::rows::{decode, session_group};
use sidenote_core::engine::{
    Answer, Call, Command, Core, Counters, Gate, Missing, PageOf, Plugins, Recovery, Settings,
    Totals, Tx, View,
};
use sidenote_core::ids::{PluginName, SessionKey};
use sidenote_core::outbox::sink_delivery::Roles;
use sidenote_core::rows::{Change, Group, Key, Table};
use sidenote_core::session::action::Action;
use sidenote_core::session::batch::StoredEntry;

use crate::words::{Said, ended, key};

/// When a world begins.
pub(crate) const BEGIN: Timestamp = Timestamp(1_700_000_000_000_000);
/// Longer than a note waits for further actions.
pub(crate) const MOMENT: Duration = Duration::from_millis(150);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// More rounds than anything here takes: whoever needs more is never done.
const MANY: usize = 20_000;

/// What plugins are said to do.
#[derive(Default)]
pub(crate) struct Fakes(Mutex<HashMap<PluginName, Fake>>);

/// One plugin. A writer that can redact notes, where nothing else is said.
#[derive(Clone, Copy)]
pub(crate) struct Fake {
    pub(crate) redacts: Option<bool>,
    pub(crate) offers: Option<bool>,
    pub(crate) coming: bool,
    pub(crate) roles: Option<Roles>,
}

impl Fakes {
    pub(crate) fn set(&self, plugin: &str, change: impl FnOnce(&mut Fake)) {
        let mut all = self.0.lock().expect("nothing panics with it");
        let known = all.entry(plugin.into()).or_insert(Fake {
            redacts: Some(true),
            offers: Some(true),
            coming: false,
            roles: Some(Roles::WRITER),
        });
        change(known);
    }

    fn get(&self, plugin: &PluginName) -> Fake {
        self.set(plugin, |_| {});
        self.0.lock().expect("nothing panics with it")[plugin]
    }
}

impl Plugins for Fakes {
    fn redacts(&self, plugin: &PluginName) -> Option<bool> {
        self.get(plugin).redacts
    }

    fn is_coming(&self, plugin: &PluginName) -> bool {
        self.get(plugin).coming
    }

    fn offers(&self, plugin: &PluginName) -> Option<bool> {
        self.get(plugin).offers
    }

    fn roles(&self, plugin: &PluginName) -> Option<Roles> {
        self.get(plugin).roles
    }
}

/// One core and what is around it.
pub(crate) struct World {
    pub(crate) core: Core,
    pub(crate) now: Timestamp,
    pub(crate) rows: BTreeMap<Key, Vec<u8>>,
    counters: Arc<Counters>,
    pub(crate) plugins: Arc<Fakes>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) gate: Gate,
    woken: Arc<AtomicUsize>,
    /// Calls that were begun and haven't ended.
    pub(crate) calls: Vec<Call>,
    /// What was told and not taken.
    pub(crate) events: Vec<(SessionKey, What)>,
    pub(crate) accepted: u64,
    /// Whether sessions that have nothing to do leave the memory behind each transaction.
    pub(crate) evicts: bool,
    /// Whether something else may happen before what is to be sent next is read back.
    pub(crate) lazy: bool,
    /// Whether the store's files are being written anew.
    pub(crate) scrubbing: bool,
    /// Sessions that nothing was known of when they were asked for.
    pub(crate) fresh: Vec<SessionKey>,
    /// Rows that were read, by table.
    pub(crate) reads: HashMap<Table, usize>,
}

impl World {
    pub(crate) fn new(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        Self::through(&Gate::new(settings.clone()), settings)
    }

    /// A core that shares a gate with others.
    pub(crate) fn through(gate: &Gate, settings: Arc<Settings>) -> Self {
        Self::with(gate, settings, Arc::new(Fakes::default()))
    }

    fn with(gate: &Gate, settings: Arc<Settings>, plugins: Arc<Fakes>) -> Self {
        let counters = Arc::new(Counters::default());
        let woken = Arc::new(AtomicUsize::new(0));
        let wake = woken.clone();
        let engine = gate.admit(move || {
            wake.fetch_add(1, Ordering::Relaxed);
        });
        let through = (gate.clone(), engine);
        let core = Core::new(settings.clone(), counters.clone(), plugins.clone(), through, BEGIN);
        Self {
            core,
            now: BEGIN,
            rows: BTreeMap::new(),
            counters,
            plugins,
            settings,
            gate: gate.clone(),
            woken,
            calls: Vec::new(),
            events: Vec::new(),
            accepted: 0,
            evicts: false,
            lazy: false,
            scrubbing: false,
            fresh: Vec::new(),
            reads: HashMap::new(),
        }
    }

    /// The process dies, and the next one takes up what is stored, under these settings.
    pub(crate) fn restart_with(&mut self, settings: Settings) {
        let settings = Arc::new(settings);
        let plugins = self.plugins.clone();
        let mut next = Self::with(&Gate::new(settings.clone()), settings, plugins);
        next.evicts = self.evicts;
        (next.now, next.rows) = (self.now, std::mem::take(&mut self.rows));
        next.core.put_off_expiry(next.now);
        *self = next;
        self.recover();
    }

    pub(crate) fn restart(&mut self) {
        self.restart_with(Settings::clone(&self.settings));
    }

    /// Takes up what the last run left.
    pub(crate) fn recover(&mut self) {
        let mut recovery = Recovery::default();
        for _ in 0..MANY {
            let mut tx = Tx::new(self.now);
            if !self.read(&mut tx, |core, tx| core.recover(&mut recovery, tx)) {
                return;
            }
            self.end(tx);
            self.core.evict_waiting(self.now);
        }
        panic!("what the last run left is never taken up");
    }

    /// One transaction, with all that is due, and those that read back what is to be sent next.
    pub(crate) fn round(&mut self, commands: Vec<Command>) -> Vec<Answer> {
        let answers = self.transaction(commands);
        if self.lazy {
            return answers;
        }
        for _ in 0..MANY {
            if !self.core.is_hungry() {
                return answers;
            }
            self.transaction(Vec::new());
        }
        panic!("something is to be read back for ever");
    }

    /// One transaction alone.
    pub(crate) fn transaction(&mut self, commands: Vec<Command>) -> Vec<Answer> {
        let mut tx = Tx::new(self.now);
        let fresh = self.read(&mut tx, |core, tx| core.prepare(&commands, tx));
        self.fresh.extend(fresh);
        let answers = commands.into_iter().map(|it| self.core.handle(it, &mut tx)).collect();
        self.core.run_due(&mut tx);
        self.end(tx);
        if self.evicts {
            let now = self.now;
            self.core.evict(false, now);
        }
        answers
    }

    pub(crate) fn tell(&mut self, command: Command) -> Answer {
        self.round(vec![command]).pop().expect("a command has its answer")
    }

    /// Does what is due at this moment, until nothing is.
    pub(crate) fn run(&mut self) {
        for _ in 0..MANY {
            self.round(Vec::new());
            if self.core.next_timer(self.now) > self.now {
                return;
            }
            self.sweep();
        }
        panic!("something is due at {:?} for ever", self.now);
    }

    /// One look at what is due, for a plugin that is always about to be ready.
    pub(crate) fn run_now(&mut self) {
        self.round(Vec::new());
        self.round(Vec::new());
    }

    /// Lets time pass: what is due meanwhile is done at its moment.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..MANY {
            self.run();
            let next = self.core.next_timer(self.now);
            if next > end {
                self.now = end;
                return self.run();
            }
            self.now = next;
        }
        panic!("time stands still at {:?}", self.now);
    }

    /// Removes what has expired, where it is due. Returns which sessions left the memory.
    pub(crate) fn sweep(&mut self) -> Vec<SessionKey> {
        let mut tx = Tx::new(self.now);
        let swept = self.read(&mut tx, Core::expire);
        if swept {
            self.end(tx);
        }
        self.core.evict(swept, self.now)
    }

    /// The next moment at which rows are looked at for what has expired has come; nothing else is done.
    pub(crate) fn sweep_at(&mut self, now: Timestamp) {
        self.core.put_off_expiry(now - Duration::from_secs(30));
        self.now = now;
        self.sweep();
    }

    /// Ends the first call that is under way so.
    pub(crate) fn answer(&mut self, said: Said) -> Call {
        let call = self.calls.remove(0);
        self.tell(ended(&call, said));
        call
    }

    /// Ends all calls that are under way so, and those that come of it.
    pub(crate) fn answer_all(&mut self, said: impl Fn() -> Said) -> Vec<Call> {
        let mut answered = Vec::new();
        self.run();
        while !self.calls.is_empty() {
            assert!(answered.len() < MANY, "calls are made for ever");
            answered.push(self.answer(said()));
            self.run();
        }
        answered
    }

    pub(crate) fn change_settings(&mut self, settings: Settings) {
        self.settings = Arc::new(settings);
        self.core.change_settings(self.settings.clone(), self.now);
        self.run();
    }

    fn read<T>(
        &mut self,
        tx: &mut Tx,
        mut ask: impl FnMut(&mut Core, &mut Tx) -> Result<T, Missing>,
    ) -> T {
        for _ in 0..MANY {
            match ask(&mut self.core, tx) {
                Ok(answer) => return answer,
                Err(missing) => self.fetch(missing, &mut tx.view),
            }
        }
        panic!("the core asks for rows again and again");
    }

    fn fetch(&mut self, missing: Missing, view: &mut View) {
        assert!(!missing.groups.is_empty() || !missing.pages.is_empty(), "nothing is missing");
        for (table, groups) in missing.groups {
            for group in groups {
                let rows: Vec<_> =
                    self.group(table, &group).map(|(n, value)| (n, value.clone())).collect();
                *self.reads.entry(table).or_default() += rows.len();
                view.put(table, group, rows);
            }
        }
        for of in missing.pages {
            let PageOf { table, after, limit } = of.clone();
            let behind = |key: &Key| after.as_ref().is_none_or(|after| key > after);
            let page = self.rows.iter().filter(|(key, _)| key.table == table && behind(key));
            let page: Vec<_> =
                page.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect();
            *self.reads.entry(table).or_default() += page.len();
            view.put_page(of, page);
        }
    }

    fn end(&mut self, tx: Tx) {
        let spent = self.core.finish(tx);
        for change in spent.changes {
            match change {
                Change::Put(key, value) => drop(self.rows.insert(key, value)),
                Change::Delete(key) => drop(self.rows.remove(&key)),
            }
        }
        for key in &spent.records {
            assert!(self.has(Table::Session, key, 0), "a record that changed is stored");
        }
        self.calls.extend(spent.calls);
        self.events.extend(spent.events);
        self.accepted += spent.accepted;
        self.scrubbing |= self.core.begin_scrub(self.now);
    }

    // What is stored.

    fn group(&self, table: Table, group: &Group) -> impl Iterator<Item = (u64, &Vec<u8>)> {
        let at = |number| Key { table, group: group.clone(), number };
        self.rows.range(at(0)..=at(u64::MAX)).map(|(key, value)| (key.number, value))
    }

    pub(crate) fn has(&self, table: Table, key: &SessionKey, number: u64) -> bool {
        self.rows.contains_key(&Key { table, group: session_group(key), number })
    }

    /// How many rows a table has.
    pub(crate) fn count(&self, table: Table) -> usize {
        self.rows.keys().filter(|key| key.table == table).count()
    }

    /// The numbers of a session's rows in a table.
    pub(crate) fn numbers(&self, table: Table, session: &str) -> Vec<u64> {
        self.group(table, &session_group(&key(session))).map(|(number, _)| number).collect()
    }

    /// A session's row.
    pub(crate) fn row<T: DeserializeOwned>(&self, table: Table, session: &str, n: u64) -> T {
        let key = Key { table, group: session_group(&key(session)), number: n };
        let row = self.rows.get(&key).unwrap_or_else(|| panic!("there is no row {key:?}"));
        decode(row).expect("a row can be read")
    }

    /// The actions of a session's open batch, wherever they are stored.
    pub(crate) fn open(&self, session: &str) -> Vec<Action> {
        let of_row = |row| {
            let entry: StoredEntry = self.row(Table::Open, session, row);
            match (&entry.actions, entry.kept_under()) {
                (Some(actions), None) => actions.unpack(),
                (None, Some(number)) => {
                    let kept: KeptBatch = self.row(Table::History, session, number);
                    assert_eq!(kept.batch.actions.len(), entry.count());
                    kept.batch.actions
                }
                _ => panic!("what waits is stored once: {entry:?}"),
            }
        };
        self.numbers(Table::Open, session).into_iter().flat_map(of_row).collect()
    }

    /// All rows of a table.
    pub(crate) fn all<T: DeserializeOwned>(&self, table: Table) -> Vec<T> {
        let of_table = self.rows.iter().filter(|(key, _)| key.table == table);
        of_table.map(|(_, row)| decode(row).expect("a row can be read")).collect()
    }

    /// The only row of a table.
    pub(crate) fn only<T: DeserializeOwned>(&self, table: Table) -> T {
        let mut all = self.all(table);
        assert_eq!(all.len(), 1, "rows of {table:?}");
        all.remove(0)
    }

    /// Puts something that can't be read in the place of a row.
    pub(crate) fn spoil(&mut self, table: Table, session: &str, number: u64) {
        let place = Key { table, group: session_group(&key(session)), number };
        self.rows.insert(place, b"{".to_vec());
    }

    // What was said and done.

    pub(crate) fn totals(&self) -> Totals {
        self.counters.totals()
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How often the core was woken since this was asked last.
    pub(crate) fn woken(&self) -> usize {
        self.woken.swap(0, Ordering::Relaxed)
    }

    /// What was told since this was asked last.
    pub(crate) fn told(&mut self) -> Vec<String> {
        self.events.drain(..).map(|(key, what)| format!("{}: {what:?}", key.session)).collect()
    }
}
