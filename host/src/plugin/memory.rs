//! The bound on an instance's memory and tables.

use wasmtime::ResourceLimiter;

/// Most elements of all tables together.
const MAX_TABLE_ELEMENTS: usize = 200_000;
/// A component made of linked modules (Python) has dozens of instances, memories are few.
const MAX_INSTANCES: usize = 512;
const MAX_TABLES: usize = 512;
const MAX_MEMORIES: usize = 32;

/// Counts over all memories of an instance: a component may have several.
pub(super) struct MemoryBound {
    limit: usize,
    used: usize,
    table_elements: usize,
    refused: bool,
}

impl MemoryBound {
    /// At most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, used: 0, table_elements: 0, refused: false }
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
        let used = self.used.saturating_add(desired.saturating_sub(current));
        let granted = used <= self.limit;
        if granted {
            self.used = used;
        } else {
            self.refused = true;
        }
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let elements = self.table_elements.saturating_add(desired.saturating_sub(current));
        let granted = elements <= MAX_TABLE_ELEMENTS;
        if granted {
            self.table_elements = elements;
        } else {
            self.refused = true;
        }
        Ok(granted)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_over_all_memories_together() {
        let mut bound = MemoryBound::new(100);
        assert!(bound.memory_growing(0, 60, None).unwrap());
        assert!(bound.memory_growing(0, 40, None).unwrap(), "a second memory");
        assert!(!bound.refused());
        assert!(!bound.memory_growing(60, 61, None).unwrap());
        assert!(bound.refused());
    }

    #[test]
    fn tables_are_bounded_too() {
        let mut bound = MemoryBound::new(0);
        assert!(bound.table_growing(0, MAX_TABLE_ELEMENTS, None).unwrap());
        assert!(!bound.table_growing(0, 1, None).unwrap());
        assert!(bound.refused());
    }
}
