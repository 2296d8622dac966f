//! `rag.query`: what is known when somebody asks.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sidenote::clock::Timestamp;
use sidenote::context::assembly::{
    Article, Ask, Assembler, Assembly, Budgets, Knowledge, Question, Reasoning, Settings, Source,
    SourceError, Sources, Turn, Watermark, Watermarks, history_text, inbound_at, knowledge_text,
    previews,
};
use sidenote::ids::ConversationId;
use sidenote::prompts::Template;
use tokio::time::Instant;

use crate::{compare, values};

/// Wall clock of the vectors.
const NOW: f64 = 1_700_000_000.0;
const NONE: &str = "(none)";
/// The placeholders of the prompt that chooses what an answer is made of.
const CHOOSING: [&str; 9] = [
    "user_question",
    "first_question",
    "conversation_history",
    "ui_actions_preview",
    "kb_articles_preview",
    "past_session_preview",
    "task_analysis_preview",
    "matched_actions_preview",
    "selected_task_preview",
];

pub(crate) fn check(case: &Value) -> Result<(), String> {
    let (given, when) = (values::input(&case["given"]), values::input(&case["when"]));
    let then = values::expected(&case["then"]);
    match when["call"].as_str().ok_or("when.call is no text")? {
        "assemble" => paused(assemble(&given, &when, &then)),
        "turns" => paused(turns(&when, &then)),
        "watermarks" => watermarks(&when, &then),
        call => compare::same("return", &text_form(call, &when)?, &then["return"]),
    }
}

fn paused(run: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime.map_err(|error| error.to_string())?.block_on(run)
}

async fn assemble(given: &Value, when: &Value, then: &Value) -> Result<(), String> {
    let providers = Arc::new(Providers::new(&given["providers"]));
    let (args, begun) = (&when["args"], Instant::now());
    let assembly = assembler(&providers, &given["env"]).assemble(&question(args)).await;
    let took = json!(begun.elapsed().as_secs_f64());
    let calls = providers.calls.lock().expect("no holder panics").clone();
    compare::same_text("user_block", &assembly.user_block(), &then["user_block"])?;
    compare::same("calls", &in_order(calls), &in_order(list(&then["calls"])?.to_vec()))?;
    compare::same("took_s", &took, &then["took_s"])?;
    let parts = [
        ("recent_activity", &assembly.recent_activity),
        ("kb_records_text", &assembly.knowledge),
        ("conversation_history_text", &assembly.history),
        ("user_message", &assembly.question),
        ("activity_since_last_chat_message", &assembly.since),
        ("first_question_text", &assembly.first_question),
    ];
    for (key, ours) in parts {
        // Ours have no blanks around them.
        let reference = then["assembly"][key].as_str().ok_or("no part")?.trim();
        compare::same_text(key, ours, &json!(reference))?;
    }
    compare::same("missing", &json!(assembly.missing.len()), &json!(0))
}

/// Calls of one moment may come in any order.
fn in_order(mut calls: Vec<Value>) -> Value {
    calls.sort_by_key(|call| (call["t"].to_string(), call["call"].to_string()));
    Value::Array(calls)
}

fn question(args: &Value) -> Question {
    let text = |key: &str| args[key].as_str().map(str::to_owned);
    let config = &args["integration_config"];
    Question {
        product: text("product_id").unwrap_or_default(),
        session: text("session_id"),
        conversation: text("conversation_id"),
        email: text("email"),
        text: text("user_message").unwrap_or_default(),
        cutoff: args["activity_since_cutoff"].as_f64(),
        knowledge: Knowledge {
            product: config["kb_product_id"].as_str().map(str::to_owned),
            id: config["kb_knowledge_id"].as_str().map(str::to_owned),
        },
    }
}

fn assembler(providers: &Arc<Providers>, env: &Value) -> Assembler {
    let has = |slots: &[&str]| {
        let there = slots.iter().any(|slot| providers.given.get(*slot).is_some());
        there.then(|| -> Arc<dyn Source> { providers.clone() })
    };
    let is_on = |variable: &str| {
        let value = env[variable].as_str().unwrap_or_default().trim().to_lowercase();
        !["0", "false", "no", "off"].contains(&&*value)
    };
    Assembler {
        sources: Sources {
            activity: has(&["session_activity_local"]),
            since: has(&["session_activity_since"]),
            memory: has(&["live_activity", "conversation_turns"]),
            knowledge: has(&["knowledge_base"]),
        },
        settings: Settings {
            prefer_memory: is_on("RAG_PREFER_ZEP_LIVE_ACTIVITY"),
            memory_is_enough: is_on("RAG_SKIP_REDIS_CONTEXT_WHEN_ZEP"),
            ..Settings::default()
        },
    }
}

