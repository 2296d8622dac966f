//! The judge: what of the promises didn't hold, by what was seen from outside.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use sidenote::clock::Timestamp;
use sidenote_sim::{Ending, Exchange, Marker};

use super::evidence::{Batch, Evidence, Kill, LinkWish};

/// A host may need so long from the platform's answer to the commit that remembers it. A note whose answer is
/// younger than that at a kill was in flight for the host, though not for the platform.
const OUTCOME: Duration = Duration::from_secs(3);

/// What the judge found. All of [`Verdict::faults`] must be zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Actions that the host took.
    pub taken: u64,
    /// Actions that arrived, each counted once.
    pub arrived: u64,
    /// Actions in dead letters.
    pub dead: u64,
    /// Notes that arrived, each counted once.
    pub notes: u64,
    /// Kills.
    pub kills: usize,
    /// Notes whose exchange with the platform was under way at a kill.
    pub open: usize,
    /// Notes sent again because of a kill after the platform had taken them: their exchange was under way.
    pub doubled: usize,
    /// As `doubled`, but the platform had answered, a moment too early for the host to put it on record.
    pub doubled_answered: usize,
    /// Notes sent again after the platform had taken them, because its answer had told nothing.
    pub asked_again: usize,
    /// Taken actions that neither arrived nor are in a dead letter.
    pub lost: u64,
    /// Actions that arrived after a later one of their session.
    pub out_of_order: u64,
    /// Actions that arrived in two different notes.
    pub twice: u64,
    /// Actions that arrived and were never sent, or came in a note of another session.
    pub strange: u64,
    /// Batches of which some actions arrived and others didn't.
    pub torn: u64,
    /// Attempts at a note that differ from the first in more than the attempt.
    pub changed: u64,
    /// Notes sent again though the platform had said that it took them, and no kill explains it.
    pub unexplained: u64,
    /// Attempts at a note after a later one of its session had begun.
    pub went_back: u64,
    /// Notes in a conversation that their session wasn't linked to.
    pub astray: u64,
}

/// Judges what was seen.
pub fn judge(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict {
        taken: evidence.actions_accepted(),
        kills: evidence.kills.len(),
        ..Verdict::default()
    };
    let mut sessions: HashMap<&str, Vec<&Exchange>> = HashMap::new();
    for exchange in &evidence.exchanges {
        sessions.entry(&exchange.session).or_default().push(exchange);
    }
    let mut sent: HashMap<&str, Vec<&Batch>> = HashMap::new();
    for batch in &evidence.batches {
        sent.entry(&batch.session).or_default().push(batch);
    }
    let mut dead: HashMap<&str, BTreeSet<u64>> = HashMap::new();
    for letter in &evidence.dead {
        let numbers = Marker::find_all(&letter.note.body).map(|marker| marker.n);
        dead.entry(letter.note.key.session.as_str()).or_default().extend(numbers);
    }
    verdict.dead = dead.values().map(|numbers| numbers.len() as u64).sum();
    let open = |kill: &Kill| {
        let open = evidence.exchanges.iter().filter(|exchange| was_open(exchange, *kill));
        open.count()
    };
    verdict.open = evidence.kills.iter().map(open).sum();

    let names: BTreeSet<&str> = sessions.keys().chain(sent.keys()).copied().collect();
    let (none, nothing, nowhere) = (Vec::new(), BTreeSet::new(), Vec::new());
    for name in names {
        let session = Session {
            exchanges: sessions.get(name).unwrap_or(&none),
            batches: sent.get(name).map_or(&[], Vec::as_slice),
            dead: dead.get(name).unwrap_or(&nothing),
            links: evidence.links.get(name).unwrap_or(&nowhere),
            kills: &evidence.kills,
        };
        session.repeats(&mut verdict);
        session.arrivals(name, &mut verdict);
    }
    verdict
}

/// What was seen of one session.
struct Session<'a> {
    exchanges: &'a [&'a Exchange],
    batches: &'a [&'a Batch],
    dead: &'a BTreeSet<u64>,
    links: &'a [LinkWish],
    kills: &'a [Kill],
}

