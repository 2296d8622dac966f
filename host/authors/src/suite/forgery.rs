//! Webhooks of the platform that a sample shows: the good ones are accepted, and what is forged of them is
//! refused.

use sidenote::plugin::{ReceiveError, WebhookEvent, WebhookRequest};

use super::check::{Check, Verdict};
use super::incoming::{changes_something, failed, receive, told};
use super::samples::{Expectation, Hand, Sample};
use super::stage::{Needs, Stage};

/// Older than any platform's window.
const OLD: u64 = 24 * 3600;

/// So many bytes of a body are changed, one at a time.
const CHANGES: usize = 8;

/// What is done to a good request.
#[derive(Clone)]
enum Forgery {
    /// One bit of the body, at several places.
    Body,
    /// Without this header.
    Without(String),
    /// With a secret that isn't the platform's.
    Secret,
    /// Sent a day ago, and signed then.
    Old,
    Method,
    Empty,
}

pub(super) fn checks(samples: &[Sample]) -> Vec<Check> {
    if samples.is_empty() {
        let none = |_: &Stage<'_>| {
            Verdict::skipped("no samples; give webhooks of the platform with --webhook FILE")
        };
        return vec![Check::new("a genuine webhook", Needs::Export("webhook"), move |stage| {
            let verdict = none(stage);
            Box::pin(async move { verdict })
        })];
    }
    let mut checks = Vec::new();
    for sample in samples {
        let (name, good) = (&sample.name, sample.clone());
        checks.push(Check::new(
            format!("webhook {name}"),
            Needs::Export("webhook"),
            move |stage| {
                let sample = good.clone();
                Box::pin(async move { genuine(stage, &sample).await })
            },
        ));
        if sample.expectation() == Expectation::Reject {
            continue;
        }
        for forgery in forgeries(sample) {
            let title = format!("webhook {name}, {}", forgery.name());
            let sample = sample.clone();
            checks.push(Check::new(title, Needs::Export("webhook"), move |stage| {
                let (sample, forgery) = (sample.clone(), forgery.clone());
                Box::pin(async move { forged(stage, &sample, &forgery).await })
            }));
        }
    }
    checks
}

fn forgeries(sample: &Sample) -> Vec<Forgery> {
    let mut forgeries = vec![Forgery::Body];
    forgeries.extend(sample.proofs().into_iter().map(Forgery::Without));
    if sample.knows_secret() {
        forgeries.push(Forgery::Secret);
    }
    if sample.covers_time() {
        forgeries.push(Forgery::Old);
    }
    forgeries.extend([Forgery::Method, Forgery::Empty]);
    forgeries
}

impl Forgery {
    fn name(&self) -> String {
        match self {
            Self::Body => "a byte of its body changed".to_owned(),
            Self::Without(header) => format!("without {header}"),
            Self::Secret => "with another secret".to_owned(),
            Self::Old => "a day old".to_owned(),
            Self::Method => "with another method".to_owned(),
            Self::Empty => "without its body".to_owned(),
        }
    }
}

async fn genuine(stage: &Stage<'_>, sample: &Sample) -> Verdict {
    let request = match request(stage, sample, 0, false) {
        Ok(request) => request,
        Err(why) => return Verdict::failed(why),
    };
    let wanted = sample.expectation();
    match receive(stage, request).await {
        Ok(events) => {
            let said: Vec<_> = events.iter().map(told).collect();
            let said = if said.is_empty() { "nothing".to_owned() } else { said.join("; ") };
            if events.iter().any(|event| fits(event, wanted)) || wanted == Expectation::Accept {
                Verdict::ok(said)
            } else {
                Verdict::failed(format!("{said}, and {} is wanted", word(wanted)))
            }
        }
        Err(ReceiveError::Rejected { status, code, message }) if wanted == Expectation::Reject => {
            Verdict::ok(format!("refused, {status} {code}: {message}"))
        }
        Err(error) => Verdict::failed(format!("{}; {} is wanted", failed(&error), word(wanted))),
    }
}

