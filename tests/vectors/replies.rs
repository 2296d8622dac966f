//! Who answers in the vectors of `copilot_http.json`, and what they were asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use sidenote::backoff::Backoff;
use sidenote::llm::{Caller, Completion, Limits, LlmError, Replies, from_fn};
use sidenote::prompts::{Kind, Prompts, Template};

use crate::compare;

/// Where autoplay-sdk's own words end and what it is told begins.
const DATA: &str =
    "\n\n[User ID]\n{user_id}\n\n[Recent activity]\n{context}\n\n[User query]\n{query}";

/// What a model was asked.
pub(crate) struct Asked {
    prompts: Arc<Mutex<Vec<String>>>,
    /// The words before the data, and what stands for them in the vectors.
    words: (String, String),
}

impl Asked {
    /// Says how the questions differ.
    pub(crate) fn compare(&self, reference: &Value) -> Result<(), String> {
        let (words, stand_for) = &self.words;
        let prompts = self.prompts.lock().expect("no holder panics");
        let shown = prompts.iter().map(|prompt| match prompt.strip_prefix(words.as_str()) {
            Some(data) => format!("{stand_for}{data}"),
            None => prompt.clone(),
        });
        compare::same("llm_prompts", &shown.collect(), reference)
    }
}

/// A model that answers as a case has it.
pub(crate) fn scripted(case: &Value) -> Result<(Replies, Asked), String> {
    let script = case["given"]["llm"].as_array().cloned().unwrap_or_default();
    let own = case["given"]["config"]["system_prompt"].as_str().filter(|own| !own.is_empty());
    let mut prompts = Prompts::default();
    let words = match own {
        Some(own) => {
            let content = format!("{own}{DATA}");
            let template = Template::parse(&content, Kind::Reply.placeholders());
            prompts.reply.content = template.map_err(|faults| format!("{faults:?}"))?;
            (own.to_owned(), own.to_owned())
        }
        None => {
            // Our own words differ from autoplay-sdk's; what is told behind them doesn't.
            let rendered = prompts.reply("U", "C", "Q").text;
            let (words, _) = rendered.split_once("\n\n[User ID]\n").ok_or("no data")?;
            (words.to_owned(), "<DEFAULT>".to_owned())
        }
    };
    let asked = Asked { prompts: Arc::default(), words };
    let prompts_of = asked.prompts.clone();
    let model = from_fn("scripted", move |prompt| {
        let n = {
            let mut prompts = prompts_of.lock().expect("no holder panics");
            prompts.push(prompt.text);
            prompts.len() - 1
        };
        let step = script.get(n).cloned().unwrap_or_default();
        async move {
            if step.get("raise").is_some_and(|raise| !raise.is_null()) {
                return Err(LlmError::unavailable("scripted"));
            }
            let reply = step["reply"].as_str().map_or_else(|| format!("REPLY{n}"), str::to_owned);
            Ok(Completion::of(reply))
        }
    });
    let second = Duration::from_secs(1);
    let backoff = Backoff { initial: second, max: second };
    let limits = Limits { timeout: second * 30, retries: 0, backoff, max_answer_bytes: 1 << 16 };
    Ok((Replies::new(Caller::new(model, limits), Arc::new(prompts)), asked))
}
