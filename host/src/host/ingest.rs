//! What a connector pushes, on its way into the engine.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::Secret;
use crate::engine::Handle;
use crate::http::{PushAnswer, PushRequest};
use crate::ids::ProductId;
use crate::session::payload::Payload;
use crate::stream::push::{Admitted, Fresh, PushError, WebhookVerifier};
use crate::telemetry::Refusals;

/// Pushed events that are being accepted at the same time; a connector sends few at once.
const TOGETHER: usize = 256;
/// How long a commit is waited for. A connector waits no longer soon after.
const PATIENCE: Duration = Duration::from_secs(5);
/// When a connector shall send an event again that could not be accepted.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Accepts pushed events.
pub(super) struct IngestService {
    engine: Handle,
    /// Swapped when products or their secrets change.
    verifier: RwLock<WebhookVerifier>,
    clock: Clock,
    /// Events that are being accepted: that goes on when their sender doesn't wait for it.
    under_way: TaskTracker,
    permits: Arc<Semaphore>,
    refusals: Arc<Refusals>,
}

impl IngestService {
    pub(super) fn new(engine: Handle, verifier: WebhookVerifier, clock: Clock) -> Self {
        let (under_way, permits) = (TaskTracker::new(), Arc::new(Semaphore::new(TOGETHER)));
        let (verifier, refusals) = (RwLock::new(verifier), Arc::default());
        Self { engine, verifier, clock, under_way, permits, refusals }
    }

    /// What was refused lately, of every way in.
    pub(super) fn refusals(&self) -> &Arc<Refusals> {
        &self.refusals
    }

    /// Whether an event for a product is refused whatever it holds.
    pub(super) fn refuses(&self, product: &str, signed: bool) -> Option<PushAnswer> {
        let known = ProductId::new(product).is_ok_and(|product| self.verifier().accepts(&product));
        let error = match (known, signed) {
            (false, _) => PushError::NoProduct,
            (true, false) => PushError::Signature,
            (true, true) => return None,
        };
        Some(self.refused(known.then_some(product), error))
    }

    /// Accepts events of these products from here on. What was accepted stays known.
    pub(super) fn change_secrets(&self, secrets: BTreeMap<ProductId, Secret>) {
        let next = self.verifier().with_secrets(secrets);
        *self.verifier.write().unwrap_or_else(PoisonError::into_inner) = next;
    }

    fn verifier(&self) -> WebhookVerifier {
        self.verifier.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The engine that the events go into.
    pub(super) fn engine(&self) -> &Handle {
        &self.engine
    }

    /// Accepts an event; returns after the commit, or when that takes too long.
    pub(super) async fn accept(&self, push: PushRequest) -> PushAnswer {
        let counters = self.engine.counters();
        let PushRequest { product, signatures, body } = push;
        let admitted = self.verifier().admit(&product, &signatures, &body, self.clock.now());
        match admitted.and_then(|admitted| self.of_a_session(admitted)) {
            Ok(Admitted::Fresh(fresh)) => self.commit(*fresh).await,
            Ok(Admitted::Repeat) => {
                counters.pushes_repeated.add(1);
                PushAnswer::Repeat
            }
            Ok(Admitted::UnderWay) => unavailable(),
            Err(error) => {
                let known = error != PushError::NoProduct;
                self.refused(known.then_some(&product), error)
            }
        }
    }

    /// Refuses an event whose session is named by a value that names none.
    fn of_a_session(&self, admitted: Admitted) -> Result<Admitted, PushError> {
        let Admitted::Fresh(fresh) = &admitted else { return Ok(admitted) };
        let session = match &fresh.payload {
            Payload::Actions(batch) => &batch.session_id,
            Payload::Summary(summary) => &summary.session_id,
        };
        if session.as_deref().is_some_and(|id| !self.engine.names_session(id)) {
            self.engine.counters().nobody_ids.add(1);
            return Err(PushError::NoSession);
        }
        Ok(admitted)
    }

    /// Counts a refusal, and tells of it. Where it may be anyone's, nothing of it is logged but the product
    /// that it was for, and only where that is one of ours.
    fn refused(&self, product: Option<&str>, error: PushError) -> PushAnswer {
        let counters = self.engine.counters();
        match error {
            PushError::NoProduct | PushError::Signature => counters.pushes_refused.add(1),
            PushError::NotText
            | PushError::Payload(_)
            | PushError::OtherProduct
            | PushError::NoSession
            | PushError::NoSummary => counters.pushes_unusable.add(1),
        }
        let product = product.unwrap_or_default();
        self.refusals.say("push", product, error.kind(), || tracing::warn!(product, "{error}"));
        PushAnswer::Refused(error)
    }

    async fn commit(&self, fresh: Fresh) -> PushAnswer {
        // A full disk is known of, and a store that refuses: nobody waits for it.
        let serves = self.engine.store_state().accepts();
        let permit = self.permits.clone().try_acquire_owned().ok();
        let Some(permit) = permit.filter(|_| serves) else { return unavailable() };
        let Fresh { payload, bytes, dropped_actions, claim } = fresh;
        let (told, committed) = oneshot::channel();
        let (engine, clock) = (self.engine.clone(), self.clock);
        self.under_way.spawn(async move {
            let accepted = engine.accept_through(payload, bytes, claim.number()).await;
            if accepted == Ok(true) {
                engine.counters().pushes_accepted.add(1);
                engine.counters().pushed_actions_dropped.add(dropped_actions as u64);
                claim.keep(clock.now());
            }
            drop(permit);
            if told.send(accepted).is_err() {
                tracing::debug!("push: an event's sender didn't wait for its commit");
            }
        });
        match timeout(PATIENCE, committed).await {
            Ok(Ok(Ok(true))) => {
                if dropped_actions > 0 {
                    tracing::warn!(
                        dropped_actions,
                        "push: left unusable actions out of their batch"
                    );
                }
                PushAnswer::Accepted { dropped_actions }
            }
            // Checked when it was admitted: its product isn't served any more.
            Ok(Ok(Ok(false))) => PushAnswer::Refused(PushError::NoProduct),
            Ok(Ok(Err(_)) | Err(_)) | Err(_) => unavailable(),
        }
    }
}

fn unavailable() -> PushAnswer {
    PushAnswer::Unavailable { retry_after: RETRY_AFTER }
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, Mac};
    use sha2::Sha256;

