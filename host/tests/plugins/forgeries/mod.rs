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
use crate::log::Log;
use forge::{Forged, WAYS};
use signers::{
    ChatwootSigner, CrispSigner, Intercom256Signer, IntercomSigner, Signer, SlackSigner,
    WebhookSigner, ZendeskSigner,
};

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

/// A way to sign of each platform.
const SIGNERS: [&dyn Signer; 6] =
    [&WebhookSigner, &IntercomSigner, &ZendeskSigner, &ChatwootSigner, &SlackSigner, &CrispSigner];

/// A test for each platform, so that a run names the one that fails.
macro_rules! platforms {
    ($($test:ident: $signer:expr),+ $(,)?) => {$(
        #[tokio::test]
        async fn $test() {
            judge(&$signer).await;
        }
    )+};
}

platforms! {
    webhook_accepts_no_forgery_and_everything_genuine: WebhookSigner,
    intercom_accepts_no_forgery_and_everything_genuine: IntercomSigner,
    intercom_with_sha256_accepts_no_forgery_and_everything_genuine: Intercom256Signer,
    zendesk_accepts_no_forgery_and_everything_genuine: ZendeskSigner,
    chatwoot_accepts_no_forgery_and_everything_genuine: ChatwootSigner,
    slack_accepts_no_forgery_and_everything_genuine: SlackSigner,
    crisp_accepts_no_forgery_and_everything_genuine: CrispSigner,
}

