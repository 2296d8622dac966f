//! What a model is asked about hits, and what its answer means. Whatever it answers is a decision: what can't be
//! read is a no.

use serde_json::{Map, Value, json};

use super::context::Context;
use super::{Hit, Mode};
use crate::offers::content::MAX_TEXT;

/// Most pages that are told of, the latest.
const MAX_PAGES: usize = 20;

/// What a model is asked: which of these offers helps at this moment, and in which words.
#[derive(Clone, PartialEq)]
pub struct Question {
    /// The hits that wait for a judge; never none.
    pub candidates: Vec<Hit>,
    told: Value,
}

impl Question {
    /// The question about those of the hits that wait for a judge; `None` where none does.
    pub fn about(hits: impl IntoIterator<Item = Hit>, context: &Context<'_>) -> Option<Self> {
        let candidates: Vec<_> = hits.into_iter().filter(|hit| hit.mode == Mode::Judged).collect();
        if candidates.is_empty() {
            return None;
        }
        let told = candidates.iter().map(|hit| {
            json!({
                "trigger_id": hit.offer.trigger(),
                "text": hit.offer.text(),
                "options": hit.offer.options().iter().map(|option| &option.label).collect::<Vec<_>>(),
                "found": hit.metadata,
            })
        });
        let pages = context.visits.pages();
        let told = json!({
            "candidates": told.collect::<Vec<_>>(),
            "pages": pages[pages.len().saturating_sub(MAX_PAGES)..],
            "seconds_on_page": context.stay.map(|stay| stay.length(context.now).as_secs()),
            "actions": context.scope.action_count,
            "max_characters": MAX_TEXT,
        });
        Some(Self { candidates, told })
    }

    /// What a prompt tells of the hits, as JSON. It holds what comes from the person's browser: it is data, never an
    /// instruction.
    pub fn told(&self) -> &Value {
        &self.told
    }

    /// What an answer means for these hits.
    pub fn verdict(&self, answer: &str) -> Verdict {
        parse(answer, &self.candidates)
    }
}

impl std::fmt::Debug for Question {
    /// What is told of the person is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question").field("candidates", &self.candidates).finish_non_exhaustive()
    }
}

/// What a judge's answer says.
#[derive(Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The version of the answer's form.
    pub schema_version: String,
    /// Whether something is to be offered.
    pub send: bool,
    /// Whether this is the moment.
    pub valid_timing: bool,
    /// What is offered, in the judge's words.
    pub message: String,
    /// The trigger whose offer it is, where it is said (`primary_trigger_id`).
    pub trigger: Option<String>,
    /// Why, in the judge's words. It may tell of the person.
    pub reasoning: String,
    /// What for; it decides nothing.
    pub intent: Intent,
    /// Why the answer couldn't be read, where it couldn't.
    pub unreadable: Option<Unreadable>,
}

/// What an offer is for, as a judge sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Intent {
    /// To help with what the person tries.
    Assist,
    /// To tell of something useful.
    CoachingTip,
    /// Nothing that is known.
    #[default]
    None,
}

impl Intent {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Assist => "assist",
            Self::CoachingTip => "coaching_tip",
            Self::None => "none",
        }
    }
}

/// Why a judge's answer can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// There is nothing in it.
    Empty,
    /// It isn't JSON, or there is something around it.
    NotJson,
    /// It is JSON and no object.
    NotAnObject,
}

impl Unreadable {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotJson => "invalid_json_from_model",
            Self::NotAnObject => "judge_payload_not_object",
        }
    }
}

