//! Makes the document from the table.

use std::collections::BTreeSet;

use errand_access::By;
use errand_protocol::api::{ErrorBody, ErrorCode};
use errand_protocol::git::GitHost;
use errand_protocol::ids::{
    ApiKeyId, BudgetId, GroupId, InteractionId, InvitationId, PromptId, SessionId, ShareId, SignInId, SnapshotId,
    UserId,
};
use errand_protocol::repository::SecretName;
use errand_protocol::text::ProviderName;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::op::{Answer, Body, Content, Frames, Op, Query, SchemaOf, Who};
use super::schemas::Schemas;
use super::table;

/// The whole document.
pub(super) fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut paths: Map<String, Value> = Map::new();
    let mut tags = Vec::new();
    let mut errors = BTreeSet::new();
    for (tag, ops) in table::groups() {
        tags.push(json!({ "name": tag }));
        for op in ops {
            errors.extend(op.errors());
            let item = paths.entry(op.path).or_insert_with(|| json!({}));
            item[op.method] = operation(tag, &op, &mut schemas);
        }
    }
    let responses: Map<String, Value> = errors
        .into_iter()
        .map(|status| (error_name(status), error(status, &mut schemas)))
        .collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": info(),
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": { "securitySchemes": security_schemes(), "responses": responses },
    });
    schemas.finish(&mut document);
    document
}

fn info() -> Value {
    json!({
        "title": "Errand",
        "version": env!("CARGO_PKG_VERSION"),
        "license": { "name": "MIT", "identifier": "MIT" },
        "description": "JSON in camelCase, times by RFC 3339. Errors are `{\"error\": {code, message, details?, requestId}}` with a \
            closed set of codes. What one may not see is 404. Fields that are not there are left out of answers; \
            unknown fields of requests are refused. Whole numbers are written without a fraction. Answers of later versions may have more fields, and lists of \
            events more types: skip what you do not know. Every answer has the header `x-request-id`. A request that a \
            browser authenticates by its cookie may change something only from Errand's own pages. Requests with an \
            API key are counted: `RateLimit-*` say what is left. 429 has `Retry-After`, where a time is known or can be guessed.",
    })
}

fn security_schemes() -> Value {
    json!({
        "cookie": {
            "type": "apiKey", "in": "cookie", "name": "errand_session",
            "description": "A browser that is signed in.",
        },
        "signIn": {
            "type": "http", "scheme": "bearer",
            "description": "The token of a sign-in. WebSockets also take it as the subprotocols `errand, bearer.TOKEN`.",
        },
        "apiKey": {
            "type": "http", "scheme": "bearer", "bearerFormat": "er_ and 64 hexadecimal digits",
            "description": "An API key; the names are the scopes that it needs.",
        },
        "sandbox": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "What a sandbox holds: good for its own session, for a short time.",
        },
    })
}

fn operation(tag: &str, op: &Op, schemas: &mut Schemas) -> Value {
    let mut made = json!({
        "tags": [tag],
        "operationId": op.name,
        "summary": op.says,
        "security": security(op.who),
    });
    if let Some(who) = who(op.who) {
        made["description"] = who.into();
    }
    let parameters = parameters(op, schemas);
    if !parameters.is_empty() {
        made["parameters"] = parameters.into();
    }
    if let Some(body) = &op.body {
        made["requestBody"] = request_body(body, schemas);
    }
    let mut responses = Map::new();
    for answer in &op.answers {
        responses.insert(answer.status.to_string(), response(answer, schemas));
    }
    for status in op.errors() {
        let reference = format!("#/components/responses/{}", error_name(status));
        responses.insert(status.to_string(), json!({ "$ref": reference }));
    }
    made["responses"] = responses.into();
    if let Some(frames) = &op.frames {
        made["x-websocket"] = websocket(frames, schemas);
    }
    made
}

fn security(who: Who) -> Value {
    match who {
        Who::Everybody => json!([]),
        Who::Sandbox => json!([{ "sandbox": [] }]),
        Who::Person(action) => match action.by() {
            By::Scope(scope) => json!([{ "cookie": [] }, { "signIn": [] }, { "apiKey": [scope] }]),
            By::Any => json!([{ "cookie": [] }, { "signIn": [] }, { "apiKey": [] }]),
            By::Person => json!([{ "cookie": [] }, { "signIn": [] }]),
        },
    }
}

fn who(who: Who) -> Option<String> {
    let Who::Person(action) = who else { return None };
    let role = action.least_role().as_str();
    Some(match action.by() {
        By::Scope(scope) => format!("Role `{role}` or above; API keys need the scope `{}`.", scope.as_str()),
        By::Any => format!("Role `{role}` or above; any API key."),
        By::Person => format!("Role `{role}` or above; not with an API key."),
    })
}

