//! The handles that a guest holds: what its WASI and `wasi:http` objects are in the host.

use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::p2::DynPollable;

use crate::config::PluginLimits;

/// The least piece in which the runtime of a language reads a response: JavaScript's, in the component
/// that it is built into. It takes a handle to wait by for every one of them, and gives none back.
const PIECE_BYTES: usize = 4 << 10;
/// Responses of the largest size that a call may read that way.
const RESPONSES: usize = 4;

/// A guest's handles, bounded. Those to wait by are counted apart: they are small, where a request or a
/// response may hold as much as its headers may have, and a response of the size that is allowed must be
/// readable whatever the guest is written in.
pub(super) struct Handles {
    table: ResourceTable,
    most: usize,
    most_to_wait_by: usize,
    /// What takes the free places while the guest holds as many handles as it may.
    blocks: Vec<Resource<Block>>,
}

struct Block;

impl Handles {
    /// An empty table within a plugin's limits.
    pub(super) fn new(limits: &PluginLimits) -> Self {
        let pieces = limits.max_response_bytes.div_ceil(PIECE_BYTES);
        Self {
            table: ResourceTable::new(),
            most: limits.handles,
            most_to_wait_by: pieces.saturating_mul(RESPONSES),
            blocks: Vec::new(),
        }
    }

    /// The table for one call of the host, with capacity for what the guest may have.
    pub(super) fn table(&mut self) -> &mut ResourceTable {
        let full = self.entries().filter(|kind| *kind == Kind::Counted).count() >= self.most;
        if full {
            // A place that became free would be used again whatever the capacity is.
            self.table.set_max_capacity(0);
            while let Ok(block) = self.table.push(Block) {
                self.blocks.push(block);
            }
        } else {
            for block in self.blocks.drain(..) {
                self.table.delete(block).expect("nobody else has it");
            }
            self.table.set_max_capacity(self.most.saturating_add(self.most_to_wait_by));
        }
        &mut self.table
    }

    /// How many the guest holds, of all kinds.
    pub(super) fn held(&mut self) -> usize {
        self.entries().filter(|kind| *kind != Kind::Block).count()
    }

    fn entries(&mut self) -> impl Iterator<Item = Kind> {
        self.table.iter_mut().map(|entry| {
            if entry.is::<DynPollable>() {
                Kind::ToWaitBy
            } else if entry.is::<Block>() {
                Kind::Block
            } else {
                Kind::Counted
            }
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counted,
    ToWaitBy,
    Block,
}

#[cfg(test)]
mod tests {
    use wasmtime_wasi::p2::{Pollable, subscribe};

    use super::*;

    struct Stream;

    #[wasmtime_wasi::async_trait]
    impl Pollable for Stream {
        async fn ready(&mut self) {}
    }

    fn handles() -> Handles {
        let limits = PluginLimits { handles: 3, max_response_bytes: 1, ..PluginLimits::default() };
        Handles::new(&limits)
    }

    #[test]
    fn handles_to_wait_by_take_no_capacity_from_the_others() {
        let mut handles = handles();
        let stream = handles.table().push(Stream).unwrap();
        let mut waits: Vec<_> = (0..RESPONSES)
            .map(|_| {
                subscribe(handles.table(), Resource::<Stream>::new_borrow(stream.rep())).unwrap()
            })
            .collect();
        let second = handles.table().push(Stream).unwrap();
        let third = handles.table().push(Stream).unwrap();
        assert!(handles.table().push(Stream).is_err(), "three are held");
        assert_eq!(handles.held(), 3 + RESPONSES);
        // Nor are those that were given back capacity for others.
        handles.table().delete(waits.pop().unwrap()).unwrap();
        assert!(handles.table().push(Stream).is_err());
        handles.table().delete(second).unwrap();
        let again = handles.table().push(Stream).unwrap();
        assert!(handles.table().push(Stream).is_err());
        for stream in [again, third] {
            handles.table().delete(stream).unwrap();
        }
        assert_eq!(handles.held(), 1 + RESPONSES - 1);
    }

    #[test]
    fn handles_to_wait_by_are_bounded_too() {
        let mut handles = handles();
        let stream = handles.table().push(Stream).unwrap();
        let wait = |handles: &mut Handles| {
            subscribe(handles.table(), Resource::<Stream>::new_borrow(stream.rep()))
        };
        let held = (0..1000).take_while(|_| wait(&mut handles).is_ok()).count();
        assert!(held <= 3 + RESPONSES, "{held}");
    }
}