impl Session<'_> {
    /// Every attempt at a note is the same note, comes before those at later notes, and a note that the
    /// platform said it took comes again only after a kill at which it was in flight.
    fn repeats(&self, verdict: &mut Verdict) {
        let mut last: HashMap<&str, &Exchange> = HashMap::new();
        let mut contents: HashMap<&str, u64> = HashMap::new();
        let mut latest = 0;
        for exchange in self.exchanges {
            let key = &*exchange.key;
            verdict.went_back += u64::from(exchange.seq < latest);
            latest = latest.max(exchange.seq);
            let first = *contents.entry(key).or_insert(exchange.content);
            verdict.changed += u64::from(first != exchange.content);
            let Some(before) = last.insert(key, exchange).filter(|before| before.taken.is_some())
            else {
                continue;
            };
            let mut kills = self.kills.iter().filter(|kill| kill.before <= exchange.began);
            if kills.clone().any(|kill| was_open(before, *kill)) {
                verdict.doubled += 1;
            } else if !said_so(before) {
                verdict.asked_again += 1;
            } else if kills.any(|kill| was_answered_just_before(before, *kill)) {
                verdict.doubled_answered += 1;
            } else {
                verdict.unexplained += 1;
            }
        }
    }

    /// Every action arrives once, in order, from a batch that was sent, where its session is linked to; and
    /// of a batch that was taken, every action.
    fn arrivals(&self, name: &str, verdict: &mut Verdict) {
        let mut firsts: Vec<&Exchange> = Vec::new();
        let mut keys = HashSet::new();
        for exchange in self.exchanges.iter().filter(|exchange| exchange.taken.is_some()) {
            if keys.insert(&*exchange.key) {
                firsts.push(exchange);
            }
        }
        firsts.sort_by_key(|exchange| exchange.taken);
        verdict.notes += firsts.len() as u64;

        let sent: BTreeMap<u64, &Batch> =
            self.batches.iter().map(|batch| (batch.first, *batch)).collect();
        let mut arrived = BTreeSet::new();
        for note in firsts {
            let mut newest = None;
            for marker in Marker::find_all(&note.text) {
                let batch = sent.range(..=marker.n).next_back().map(|(_, batch)| *batch);
                let batch = batch.filter(|batch| marker.n < batch.first + batch.count);
                let Some(batch) = batch.filter(|_| marker.session == name) else {
                    verdict.strange += 1;
                    continue;
                };
                newest = newest.max(Some(batch.emitted));
                if arrived.contains(&marker.n) {
                    verdict.twice += 1;
                } else {
                    verdict.out_of_order +=
                        u64::from(arrived.last().is_some_and(|last| *last > marker.n));
                    arrived.insert(marker.n);
                }
            }
            verdict.astray += u64::from(!self.may_go_to(&note.conversation, newest));
        }
        verdict.arrived += arrived.len() as u64;
        for batch in self.batches {
            let range = batch.first..batch.first + batch.count;
            let there =
                range.filter(|n| arrived.contains(n) || self.dead.contains(n)).count() as u64;
            if batch.taken {
                verdict.lost += batch.count - there;
            } else {
                verdict.torn += u64::from(there > 0 && there < batch.count);
            }
        }
    }

    /// A note goes where the session was linked to when its newest action was sent, or to where it was
    /// linked later: the host may have been slower to take the action than to make the link.
    fn may_go_to(&self, conversation: &str, newest: Option<Timestamp>) -> bool {
        let made =
            |wish: &LinkWish| wish.made.is_some_and(|made| newest.is_none_or(|at| made <= at));
        let from = self.links.iter().rposition(made).unwrap_or(0);
        self.links[from..].iter().any(|wish| wish.conversation == conversation)
    }
}

/// Whether the platform said that it took the note.
fn said_so(exchange: &Exchange) -> bool {
    matches!(exchange.end, Some((_, Ending::Answered(status))) if status < 300)
}

/// Whether the exchange was under way at a kill.
fn was_open(exchange: &Exchange, kill: Kill) -> bool {
    exchange.began <= kill.after && exchange.end.is_none_or(|(at, _)| at >= kill.before)
}

/// Whether the host may not have put the answer on record before a kill.
fn was_answered_just_before(exchange: &Exchange, kill: Kill) -> bool {
    exchange.end.is_some_and(|(at, _)| at < kill.before && at + OUTCOME >= kill.before)
}