/// What the sources of a case answer, and what they were asked.
struct Providers {
    given: Value,
    begun: Instant,
    calls: Mutex<Vec<Value>>,
}

impl Providers {
    fn new(given: &Value) -> Self {
        Self { given: given.clone(), begun: Instant::now(), calls: Mutex::default() }
    }
}

#[async_trait::async_trait]
impl Source for Providers {
    async fn ask(&self, ask: &Ask) -> Result<Value, SourceError> {
        let mut call = as_the_reference_calls(ask);
        let slot = call["call"].as_str().expect("a call has a name").to_owned();
        call["t"] = json!(self.begun.elapsed().as_secs_f64());
        self.calls.lock().expect("no holder panics").push(call);
        let answer = &self.given[&slot];
        let latency = answer["latency_s"].as_f64().unwrap_or(0.0);
        tokio::time::sleep(Duration::from_secs_f64(latency)).await;
        if let Some(raised) = answer.get("raise") {
            return Err(SourceError(raised.to_string()));
        }
        Ok(answer.get("value").unwrap_or(answer).clone())
    }
}

fn as_the_reference_calls(ask: &Ask) -> Value {
    match ask {
        Ask::Activity { session } => {
            json!({"call": "session_activity_local", "session_id": session})
        }
        Ask::ActivitySince { session, cutoff } => {
            json!({"call": "session_activity_since", "session_id": session, "cutoff": cutoff})
        }
        Ask::Live { session, user } => {
            json!({"call": "live_activity", "session_id": session, "user_id": user})
        }
        Ask::Turns { session, conversation, user } => json!({
            "call": "conversation_turns",
            "session_id": session,
            "conversation_id": conversation,
            "user_id": user,
        }),
        Ask::Knowledge { product, knowledge_product, knowledge_id, session, query, activity } => {
            json!({
                "call": "knowledge_base",
                "connector_product_id": product,
                "kb_product_id": knowledge_product,
                "session_id": session.as_deref().unwrap_or_default(),
                "user_query": query,
                "knowledge_id": knowledge_id.as_deref().unwrap_or_default(),
                "activity_text_for_kb_injection": activity,
            })
        }
    }
}

/// Several messages of one conversation, each answered with what is new since the last.
async fn turns(when: &Value, then: &Value) -> Result<(), String> {
    struct Activity;
    #[async_trait::async_trait]
    impl Source for Activity {
        async fn ask(&self, ask: &Ask) -> Result<Value, SourceError> {
            Ok(match ask {
                Ask::Activity { .. } => json!("all activity"),
                Ask::ActivitySince { cutoff, .. } => json!(format!("activity since {cutoff:?}")),
                Ask::Live { .. } | Ask::Turns { .. } | Ask::Knowledge { .. } => Value::Null,
            })
        }
    }
    let sources = Sources {
        activity: Some(Arc::new(Activity)),
        since: Some(Arc::new(Activity)),
        ..Sources::default()
    };
    let assembler = Assembler { sources, ..Assembler::default() };
    let mut mark = Watermark::default();
    let messages = list(&when["messages"])?.iter().zip(list(&then["turns"])?);
    for ((message, expected), number) in messages.zip(0..) {
        let cutoff = mark.cutoff().map(Timestamp::as_secs_f64);
        let question = Question {
            session: Some("s1".to_owned()),
            text: message["text"].as_str().ok_or("no text")?.to_owned(),
            cutoff,
            ..Question::default()
        };
        let block = assembler.assemble(&question).await.user_block();
        let ours = json!({"cutoff": cutoff, "user_block": block});
        compare::same(&format!("turn {number}"), &ours, expected)?;
        if message["reply_fails"] != true {
            mark.advance(inbound_at(&message["created_at"], Timestamp::from_secs_f64(NOW)));
        }
    }
    Ok(())
}