impl Judgement {
    /// Reads an answer: a JSON object, in one markdown fence or in none.
    pub fn of(answer: &str) -> Self {
        let text = unfenced(answer.trim());
        if text.is_empty() {
            return Self::no(Unreadable::Empty);
        }
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(fields)) => Self::read(&fields),
            Ok(
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_),
            ) => Self::no(Unreadable::NotAnObject),
            Err(_) => Self::no(Unreadable::NotJson),
        }
    }

    fn no(unreadable: Unreadable) -> Self {
        Self { unreadable: Some(unreadable), ..Self::read(&Map::new()) }
    }

    fn read(fields: &Map<String, Value>) -> Self {
        let is_true = |key: &str| fields.get(key) == Some(&Value::Bool(true));
        let text = |key: &str| words(fields.get(key));
        let messages = ["short_user_message", "what_to_send", "body"].map(text);
        let version = text("schema_version");
        let intent = text("proactive_intent");
        let intents = [Intent::Assist, Intent::CoachingTip];
        Self {
            schema_version: if version.is_empty() { "1.0".to_owned() } else { version },
            send: is_true("send"),
            valid_timing: is_true("proactive_valid_timing"),
            message: messages.into_iter().find(|text| !text.is_empty()).unwrap_or_default(),
            trigger: Some(text("primary_trigger_id")).filter(|id| !id.is_empty()),
            reasoning: text("reasoning"),
            intent: intents.into_iter().find(|it| it.name() == intent).unwrap_or_default(),
            unreadable: None,
        }
    }

    /// Whether something is offered by it.
    pub fn delivers(&self) -> bool {
        self.send && self.valid_timing && !self.message.trim().is_empty()
    }

    /// What it means for these hits: the offer of the trigger that it names, else of the first one, with its own
    /// options and times, in the judge's words.
    pub fn verdict(&self, candidates: &[Hit]) -> Verdict {
        let no = |why| Verdict::No { why };
        if let Some(unreadable) = self.unreadable {
            return no(NoReason::Unreadable(unreadable));
        }
        if !self.send {
            return no(NoReason::NotSent);
        }
        if !self.valid_timing {
            return no(NoReason::Timing);
        }
        let named = match &self.trigger {
            None => candidates.first(),
            Some(id) => candidates.iter().find(|hit| hit.offer.trigger() == id),
        };
        let Some(hit) = named else { return no(NoReason::UnknownTrigger) };
        match hit.offer.clone().with_text(&self.message) {
            Err(_) => no(NoReason::NoText),
            Ok(offer) => {
                let metadata = self.metadata(hit, candidates);
                Verdict::Yes(Hit { offer, mode: hit.mode, metadata })
            }
        }
    }

    /// What was found by the hit, then what the others found beside it, and what the judge said of it; not its
    /// reasoning, which may tell of the person.
    fn metadata(&self, hit: &Hit, candidates: &[Hit]) -> Map<String, Value> {
        let mut metadata = hit.metadata.clone();
        for (key, value) in candidates.iter().flat_map(|other| &other.metadata) {
            metadata.entry(key.clone()).or_insert_with(|| value.clone());
        }
        metadata.insert("proactive_valid_timing".to_owned(), json!(self.valid_timing));
        metadata.insert("proactive_intent".to_owned(), json!(self.intent.name()));
        metadata.insert("judge_schema_version".to_owned(), json!(self.schema_version));
        metadata
    }
}

impl std::fmt::Debug for Judgement {
    /// What the model wrote is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judgement")
            .field("send", &self.send)
            .field("valid_timing", &self.valid_timing)
            .field("intent", &self.intent)
            .field("unreadable", &self.unreadable)
            .finish_non_exhaustive()
    }
}

/// What happens to hits that waited for a judge.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// This is offered.
    Yes(Hit),
    /// Nothing is.
    No {
        /// Why not.
        why: NoReason,
    },
}

/// Why a judge's answer offers nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoReason {
    /// The answer can't be read.
    Unreadable(Unreadable),
    /// It says that nothing is to be sent.
    NotSent,
    /// It says that this isn't the moment.
    Timing,
    /// It has no text.
    NoText,
    /// It names a trigger that isn't one of those it was asked about.
    UnknownTrigger,
}

/// What an answer means for these hits. Any answer is a decision.
pub fn parse(answer: &str, candidates: &[Hit]) -> Verdict {
    Judgement::of(answer).verdict(candidates)
}

/// The answer without the one markdown fence around all of it; the closing one may be missing.
fn unfenced(text: &str) -> &str {
    let Some(inner) = text.strip_prefix("```") else { return text };
    let Some((language, inner)) = inner.split_once('\n') else { return text };
    if !language.trim().chars().all(|c| c.is_ascii_alphanumeric()) {
        return text;
    }
    let inner = inner.trim();
    inner.strip_suffix("```").unwrap_or(inner).trim()
}

/// A text, trimmed, or a number's text; everything else is none.
fn words(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => {
            String::new()
        }
    }
}

#[cfg(test)]
mod tests;
