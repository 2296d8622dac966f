//! What two partitions tell each other until a conversation has one session.

use super::*;
use crate::ids::Partition;
use crate::input::Body;

fn session(n: u32) -> SessionKey {
    SessionKey { product: "acme".into(), session: format!("s-{n}").into() }
}

fn subject() -> Subject {
    Subject { kind: "desk".into(), name: "c-1".into() }
}

/// All partitions in one: what is told is done in order.
struct Both {
    claims: Claims,
    messages: Vec<Message>,
    rows: std::collections::BTreeMap<RowKey, Payload>,
}

impl Both {
    fn new(epoch: u64) -> Self {
        let claims = Claims::new(Rules::all(), Partitions::new(1).unwrap(), Epoch::new(epoch));
        Self { claims, messages: Vec::new(), rows: std::collections::BTreeMap::new() }
    }

    /// Does one message; what it tells waits.
    fn does(&mut self, message: Message) -> Option<Told> {
        let mut tx = Tx::default();
        let told = self.claims.apply(message, &mut tx);
        for (to, payload) in tx.messages {
            assert_eq!(to, Partition::new(0));
            let Some(Body::Claims(bytes)) = Input::decode(&payload).map(|input| input.body) else {
                panic!()
            };
            self.messages.push(read(&bytes).unwrap());
        }
        for change in tx.changes {
            match change {
                crate::row::Change::Put(key, value) => self.rows.insert(key, value),
                crate::row::Change::Delete(key) => self.rows.remove(&key),
            };
        }
        told
    }

    /// Does all that waits.
    fn settles(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        while !self.messages.is_empty() {
            let message = self.messages.remove(0);
            told.extend(self.does(message));
        }
        told
    }

    fn links(&self) -> Vec<&str> {
        self.claims.links().map(|(session, _, _)| &*session.session).collect()
    }
}

#[test]
fn a_session_is_linked_when_its_claim_is_granted() {
    let mut both = Both::new(1);
    assert_eq!(both.does(Message::Link(session(1), subject())), None);
    assert_eq!((both.claims.waiting(), both.links().len()), (1, 0));
    assert_eq!(both.settles(), [Told::Linked(session(1), subject())]);
    assert_eq!(both.claims.link(&session(1)), Some(&subject()));
    assert_eq!(both.does(Message::Link(session(1), subject())), None, "it has it");
    assert!(both.messages.is_empty());
}

#[test]
fn the_first_of_two_has_it_and_the_other_one_after_it() {
    let mut both = Both::new(1);
    both.does(Message::Link(session(1), subject()));
    both.does(Message::Link(session(2), subject()));
    let told = both.settles();
    assert!(told.contains(&Told::Refused(session(2), subject())), "{told:?}");
    assert_eq!(both.links(), ["s-1"]);
    both.does(Message::Unlink(session(1)));
    both.does(Message::Link(session(2), subject()));
    both.settles();
    assert_eq!(both.links(), ["s-2"]);
}

#[test]
fn a_claim_that_is_not_wanted_any_more_is_released_when_it_is_granted() {
    let mut both = Both::new(1);
    both.does(Message::Link(session(1), subject()));
    both.does(Message::Unlink(session(1)));
    both.settles();
    assert_eq!((both.links().len(), both.claims.directory().count(), both.rows.len()), (0, 0, 0));
}

#[test]
fn messages_that_come_again_change_nothing() {
    let mut both = Both::new(1);
    both.does(Message::Link(session(1), subject()));
    let claim = both.messages[0].clone();
    both.settles();
    both.does(claim.clone());
    assert_eq!(both.settles(), []);
    assert_eq!(both.links(), ["s-1"]);
    both.does(Message::Unlink(session(1)));
    let release = both.messages[0].clone();
    both.settles();
    both.does(Message::Link(session(1), subject()));
    both.settles();
    both.does(release);
    both.does(claim);
    both.settles();
    assert_eq!(
        (both.links(), both.claims.directory().count()),
        (vec!["s-1"], 1),
        "of another generation"
    );
}

#[test]
fn what_the_session_s_server_lost_is_freed_when_somebody_asks() {
    let mut both = Both::new(1);
    both.does(Message::Link(session(1), subject()));
    both.settles();
    // The session's rows are gone, the directory's aren't.
    both.claims.sessions.clear();
    both.does(Message::Link(session(2), subject()));
    assert_eq!(both.settles(), [Told::Refused(session(2), subject())]);
    both.does(Message::Link(session(2), subject()));
    both.settles();
    assert_eq!(both.links(), ["s-2"]);
}

#[test]
fn what_the_directory_s_server_lost_ends_with_one_session() {
    let mut both = Both::new(1);
    both.does(Message::Link(session(1), subject()));
    let claim = both.messages[0].clone();
    both.settles();
    both.claims.directory.clear();
    both.does(Message::Link(session(2), subject()));
    both.settles();
    // The first one's partition finds that its claim was lost, and tells it again.
    both.does(claim);
    assert_eq!(both.settles(), [Told::Unlinked(session(1), subject())]);
    assert_eq!(both.links(), ["s-2"]);
}

#[test]
fn the_next_owner_has_what_the_rows_say_and_makes_later_generations() {
    let mut both = Both::new(1);
    both.does(Message::Link(session(1), subject()));
    both.settles();
    let mut next = Both::new(2);
    both.rows.iter().for_each(|(key, value)| next.claims.load(key, value));
    assert_eq!(next.links(), ["s-1"]);
    let first = next.claims.directory().next().unwrap().2;
    next.does(Message::Unlink(session(1)));
    next.does(Message::Link(session(1), subject()));
    next.settles();
    assert!(next.claims.directory().next().unwrap().2 > first);
}
