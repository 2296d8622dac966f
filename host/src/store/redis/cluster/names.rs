//! What things are called on the server where several hosts share it. All keys of a partition have its tag, so that
//! they lie in one slot.

use sidenote_cluster::ids::{Member, Partition, Resource};
use sidenote_cluster::row::RowKey;

use super::super::keys::escape;

/// The names of one namespace.
#[derive(Clone)]
pub(super) struct Names {
    namespace: String,
}

impl Names {
    pub(super) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned() }
    }

    /// Who has it; ends by itself.
    pub(super) fn lease(&self, of: &Resource) -> String {
        format!("{}:{}:lease", self.namespace, of.tag())
    }

    /// Epoch, holder, commit number, offset, layout.
    pub(super) fn fence(&self, of: &Resource) -> String {
        format!("{}:{}:fence", self.namespace, of.tag())
    }

    /// What is added for a partition.
    pub(super) fn inbox(&self, of: Partition) -> String {
        self.of(of, "inbox")
    }

    /// The last number of each who added.
    pub(super) fn producers(&self, of: Partition) -> String {
        self.of(of, "producers")
    }

    /// The latest reader of each stream that added.
    pub(super) fn readers(&self, of: Partition) -> String {
        self.of(of, "readers")
    }

    /// The groups of a table that have rows.
    pub(super) fn index(&self, of: Partition, table: &str) -> String {
        self.of(of, &format!("index:{table}"))
    }

    /// The rows of a group.
    pub(super) fn rows(&self, of: Partition, key: &RowKey) -> String {
        let mut name = self.of(of, &format!("rows:{}:", key.table));
        escape(&mut name, &key.group.0);
        name.push('|');
        escape(&mut name, &key.group.1);
        name
    }

    /// What a host that waits is answered.
    pub(super) fn answers(&self, of: &Member) -> String {
        format!("{}:{{a:{of}}}:answers", self.namespace)
    }

    /// How the namespace is laid out.
    pub(super) fn layout(&self) -> String {
        format!("{}:fence", self.namespace)
    }

    /// When each host last said that it is there.
    pub(super) fn beats(&self) -> String {
        format!("{}:{{hosts}}:beats", self.namespace)
    }

    /// How each host goes on.
    pub(super) fn standings(&self) -> String {
        format!("{}:{{hosts}}:standings", self.namespace)
    }

    fn of(&self, of: Partition, what: &str) -> String {
        format!("{}:{}:{what}", self.namespace, Resource::Partition(of).tag())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_of_a_partition_have_its_tag_and_no_other_braces() {
        let (names, of) = (Names::new("sidenote"), Partition::new(7));
        let row = RowKey::new("outbox", "a}{b", "c|d", 1);
        let keys = [
            names.lease(&Resource::Partition(of)),
            names.fence(&Resource::Partition(of)),
            names.inbox(of),
            names.producers(of),
            names.readers(of),
            names.index(of, "outbox"),
            names.rows(of, &row),
        ];
        for key in &keys {
            let rest = key.strip_prefix("sidenote:{p007}:");
            assert!(rest.is_some_and(|rest| !rest.contains(['{', '}'])), "{key}");
        }
        assert_eq!(names.rows(of, &row), "sidenote:{p007}:rows:outbox:a%7D%7Bb|c%7Cd");
    }
}
