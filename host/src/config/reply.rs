//! `[products.ID.reply]`: whether a model answers what people write.

use std::time::Duration;

use super::error::Fault;
use super::offers::Around;
use super::scalar::{self, Refusal, Scalar};
use super::section::Section;
use crate::replies::words::words;
use crate::rules::Reply;

/// Longest time that an answer may take: later nobody waits for one.
const LONGEST: Duration = Duration::from_secs(3600);
/// Words and phrases at most.
const MAX_PHRASES: usize = 256;

/// The rules of a product's replies; `None` where they aren't switched on.
pub(super) fn reply(section: Section<'_>, around: Around<'_>) -> Option<Reply> {
    let default = Reply::default();
    let enabled = section.scalar_or("enabled", false, scalar::boolean);
    let phrases = section
        .list("hand_over", "a list of words, for example [\"human\"]", phrase)
        .map(|phrases| phrases.into_iter().map(|(_, phrase)| phrase).collect::<Vec<String>>());
    if phrases.as_ref().is_some_and(|phrases| phrases.len() > MAX_PHRASES) {
        let cause = format!("it has more than {MAX_PHRASES} entries");
        section.refuse("hand_over", cause, "write those that people use");
    }
    let reply = Reply {
        dry_run: section.scalar_or("dry_run", default.dry_run, scalar::boolean),
        hand_over: phrases.unwrap_or(default.hand_over),
        expires: section.scalar_or("expires", default.expires, expires),
    };
    if enabled {
        require(&section, around);
    }
    section.finish();
    enabled.then_some(reply)
}

/// A model answers, and it knows what people did.
fn require(section: &Section<'_>, around: Around<'_>) {
    let missing = |table: &str, cause: &str, example: &str| {
        let fault = Fault::MissingTable {
            table: table.to_owned(),
            cause: cause.to_owned(),
            example: example.to_owned(),
        };
        section.report(section.place(), fault);
    };
    if !around.has_history {
        missing("context", "answers are made with what is kept of a session", "[context]");
    }
    if !around.has_model {
        let example = "[llm]\nprovider = \"openai\"\nmodel = \"gpt-4o-mini\"\napi_key = { env = \"OPENAI_API_KEY\" }";
        missing("llm", "a language model writes the answers", example);
    }
}

/// A word or a phrase that somebody may write.
fn phrase(value: Scalar<'_>) -> Result<String, Refusal> {
    let phrase = scalar::text(value)?;
    if words(&phrase).is_empty() {
        return Err(Refusal::value(
            "an entry has no letter or digit in it",
            "write a word, or leave it out",
        ));
    }
    Ok(phrase)
}

fn expires(value: Scalar<'_>) -> Result<Duration, Refusal> {
    let time = scalar::duration(value)?;
    if time > LONGEST {
        return Err(Refusal::value("it is longer than an hour", "write at most \"1h\""));
    }
    Ok(time)
}
