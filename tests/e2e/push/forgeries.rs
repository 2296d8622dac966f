//! Forged events among genuine ones: none that is forged may be taken, every genuine one must be, and the
//! reference's own check says the same of each.

use std::collections::BTreeMap;

use hmac::{Hmac, Mac};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha2::Sha256;
use sidenote_sim::Event;
use sidenote_tests::{Person, Rig, Setup, StoreKind};
use tokio::task::JoinSet;

use super::pushed;
use super::reference::{Case, verdicts};

/// Among every four forgeries there is a genuine event.
const FORGERIES: usize = 10_000;
const SEED: u64 = 0x1ace_b00c;
/// Requests at a time.
const SENDERS: usize = 16;

/// How an event is forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    FlippedBody,
    CutBody,
    LongerBody,
    OtherBody,
    FlippedSignature,
    CutSignature,
    LongerSignature,
    NoSignature,
    EmptySignature,
    NoScheme,
    OtherScheme,
    UpperCase,
    Base64,
    Sha1Digest,
    WrongKey,
    EmptyKey,
    OtherProductsKey,
    OtherProductsAddress,
    SecondBehind,
    SecondBefore,
    BothInOne,
}

const WAYS: [Way; 21] = [
    Way::FlippedBody,
    Way::CutBody,
    Way::LongerBody,
    Way::OtherBody,
    Way::FlippedSignature,
    Way::CutSignature,
    Way::LongerSignature,
    Way::NoSignature,
    Way::EmptySignature,
    Way::NoScheme,
    Way::OtherScheme,
    Way::UpperCase,
    Way::Base64,
    Way::Sha1Digest,
    Way::WrongKey,
    Way::EmptyKey,
    Way::OtherProductsKey,
    Way::OtherProductsAddress,
    Way::SecondBehind,
    Way::SecondBefore,
    Way::BothInOne,
];

