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
    refused: bool,
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

    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        let granted = used <= self.limit;
        if granted {
            self.used = used;
        }
        granted
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
            refused: false,
        }
    }

    /// Bytes of all memories together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.used
    }

    /// Whether more was ever asked for: guests answer to that with a trap of their own, which can't be
    /// told from any other.
    pub(super) fn refused(&self) -> bool {
        self.refused
    }
}

impl ResourceLimiter for MemoryBound {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = self.bytes.grow(current, desired);
        self.refused |= !granted;
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = self.table_elements.grow(current, desired);
        self.refused |= !granted;
        Ok(granted)
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
        assert!(!bound.refused());
        assert!(!bound.memory_growing(60, 61, None).unwrap());
        assert!(bound.refused());
    }

    #[test]
    fn tables_are_bounded_too() {
        let mut bound = bound(0, 10);
        assert!(bound.table_growing(0, 10, None).unwrap());
        assert!(!bound.table_growing(0, 1, None).unwrap());
        assert!(bound.refused());
    }
}
