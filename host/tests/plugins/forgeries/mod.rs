//! Forged webhooks among genuine ones, against the real components: none that is forged may be accepted,
//! and every genuine one must be.

mod forge;
mod signers;

use std::collections::BTreeMap;
use std::time::SystemTime;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sidenote::plugin::{ReceiveError, Registry, WebhookEvent, WebhookRequest};

use crate::guests::{registry, secret};
use forge::{Forged, WAYS};
use signers::{Signer, WebhookSigner};

/// Forgeries for each platform; among every four there is a genuine webhook.
const FORGERIES: usize = 10_000;
const SEED: u64 = 0x51de_707e;

/// The secret of the tenant whose webhooks are genuine, and that of another who uses the same plugin.
const KEY: &str = "tenant-one-secret-8f2a61";
const OTHER_KEY: &str = "tenant-two-secret-0c93de";

/// What a webhook came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Accepted,
    Repeat,
    Refused,
}

#[tokio::test]
async fn no_forged_webhook_is_accepted_and_every_genuine_one_is_webhook() {
    judge(&WebhookSigner).await;
}

async fn judge(signer: &dyn Signer) {
    let tenant = |key: &str| {
        let mut plugin = signer.plugin();
        plugin.limits.calls_per_instance = 1000;
        plugin.secrets.insert(signer.secret().to_owned(), secret(key, &[]));
        plugin
    };
    let registry = registry([("one", tenant(KEY)), ("two", tenant(OTHER_KEY))]).await;
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut accepted: BTreeMap<String, usize> = BTreeMap::new();
    let mut genuine: Vec<WebhookRequest> = Vec::new();
    let (mut taken, mut forged) = (0, 0);
    for number in 0..FORGERIES {
        if number % 4 == 0 {
            let at = now() - rng.random_range(0..60);
            let request = signers::request(signer, KEY, at, number);
            assert_eq!(receive(&registry, "one", request.clone()).await, Verdict::Accepted);
            taken += 1;
            genuine.push(request);
        }
        // Each way comes as often as every other.
        let sample = &genuine[rng.random_range(0..genuine.len())];
        let way = WAYS[number % WAYS.len()];
        let (way, Forged { plugin, request }) = forge::forge(way, signer, sample, number, &mut rng);
        forged += 1;
        match receive(&registry, plugin, request).await {
            Verdict::Accepted => *accepted.entry(format!("{way:?}")).or_default() += 1,
            Verdict::Repeat => assert!(way.is_replay(), "{way:?} was genuine once"),
            Verdict::Refused => assert!(!way.is_replay(), "a replay is recognised, not refused"),
        }
    }
    println!(
        "{}: {forged} forged, accepted: {accepted:?}; {taken} genuine, all accepted",
        signer.name()
    );
    assert_eq!((forged, taken), (FORGERIES, FORGERIES / 4));
    assert!(accepted.is_empty(), "forged and accepted: {accepted:?}");
}

async fn receive(registry: &Registry, plugin: &str, request: WebhookRequest) -> Verdict {
    match registry.receive_once(plugin, request).await {
        Ok(received) if received.is_repeat() => Verdict::Repeat,
        Ok(received) => {
            let meant = |event: &WebhookEvent| match event {
                WebhookEvent::Opened(_) | WebhookEvent::Replied(_) => true,
                WebhookEvent::Challenge(_) | WebhookEvent::Ignored => false,
            };
            assert!(received.events.iter().any(meant), "a genuine one means something");
            received.taken();
            Verdict::Accepted
        }
        Err(ReceiveError::Rejected { status, .. }) => {
            assert!((400..500).contains(&status), "a forgery is the sender's fault: {status}");
            Verdict::Refused
        }
        Err(error) => panic!("{error}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "the plugins compare with the system's clock")]
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}
