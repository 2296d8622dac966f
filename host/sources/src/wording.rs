//! The way in: a batch of events becomes batches of actions.

use std::collections::{HashMap, HashSet};

use sidenote_core::clock::Timestamp;
use sidenote_core::rows::Change;
use sidenote_core::session::event_time;
use sidenote_core::session::identity::Names;
use sidenote_core::session::payload::{Action, ActionsPayload};

use crate::event::{Batch, Event, Kind};
use crate::fold::fold;
use crate::output::{Reason, Worded};
use crate::page::Titles;
use crate::people::{People, Whom};
use crate::rules::{Rules, Settings, SettingsError, Unsaid};
use crate::told::Told;
use crate::words;

/// Most products whose pages' titles are remembered.
const MOST_PRODUCTS: usize = 1024;
/// A time may be so far ahead of the host's clock, in seconds; a later one is taken as now.
const AHEAD: f64 = 60.0;

/// What is remembered between batches: who is who, which session is whose, what the product calls itself. It is
/// bounded. Who is who can be stored; what pages are called is learned again.
#[derive(Default)]
pub struct Memory {
    people: People,
    titles: HashMap<String, Titles>,
}

impl Memory {
    /// Who is who, as it was stored: rows of [`Table::SourcePerson`](sidenote_core::rows::Table::SourcePerson) with their
    /// products. What can't be read is left out.
    pub fn load<'a>(rows: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        Self { people: People::load(rows), titles: HashMap::new() }
    }

    /// The rows of whoever changed since it was asked last, of a source of this name. They belong
    /// into the commit of what was turned into a line since.
    ///
    /// ```
    /// use sidenote_core::clock::Timestamp;
    /// use sidenote_core::rows::Change;
    /// use sidenote_sources::Memory;
    ///
    /// let mut memory = Memory::default();
    /// memory.set_cursor("shop", "u-1", "page 7".into(), Timestamp(0));
    /// let changes = memory.changes("crm");
    /// let [Change::Put(key, row)] = &*changes else { panic!("{changes:?}") };
    /// let memory = Memory::load([(&*key.group.1, &**row)]);
    /// assert_eq!(memory.cursor("shop", "u-1"), Some("page 7"));
    /// ```
    pub fn changes(&mut self, source: &str) -> Vec<Change> {
        self.people.changes(source)
    }

    /// Where the next question about a person goes on, whom the product names so.
    pub fn cursor(&self, product: &str, user: &str) -> Option<&str> {
        self.people.cursor(product, user)
    }

    /// The next question about a person goes on there. A cursor of more than 1 KiB isn't remembered.
    pub fn set_cursor(&mut self, product: &str, user: &str, cursor: String, now: Timestamp) {
        self.people.set_cursor(product, user, cursor, now);
    }

    /// Forgets somebody who is erased: names, addresses, sessions. What they did isn't remembered here. `false`: nothing
    /// was known of them.
    pub fn forget(&mut self, product: &str, whom: &Whom<'_>) -> bool {
        self.people.forget(product, whom)
    }
}

impl std::fmt::Debug for Memory {
    /// The people are left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("products", &self.titles.len()).finish_non_exhaustive()
    }
}

/// The words of one source: its rules, checked.
#[derive(Debug, Clone)]
pub struct Wording {
    rules: Rules,
    names: Names,
}

