//! A stream as a host sees it: not read, read as the second reader, or read and added to inboxes.

use crate::call::{Acquire, Acquired, Add, Added, Call, Renewed, Standing};
use crate::ids::{CommitSeq, Epoch, Member, StreamId};
use crate::lease::{Asked, Kept, Lease};
use crate::node::Effect;
use crate::owner::Settings;
use crate::reader::Reader;
use crate::time::Moment;

#[derive(Debug)]
pub(super) struct Reading {
    stream: StreamId,
    pub(super) lease: Lease,
    reader: Option<Reader>,
    /// Since when the stream waits for a reader that has all.
    free_since: Option<Moment>,
    /// When another reader last said that it has all.
    next_seen: Option<Moment>,
    after: After,
    /// It reads no more, and ends once all is added.
    closes: bool,
    /// Since when it isn't to read any more. It goes on for a while: who comes in its place has nothing yet.
    unwanted: Option<Moment>,
}

/// What came after the stream was let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// It is another one's, or was never this one's.
    Another,
    /// Let go then. This reader stays until another one, once it has it, has added up to here.
    LetGo(Moment, Option<u64>),
    /// Let go then on a quiet stream, where nobody could find the mark. This reader stays for a lease, in case that
    /// something comes.
    Quiet(Moment),
}

/// How the host stands, for all its streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) standing: Standing,
    /// Whether this host is to read the stream.
    pub(super) wanted: bool,
    /// Whether there is no other host.
    pub(super) alone: bool,
}

impl Reading {
    pub(super) const fn new(stream: StreamId, lease: Lease) -> Self {
        Self {
            stream,
            lease,
            reader: None,
            free_since: None,
            next_seen: None,
            after: After::Another,
            closes: false,
            unwanted: None,
        }
    }

    pub(super) const fn reader(&self) -> Option<&Reader> {
        self.reader.as_ref()
    }

    pub(super) const fn reader_mut(&mut self) -> Option<&mut Reader> {
        self.reader.as_mut()
    }

    /// What is due: connecting, the lease, adds, disconnecting.
    pub(super) fn tick(
        &mut self,
        now: Moment,
        settings: &Settings,
        place: Place,
        is_gone: impl Fn(&Member) -> bool,
        effects: &mut Vec<Effect>,
    ) {
        if place.wanted && self.reader.is_none() {
            let reader = Reader::new(settings.times, settings.rules, self.stream.clone());
            self.reader = Some(reader);
            effects.push(Effect::Connect(self.stream.clone()));
        }
        self.lease.worked(now);
        if self.lease.epoch().is_some() {
            self.hands_over(now, settings, place, effects);
        } else {
            self.asks(now, settings, place, is_gone, effects);
        }
        let Some(reader) = &mut self.reader else { return };
        let renew = self.lease.renew(now, CommitSeq::default(), reader.mark());
        effects.extend(renew.map(|it| Effect::Call(Call::Renew(it))));
        effects.extend(self.lease.release(now).map(|it| Effect::Call(Call::Release(it))));
        effects.extend(reader.tick(now).into_iter().map(|it| Effect::Call(Call::Add(it))));
        self.leaves(now, settings, place, effects);
    }

    /// The stream is this reader's, and perhaps isn't to be any more.
    fn hands_over(
        &mut self,
        now: Moment,
        settings: &Settings,
        place: Place,
        effects: &mut Vec<Effect>,
    ) {
        let Some(reader) = &mut self.reader else { return };
        let times = settings.times;
        // Nobody comes after it: it reads no more, and adds what it has read.
        if place.standing == Standing::Draining && place.alone && !self.closes {
            self.closes = true;
            effects.push(Effect::Disconnect(self.stream.clone()));
        }
        let next = self.next_seen.is_some_and(|at| now < at + times.lease());
        reader.hand_over(!place.wanted && next && !self.closes);
        // On a quiet stream nobody can find the mark.
        let long = self.unwanted.is_some_and(|since| since + times.ring() <= now);
        let ends = self.closes && reader.is_in() || long && reader.is_quiet(now);
        if reader.is_handed_over() || ends {
            self.lease.let_go(now, reader.mark());
            reader.lost();
            self.next_seen = None;
            self.after = match (ends, self.closes) {
                (true, true) => After::Another,
                (true, false) => After::Quiet(now),
                (false, _) => After::LetGo(now, None),
            };
        }
    }

