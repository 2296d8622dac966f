//! An operation: what one method of an address takes and answers. What its route's rule means for it (the scope, 401, 403)
//! is put in from the table of routes.

use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::schema;
use crate::http::gate::{Access, Of};
use crate::http::json::Wanted;

const JSON: &str = "application/json";

/// The schemas that several operations name.
pub(super) struct Schemas(SchemaGenerator);

impl Schemas {
    pub(super) fn new() -> Self {
        // As it is written: what may be left out in reading is there all the same.
        let mut settings = SchemaSettings::draft2020_12().for_serialize();
        settings.definitions_path = "/components/schemas".into();
        Self(settings.into_generator())
    }

    /// The schema of what is answered from a type.
    pub(super) fn of<T: JsonSchema>(&mut self) -> Value {
        self.0.subschema_for::<T>().to_value()
    }

    pub(super) fn all(mut self) -> Map<String, Value> {
        self.0.take_definitions(true)
    }
}

/// What an operation is, as its row says it.
pub(super) struct Operation {
    id: &'static str,
    summary: &'static str,
    query: Vec<Value>,
    body: Option<Body>,
    answers: Vec<(u16, Answer)>,
    refuses: &'static [u16],
    by_plugin: bool,
}

enum Body {
    /// Read strictly, field by field.
    Fields {
        schema: Value,
        example: &'static str,
        #[cfg(test)]
        known: Vec<&'static str>,
    },
    /// Judged as it came, by whoever reads it.
    Raw { media: &'static str, schema: Value },
}

struct Answer {
    /// No content where it is empty.
    media: &'static str,
    schema: Value,
    words: &'static str,
}

impl Operation {
    /// An operation that answers JSON of this schema.
    pub(super) fn new(id: &'static str, summary: &'static str, schema: Value) -> Self {
        Self::plain(id, summary).answers(200, "As it was asked for.", schema)
    }

    /// An operation that answers something else.
    pub(super) fn plain(id: &'static str, summary: &'static str) -> Self {
        let (query, answers) = (Vec::new(), Vec::new());
        Self { id, summary, query, body: None, answers, refuses: &[], by_plugin: false }
    }

    /// A name of the query that may be left out.
    pub(super) fn query(self, name: &str, schema: &Value, words: &str) -> Self {
        self.asked(name, schema, words, false)
    }

    /// A name of the query that must be there.
    pub(super) fn needs_query(self, name: &str, schema: &Value, words: &str) -> Self {
        self.asked(name, schema, words, true)
    }

    fn asked(mut self, name: &str, schema: &Value, words: &str, required: bool) -> Self {
        self.query.push(json!({
            "name": name, "in": "query", "required": required, "description": words, "schema": schema,
        }));
        self
    }

    /// The body is an object with these fields, of which some must be there.
    pub(super) fn body<T: Wanted>(mut self, required: &[&str], fields: &[(&str, Value)]) -> Self {
        let mut schema = schema::object(fields);
        schema["required"] = json!(required);
        schema["additionalProperties"] = json!(false);
        self.body = Some(Body::Fields {
            schema,
            example: T::EXAMPLE,
            #[cfg(test)]
            known: T::names(),
        });
        self
    }

    /// The body is read by somebody else.
    pub(super) fn raw(mut self, media: &'static str, schema: Value) -> Self {
        self.body = Some(Body::Raw { media, schema });
        self
    }

    pub(super) fn answers(mut self, status: u16, words: &'static str, schema: Value) -> Self {
        self.answers.push((status, Answer { media: JSON, schema, words }));
        self
    }

    /// Text of another form.
    pub(super) fn sends(mut self, media: &'static str, words: &'static str) -> Self {
        self.answers.push((200, Answer { media, schema: schema::text(), words }));
        self
    }

    /// Statuses of errors of its own, beside those that each route can have.
    pub(super) fn refuses(self, refuses: &'static [u16]) -> Self {
        Self { refuses, ..self }
    }

    /// A plugin may answer whatever it likes.
    pub(super) fn by_plugin(self) -> Self {
        Self { by_plugin: true, ..self }
    }

    /// The names of its body's fields, as they are told and as they are known.
    #[cfg(test)]
    pub(super) fn fields(&self) -> Option<(Vec<String>, Vec<&'static str>)> {
        let Some(Body::Fields { schema, known, .. }) = &self.body else { return None };
        let told = schema["properties"].as_object().map(|it| it.keys().cloned().collect());
        Some((told.unwrap_or_default(), known.clone()))
    }

