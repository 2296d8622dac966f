//! A disk in memory that keeps what was synced apart from what was only written, and fails when it is
//! told to.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use rand::SeedableRng;
use rand::rngs::StdRng;
use redb::StorageBackend;
use sidenote::store::Disk;

use crate::survivor::{self, Survivor, Unsynced};

/// The system's numbers for: the medium failed, no space left, over quota.
pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;
pub(crate) const EDQUOT: i32 = 122;

/// The unit in which the file takes room, in bytes.
const PAGE: u64 = 4096;

/// Operations on the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    SetLen,
    Sync,
    /// Any but reads.
    Change,
}

/// What happens at a chosen operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// That operation and every later one fails.
    PowerLoss,
    /// That operation fails with the system's error of this number; later ones work. A failed sync has
    /// the system forget what it should have written, as Linux does: some of it is on the disk, reads
    /// show all of it, and the next sync answers that all is well.
    Error(i32),
}

/// The disk; clones are the same one.
#[derive(Clone)]
pub(crate) struct SimulatedDisk(Arc<Mutex<State>>);

struct State {
    durable: Vec<u8>,
    /// What reads show.
    seen: Vec<u8>,
    unsynced: Vec<Unsynced>,
    rng: StdRng,
    is_open: bool,
    /// What is to happen, one after the other.
    plan: VecDeque<(Kind, u64, Fault)>,
    /// Whether the plan came true.
    fired: bool,
    down: bool,
    /// Whether the operation at which the power was lost may have been done.
    in_doubt: bool,
    /// Operations that reached the disk since the plan came true.
    since: u64,
    counts: Counts,
    /// Of a hundred syncs, how many answer that all is well and do nothing.
    lies: u32,
    /// How much the file and the reserve can hold, in bytes.
    room: Option<u64>,
    pages: BTreeSet<u64>,
    reserve: u64,
    reserve_stands: bool,
}

/// Operations that succeeded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) set_lens: u64,
    pub(crate) syncs: u64,
}

impl SimulatedDisk {
    /// A disk whose file holds `image`.
    pub(crate) fn holding(image: Vec<u8>, seed: u64) -> Self {
        let empty = [0; PAGE as usize];
        let in_use =
            image.chunks(PAGE as usize).zip(0..).filter(|(page, _)| **page != empty[..page.len()]);
        let pages = in_use.map(|(_, at)| at).collect();
        Self(Arc::new(Mutex::new(State {
            seen: image.clone(),
            durable: image,
            unsynced: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
            is_open: false,
            plan: VecDeque::new(),
            fired: false,
            down: false,
            in_doubt: false,
            since: 0,
            counts: Counts::default(),
            lies: 0,
            room: None,
            pages,
            reserve: 0,
            reserve_stands: false,
        })))
    }

    /// Has `fault` happen at the `nth` operation of a kind from here on; the first is 1.
    pub(crate) fn plan(&self, kind: Kind, nth: u64, fault: Fault) {
        let mut state = self.state();
        state.plan = [(kind, nth, fault)].into();
        (state.fired, state.since) = (false, 0);
    }

    /// Has `fault` happen at the `nth` operation of a kind after what was planned before.
    pub(crate) fn then(&self, kind: Kind, nth: u64, fault: Fault) {
        self.state().plan.push_back((kind, nth, fault));
    }

    /// Of a hundred syncs, `lies` do nothing.
    pub(crate) fn lie(&self, lies: u32) {
        self.state().lies = lies;
    }

    /// Limits the room for the file and a reserve, in bytes. What is there stays.
    pub(crate) fn limit(&self, room: u64, reserve: u64) {
        let mut state = self.state();
        (state.room, state.reserve) = (Some(room), reserve);
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.state().room.is_some()
    }

    /// The room that the file takes, in bytes.
    pub(crate) fn used(&self) -> u64 {
        self.state().pages.len() as u64 * PAGE
    }

    /// Has it hold so many bytes more.
    pub(crate) fn grow(&self, bytes: u64) {
        let mut state = self.state();
        state.room = state.room.map(|room| room + bytes);
    }

    /// Sets the reserve's length where the room has no limit.
    pub(crate) fn with_reserve(self, reserve: u64) -> Self {
        self.state().reserve = reserve;
        self
    }

    pub(crate) fn has_reserve(&self) -> bool {
        self.state().reserve_stands
    }

    /// Overwrites what the file holds behind its first `from` bytes.
    pub(crate) fn damage(&self, from: usize) {
        let mut state = self.state();
        state.unsynced.clear();
        state.seen[from..].fill(0xff);
        state.durable = state.seen.clone();
    }

    /// The power is lost between two operations.
    pub(crate) fn lose_power(&self) {
        self.state().down = true;
    }

    pub(crate) fn is_down(&self) -> bool {
        self.state().down
    }

    /// Whether what was planned has happened.
    pub(crate) fn has_fired(&self) -> bool {
        self.state().fired
    }

    /// Whether something that was planned has not happened yet.
    pub(crate) fn has_more_planned(&self) -> bool {
        !self.state().plan.is_empty()
    }

