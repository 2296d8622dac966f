//! What a reader adds, keeps and hands over.

use std::time::Duration;

use super::*;
use crate::ids::Number;

fn at(ms: u64) -> Moment {
    Moment::from_millis(ms)
}

fn reader() -> Reader {
    let times = Times::of_lease(Duration::from_secs(10));
    Reader::new(times, Rules::all(), StreamId::new("acme").unwrap())
}

fn reads(reader: &mut Reader, events: impl IntoIterator<Item = u64>) {
    for n in events {
        reader.received(at(n), Once::new(n), Partition::new(0), Payload::new(&n.to_be_bytes()));
    }
}

fn mark(n: u64) -> Option<Mark> {
    Some(Mark::Behind(Once::new(n)))
}

#[test]
fn the_second_one_adds_nothing_and_plays_its_ring_at_the_take_over() {
    let mut second = reader();
    reads(&mut second, 1..=5);
    second.told(mark(2));
    assert!(second.is_ready() && second.tick(at(10)).is_empty());
    second.acquired(at(10), Epoch::new(9), mark(3));
    let adds = second.tick(at(10));
    assert_eq!((adds.len(), adds[0].payloads.len()), (1, 2));
    assert_eq!(adds[0].reader, Some((StreamId::new("acme").unwrap(), Epoch::new(9))));
    second.answered(at(11), &adds[0], Some(Added::In(Number::new(2))));
    assert_eq!(second.mark(), mark(5));
}

#[test]
fn a_new_second_one_isn_t_ready_before_the_first_one_is_past_its_beginning() {
    let mut second = reader();
    reads(&mut second, 6..=8);
    second.told(mark(5));
    assert!(!second.is_ready());
    second.told(mark(6));
    assert!(second.is_ready());
}

#[test]
fn what_a_reader_without_it_took_over_before_isn_t_played_later() {
    let mut first = reader();
    reads(&mut first, 4..=7);
    first.told(mark(4));
    // Another one began with 6 and is gone; 5 would come too late.
    first.acquired(at(8), Epoch::new(3), Some(Mark::Before(Once::new(6))));
    assert_eq!(first.tick(at(8))[0].payloads.len(), 2);
}

#[test]
fn a_mark_that_is_ahead_is_waited_for() {
    let mut second = reader();
    reads(&mut second, 1..=5);
    second.told(mark(2));
    second.acquired(at(10), Epoch::new(3), mark(7));
    assert!(second.tick(at(10)).is_empty());
    reads(&mut second, 6..=8);
    assert_eq!(second.tick(at(11))[0].payloads.len(), 1);
    let mut other = reader();
    reads(&mut other, 1..=5);
    other.told(mark(2));
    other.acquired(at(10), Epoch::new(3), mark(7));
    assert_eq!(other.tick(at(2510))[0].payloads.len(), 3, "it never came");
}

#[test]
fn the_mark_stands_before_the_first_event_that_isn_t_in() {
    let mut first = reader();
    first.acquired(at(0), Epoch::new(1), None);
    first.received(at(0), Once::new(1), Partition::new(0), Payload::default());
    first.received(at(0), Once::new(2), Partition::new(1), Payload::default());
    first.received(at(0), Once::new(3), Partition::new(0), Payload::default());
    let adds = first.tick(at(0));
    first.answered(at(1), &adds[0], Some(Added::In(Number::new(2))));
    assert_eq!((first.mark(), first.is_in()), (mark(1), false));
    first.answered(at(1), &adds[1], Some(Added::In(Number::new(1))));
    assert_eq!((first.mark(), first.is_in()), (mark(3), true));
}

#[test]
fn who_hands_over_finishes_what_it_began_and_begins_nothing() {
    let mut first = reader();
    first.acquired(at(0), Epoch::new(1), None);
    reads(&mut first, [1]);
    let add = first.tick(at(1)).remove(0);
    first.hand_over(true);
    reads(&mut first, [2]);
    assert!(first.tick(at(2)).is_empty() && !first.is_handed_over());
    first.answered(at(3), &add, Some(Added::In(Number::new(1))));
    assert!(first.is_handed_over());
    assert_eq!(first.mark(), mark(1));
    first.hand_over(false);
    assert_eq!(first.tick(at(4))[0].payloads.len(), 1, "nobody was there");
}

#[test]
fn a_later_reader_fences_off_the_earlier_one() {
    let mut first = reader();
    first.acquired(at(0), Epoch::new(1), None);
    reads(&mut first, [1]);
    let add = first.tick(at(1)).remove(0);
    let fenced = first.answered(at(2), &add, Some(Added::Fenced(Epoch::new(2))));
    assert_eq!(fenced, Some(Epoch::new(2)));
    first.lost();
    assert!(first.tick(at(3)).is_empty());
}

#[test]
fn a_ring_keeps_what_is_not_in_and_for_two_leases_what_is() {
    let mut second = reader();
    reads(&mut second, 1..=5);
    second.tick(at(90_000));
    assert_eq!(second.ring.len(), 5, "nobody said that they are in");
    second.told(mark(3));
    second.tick(at(19_000));
    assert_eq!(second.ring.len(), 5);
    second.tick(at(90_000));
    assert_eq!(second.ring.len(), 2);
    reads(&mut second, 0..BOUND as u64);
    assert_eq!((second.ring.len(), second.overrun() > 0, second.is_ready()), (BOUND, true, false));
}

#[test]
fn a_mark_that_is_behind_is_no_news() {
    let mut first = reader();
    first.acquired(at(0), Epoch::new(1), None);
    reads(&mut first, 1..=3);
    let add = first.tick(at(3)).remove(0);
    first.answered(at(4), &add, Some(Added::In(Number::new(3))));
    first.tick(at(90_000));
    assert!(first.is_empty());
    // The renewal that would have told of 3 never arrived.
    first.lost();
    first.acquired(at(90_000), Epoch::new(2), mark(1));
    assert_eq!(first.mark(), mark(3));
    reads(&mut first, [4]);
    assert_eq!(first.tick(at(90_001))[0].payloads.len(), 1);
}
