//! Who is asked about at this moment, so that nobody is twice.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ids::PluginName;
use crate::plugin::PollSubject;

/// So many people are asked about at the same time.
const MOST: usize = 256;

/// The people who are asked about, of each source. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Subjects(Arc<Mutex<BTreeSet<Of>>>);

type Of = (PluginName, PollSubject);

/// Questions about one person that are under way, until it is dropped.
pub(super) struct Asking {
    subjects: Subjects,
    of: Of,
}

impl Subjects {
    /// Begins to ask about somebody; `None` where that is under way, or as many are asked about as may be.
    pub(super) fn begin(&self, source: &PluginName, subject: &PollSubject) -> Option<Asking> {
        let of = (source.clone(), subject.clone());
        let mut subjects = self.lock();
        if subjects.len() >= MOST || !subjects.insert(of.clone()) {
            return None;
        }
        drop(subjects);
        Some(Asking { subjects: self.clone(), of })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Of>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.subjects.lock().remove(&self.of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ProductId;

    fn subject(user: usize) -> PollSubject {
        PollSubject { product: ProductId::new("p").unwrap(), user: user.to_string() }
    }

    #[test]
    fn nobody_is_asked_about_twice_at_a_time_and_not_too_many_are() {
        let (subjects, source) = (Subjects::default(), PluginName::from("s"));
        let first = subjects.begin(&source, &subject(0)).unwrap();
        assert!(subjects.begin(&source, &subject(0)).is_none());
        let others: Vec<_> =
            (1..1000).filter_map(|user| subjects.begin(&source, &subject(user))).collect();
        assert_eq!(others.len(), MOST - 1);
        drop(first);
        assert!(subjects.begin(&source, &subject(0)).is_some());
    }
}
