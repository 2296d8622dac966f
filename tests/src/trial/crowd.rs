//! People who act at random, and where they are to be linked to.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use sidenote::session::payload::ActionsPayload;
use sidenote_sim::{Opening, Platform};

use crate::acting::Person;

/// Every so many-th person is linked only later.
const LATE: usize = 5;
/// Actions of one batch, at most.
const MAX_BATCH: u64 = 4;

/// The people of a trial.
pub(super) struct Crowd {
    people: Vec<Someone>,
    rng: StdRng,
}

/// One session.
struct Someone {
    person: Person,
    /// Two sessions of one person share it, and their conversation.
    user: String,
    next: u64,
    shares: bool,
}

/// Who is to be linked, and where.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) person: Person,
    pub(super) conversation: String,
    pub(super) mode: &'static str,
}

/// A batch that someone sends, and its place among their actions.
pub(super) struct Sent {
    pub(super) session: String,
    pub(super) first: u64,
    pub(super) count: u64,
    pub(super) payload: ActionsPayload,
}

impl Crowd {
    /// So many sessions, in two products; the last two are one person's.
    pub(super) fn new(sessions: usize, seed: u64) -> Self {
        let someone = |i: usize| {
            let shares = i + 2 >= sessions;
            let product = if shares || i.is_multiple_of(2) { "p" } else { "q" };
            let user = if shares { "u-of-two".to_owned() } else { format!("u-{i}") };
            Someone { person: Person::new(product, format!("s{i}")), user, next: 0, shares }
        };
        Self { people: (0..sessions).map(someone).collect(), rng: StdRng::seed_from_u64(seed) }
    }

    /// A batch of somebody.
    pub(super) fn act(&mut self) -> Sent {
        let count = self.rng.random_range(1..=MAX_BATCH);
        let someone = self.rng.random_range(0..self.people.len());
        let someone = &mut self.people[someone];
        let first = someone.next;
        someone.next += count;
        let mut payload = someone.person.batch(first..first + count);
        payload.user_id = Some(someone.user.clone());
        payload.email = Some(format!("{}@example.com", someone.user));
        Sent { session: someone.person.session.clone(), first, count, payload }
    }

    /// The wishes to begin with, and those for later.
    pub(super) fn wishes(&self, platform: &Platform) -> (Vec<Wish>, Vec<Wish>) {
        let shared = platform.create(Opening { product: "p".to_owned(), ..Opening::default() });
        let shared = shared.expect("room for a conversation");
        let wish = |someone: &Someone| Wish {
            person: someone.person.clone(),
            conversation: match someone.shares {
                true => shared.clone(),
                false => conversation(platform, &someone.person),
            },
            mode: "auto",
        };
        let (late, soon): (Vec<_>, Vec<_>) =
            self.people.iter().enumerate().partition(|(i, _)| i % LATE == LATE - 1);
        let wishes = |people: Vec<(usize, &Someone)>| {
            people.into_iter().map(|(_, someone)| wish(someone)).collect()
        };
        (wishes(soon), wishes(late))
    }

    /// Somebody with a conversation of their own goes on in another one.
    pub(super) fn moves(&mut self, platform: &Platform) -> Option<Wish> {
        let movers: Vec<_> = self.people.iter().filter(|someone| !someone.shares).collect();
        let person = movers.choose(&mut self.rng)?.person.clone();
        let conversation = conversation(platform, &person);
        Some(Wish { person, conversation, mode: "move" })
    }
}

fn conversation(platform: &Platform, person: &Person) -> String {
    platform.create(person.opening()).expect("room for a conversation")
}
