//! What a plugin keeps between calls: that it keeps something at all, and that it bears that nothing can be kept.

use sidenote::engine::kv::{KvWant, list};
use sidenote::outbox::note::{FailureKind, PostError};

use super::check::{Check, Verdict};
use super::posting::told;
use super::stage::{Needs, Stage};

/// The checks of a plugin that imports `kv`; none of one that doesn't.
pub(super) fn checks(stage: &Stage<'_>) -> Vec<Check> {
    if !stage.bench.imports_kv {
        return Vec::new();
    }
    vec![
        Check::new("what it keeps", Needs::Posting, |stage| Box::pin(keeps(stage))),
        Check::new("nothing can be kept", Needs::Posting, |stage| Box::pin(bears_it(stage))),
    ]
}

async fn keeps(stage: &Stage<'_>) -> Verdict {
    let first = stage.post("clicked \"Pay\"").await;
    if let Err(error) = first.outcome {
        return Verdict::failed(told(&error));
    }
    // What the first one wrote is there for it.
    let second = stage.post("clicked \"Pay\" once more").await;
    if let Err(error) = second.outcome {
        return Verdict::failed(format!("with what the note before left: {}", told(&error)));
    }
    let plugin = stage.bench.name.clone();
    let want = KvWant { plugin, after: None, limit: 0, values: false };
    match list(&*stage.bench.kept.store(), &want).await {
        Ok(kept) => Verdict::ok(format!(
            "two notes in a row; {} keys of the plugin's by now, {} bytes",
            kept.keys, kept.bytes
        )),
        Err(error) => Verdict::failed(error.to_string()),
    }
}

async fn bears_it(stage: &Stage<'_>) -> Verdict {
    stage.bench.kept.set_away(true);
    let meanwhile = stage.post("clicked \"Pay\"").await;
    stage.bench.kept.set_away(false);
    let verdict = match &meanwhile.outcome {
        Ok(_) => "it posts all the same",
        Err(PostError::Failed(failure)) => match failure.kind {
            FailureKind::Transient | FailureKind::RateLimited | FailureKind::Auth => {
                "it fails for now, and is tried again"
            }
            FailureKind::NotFound | FailureKind::Invalid | FailureKind::Permanent => {
                return Verdict::warning(
                    "it gives the note up for good while the host's store is away: fail with `transient` where kv says `unavailable`",
                );
            }
        },
        Err(error) => return Verdict::failed(told(error)),
    };
    let behind = stage.post("clicked \"Pay\"").await;
    match behind.outcome {
        Ok(_) => Verdict::ok(format!("{verdict}; goes on when it is back")),
        Err(error) => Verdict::failed(format!("when it is back: {}", told(&error))),
    }
}
