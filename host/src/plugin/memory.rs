//! The bound on an instance's memory and tables.

use wasmtime::ResourceLimiter;

use crate::config::PluginLimits;

/// Counts over all memories and tables of an instance: a component may have several.
pub(super) struct MemoryBound {
    bytes: Amount,
    table_elements: Amount,
    memories: usize,
    tables: usize,
    core_instances: usize,
    refused: Option<Refused>,
}

/// What an instance wanted more of than it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Memory.
    Memory {
        /// All of it together, in bytes.
        wanted: usize,
    },
    /// Elements of tables.
    Elements {
        /// All of them together.
        wanted: usize,
    },
}

/// How much of something is used, and how much may be.
struct Amount {
    used: usize,
    limit: usize,
}

impl Amount {
    fn new(limit: usize) -> Self {
        Self { used: 0, limit }
    }

    /// Takes more of it; the error is how much that would be in all.
    fn grow(&mut self, current: usize, desired: usize) -> Result<(), usize> {
        let wanted = self.used.saturating_add(desired.saturating_sub(current));
        if wanted > self.limit {
            return Err(wanted);
        }
        self.used = wanted;
        Ok(())
    }
}

impl MemoryBound {
    /// A bound with nothing used.
    pub(super) fn new(limits: &PluginLimits) -> Self {
        Self {
            bytes: Amount::new(limits.memory_bytes),
            table_elements: Amount::new(limits.table_elements),
            memories: limits.memories,
            tables: limits.tables,
            core_instances: limits.core_instances,
            refused: None,
        }
    }

    /// Bytes of all memories together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.used
    }

    /// What was last asked for and refused: guests answer to that with a trap of their own, which can't be told from
    /// any other.
    pub(super) fn refused(&self) -> Option<Refused> {
        self.refused
    }

    fn granted(&mut self, refused: Option<Refused>) -> bool {
        self.refused = refused.or(self.refused);
        refused.is_none()
    }
}

impl ResourceLimiter for MemoryBound {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grown = self.bytes.grow(current, desired);
        Ok(self.granted(grown.err().map(|wanted| Refused::Memory { wanted })))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grown = self.table_elements.grow(current, desired);
        Ok(self.granted(grown.err().map(|wanted| Refused::Elements { wanted })))
    }

    fn instances(&self) -> usize {
        self.core_instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(memory_bytes: usize, table_elements: usize) -> MemoryBound {
        MemoryBound::new(&PluginLimits { memory_bytes, table_elements, ..Default::default() })
    }

    #[test]
    fn the_bound_is_over_all_memories_together() {
        let mut bound = bound(100, 0);
        assert!(bound.memory_growing(0, 60, None).unwrap());
        assert!(bound.memory_growing(0, 40, None).unwrap(), "a second memory");
        assert_eq!(bound.refused(), None);
        assert!(!bound.memory_growing(60, 61, None).unwrap());
        assert_eq!(bound.refused(), Some(Refused::Memory { wanted: 101 }));
    }

    #[test]
    fn tables_are_bounded_too() {
        let mut bound = bound(0, 10);
        assert!(bound.table_growing(0, 10, None).unwrap());
        assert!(!bound.table_growing(0, 1, None).unwrap());
        assert_eq!(bound.refused(), Some(Refused::Elements { wanted: 11 }));
    }
}