    use super::*;
    use crate::config::{Delivery, Product};
    use crate::engine::{Engine, Settings};
    use crate::outbox::note::{Call, Note, PostError, Posted};
    use crate::post::Post;
    use crate::store::{Change, Group, Key, MemoryStore, Rows, Store, StoreError, Table};

    struct NoPlatform;

    #[async_trait::async_trait]
    impl Post for NoPlatform {
        async fn post_note(&self, _: Call, _: &Note) -> Result<Posted, PostError> {
            panic!("nothing is linked, so nothing is posted")
        }
    }

    /// A disk without room.
    struct FullDisk(MemoryStore);

    #[async_trait::async_trait]
    impl Store for FullDisk {
        async fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<Rows>, StoreError> {
            self.0.load(table, groups).await
        }

        async fn scan(
            &self,
            table: Table,
            after: Option<Key>,
            limit: usize,
        ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
            self.0.scan(table, after, limit).await
        }

        async fn commit(&self, _: Arc<[Change]>) -> Result<(), StoreError> {
            Err(StoreError::Full("no space".to_owned()))
        }
    }

    /// An ingest and the engine behind it, which doesn't run yet.
    fn ingest() -> (IngestService, Engine) {
        ingest_into(Arc::new(MemoryStore::new()))
    }

    fn ingest_into(store: Arc<dyn Store>) -> (IngestService, Engine) {
        let clock = Clock::system();
        let product = ProductId::new("p").expect("an id");
        let served = Product::of(vec!["bot".into()], Delivery::default());
        let settings = Settings::of_products([(product.clone(), served)]);
        let (engine, service) = Engine::new(store, Arc::new(NoPlatform), settings, clock);
        let verifier = WebhookVerifier::new(BTreeMap::from([(product, Secret::new("key"))]));
        (IngestService::new(engine, verifier, clock), service)
    }

    fn push(kind: &str, content: &str) -> PushRequest {
        let body = format!(
            r#"{{"type":"{kind}","product_id":"p","session_id":"s","forwarded_at":1.5,{content}}}"#
        );
        let mac = Hmac::<Sha256>::new_from_slice(b"key").expect("a key");
        let signed = hex::encode(mac.chain_update(&body).finalize().into_bytes());
        let signatures = vec![format!("sha256={signed}").into_bytes()];
        PushRequest { product: "p".to_owned(), signatures, body: body.into() }
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_whose_commit_takes_too_long_is_accepted_once_whoever_waits() {
        let (ingest, service) = ingest();
        let event = push("actions", r#""actions":[{"title":"a"},7]"#);
        assert_eq!(ingest.accept(event.clone()).await, unavailable());
        assert_eq!(ingest.accept(event.clone()).await, unavailable(), "it is under way");
        let counters = ingest.engine.counters();
        assert_eq!(counters.pushes_accepted.get(), 0);
        let summary = push("summary", r#""summary":"s","replaces":1"#);

        let engine = ingest.engine.clone();
        let asked = async {
            assert_eq!(ingest.accept(summary).await, PushAnswer::Accepted { dropped_actions: 0 });
            assert_eq!(ingest.accept(event).await, PushAnswer::Repeat);
            engine.drain().await;
        };
        let (ended, ()) = tokio::join!(service.run(), asked);
        ended.expect("the engine drains");
        assert_eq!((counters.pushes_accepted.get(), counters.pushes_repeated.get()), (2, 1));
        assert_eq!(
            (counters.actions_accepted.get(), counters.pushed_actions_dropped.get()),
            (1, 1)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_disk_is_full_or_too_many_wait_a_connector_is_told_at_once() {
        let event = push("actions", r#""actions":[{"title":"a"}]"#);
        let (full, service) = ingest_into(Arc::new(FullDisk(MemoryStore::new())));
        let asked = async {
            // Nobody knows of it yet.
            assert_eq!(full.accept(event.clone()).await, unavailable());
            let begun = tokio::time::Instant::now();
            assert_eq!(full.accept(push("actions", r#""actions":[]"#)).await, unavailable());
            assert_eq!(begun.elapsed(), Duration::ZERO);
        };
        tokio::select! {
            ended = service.run() => panic!("it waits for room: {ended:?}"),
            () = asked => {}
        }
        let (ingest, _service) = ingest();
        let begun = tokio::time::Instant::now();
        let all = u32::try_from(TOGETHER).expect("a small number");
        let _held = ingest.permits.try_acquire_many(all).expect("all of it");
        assert_eq!(ingest.accept(event).await, unavailable());
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_engine_never_accepted_counts_when_it_comes_again() {
        let (ingest, service) = ingest();
        drop(service);
        let event = push("actions", r#""actions":[]"#);
        assert_eq!(ingest.accept(event.clone()).await, unavailable());
        assert!(matches!(
            ingest.verifier().admit("p", &event.signatures, &event.body, ingest.clock.now()),
            Ok(Admitted::Fresh(_))
        ));
    }
}