impl Verdict {
    /// What must not be, and how much of it there is.
    pub fn faults(&self) -> [(&'static str, u64); 9] {
        [
            ("taken actions lost", self.lost),
            ("actions out of order", self.out_of_order),
            ("actions in two notes", self.twice),
            ("actions that nobody sent", self.strange),
            ("batches torn", self.torn),
            ("attempts at a note that differ", self.changed),
            ("notes sent again though the host knew better", self.unexplained),
            ("attempts after a later note", self.went_back),
            ("notes in a conversation of others", self.astray),
        ]
    }

    /// # Panics
    /// When a promise didn't hold.
    pub fn assert_sound(&self) {
        let found: Vec<_> = self.faults().into_iter().filter(|(_, count)| *count > 0).collect();
        assert!(found.is_empty(), "{found:?} in {self}");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills, {} actions taken: {} lost, {} out of order; {} arrived in {} notes, {} dead; {} of {} \
             notes in flight at the kills doubled, and {} answered just before; {} sent again that the \
             platform had taken and not said so",
            self.kills,
            self.taken,
            self.lost,
            self.out_of_order,
            self.arrived,
            self.notes,
            self.dead,
            self.doubled,
            self.open,
            self.doubled_answered,
            self.asked_again,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp(ms * 1000)
    }

    /// An exchange of session `s` that the platform took and answered 10 ms later.
    fn taken(seq: u64, ms: i64, numbers: std::ops::Range<u64>) -> Exchange {
        let text: Vec<_> =
            numbers.map(|n| Marker { session: "s", n, emitted: None }.to_string()).collect();
        Exchange {
            key: format!("k-{seq}").into(),
            product: "p".into(),
            session: "s".into(),
            conversation: "c".into(),
            seq,
            attempt: 1,
            text: text.join(" ").into(),
            content: seq,
            trace: None,
            began: at(ms),
            taken: Some(at(ms + 5)),
            wait_until: None,
            end: Some((at(ms + 10), Ending::Answered(201))),
        }
    }

    fn batch(first: u64, count: u64, taken: bool) -> Batch {
        Batch { session: "s".to_owned(), first, count, emitted: at(first as i64), taken }
    }

    /// Two batches of two actions in a note each; the host is killed at 5 s.
    fn history() -> Evidence {
        let wish = LinkWish { conversation: "c".to_owned(), made: Some(at(0)) };
        Evidence {
            batches: vec![batch(0, 2, true), batch(2, 2, true)],
            links: [("s".to_owned(), vec![wish])].into(),
            kills: vec![Kill { before: at(5000), after: at(5001) }],
            exchanges: vec![taken(1, 1000, 0..2), taken(2, 2000, 2..4)],
            dead: Vec::new(),
        }
    }

    /// What the judge complains of after a change of the history.
    fn complaints(change: impl FnOnce(&mut Evidence)) -> Vec<(&'static str, u64)> {
        let mut evidence = history();
        change(&mut evidence);
        judge(&evidence).faults().into_iter().filter(|(_, count)| *count > 0).collect()
    }

    #[test]
    fn a_good_history_leaves_no_complaint() {
        assert_eq!(complaints(|_| {}), []);
        let verdict = judge(&history());
        assert_eq!((verdict.taken, verdict.arrived, verdict.notes), (4, 4, 2));
        assert_eq!((verdict.open, verdict.doubled, verdict.doubled_answered), (0, 0, 0));
    }

    #[test]
    fn what_was_taken_and_did_not_come_is_lost() {
        assert_eq!(complaints(|seen| drop(seen.exchanges.pop())), [("taken actions lost", 2)]);
        let refused = |seen: &mut Evidence| seen.exchanges[1].taken = None;
        assert_eq!(complaints(refused), [("taken actions lost", 2)]);
        let unsure = |seen: &mut Evidence| {
            seen.exchanges.pop();
            seen.batches[1].taken = false;
        };
        assert_eq!(complaints(unsure), []);
    }

    #[test]
    fn order_is_that_of_the_actions_and_of_the_notes() {
        let swapped = complaints(|seen| {
            seen.exchanges[0] = taken(1, 1000, 2..4);
            seen.exchanges[1] = taken(2, 2000, 0..2);
        });
        assert_eq!(swapped, [("actions out of order", 2)]);
        let overtaken = complaints(|seen| {
            let mut late = taken(1, 3000, 0..2);
            late.taken = None;
            seen.exchanges.push(late);
        });
        assert!(overtaken.contains(&("attempts after a later note", 1)), "{overtaken:?}");
    }

    #[test]
    fn an_action_in_two_notes_or_from_nowhere_is_seen() {
        let twice = complaints(|seen| seen.exchanges.push(taken(3, 3000, 3..4)));
        assert_eq!(twice, [("actions in two notes", 1)]);
        let strange = complaints(|seen| seen.exchanges.push(taken(3, 3000, 4..5)));
        assert_eq!(strange, [("actions that nobody sent", 1)]);
        let foreign = complaints(|seen| seen.exchanges[1].text = "a-s-2 a-s-3 a-t-0".into());
        assert_eq!(foreign, [("actions that nobody sent", 1)]);
        let torn = complaints(|seen| {
            seen.batches.push(batch(4, 2, false));
            seen.exchanges.push(taken(3, 3000, 4..5));
        });
        assert_eq!(torn, [("batches torn", 1)]);
    }

    #[test]
    fn a_repeat_needs_a_kill_or_an_answer_that_told_nothing() {
        let again = |ended: i64, killed: i64| {
            let mut evidence = history();
            evidence.exchanges[1] = taken(2, ended - 10, 2..4);
            evidence.kills = vec![Kill { before: at(killed), after: at(killed + 1) }];
            evidence.exchanges.push(taken(2, 9000, 2..4));
            evidence
        };
        let verdict = judge(&again(2000, 2500));
        let of = |verdict: Verdict| (verdict.doubled, verdict.doubled_answered, verdict.open);
        assert_eq!((verdict.unexplained, of(verdict)), (0, (0, 1, 0)));
        // The connection broke at the kill.
        let mut broken = again(2000, 1995);
        broken.exchanges[1].end = Some((at(1996), Ending::Broken));
        assert_eq!(of(judge(&broken)), (1, 0, 1));
        // Answered long before the kill; or no kill between the two.
        assert_eq!(judge(&again(2000, 5500)).unexplained, 1);
        assert_eq!(judge(&again(2000, 9500)).unexplained, 1);
        // The platform took it and answered 500: the host can't know.
        let mut unknown = again(2000, 9500);
        unknown.exchanges[1].end = Some((at(2000), Ending::Answered(500)));
        let verdict = judge(&unknown);
        assert_eq!((verdict.unexplained, verdict.asked_again, verdict.doubled), (0, 1, 0));
        // The next note of the session shows that the host knew.
        let mut known = again(2000, 2500);
        known.batches.push(batch(4, 1, true));
        known.exchanges.insert(2, taken(3, 2100, 4..5));
        assert_eq!(judge(&known).went_back, 1);
    }

    #[test]
    fn a_note_never_changes_between_attempts() {
        let changed = complaints(|seen| {
            seen.exchanges[1].taken = None;
            let mut again = taken(2, 3000, 2..4);
            again.content = 77;
            seen.exchanges.push(again);
        });
        assert_eq!(changed, [("attempts at a note that differ", 1)]);
    }

    #[test]
    fn a_note_goes_where_its_session_is_linked_to() {
        let moved = |made: Option<i64>| {
            complaints(|seen| {
                let wish = LinkWish { conversation: "d".to_owned(), made: made.map(at) };
                seen.links.get_mut("s").expect("it is linked").push(wish);
                seen.exchanges[1].conversation = "d".into();
            })
        };
        assert_eq!(moved(Some(1)), []);
        assert_eq!(moved(None), []);
        let astray = [("notes in a conversation of others", 1)];
        assert_eq!(complaints(|seen| seen.exchanges[1].conversation = "d".into()), astray);
        // Moved before the second batch was sent, which goes to the old conversation all the same.
        let late = complaints(|seen| {
            let wish = LinkWish { conversation: "d".to_owned(), made: Some(at(1)) };
            seen.links.get_mut("s").expect("it is linked").push(wish);
        });
        assert_eq!(late, astray);
    }
}
