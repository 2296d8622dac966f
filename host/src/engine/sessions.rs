//! Finding sessions of somebody, and what is stored of one: read from the rows for people who look.

use std::cmp::Reverse;

use crate::engine::core::rows::{Person, PersonRow, person_group, read, session_group};
use crate::engine::handle::Handle;
use crate::ids::{ProductId, SessionId, SessionKey};
use crate::session::state::Record;
use crate::store::{StoreError, Table};

/// Sessions of one person that are found at most, those that were found to be theirs last.
const MOST_FOUND: usize = 100;

impl Handle {
    /// What is stored of a session itself.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn stored(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        let rows = self.store.load(Table::Session, &[session_group(key)]).await?;
        let row = rows[0].iter().find(|(number, _)| *number == 0);
        Ok(row.and_then(|(number, value)| read(Table::Session, *number, value)))
    }

    /// The sessions of a product that a text names: the session of that id, and those of the user or the e-mail address,
    /// by the index of persons. The one that was active last comes first.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn find_sessions(
        &self,
        product: &ProductId,
        text: &str,
    ) -> Result<Vec<(SessionKey, Record)>, StoreError> {
        let mut keys = Vec::new();
        if let Ok(session) = SessionId::new(text) {
            keys.push(SessionKey { product: product.clone(), session });
        }
        let persons: Vec<_> = Person::of(Some(text), Some(text)).collect();
        let groups: Vec<_> = persons.iter().map(|it| person_group(product, it)).collect();
        let rows = self.store.load(Table::Person, &groups).await?;
        let rows = rows.iter().flatten();
        let mut rows: Vec<PersonRow> =
            rows.filter_map(|(n, value)| read(Table::Person, *n, value)).collect();
        rows.sort_by_key(|row| Reverse(row.since));
        for row in rows.into_iter().take(MOST_FOUND) {
            if !keys.contains(&row.key) {
                keys.push(row.key);
            }
        }
        let groups: Vec<_> = keys.iter().map(session_group).collect();
        let records = self.store.load(Table::Session, &groups).await?.into_iter().map(|rows| {
            let row = rows.into_iter().find(|(number, _)| *number == 0)?;
            read::<Record>(Table::Session, 0, &row.1)
        });
        let found = keys.into_iter().zip(records);
        let mut found: Vec<_> = found.filter_map(|(key, record)| Some((key, record?))).collect();
        found.sort_by_key(|(_, record)| Reverse(record.active_at));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock, Timestamp};
    use crate::engine::core::rows::put;
    use crate::engine::{Engine, Settings};
    use crate::outbox::note::{Call, Note, PostError, Posted};
    use crate::post::Post;
    use crate::store::{Change, MemoryStore, Store};

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

    struct NobodyPosts;

    #[async_trait::async_trait]
    impl Post for NobodyPosts {
        async fn post_note(&self, _: Call, _: &Note) -> Result<Posted, PostError> {
            Err(PostError::Unavailable { message: "there are none".to_owned() })
        }
    }

    fn key(session: &str) -> SessionKey {
        let (product, session) = (ProductId::new("p").unwrap(), SessionId::new(session).unwrap());
        SessionKey { product, session }
    }

    /// So many minutes later.
    fn at(minutes: u64) -> Timestamp {
        NOW + Duration::from_secs(60 * minutes)
    }

    async fn handle(changes: Vec<Change>) -> Handle {
        let store = Arc::new(MemoryStore::new());
        store.commit(changes.into()).await.unwrap();
        let settings = Settings::of_products([]);
        Engine::new(store, Arc::new(NobodyPosts), settings, Clock::starting_at(NOW)).0
    }

    #[tokio::test]
    async fn a_session_is_found_by_its_id_its_user_and_an_address_the_latest_first() {
        let product = ProductId::new("p").unwrap();
        let mut changes = Vec::new();
        for (n, session) in ["a", "b"].into_iter().enumerate() {
            let (user_id, email) = (Some("u".to_owned()), Some("Zoe@Example.com".to_owned()));
            for person in Person::of(user_id.as_deref(), email.as_deref()) {
                let row = PersonRow { key: key(session), since: NOW };
                let group = person_group(&product, &person);
                changes.push(put(Table::Person, group, n as u64, &row));
            }
            let active_at = at(n as u64);
            let record = Record { user_id, email, active_at, ..Record::default() };
            changes.push(put(Table::Session, session_group(&key(session)), 0, &record));
        }
        let handle = handle(changes).await;
        for (text, expected) in [
            ("a", &["a"][..]),
            ("u", &["b", "a"]),
            ("zoe@example.COM", &["b", "a"]),
            ("nobody", &[]),
            ("", &[]),
        ] {
            let found = handle.find_sessions(&product, text).await.unwrap();
            let found: Vec<_> = found.iter().map(|(key, _)| key.session.as_str()).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