/// A request to the host.
#[derive(Debug, Clone)]
struct Pushed {
    /// `None`: it is genuine.
    way: Option<Way>,
    product: &'static str,
    signatures: Vec<String>,
    body: Vec<u8>,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_forgery_and_everything_genuine_is_taken_as_the_reference_would() {
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut requests = Vec::new();
    for number in 0..FORGERIES {
        if number % 4 == 0 {
            requests.push(genuine(number));
        }
        requests.push(forge(WAYS[number % WAYS.len()], number, &mut rng));
    }
    let count = |genuine: bool| requests.iter().filter(|it| it.way.is_none() == genuine).count();
    assert_eq!((count(false), count(true)), (FORGERIES, FORGERIES / 4));

    let rig = Rig::start(Setup { store: StoreKind::Memory, ..pushed() }).await;
    let statuses = send_all(&rig, &requests).await;
    let mut wrong: BTreeMap<Option<Way>, usize> = BTreeMap::new();
    for (request, status) in requests.iter().zip(&statuses) {
        let expected = if request.way.is_none() { 200 } else { 401 };
        if *status != expected {
            *wrong.entry(request.way).or_default() += 1;
        }
    }
    tell(&format!("{} forged, {} genuine, wrong: {wrong:?}", count(false), count(true)));
    assert!(wrong.is_empty(), "{wrong:?}");
    let totals = rig.host().counters();
    assert_eq!((totals.pushes_refused, totals.pushes_repeated), (FORGERIES as u64, 0));
    let taken = (FORGERIES / 4) as u64;
    assert_eq!((totals.pushes_accepted, totals.actions_accepted), (taken, taken));
    rig.stop().await;

    // autoplay-sdk knows of one header only.
    let (single, statuses): (Vec<_>, Vec<_>) =
        requests.iter().zip(statuses).filter(|(it, _)| it.signatures.len() < 2).unzip();
    let case = |request: &&Pushed| Case {
        secret: Person::new(request.product, "").ingest_secret(),
        body: request.body.clone(),
        signature: request.signatures.first().cloned(),
    };
    let verdicts = verdicts(single.iter().map(case).collect()).await;
    assert_eq!(verdicts.len(), single.len());
    for ((request, status), fits) in single.iter().zip(statuses).zip(verdicts) {
        assert_eq!(status == 200, fits, "autoplay-sdk differs on {:?}", request.way);
    }
}

#[expect(clippy::print_stdout, reason = "the figures, for whoever asks with --nocapture")]
fn tell(figures: &str) {
    println!("{figures}");
}

/// Sends them over a few connections. The statuses, in their order.
async fn send_all(rig: &Rig, requests: &[Pushed]) -> Vec<u16> {
    let client = reqwest::Client::builder().no_proxy().build().expect("a plain client");
    let mut senders = JoinSet::new();
    for first in 0..SENDERS {
        let own: Vec<_> =
            requests.iter().cloned().enumerate().skip(first).step_by(SENDERS).collect();
        let (client, base) = (client.clone(), rig.url("/ingest/"));
        senders.spawn(async move {
            let mut statuses = Vec::new();
            for (place, Pushed { product, signatures, body, .. }) in own {
                let mut request = client.post(format!("{base}{product}")).body(body);
                for signature in signatures {
                    request = request.header("x-connector-signature", signature);
                }
                let answer = request.send().await.expect("the host answers");
                statuses.push((place, answer.status().as_u16()));
            }
            statuses
        });
    }
    let mut statuses: Vec<_> = senders.join_all().await.into_iter().flatten().collect();
    statuses.sort_unstable();
    statuses.into_iter().map(|(_, status)| status).collect()
}

fn body(number: usize) -> Vec<u8> {
    let person = Person::new("p", format!("s{}", number % 50));
    let number = number as u64;
    Event::actions(&person.batch(number..number + 1)).pushed().expect("an event").to_vec()
}

fn genuine(number: usize) -> Pushed {
    let body = body(number);
    let signatures = vec![Person::new("p", "").sign(&body)];
    Pushed { way: None, product: "p", signatures, body }
}

fn sign(key: &[u8], body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length").chain_update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// Forges an event from a genuine one of its own.
fn forge(way: Way, number: usize, rng: &mut StdRng) -> Pushed {
    let mut it = Pushed { way: Some(way), ..genuine(FORGERIES + number) };
    let good = it.signatures[0].clone();
    let digits = good.strip_prefix("sha256=").expect("the scheme").to_owned();
    let mut secret = Person::new("p", "").ingest_secret().into_bytes();
    let other = Person::new("q", "");
    match way {
        Way::FlippedBody => {
            let at = rng.random_range(0..it.body.len());
            it.body[at] ^= 1 << rng.random_range(0..8);
        }
        Way::CutBody => it.body.truncate(rng.random_range(0..it.body.len())),
        Way::LongerBody => it.body.push(b' '),
        Way::OtherBody => it.body = body(2 * FORGERIES + number),
        Way::FlippedSignature => it.signatures = vec![flipped(&good, rng)],
        Way::CutSignature => {
            it.signatures = vec![good[..rng.random_range(1..good.len())].to_owned()];
        }
        Way::LongerSignature => it.signatures = vec![format!("{good}00")],
        Way::NoSignature => it.signatures.clear(),
        Way::EmptySignature => it.signatures = vec![String::new()],
        Way::NoScheme => it.signatures = vec![digits],
        Way::OtherScheme => {
            let scheme = ["SHA256=", "sha1=", "sha512=", "v0=", "sha256:", "sha256= "];
            it.signatures = vec![format!("{}{digits}", scheme[rng.random_range(0..scheme.len())])];
        }
        Way::UpperCase => it.signatures = vec![format!("sha256={}", digits.to_uppercase())],
        Way::Base64 => {
            use base64::Engine as _;
            let bytes = hex::decode(digits).expect("hexadecimal digits");
            let text = base64::engine::general_purpose::STANDARD.encode(bytes);
            it.signatures = vec![format!("sha256={text}")];
        }
        Way::Sha1Digest => {
            let mac = Hmac::<sha1::Sha1>::new_from_slice(&secret).expect("a key");
            let mac = mac.chain_update(&it.body).finalize().into_bytes();
            it.signatures = vec![format!("sha256={}", hex::encode(mac))];
        }
        Way::WrongKey => {
            let at = rng.random_range(0..secret.len());
            secret[at] ^= 1 << rng.random_range(0..8);
            it.signatures = vec![sign(&secret, &it.body)];
        }
        Way::EmptyKey => it.signatures = vec![sign(b"", &it.body)],
        Way::OtherProductsKey => it.signatures = vec![other.sign(&it.body)],
        Way::OtherProductsAddress => it.product = "q",
        Way::SecondBehind => it.signatures.push(flipped(&good, rng)),
        Way::SecondBefore => it.signatures.insert(0, flipped(&good, rng)),
        Way::BothInOne => it.signatures = vec![format!("{good}, {good}")],
    }
    it
}

/// Flips a bit so that it stays text as a header can hold.
fn flipped(text: &str, rng: &mut StdRng) -> String {
    loop {
        let mut bytes = text.as_bytes().to_vec();
        let at = rng.random_range(0..bytes.len());
        bytes[at] ^= 1 << rng.random_range(0..7);
        if bytes[at].is_ascii_graphic() {
            return String::from_utf8(bytes).expect("ASCII");
        }
    }
}