/// Vectors from the vendors' documentation: the signers sign as they do, and the plugin refuses an old one for
/// its age alone.
#[tokio::test]
async fn the_vendors_own_vectors_hold() {
    let key = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==";
    let (stamp, body) = ("2021-03-25T05:09:27Z", r#"{"event":"ticket.updated","id":123}"#);
    let signature = "S/RDdU2ERmj7LHDDoWJ2onPYH+t7/f2+LTM4dL7UiLM=";
    assert_eq!(ZendeskSigner.sign(key, stamp, body), signature);
    assert_eq!(ZendeskSigner.stamp(1_616_648_967), stamp);
    old(&ZendeskSigner, key, stamp, body, signature).await;

    let key = "8f742231b10e8888abcd99yyyzzz85a5";
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    assert_eq!(SlackSigner.sign(key, "1531420618", body), signature);
    old(&SlackSigner, key, "1531420618", body, signature).await;
}

/// A webhook whose signature is right and whose time is long past.
async fn old(signer: &dyn Signer, key: &str, stamp: &str, body: &str, signature: &str) {
    let mut plugin = signer.plugin();
    plugin.secrets.insert(signer.secret().to_owned(), secret(key, &[]));
    let registry = registry([("one", plugin)]).await;
    let mut request = signers::request(signer, key, now(), 1);
    request.body = body.as_bytes().to_vec();
    request.headers = vec![
        (signer.signature().to_owned(), signature.to_owned()),
        (signer.timestamp().unwrap().0.to_owned(), stamp.to_owned()),
    ];
    let refused = |outcome| match outcome {
        Err(ReceiveError::Rejected { status, code, .. }) => (status, code),
        other => panic!("{other:?}"),
    };
    let outcome = registry.receive("one", request.clone()).await;
    assert_eq!(refused(outcome), (401, "timestamp".to_owned()));
    // So that the age isn't all that is looked at.
    request.body.push(b' ');
    let outcome = registry.receive("one", request).await;
    assert_eq!(refused(outcome), (401, "signature".to_owned()));
}

/// Without the secret every webhook is refused, genuine as it may be, and the operator hears of it at the
/// start.
#[tokio::test]
async fn without_the_secret_nothing_is_accepted_and_the_start_says_so() {
    for signer in SIGNERS {
        let log = Log::of_this_thread();
        let unset = registry([("one", signer.plugin())]).await;
        let told = log.text();
        let (secret, name) = (signer.secret(), signer.name());
        let line = format!("no secret `{secret}` is set, so every webhook is refused; to set it:");
        let told = told.split_once(&line).unwrap_or_else(|| panic!("{name} says:\n{told}"));
        assert!(told.0.lines().next_back().unwrap().contains("WARN"), "{name}: {}", told.0);
        assert!(told.1.starts_with(&format!("\n[plugins.one.secrets.{secret}]\n")), "{}", told.1);
        for key in ["", KEY] {
            let request = signers::request(signer, key, now(), 1);
            let outcome = unset.receive("one", request).await;
            let refused = matches!(outcome, Err(ReceiveError::Rejected { status: 503, .. }));
            assert!(refused, "{name}: {outcome:?}");
        }
    }
}

/// A body that isn't quite JSON, as the stream has them too: the components read it all the same.
#[tokio::test]
async fn half_of_a_surrogate_pair_and_numbers_that_are_none_are_taken() {
    for signer in SIGNERS {
        let mut plugin = signer.plugin();
        plugin.secrets.insert(signer.secret().to_owned(), secret(KEY, &[]));
        let registry = registry([("one", plugin)]).await;
        for (number, odd) in [r#"{"odd":"\ud83d","#, r#"{"odd":NaN,"#].into_iter().enumerate() {
            let body = signer.body(number).replacen('{', odd, 1);
            let request = signers::signed(signer, KEY, now(), body);
            let means = signer.means_something();
            let verdict = receive(&registry, "one", request, means).await;
            assert_eq!(verdict, Verdict::Accepted, "{} {odd}", signer.name());
        }
    }
}

/// Every plugin of `plugins/` that verifies webhooks is held against forgeries.
#[test]
fn every_plugin_that_reads_webhooks_has_a_signer() {
    let signers = SIGNERS.map(|signer| signer.name());
    let plugins = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins");
    for folder in std::fs::read_dir(plugins).unwrap() {
        let folder = folder.unwrap().path();
        let Ok(manifest) = std::fs::read_to_string(folder.join("manifest.json")) else { continue };
        let reads = manifest.contains("\"verifies\": true");
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert_eq!(reads, signers.contains(&name), "plugins/{name}");
    }
}

/// Both of Intercom's headers at once: each must fit.
#[tokio::test]
async fn every_signature_that_is_there_must_fit() {
    let mut plugin = IntercomSigner.plugin();
    plugin.secrets.insert("client_secret".to_owned(), secret(KEY, &[]));
    let registry = registry([("one", plugin)]).await;
    for number in 0..200 {
        let mut request = signers::request(&IntercomSigner, KEY, now(), number);
        let other = signers::request(&Intercom256Signer, KEY, now(), number);
        let forged = signers::request(&Intercom256Signer, OTHER_KEY, now(), number);
        let header = |request: &WebhookRequest| {
            request.headers.iter().find(|(name, _)| name.starts_with("x-hub")).unwrap().clone()
        };
        let both = [header(&request), header(&other)];
        let mixed = [header(&request), header(&forged)];
        for (headers, wanted) in [(mixed, Verdict::Refused), (both, Verdict::Accepted)] {
            request.headers = headers.to_vec();
            assert_eq!(receive(&registry, "one", request.clone(), true).await, wanted);
            request.headers.reverse();
            let wanted = if wanted == Verdict::Accepted { Verdict::Repeat } else { wanted };
            assert_eq!(receive(&registry, "one", request.clone(), true).await, wanted);
        }
    }
}

#[expect(clippy::print_stdout, reason = "the figures, for whoever asks with --nocapture")]
async fn judge(signer: &dyn Signer) {
    let tenant = |key: &str| {
        let mut plugin = signer.plugin();
        plugin.limits.calls_per_instance = 1000;
        plugin.secrets.insert(signer.secret().to_owned(), secret(key, &[]));
        plugin
    };
    let registry = registry([("one", tenant(KEY)), ("two", tenant(OTHER_KEY))]).await;
    let means = signer.means_something();
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut accepted: BTreeMap<String, usize> = BTreeMap::new();
    let mut genuine: Vec<WebhookRequest> = Vec::new();
    let (mut taken, mut forged) = (0, 0);
    for number in 0..FORGERIES {
        if number % 4 == 0 {
            let at = now() - rng.random_range(0..60);
            let request = signers::request(signer, KEY, at, number);
            assert_eq!(receive(&registry, "one", request.clone(), means).await, Verdict::Accepted);
            taken += 1;
            genuine.push(request);
        }
        // Each way comes as often as every other.
        let sample = &genuine[rng.random_range(0..genuine.len())];
        let way = WAYS[number % WAYS.len()];
        let (way, Forged { plugin, request }) = forge::forge(way, signer, sample, number, &mut rng);
        forged += 1;
        match receive(&registry, plugin, request, means).await {
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

/// Receives a webhook as the host does; `means` says whether a genuine one has a turn in it.
async fn receive(
    registry: &Registry,
    plugin: &str,
    request: WebhookRequest,
    means: bool,
) -> Verdict {
    match registry.receive_once(plugin, request).await {
        Ok(received) if received.is_repeat() => Verdict::Repeat,
        Ok(received) => {
            let meant = |event: &WebhookEvent| match event {
                WebhookEvent::Opened(_) | WebhookEvent::Replied(_) => true,
                WebhookEvent::Challenge(_) | WebhookEvent::Ignored => false,
            };
            assert_eq!(received.events.iter().any(meant), means, "{:?}", received.events);
            received.accepted();
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