    /// As the document has it, by its route.
    pub(super) fn written(&self, path: &str, access: Access) -> Value {
        let mut parameters: Vec<_> = names(path).map(path_parameter).collect();
        parameters.extend(self.query.iter().cloned());
        let mut statuses = refused(access);
        let is_read = matches!(self.body, Some(Body::Fields { .. }));
        if is_read || !parameters.is_empty() {
            statuses.push(422);
        }
        match self.body {
            Some(Body::Fields { .. }) => statuses.extend([408, 413, 415]),
            Some(Body::Raw { .. }) => statuses.extend([408, 413]),
            None => {}
        }
        statuses.extend(self.refuses);
        let refusal = |status: u16| (status.to_string(), refusal(status));
        let mut responses: Map<_, _> = statuses.into_iter().map(refusal).collect();
        for (status, Answer { media, schema, words }) in &self.answers {
            let content = json!({ *media: { "schema": schema } });
            responses
                .insert(status.to_string(), json!({ "description": words, "content": content }));
        }
        if self.by_plugin {
            let words = "What the plugin answers: an error as everywhere, or bytes of its own.";
            responses.insert("default".to_owned(), json!({ "description": words }));
        }
        let mut value = json!({
            "operationId": self.id,
            "summary": self.summary,
            "parameters": parameters,
            "responses": responses,
            "security": [],
        });
        if let Some((scope, of)) = access.needs() {
            value["security"] = json!([{ "bearer": [] }]);
            value["x-scope"] = json!(scope.name());
            value["x-product"] = json!(product(of));
        }
        match &self.body {
            None => {}
            Some(Body::Fields { schema, example, .. }) => {
                let content = json!({ JSON: { "schema": schema } });
                value["requestBody"] =
                    json!({ "required": true, "description": example, "content": content });
            }
            Some(Body::Raw { media, schema }) => {
                let content = json!({ *media: { "schema": schema } });
                value["requestBody"] = json!({ "required": true, "content": content });
            }
        }
        value
    }
}

/// The names in an address.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| name.strip_prefix('*').unwrap_or(name))
}

fn path_parameter(name: &str) -> Value {
    let words = match name {
        "product_id" => "The product.",
        "session_id" => "The session.",
        "user_id" => "The user, as the stream calls them.",
        "number" => {
            "The delivery's number in its session: `3`, `sink-3`, `timer-3` or `message-3`."
        }
        "plugin" | "name" => "The name in the configuration.",
        "rest" => "The path that the tool calls.",
        _ => "The id.",
    };
    let schema = json!({ "type": "string", "minLength": 1 });
    json!({ "name": name, "in": "path", "required": true, "description": words, "schema": schema })
}

/// What the gate answers by a rule.
fn refused(access: Access) -> Vec<u16> {
    match access {
        Access::Anyone => vec![400, 431],
        Access::Source => vec![400, 401, 403, 404, 405, 408, 413, 431, 503],
        Access::Signed => vec![400, 403, 431, 503],
        Access::Browser | Access::Needs(..) | Access::Agents(..) => vec![400, 401, 403, 431, 503],
    }
}

/// How the product is named.
fn product(of: Of) -> &'static str {
    match of {
        Of::Path => "path",
        Of::Body(_) => "body",
        Of::Filter(_) | Of::User => "query",
        Of::Tool => "tool",
        Of::AnyProduct => "any",
        Of::Host => "host",
    }
}

fn refusal(status: u16) -> Value {
    let words = match status {
        400 => "The request can't be read.",
        401 => "No token or key is there, or it opens nothing.",
        403 => {
            "The caller may not: the scope is missing, it is another product, or a web page asks."
        }
        404 => "There is no such thing.",
        406 => "The answer is JSON, which isn't accepted.",
        408 => "The body didn't come in time.",
        409 => "It can't be done as things stand.",
        413 => "The body is too large.",
        415 => "The body doesn't say that it is JSON.",
        422 => "Something in the request can't be used; `next` says what to send.",
        431 => "The request's head is too large.",
        500 => "A fault of the host's own.",
        502 => "A plugin or the language model gave no answer.",
        503 => "Not at the moment: see `Retry-After`, where there is one.",
        507 => "There is no space for it on the host's disk.",
        504 => "The language model didn't answer in time.",
        _ => "Refused.",
    };
    let schema = json!({ "$ref": "#/components/schemas/Refused" });
    json!({ "description": words, "content": { JSON: { "schema": schema } } })
}
