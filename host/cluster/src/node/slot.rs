//! A partition as a host sees it: away, being loaded, or owned.

use crate::call::{Acquired, Call, Commit, Committed, Entry, Load, Loaded, Read, Renewed};
use crate::ids::{CommitSeq, Epoch, Member, Partition};
use crate::lease::{Asked, Kept, Lease, Loss};
use crate::node::Effect;
use crate::owner::{Owner, Settings, Stored, Work};
use crate::rules::Rule;
use crate::time::Moment;

#[derive(Debug)]
pub(super) struct Slot<W> {
    partition: Partition,
    pub(super) lease: Lease,
    stage: Stage<W>,
    /// What a test loads too early, without the rule against it.
    early: Option<Loaded>,
}

#[derive(Debug)]
enum Stage<W> {
    Away,
    Loading { epoch: Epoch, asked: bool, ask_at: Moment },
    Owned(Box<Owner<W>>),
}

impl<W: Work> Slot<W> {
    pub(super) const fn new(partition: Partition, lease: Lease) -> Self {
        Self { partition, lease, stage: Stage::Away, early: None }
    }

    pub(super) fn owner(&self) -> Option<&Owner<W>> {
        match &self.stage {
            Stage::Owned(owner) => Some(owner),
            Stage::Away | Stage::Loading { .. } => None,
        }
    }

    pub(super) fn owner_mut(&mut self) -> Option<&mut Owner<W>> {
        match &mut self.stage {
            Stage::Owned(owner) => Some(owner),
            Stage::Away | Stage::Loading { .. } => None,
        }
    }

    /// Whether this host has nothing of it, and the server knows.
    pub(super) fn is_away(&self) -> bool {
        matches!(self.stage, Stage::Away) && self.lease.is_free()
    }

    /// Lets it go, where nothing is on its way that is to be stored. Whether it did.
    pub(super) fn let_go(&mut self, now: Moment, effects: &mut Vec<Effect>) -> bool {
        let quiet = self.owner().is_none_or(Owner::is_quiet);
        if !quiet || self.lease.epoch().is_none() {
            return false;
        }
        self.lease.let_go(now, None);
        if let Stage::Owned(_) = std::mem::replace(&mut self.stage, Stage::Away) {
            effects.push(Effect::Lost(self.partition, None));
        }
        true
    }

    /// What is due: the lease, and loading.
    pub(super) fn tick(
        &mut self,
        now: Moment,
        wanted: bool,
        is_gone: impl Fn(&Member) -> bool,
        effects: &mut Vec<Effect>,
    ) {
        let acknowledged = self.owner().map_or(CommitSeq::default(), Owner::acknowledged);
        let acquire = if wanted { self.lease.acquire(now, None, is_gone) } else { None };
        effects.extend(acquire.map(|it| Effect::Call(Call::Acquire(it))));
        let renew = self.lease.renew(now, acknowledged, None);
        effects.extend(renew.map(|it| Effect::Call(Call::Renew(it))));
        effects.extend(self.lease.release(now).map(|it| Effect::Call(Call::Release(it))));
        if let Stage::Loading { epoch, asked, ask_at } = &mut self.stage
            && !*asked
            && now >= *ask_at
        {
            *asked = true;
            self.lease.worked(now);
            let load = Load { partition: self.partition, epoch: *epoch };
            effects.push(Effect::Call(Call::Load(load)));
        }
    }

    /// The lease was asked for. Rows that were loaded too early are what a test without the rule goes on with.
    pub(super) fn asked(
        &mut self,
        now: Moment,
        settings: &Settings,
        answer: Option<Acquired>,
        effects: &mut Vec<Effect>,
    ) -> Option<(Epoch, Loaded)> {
        match self.lease.acquired(now, answer) {
            Asked::Ours { epoch, .. } => {
                if let Some(loaded) = self.early.take() {
                    return Some((epoch, loaded));
                }
                self.stage = Stage::Loading { epoch, asked: false, ask_at: now };
            }
            Asked::NotYet(_) if settings.rules.holds(Rule::LoadAfterAcquire) => {}
            Asked::NotYet(_) => {
                let load = Load { partition: self.partition, epoch: Epoch::default() };
                effects.push(Effect::Call(Call::Load(load)));
            }
            Asked::Layout { layout, partitions } => {
                effects.push(Effect::Layout(layout, partitions));
            }
        }
        None
    }

    /// It was loaded, or wasn't. What the owner begins with, where it was and is still to be.
    pub(super) fn loaded(
        &mut self,
        now: Moment,
        settings: &Settings,
        load: &Load,
        answer: Option<Loaded>,
    ) -> Option<(Epoch, Loaded)> {
        if load.epoch == Epoch::default() && !settings.rules.holds(Rule::LoadAfterAcquire) {
            self.early = answer;
            return None;
        }
        let Stage::Loading { epoch, asked, ask_at } = &mut self.stage else { return None };
        if *epoch != load.epoch {
            return None;
        }
        if answer.is_none() {
            (*asked, *ask_at) = (false, now + settings.times.retry());
        }
        answer.map(|loaded| (load.epoch, loaded))
    }

    pub(super) fn owns(&mut self, owner: Owner<W>, effects: &mut Vec<Effect>) {
        effects.push(Effect::Owned(self.partition, owner.epoch()));
        self.stage = Stage::Owned(Box::new(owner));
    }

    /// A renewal of `epoch` was answered, or wasn't.
    pub(super) fn kept(
        &mut self,
        now: Moment,
        epoch: Epoch,
        answer: Option<Renewed>,
        effects: &mut Vec<Effect>,
    ) {
        match self.lease.renewed(now, epoch, answer) {
            Kept::Unknown => {}
            Kept::Ours { end, .. } => {
                if let Some(owner) = self.owner_mut() {
                    owner.rung(end);
                }
            }
            Kept::Lost(loss) => self.lost(now, loss, effects),
        }
    }

    /// A commit was answered, or wasn't.
    pub(super) fn committed(
        &mut self,
        now: Moment,
        commit: &Commit,
        answer: Option<Committed>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(owner) = self.owner_mut() else { return };
        match owner.committed(now, commit, answer) {
            Stored::Unknown => {}
            Stored::Done(sent) => self.lease.prolonged(commit.epoch, sent),
            Stored::Lost(loss) => self.lost(now, loss, effects),
        }
    }

    /// The inbox was read, or wasn't.
    pub(super) fn read(
        &mut self,
        now: Moment,
        read: &Read,
        answer: Option<Vec<Entry>>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(owner) = self.owner_mut() else { return };
        let epoch = owner.epoch();
        if !owner.read(now, read, answer) {
            self.lost(now, Loss::ServerLost(epoch), effects);
        }
    }

    fn lost(&mut self, now: Moment, loss: Loss, effects: &mut Vec<Effect>) {
        self.lease.lost(now);
        self.stage = Stage::Away;
        effects.push(Effect::Lost(self.partition, Some(loss)));
    }
}