    /// How many operations reached the disk after that.
    pub(crate) fn operations_since(&self) -> u64 {
        self.state().since
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state().counts
    }

    /// What a power loss at this moment leaves.
    pub(crate) fn survivor(&self, rng: &mut StdRng) -> Survivor {
        let state = self.state();
        survivor::survivor(&state.durable, &state.unsynced, rng)
    }

    /// What a process that starts anew reads once the system has dropped what it only remembers: what
    /// is written and not forgotten, and the disk.
    pub(crate) fn after_a_restart(&self) -> Vec<u8> {
        let state = self.state();
        let mut image = state.durable.clone();
        for change in &state.unsynced {
            survivor::apply(&mut image, change);
        }
        image
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Disk for SimulatedDisk {
    fn name(&self) -> String {
        "simulated.redb".to_owned()
    }

    fn open_file(&self) -> io::Result<Box<dyn StorageBackend>> {
        let mut state = self.state();
        if state.is_open {
            return Err(io::Error::other("opened twice at once"));
        }
        state.is_open = true;
        Ok(Box::new(File(self.clone())))
    }

    fn keep_reserve(&self) -> io::Result<bool> {
        let mut state = self.state();
        if state.reserve > 0 && !state.reserve_stands {
            let reserve = state.reserve;
            state.reserve_stands = state.has_free(reserve);
            return Ok(state.reserve_stands);
        }
        Ok(true)
    }

    fn give_up_reserve(&self) -> io::Result<bool> {
        Ok(std::mem::take(&mut self.state().reserve_stands))
    }
}

/// One opening of the file.
struct File(SimulatedDisk);

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("File")
    }
}

impl StorageBackend for File {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.0.state();
        state.begin(Kind::Read)?;
        Ok(state.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.0.state();
        state.begin(Kind::Read)?;
        let from = offset as usize;
        let read = state.seen.get(from..from + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(read);
        state.counts.reads += 1;
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.state();
        let change = Unsynced::SetLen(len);
        if let Err(error) = state.begin(Kind::SetLen) {
            state.in_doubt(change);
            return Err(error);
        }
        state.pages.split_off(&len.div_ceil(PAGE));
        state.take(change);
        state.counts.set_lens += 1;
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.state();
        if let Err(error) = state.begin(Kind::Write) {
            state.in_doubt(Unsynced::Write(offset, data.to_vec()));
            return Err(error);
        }
        assert!(offset as usize + data.len() <= state.seen.len(), "a write behind the end");
        // What fits is written, page by page.
        let mut fits = 0;
        for page in offset / PAGE..(offset + data.len() as u64).div_ceil(PAGE) {
            if !state.pages.contains(&page) {
                if !state.has_free(PAGE) {
                    break;
                }
                state.pages.insert(page);
            }
            fits = data.len().min(((page + 1) * PAGE - offset) as usize);
        }
        if fits > 0 {
            state.take(Unsynced::Write(offset, data[..fits].to_vec()));
        }
        if fits < data.len() {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        state.counts.writes += 1;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.state();
        state.begin(Kind::Sync)?;
        state.counts.syncs += 1;
        if state.lies > 0 && rand::Rng::random_range(&mut state.rng, 0..100) < state.lies {
            return Ok(());
        }
        for change in std::mem::take(&mut state.unsynced) {
            survivor::apply(&mut state.durable, &change);
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.0.state().is_open = false;
        Ok(())
    }
}

impl State {
    /// Whether the operation may go on, or fails as planned.
    fn begin(&mut self, kind: Kind) -> io::Result<()> {
        if self.down {
            return Err(io::Error::other("the power is gone"));
        }
        if self.fired {
            self.since += 1;
        }
        let Some((planned, nth, fault)) = self.plan.front_mut() else { return Ok(()) };
        if !(*planned == kind || (*planned == Kind::Change && kind != Kind::Read)) {
            return Ok(());
        }
        *nth -= 1;
        if *nth > 0 {
            return Ok(());
        }
        let fault = *fault;
        self.plan.pop_front();
        self.fired = true;
        match fault {
            Fault::PowerLoss => {
                (self.down, self.in_doubt) = (true, true);
                Err(io::Error::other("the power is lost"))
            }
            Fault::Error(number) => {
                if kind == Kind::Sync {
                    self.durable =
                        survivor::survivor(&self.durable, &self.unsynced, &mut self.rng).image;
                    self.unsynced.clear();
                }
                Err(io::Error::from_raw_os_error(number))
            }
        }
    }

    /// What was under way when the power was lost may have happened.
    fn in_doubt(&mut self, change: Unsynced) {
        if std::mem::take(&mut self.in_doubt) {
            self.unsynced.push(change);
        }
    }

    fn take(&mut self, change: Unsynced) {
        survivor::apply(&mut self.seen, &change);
        self.unsynced.push(change);
    }

    fn has_free(&self, bytes: u64) -> bool {
        let reserve = if self.reserve_stands { self.reserve } else { 0 };
        let used = self.pages.len() as u64 * PAGE + reserve;
        self.room.is_none_or(|room| used + bytes <= room)
    }
}