fn watermarks(when: &Value, then: &Value) -> Result<(), String> {
    let mut marks = Watermarks::new(NonZeroUsize::new(100).ok_or("none")?);
    for (step, expected) in list(&when["steps"])?.iter().zip(list(&then["results"])?) {
        let text = |key: &str| step["scope"][key].as_str().map(str::to_owned);
        let conversation = ConversationId::new(text("conversation_id").unwrap_or_default());
        let conversation = conversation.map_err(|error| error.to_string())?;
        let scope = (text("tenant_id"), text("product_id"), conversation);
        let result = match step["op"].as_str() {
            Some("get") => marks.of(&scope).cutoff().map(Timestamp::as_secs_f64),
            Some("set") => {
                let at = step["at"].as_f64().ok_or("no time")?;
                marks.advance(scope, Timestamp::from_secs_f64(at));
                None
            }
            op => return Err(format!("no such op: {op:?}")),
        };
        compare::same("result", &json!(result), &expected["return"])?;
    }
    Ok(())
}

fn text_form(call: &str, when: &Value) -> Result<Value, String> {
    let assembly = assembly(&when["assembly"]);
    let given = |from: &'static str| move |key: &str| when[from][key].as_str().map(str::to_owned);
    Ok(match call {
        "user_block" => json!(assembly.user_block()),
        "selected_context" => json!(assembly.selected_context()),
        "kb_text" => {
            let (articles, _) = Article::read_list(&when["records"]);
            json!(knowledge_text(&articles, Budgets::default().knowledge))
        }
        "history_text" => {
            let (turns, _) = Turn::read_list(&when["history"]);
            json!(history_text(&turns, Budgets::default().history))
        }
        "cutoff" => {
            let mut mark = Watermark::default();
            if let Some(previous) = when["previous"].as_f64() {
                mark.advance(Timestamp::from_secs_f64(previous));
            }
            json!(mark.cutoff().map(Timestamp::as_secs_f64))
        }
        "inbound_timestamp" => {
            let received = Timestamp::from_secs_f64(when["fallback"].as_f64().unwrap_or(NOW));
            json!(inbound_at(&when["created_at"], received).as_secs_f64())
        }
        "rag_system_prompt" => {
            let question = when["user_question"].as_str().ok_or("no question")?;
            let option = given("options");
            let usual = Reasoning::default();
            let or = |key: &str, usual: &str| option(key).unwrap_or_else(|| usual.to_owned());
            let intent = or("reasoning_intent", usual.intent);
            let sources = or("reasoning_sources", usual.sources);
            let explanation = or("reasoning_explanation", usual.explanation);
            let task = or("selected_task_context", usual.task);
            let reasoning = Reasoning {
                intent: &intent,
                sources: &sources,
                explanation: &explanation,
                task: &task,
            };
            let values = assembly.values(question, reasoning);
            let values: Vec<_> = values.iter().map(|(name, value)| (*name, &**value)).collect();
            rendered(when, &Assembly::PLACEHOLDERS, &values)?
        }
        "reasoning_prompt" => {
            let given = given("args");
            let values = CHOOSING.map(|name| (name, given(name).unwrap_or_else(|| NONE.into())));
            let values: Vec<_> = values.iter().map(|(name, value)| (*name, &**value)).collect();
            rendered(when, &CHOOSING, &values)?
        }
        "previews" => {
            let (articles, _) = Article::read_list(&when["options"]["kb_records"]);
            let made = previews(&assembly, &articles);
            let given = given("options");
            let mut shown: Value = CHOOSING[3..]
                .iter()
                .map(|name| ((*name).to_owned(), json!(given(name).unwrap_or_else(|| NONE.into()))))
                .collect();
            for (name, made) in
                [("ui_actions_preview", made.activity), ("kb_articles_preview", made.knowledge)]
            {
                if given(name).is_none() {
                    shown[name] = json!(made);
                }
            }
            shown
        }
        call => return Err(format!("no such call: {call}")),
    })
}

fn rendered(when: &Value, names: &[&str], values: &[(&str, &str)]) -> Result<Value, String> {
    let template = when["template"].as_str().ok_or("no template")?;
    let template = Template::parse(template, names).map_err(|faults| format!("{faults:?}"))?;
    Ok(json!(template.render(values)))
}

fn assembly(given: &Value) -> Assembly {
    let text = |key: &str| given[key].as_str().unwrap_or_default().to_owned();
    Assembly {
        since: text("activity_since_last_chat_message"),
        recent_activity: text("recent_activity"),
        history: text("conversation_history_text"),
        knowledge: text("kb_records_text"),
        question: text("user_message"),
        first_question: text("first_question_text"),
        missing: Vec::new(),
    }
}

fn list(value: &Value) -> Result<&[Value], String> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| format!("{value} is no list"))
}