fn fits(event: &WebhookEvent, wanted: Expectation) -> bool {
    match event {
        WebhookEvent::Opened(_) => wanted == Expectation::Opened,
        WebhookEvent::Replied(_) => wanted == Expectation::Replied,
        WebhookEvent::Challenge(_) => wanted == Expectation::Challenge,
        WebhookEvent::Ignored => wanted == Expectation::Ignored,
    }
}

fn word(expectation: Expectation) -> &'static str {
    match expectation {
        Expectation::Accept => "any event",
        Expectation::Reject => "a refusal",
        Expectation::Opened => "`opened`",
        Expectation::Replied => "`replied`",
        Expectation::Challenge => "`challenge`",
        Expectation::Ignored => "`ignored`",
    }
}

async fn forged(stage: &Stage<'_>, sample: &Sample, forgery: &Forgery) -> Verdict {
    let age = if matches!(forgery, Forgery::Old) { OLD } else { 0 };
    let request = match request(stage, sample, age, matches!(forgery, Forgery::Secret)) {
        Ok(request) => request,
        Err(why) => return Verdict::skipped(why),
    };
    let forged = match forge(request, sample, forgery) {
        Ok(forged) => forged,
        Err(why) => return Verdict::skipped(why),
    };
    let mut refusal = String::new();
    for request in forged {
        match receive(stage, request).await {
            Err(ReceiveError::Rejected { status, code, .. }) => {
                refusal = format!("refused, {status} {code}");
            }
            Err(error) => return Verdict::failed(failed(&error)),
            Ok(events) => {
                let said: Vec<_> = events.iter().map(told).collect();
                let text = format!("it is accepted: {}", said.join("; "));
                // Nothing is done on account of it, but somebody forged it, and nobody is told.
                let harmless = !events.iter().any(changes_something)
                    && matches!(forgery, Forgery::Method | Forgery::Empty);
                return if harmless { Verdict::warning(text) } else { Verdict::failed(text) };
            }
        }
    }
    Verdict::ok(refusal)
}

fn forge(
    request: WebhookRequest,
    sample: &Sample,
    forgery: &Forgery,
) -> Result<Vec<WebhookRequest>, String> {
    let with = |change: &dyn Fn(&mut WebhookRequest)| {
        let mut forged = request.clone();
        change(&mut forged);
        forged
    };
    Ok(match forgery {
        Forgery::Body if request.body.is_empty() => return Err("it has no body".to_owned()),
        Forgery::Body if !sample.covers_body() => {
            return Err(
                "the platform doesn't sign the body: whoever knows the secret can send anything"
                    .to_owned(),
            );
        }
        Forgery::Body => {
            places(&request.body).into_iter().map(|at| with(&|it| it.body[at] ^= 1)).collect()
        }
        Forgery::Empty if request.body.is_empty() => return Err("it has no body".to_owned()),
        Forgery::Empty => vec![with(&|it| it.body.clear())],
        Forgery::Without(name) => vec![with(&|it| it.headers.retain(|(key, _)| key != name))],
        Forgery::Method => {
            let other = if request.method == "POST" { "GET" } else { "POST" };
            vec![with(&|it| other.clone_into(&mut it.method))]
        }
        Forgery::Secret | Forgery::Old => vec![request],
    })
}

/// Where a body is changed: its first byte, and letters and digits all over it, which leave it readable.
fn places(body: &[u8]) -> Vec<usize> {
    let words: Vec<_> = (0..body.len()).filter(|at| body[*at].is_ascii_alphanumeric()).collect();
    let spread = (0..CHANGES).filter_map(|part| words.get(part * words.len() / CHANGES));
    let mut places: Vec<_> =
        [0].into_iter().chain(spread.copied()).chain(words.last().copied()).collect();
    places.dedup();
    places
}

fn request(
    stage: &Stage<'_>,
    sample: &Sample,
    age: u64,
    wrong_secret: bool,
) -> Result<WebhookRequest, String> {
    let secret = |name: &str| {
        let value = stage.bench.secrets().find(|(key, _)| *key == name).map(|(_, value)| value)?;
        Some(if wrong_secret { format!("not-{value}") } else { value.to_owned() })
    };
    let timestamp = (stage.clock.now().as_millis() / 1000).saturating_sub(age);
    sample.request(&Hand { secret: &secret, timestamp })
}