    /// The stream is another one's, or nobody's.
    fn asks(
        &mut self,
        now: Moment,
        settings: &Settings,
        place: Place,
        is_gone: impl Fn(&Member) -> bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(reader) = &self.reader else { return };
        let lease = settings.times.lease();
        // Whoever was ready is gone as well.
        let comes_back = match self.after {
            After::Another => false,
            After::LetGo(since, _) => since + lease / 4 <= now,
            After::Quiet(since) => since + lease / 4 <= now && reader.added() < reader.read(),
        };
        let from = if reader.is_ready() { None } else { reader.from() };
        if !place.wanted && !comes_back || !reader.is_ready() && from.is_none() {
            return;
        }
        // Who had all is gone as well: then some is better than none.
        let waited = self.free_since.is_some_and(|since| since + lease <= now);
        let acquire = self.lease.acquire(now, from, is_gone);
        let acquire = acquire.map(|it| Acquire { ready: it.ready || waited, ..it });
        effects.extend(acquire.map(|it| Effect::Call(Call::Acquire(it))));
    }

    /// It isn't to read any more, and nobody needs it for longer.
    fn leaves(
        &mut self,
        now: Moment,
        settings: &Settings,
        place: Place,
        effects: &mut Vec<Effect>,
    ) {
        let stays = match place.standing {
            Standing::Working => settings.times.ring(),
            Standing::Draining | Standing::Leaving => settings.times.lease(),
        };
        self.unwanted = (!place.wanted).then(|| self.unwanted.unwrap_or(now));
        let long = self.unwanted.is_some_and(|since| since + stays <= now);
        let has_all = self.reader.as_ref().is_none_or(|it| it.added() >= it.read());
        let is_over = match self.after {
            After::Another => true,
            After::LetGo(..) => false,
            After::Quiet(since) => since + settings.times.lease() <= now && has_all,
        };
        if (self.closes || long) && self.lease.is_free() && is_over {
            self.after = After::Another;
            (self.reader, self.free_since, self.unwanted) = (None, None, None);
            if !std::mem::take(&mut self.closes) {
                effects.push(Effect::Disconnect(self.stream.clone()));
            }
        }
    }

    /// The lease was asked for.
    pub(super) fn asked(
        &mut self,
        now: Moment,
        answer: Option<Acquired>,
        effects: &mut Vec<Effect>,
    ) {
        let is_held = matches!(answer, Some(Acquired::Held { .. }));
        match &answer {
            None => {}
            Some(Acquired::Free { .. }) => {
                self.free_since.get_or_insert(now);
            }
            Some(
                Acquired::Ours { .. }
                | Acquired::Held { .. }
                | Acquired::Expired { .. }
                | Acquired::Moved { .. }
                | Acquired::Layout { .. },
            ) => self.free_since = None,
        }
        match (self.lease.acquired(now, answer), &mut self.reader) {
            (Asked::Ours { epoch, mark, .. }, Some(reader)) => {
                self.after = After::Another;
                reader.acquired(now, epoch, mark);
            }
            (Asked::Ours { mark, .. }, None) => self.lease.let_go(now, mark),
            (Asked::NotYet(mark), Some(reader)) => {
                reader.told(mark);
                let let_go = match self.after {
                    After::LetGo(since, to) if is_held => Some((since, to)),
                    After::Quiet(since) if is_held => Some((since, None)),
                    After::Another | After::LetGo(..) | After::Quiet(_) => None,
                };
                if let Some((since, to)) = let_go {
                    let to = to.unwrap_or(reader.read());
                    let goes_on = reader.added() < to;
                    self.after =
                        if goes_on { After::LetGo(since, Some(to)) } else { After::Another };
                }
            }
            (Asked::NotYet(_), None) => {}
            (Asked::Layout { layout, partitions }, _) => {
                effects.push(Effect::Layout(layout, partitions));
            }
        }
    }

    /// A renewal of `epoch` was answered, or wasn't.
    pub(super) fn kept(&mut self, now: Moment, epoch: Epoch, answer: Option<Renewed>) {
        match self.lease.renewed(now, epoch, answer) {
            Kept::Unknown | Kept::Ours { next: None, .. } => {}
            Kept::Ours { next: Some(_), .. } => self.next_seen = Some(now),
            Kept::Lost(_) => {
                if let Some(reader) = &mut self.reader {
                    reader.lost();
                }
            }
        }
    }

    /// An add was answered, or wasn't.
    pub(super) fn added(&mut self, now: Moment, add: &Add, answer: Option<Added>) {
        let Some(reader) = &mut self.reader else { return };
        if reader.answered(now, add, answer).is_some() {
            reader.lost();
            self.lease.lost(now);
        }
    }
}