fn parameters(op: &Op, schemas: &mut Schemas) -> Vec<Value> {
    let mut all = path_parameters(op.path, schemas);
    for Query { name, schema, says } in &op.query {
        all.push(json!({ "name": name, "in": "query", "description": says, "schema": schema }));
    }
    if op.keyed {
        all.push(json!({
            "name": "Idempotency-Key", "in": "header",
            "description": "The caller's own name for this request: sent again, it is not carried out again.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]([ -~]*[!-~])?$" },
        }));
    }
    all
}

fn path_parameters(path: &str, schemas: &mut Schemas) -> Vec<Value> {
    let parts: Vec<&str> = path.split('/').collect();
    let named = parts.windows(2).filter_map(|pair| {
        let name = pair[1].strip_prefix('{')?.strip_suffix('}')?;
        Some((pair[0], name))
    });
    let mut all = Vec::new();
    for (before, name) in named {
        let (schema, says) = match id_after(before) {
            Some((of, says)) => (schemas.taken(of), says),
            None => (json!({ "type": "string", "minLength": 1 }), "See there."),
        };
        all.push(json!({ "name": name, "in": "path", "required": true, "description": says, "schema": schema }));
    }
    all
}

/// What stands in an address after this word.
fn id_after(word: &str) -> Option<(SchemaOf, &'static str)> {
    fn of<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<T>()
    }
    Some(match word {
        "sessions" | "runner" => (of::<SessionId>, "Which session."),
        "prompts" => (of::<PromptId>, "Which prompt."),
        "interactions" => (of::<InteractionId>, "Which question or permission."),
        "shares" => (of::<ShareId>, "Which share link."),
        "snapshots" => (of::<SnapshotId>, "Which snapshot."),
        "keys" => (of::<ApiKeyId>, "Which key."),
        "sign-ins" => (of::<SignInId>, "Which sign-in."),
        "members" | "users" => (of::<UserId>, "Which person."),
        "invitations" => (of::<InvitationId>, "Which invitation."),
        "secrets" => (of::<SecretName>, "Its name."),
        "groups" => (of::<GroupId>, "Which group."),
        "budgets" => (of::<BudgetId>, "Which budget."),
        "git-credentials" => (of::<GitHost>, "Which host."),
        "model-keys" => (of::<ProviderName>, "Which provider."),
        "llm" | "git" | "{provider}" | "{host}" => return None,
        other => panic!("say in document.rs what stands after /{other}/"),
    })
}

fn request_body(body: &Body, schemas: &mut Schemas) -> Value {
    match body {
        Body::Json { schema, required } => json!({
            "required": required,
            "content": { "application/json": { "schema": schemas.taken(*schema) } },
        }),
        Body::Other(media_type) => json!({ "required": true, "content": { *media_type: {} } }),
    }
}

fn response(answer: &Answer, schemas: &mut Schemas) -> Value {
    let mut made = json!({ "description": answer.says });
    for content in &answer.contents {
        let (media_type, described) = match content {
            Content::Json(of) => ("application/json", json!({ "schema": schemas.given(*of) })),
            Content::Events(of) => {
                let data = schemas.given(*of);
                let described = json!({ "schema": { "type": "string" }, "x-event-data": data });
                ("text/event-stream", described)
            }
            Content::Other(media_type) => (*media_type, json!({})),
        };
        made["content"][media_type] = described;
    }
    for (name, says) in &answer.headers {
        made["headers"][*name] = json!({ "description": says, "schema": { "type": "string" } });
    }
    made
}

fn websocket(frames: &Frames, schemas: &mut Schemas) -> Value {
    let mut made = json!({ "server": schemas.given(frames.server) });
    if let Some(client) = frames.client {
        made["client"] = schemas.taken(client);
    }
    made
}

fn error_name(status: u16) -> String {
    format!("Error{status}")
}

/// The error of a status, with the codes that go with it.
fn error(status: u16, schemas: &mut Schemas) -> Value {
    fn body(generator: &mut SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<ErrorBody>()
    }
    let codes: Vec<ErrorCode> = ErrorCode::ALL
        .into_iter()
        .filter(|code| code.status() == status)
        .collect();
    assert!(!codes.is_empty(), "no error has the status {status}");
    let narrowed = json!({ "properties": { "error": { "properties": { "code": { "enum": codes } } } } });
    let names: Vec<String> = codes
        .iter()
        .map(|code| format!("`{}`", json!(code).as_str().unwrap_or_default()))
        .collect();
    let mut response = json!({
        "description": names.join(", "),
        "content": { "application/json": { "schema": { "allOf": [schemas.given(body), narrowed] } } },
    });
    if codes.contains(&ErrorCode::RateLimited) {
        response["headers"] = json!({ "Retry-After": {
            "description": "After so many seconds it is worth trying again, as far as one can tell; `details.retryAfter` says \
                the same. Absent where time alone changes nothing.",
            "schema": { "type": "integer", "minimum": 0 },
        } });
    }
    response
}
