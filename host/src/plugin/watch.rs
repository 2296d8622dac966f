//! Which files of the plugins folder changed and have come to rest: pure.
//!
//! The folder is looked at, again and again, by name, size, times and inode. That works on every file
//! system, network ones and those of containers included, where events of the system don't.

use std::collections::BTreeMap;

use super::source::Stamp;

/// A file has come to rest when so many looks in a row found it as the one before.
const QUIET_LOOKS: u8 = 2;

/// What the last looks found.
pub(crate) struct Watch(BTreeMap<String, Seen>);

enum Seen {
    /// Was loaded as it was.
    Settled(Stamp),
    /// Is changing, or was until a moment ago.
    Changing { stamp: Stamp, quiet: u8 },
}

/// What a look finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A file is there that wasn't, or another content is.
    Seen(String),
    /// A file that changed has come to rest.
    AtRest(String),
    /// A file isn't there any more.
    Gone(String),
}

impl Watch {
    /// Files that were loaded as they were at this look.
    pub(crate) fn new(settled: BTreeMap<String, Stamp>) -> Self {
        let settled = settled.into_iter().map(|(name, stamp)| (name, Seen::Settled(stamp)));
        Self(settled.collect())
    }

    /// Takes a look at the folder.
    pub(crate) fn look(&mut self, files: BTreeMap<String, Stamp>) -> Vec<Change> {
        let gone: Vec<_> =
            self.0.keys().filter(|name| !files.contains_key(*name)).cloned().collect();
        let mut changes = Vec::new();
        for name in gone {
            self.0.remove(&name);
            changes.push(Change::Gone(name));
        }
        for (name, stamp) in files {
            let (seen, change) = match self.0.remove(&name) {
                Some(Seen::Settled(old)) if old == stamp => (Seen::Settled(old), None),
                Some(Seen::Changing { stamp: old, quiet }) if old == stamp => {
                    if quiet + 1 >= QUIET_LOOKS {
                        (Seen::Settled(stamp), Some(Change::AtRest(name.clone())))
                    } else {
                        (Seen::Changing { stamp, quiet: quiet + 1 }, None)
                    }
                }
                Some(Seen::Changing { .. }) => (Seen::Changing { stamp, quiet: 0 }, None),
                Some(Seen::Settled(_)) | None => {
                    (Seen::Changing { stamp, quiet: 0 }, Some(Change::Seen(name.clone())))
                }
            };
            self.0.insert(name, seen);
            changes.extend(change);
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(bytes: u64) -> Stamp {
        Stamp { bytes, modified: (1, 0), changed: (1, 0), inode: 1 }
    }

    fn files(files: &[(&str, u64)]) -> BTreeMap<String, Stamp> {
        files.iter().map(|(name, bytes)| ((*name).to_owned(), stamp(*bytes))).collect()
    }

    fn seen(name: &str) -> Change {
        Change::Seen(name.to_owned())
    }

    fn at_rest(name: &str) -> Change {
        Change::AtRest(name.to_owned())
    }

    #[test]
    fn a_file_is_at_rest_after_two_looks_that_find_it_the_same() {
        let mut watch = Watch::new(files(&[("a", 1)]));
        assert_eq!(watch.look(files(&[("a", 1)])), []);
        assert_eq!(watch.look(files(&[("a", 2)])), [seen("a")]);
        assert_eq!(watch.look(files(&[("a", 2)])), []);
        assert_eq!(watch.look(files(&[("a", 2)])), [at_rest("a")]);
        assert_eq!(watch.look(files(&[("a", 2)])), []);
    }

    #[test]
    fn a_file_that_grows_is_waited_for() {
        let mut watch = Watch::new(files(&[]));
        assert_eq!(watch.look(files(&[("a", 1)])), [seen("a")]);
        for bytes in 2..20 {
            assert_eq!(watch.look(files(&[("a", bytes)])), []);
            assert_eq!(watch.look(files(&[("a", bytes)])), []);
        }
        assert_eq!(watch.look(files(&[("a", 19)])), [at_rest("a")]);
    }

    #[test]
    fn a_change_of_anything_but_the_size_is_one_too() {
        let base = stamp(1);
        let others = [
            Stamp { inode: 2, ..base },
            Stamp { modified: (1, 1), ..base },
            Stamp { changed: (2, 0), ..base },
        ];
        for other in others {
            let mut watch = Watch::new([("a".to_owned(), base)].into());
            assert_eq!(watch.look([("a".to_owned(), other)].into()), [seen("a")], "{other:?}");
        }
    }

    #[test]
    fn a_file_that_is_gone_is_told_once_and_is_new_when_it_comes_back() {
        let mut watch = Watch::new(files(&[("a", 1), ("b", 1)]));
        assert_eq!(watch.look(files(&[("b", 1)])), [Change::Gone("a".to_owned())]);
        assert_eq!(watch.look(files(&[("b", 1)])), []);
        assert_eq!(watch.look(files(&[("a", 1), ("b", 1)])), [seen("a")]);
    }
}