impl Wording {
    /// Checks the rules.
    ///
    /// # Errors
    /// One of them can't be used; its table is named.
    ///
    /// ```
    /// use sidenote_sources::{Settings, Wording};
    /// let wording = Wording::new(&Settings::default());
    /// assert!(wording.is_ok());
    /// ```
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self { rules: Rules::new(settings)?, names: Names::default() })
    }

    /// With the operator's own list of what names nobody (`[identity]`).
    #[must_use]
    pub fn with_names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// Puts a batch into words. `product` is that of the key, where the batch names none; `now` is when it came.
    ///
    /// Repeats must have been left out before: what is told here is told. A batch without events and merges is none.
    ///
    /// ```
    /// use sidenote_core::clock::Timestamp;
    /// use sidenote_sources::{Batch, Event, Identity, Kind, Memory, Settings, Wording};
    ///
    /// let event = Event {
    ///     kind: Kind::Page,
    ///     url: "https://app.example.test/billing?token=t".into(),
    ///     identity: Identity { session_id: Some("s-1".into()), ..Identity::default() },
    ///     ..Event::default()
    /// };
    /// let batch = Batch { events: vec![event], ..Batch::default() };
    /// let wording = Wording::new(&Settings::default())?;
    /// let worded = wording.words(&mut Memory::default(), batch, "shop", Timestamp(0));
    /// let action = &worded.sessions[0].actions[0];
    /// assert_eq!(action.description, "Viewed billing");
    /// assert_eq!(action.raw_url, "https://app.example.test/billing");
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub fn words(
        &self,
        memory: &mut Memory,
        batch: Batch,
        product: &str,
        now: Timestamp,
    ) -> Worded {
        let product = batch
            .product_id
            .filter(|it| !it.trim().is_empty())
            .unwrap_or_else(|| product.to_owned());
        let mut worded = Worded::default();
        let mut places = Places::default();
        let mut events: HashMap<String, Vec<Event>> = HashMap::new();
        // First, so that the event which says it finds the visitor's session rather than begin one of the person's.
        let mut persons = Vec::new();
        for merge in batch.merges {
            memory.people.merge(&product, (&merge.from, &merge.into), &self.names, now);
            persons.push(merge.into);
        }
        for mut event in batch.events {
            event.at = Some(self.time(&event, now));
            let place = memory.people.place(&product, &event.identity, &self.names, now);
            let Some(place) = place else {
                worded.leave_out(Reason::Nobody, 1);
                continue;
            };
            places.add(&place);
            events.entry(place).or_default().push(event);
        }
        // An event with both names joins them too: what else is this person's is told.
        let of_events =
            places.listed.iter().filter_map(|place| memory.people.known(&product, place)?.user_id);
        let persons: HashSet<String> = of_events.chain(persons).collect();
        let mut sessions: Vec<String> =
            persons.iter().flat_map(|person| memory.people.sessions_of(&product, person)).collect();
        sessions.sort_unstable();
        for session in &sessions {
            places.add(session);
        }
        if memory.titles.len() >= MOST_PRODUCTS && !memory.titles.contains_key(&product) {
            memory.titles.clear();
        }
        for place in places.listed {
            let events = events.remove(&place).unwrap_or_default();
            let titles = memory.titles.entry(product.clone()).or_default();
            let conversation_id = conversation(&events, &self.names);
            let actions = self.actions(events, titles, now, &mut worded);
            let news = memory.people.news(&product, &place, now);
            if actions.is_empty() && news.is_none() && conversation_id.is_none() {
                continue;
            }
            let known = news.or_else(|| memory.people.known(&product, &place));
            let (user_id, email) = known.map(|it| (it.user_id, it.email)).unwrap_or_default();
            worded.sessions.push(ActionsPayload {
                product_id: product.clone(),
                session_id: Some(place),
                user_id,
                email,
                conversation_id,
                actions,
                forwarded_at: now.as_secs_f64(),
            });
        }
        worded
    }

    /// When an event happened: as it says, but not in the future.
    fn time(&self, event: &Event, now: Timestamp) -> f64 {
        let now = now.as_secs_f64();
        event.at.and_then(event_time::usable).filter(|at| *at <= now + AHEAD).unwrap_or(now)
    }

    /// The actions of one session.
    fn actions(
        &self,
        events: Vec<Event>,
        titles: &mut Titles,
        now: Timestamp,
        worded: &mut Worded,
    ) -> Vec<Action> {
        let oldest = now.as_secs_f64() - self.rules.max_age;
        let mut told: Vec<Told<'_>> = Vec::with_capacity(events.len());
        for event in events {
            if event.kind == Kind::Identity {
                worded.leave_out(Reason::Identity, 1);
            } else if event.at.is_some_and(|at| at < oldest) {
                worded.leave_out(Reason::Old, 1);
            } else {
                told.push(Told::new(event, &self.rules, titles));
            }
        }
        told.sort_by(|one, other| {
            one.event.at.unwrap_or_default().total_cmp(&other.event.at.unwrap_or_default())
        });
        worded.leave_out(Reason::Folded, fold(&mut told));
        let mut actions = Vec::with_capacity(told.len());
        for told in &told {
            match words::line(told, &self.rules) {
                Ok(line) => actions.push(self.action(told, line, actions.len())),
                Err(reason) => worded.leave_out(reason, 1),
            }
        }
        actions
    }

    fn action(&self, told: &Told<'_>, line: words::Line, index: usize) -> Action {
        let says_where = !told.rule.is_some_and(|it| it.hides(Unsaid::Url));
        let keep = &self.rules.keep_query;
        let canonical = match &told.canonical {
            Some(form) => told.address.by_form(form),
            None => told.address.canonical(keep),
        };
        Action {
            title: line.title,
            description: line.description,
            canonical_url: if says_where { canonical } else { String::new() },
            index: i64::try_from(index).unwrap_or(i64::MAX),
            kind: told.event.kind.word().to_owned(),
            timestamp_start: told.event.at,
            raw_url: if says_where { told.address.raw(keep) } else { String::new() },
            ..Action::default()
        }
    }
}

/// Sessions, each once, in the order in which they came up.
#[derive(Default)]
struct Places {
    listed: Vec<String>,
    known: HashSet<String>,
}

impl Places {
    fn add(&mut self, place: &str) {
        if self.known.insert(place.to_owned()) {
            self.listed.push(place.to_owned());
        }
    }
}

/// The conversation that the first event names which names one.
fn conversation(events: &[Event], names: &Names) -> Option<String> {
    let named = events.iter().filter_map(|it| it.conversation_id.as_deref());
    named.map(str::trim).find(|it| it.len() <= 512 && names.names_somebody(it)).map(str::to_owned)
}
