//! The tool `get_live_user_activity`.

use std::sync::Arc;

use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

use crate::access::Caller;
use crate::context::View;
use crate::http::backend::{Backend, NoProduct};
use crate::http::context::listed;
use crate::http::products::{AllowedProduct, NotAllowed};
use crate::session::payload::read_id;

/// The tool's name.
pub(super) const NAME: &str = "get_live_user_activity";

const DESCRIPTION: &str = "What a user did in the product lately: a list of actions, the oldest first, and the same as text, with a summary of what came before where there is one. Call it before answering a question of the user's, and pass the question as `query` to have it behind the text. An empty list means that nothing recent is known.";

/// Actions of an answer where nobody says how many.
const DEFAULT_LIMIT: usize = 50;
/// Most actions of an answer.
const MAX_LIMIT: usize = 1000;
/// The names of the arguments.
const ARGUMENTS: [&str; 4] = ["user_id", "product_id", "limit", "query"];

/// What an agent is told of the tool.
pub(super) fn tool() -> Tool {
    let input = json!({
        "type": "object",
        "properties": {
            "user_id": {
                "type": "string",
                "minLength": 1,
                "description": "The user's id in the product, as the activity source knows it.",
            },
            "product_id": {
                "type": "string",
                "minLength": 1,
                "description": "The product. Needed where the host serves several: users of different products are different people.",
            },
            "limit": {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_LIMIT,
                "default": DEFAULT_LIMIT,
                "description": "The most actions that are told, the latest.",
            },
            "query": {
                "type": "string",
                "description": "What the user asks. It stands behind the text, ready to be answered.",
            },
        },
        "required": ["user_id"],
        "additionalProperties": false,
    });
    let action = json!({
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "description": {"type": "string"},
            "canonical_url": {"type": "string"},
            "session_id": {"type": "string"},
            "accepted_at": {"type": "number", "description": "Seconds since 1970."},
        },
        "required": ["title", "description", "canonical_url", "session_id", "accepted_at"],
    });
    let output = json!({
        "type": "object",
        "properties": {
            "product_id": {"type": "string"},
            "user_id": {"type": "string"},
            "count": {"type": "integer", "minimum": 0},
            "actions": {"type": "array", "items": action},
            "context": {"type": "string", "description": "The same as text, with the summary; empty where nothing recent is known."},
        },
        "required": ["product_id", "user_id", "count", "actions", "context"],
    });
    let reads = ToolAnnotations::with_title("What a user did lately")
        .read_only(true)
        .destructive(false)
        .idempotent(true)
        .open_world(false);
    Tool::new(NAME, DESCRIPTION, object(input))
        .with_raw_output_schema(object(output))
        .with_annotations(reads)
}

/// Calls the tool.
pub(super) fn call(
    backend: &dyn Backend,
    caller: &Caller,
    arguments: JsonObject,
) -> Result<CallToolResult, Failed> {
    let Asked { user, product, limit, query } = Asked::read(&arguments)?;
    let product = AllowedProduct::of(backend, caller, product.as_deref());
    let product = product.map_err(|no| match no {
        NotAllowed::Foreign(products) => Failed::new(
            "product",
            format!("the key of this agent is for {products}"),
            "ask about a user of a product of the key",
        ),
        NotAllowed::No(NoProduct::Unknown) => Failed::new(
            "unknown_product",
            "this host doesn't serve the product",
            "leave product_id out, or ask the operator for its name",
        ),
        NotAllowed::No(NoProduct::Several(ids)) => Failed::new(
            "which_product",
            "the host serves several products, and users of different products are different people",
            format!("pass as product_id one of {}", ids.join(", ")),
        ),
    })?;
    let off = || {
        let next = "ask the operator to add the table [context] to the host's configuration";
        Failed::new("context_off", "this host keeps no context", next)
    };
    let recent = backend.recent().ok_or_else(off)?;
    if !recent.is_ready() {
        let next = "call the tool again in a second";
        return Err(Failed::new("context_not_ready", "the host has just started", next));
    }
    if !recent.names_somebody(&user) {
        return Err(Failed::new(
            "nobody",
            "this user id names nobody: programs write it where they know of no one",
            "pass the id of a user who is signed in, or answer without knowing what they did",
        ));
    }
    let listing = View { max_actions: None, ..recent.view() };
    let actions = recent.actions(&product, &user, limit, listing).unwrap_or_default();
    let view = recent.view();
    let most = view.max_actions.map_or(limit, |most| most.min(limit));
    let view = View { max_actions: Some(most), ..view };
    let context = recent.activity(&product, &user, view);
    let text = match query {
        Some(query) => recent.enrich(&product, &user, query, view),
        None if context.is_empty() => "Nothing recent is known of this user.".to_owned(),
        None => context.clone(),
    };
    let structured = json!({
        "product_id": &*product,
        "user_id": user,
        "count": actions.len(),
        "actions": actions.iter().map(listed).collect::<Vec<_>>(),
        "context": context,
    });
    let mut result = CallToolResult::structured(structured);
    result.content = vec![ContentBlock::text(text)];
    Ok(result)
}

/// What the agent asks for.
struct Asked<'a> {
    user: String,
    product: Option<String>,
    limit: usize,
    query: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn read(arguments: &'a JsonObject) -> Result<Self, Failed> {
        if arguments.keys().any(|name| !ARGUMENTS.contains(&name.as_str())) {
            return Err(invalid(format!("the arguments are {}", ARGUMENTS.join(", "))));
        }
        let text = |name: &str| match arguments.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(invalid(format!("{name} must be a string"))),
        };
        // An agent that has read a number hands it on as one.
        let id = |name: &str| match arguments.get(name).map(read_id) {
            None => Ok(None),
            Some(Ok(Some(id))) => Ok(Some(id)),
            Some(Ok(None)) => Err(invalid(format!("{name} is empty"))),
            Some(Err(is)) => Err(invalid(format!("{name} must be a string, and it is {is}"))),
        };
        let whole = |limit: &Value| limit.as_u64().and_then(|limit| usize::try_from(limit).ok());
        let limit = match arguments.get("limit") {
            None => DEFAULT_LIMIT,
            Some(limit) => {
                whole(limit).filter(|limit| (1..=MAX_LIMIT).contains(limit)).ok_or_else(|| {
                    invalid(format!("limit must be a whole number from 1 to {MAX_LIMIT}"))
                })?
            }
        };
        Ok(Self {
            user: id("user_id")?.ok_or_else(|| invalid("user_id is missing"))?,
            product: id("product_id")?,
            limit,
            query: text("query")?,
        })
    }
}

/// Why a call has no result, for the agent: `{"error": {"code", "message", "next"}}` as text. Clients hold
/// what is structured against the tool's schema, of an error too.
#[derive(Debug)]
pub(super) struct Failed {
    code: &'static str,
    message: String,
    next: String,
}

impl Failed {
    fn new(code: &'static str, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self { code, message: message.into(), next: next.into() }
    }

    /// The result that says so.
    pub(super) fn into_result(self) -> CallToolResult {
        let Self { code, message, next } = self;
        let error = json!({"error": {"code": code, "message": message, "next": next}});
        CallToolResult::error(vec![ContentBlock::text(error.to_string())])
    }
}

fn invalid(message: impl Into<String>) -> Failed {
    let next = "call the tool again, for example with {\"user_id\": \"U\", \"limit\": 20}";
    Failed::new("invalid_arguments", message, next)
}

fn object(schema: Value) -> Arc<JsonObject> {
    let fields = serde_json::from_value(schema);
    Arc::new(fields.expect("a schema is written as an object"))
}
