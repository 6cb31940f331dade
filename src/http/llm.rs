//! The LLM proxy (DESIGN §4): `/llm/{provider}/…`, the engine's provider address. The sandbox shows its token, the
//! Worker puts in the provider's key. Requests are read whole (the model they name must be one of the installation's),
//! answers are streamed through unchanged.
//!
//! Errors have a shape that OpenAI's and Anthropic's clients both read. The key appears in no answer and no log.

use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use errand_protocol::api::ErrorCode;
use errand_protocol::runner::Dialect;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use worker::{Headers, Method, RequestInit, RequestRedirect};

use super::error::ApiError;
use super::{App, RequestId, auth, json};
use crate::config::ModelConfig;
use crate::platform::sandbox_token::{self, Audience};
use crate::platform::{clock, rpc};

/// Largest request: a full context window with pictures.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// So long a provider may take until its answer begins. Reasoning models without streaming take minutes.
const HEAD_LIMIT: Duration = Duration::from_mins(10);
/// What of the engine's headers the provider gets to see.
const SENT: [&str; 5] = [
    "content-type",
    "accept",
    "anthropic-version",
    "anthropic-beta",
    "user-agent",
];
/// What of the provider's headers the engine gets to see: the kind of body, and what its retries go by.
const RETURNED: [&str; 6] = [
    "content-type",
    "cache-control",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "request-id",
];

/// `POST /llm/{provider}/[v1/]{chat/completions|messages|responses}`.
#[worker::send]
pub(super) async fn proxy(State(app): State<App>, Extension(id): Extension<RequestId>, request: Request) -> Response {
    match relay(&app, request).await {
        Ok(response) => response,
        Err(error) => error.into_llm_response(&id.0),
    }
}

async fn relay(app: &App, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    authenticate(app, &parts.headers)?;
    let address = parts
        .uri
        .path()
        .strip_prefix("/llm/")
        .and_then(|rest| rest.split_once('/'));
    let (provider, path) = address.ok_or_else(|| ApiError::not_found("address"))?;
    let known = app
        .config
        .models
        .provider(provider)
        .ok_or_else(|| ApiError::not_found("provider"))?;
    let path = endpoint(path).ok_or_else(|| ApiError::not_found("address"))?;
    if parts.method != http::Method::POST {
        return Err(ApiError::new(ErrorCode::MethodNotAllowed, "only POST"));
    }
    let bytes = json::read(body, MAX_BYTES).await?;
    let model = wanted_model(app, provider, &bytes)?;
    let upstream = upstream_request(known, path, &parts.headers, &bytes)?;
    let response = rpc::fetch(upstream, HEAD_LIMIT).await.map_err(|error| {
        let mut refusal = ApiError::unavailable(format!("the endpoint of {model} cannot be reached"));
        refusal.source = Some(format!("llm {provider}: {error}"));
        refusal
    })?;
    streamed(&response)
}

fn authenticate(app: &App, headers: &HeaderMap) -> Result<(), ApiError> {
    let refused = || {
        ApiError::new(
            ErrorCode::Unauthenticated,
            "the sandbox token is missing, not valid or expired",
        )
    };
    let key = headers.get("x-api-key").and_then(|value| value.to_str().ok());
    let token = auth::bearer(headers).or(key).ok_or_else(refused)?;
    let session = sandbox_token::claimed_session(token).ok_or_else(refused)?;
    sandbox_token::verify_sandbox_token(&app.config, &session, token, Audience::Llm, clock::now())
        .map(|_| ())
        .map_err(|_| refused())
}

/// The endpoints that are relayed, as appended to a provider's base address.
fn endpoint(path: &str) -> Option<&'static str> {
    match path.strip_prefix("v1/").unwrap_or(path) {
        "chat/completions" => Some("chat/completions"),
        "messages" => Some("messages"),
        "responses" => Some("responses"),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Wanted {
    model: String,
}

/// The model that the request names; only the installation's own are relayed.
fn wanted_model(app: &App, provider: &str, body: &[u8]) -> Result<String, ApiError> {
    let wanted: Wanted = json::parse_json(body)?;
    let id = format!("{provider}/{}", wanted.model);
    let configured = id.parse().ok().and_then(|id| app.config.models.get(&id));
    match configured {
        Some(_) => Ok(id),
        None => Err(ApiError::invalid(
            "model",
            format!("{id} is not one of this installation's models"),
        )),
    }
}

fn upstream_request(
    known: &ModelConfig,
    path: &str,
    from: &HeaderMap,
    body: &[u8],
) -> Result<worker::Request, ApiError> {
    let headers = Headers::new();
    for name in SENT {
        if let Some(value) = from.get(name).and_then(|value| value.to_str().ok()) {
            headers.set(name, value)?;
        }
    }
    if let Some(key) = &known.api_key {
        match known.dialect {
            Dialect::Openai => headers.set("authorization", &format!("Bearer {}", key.expose()))?,
            Dialect::Anthropic => headers.set("x-api-key", key.expose())?,
        }
    }
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        // A redirect could carry the key elsewhere.
        .with_redirect(RequestRedirect::Manual)
        .with_body(Some(worker::js_sys::Uint8Array::from(body).into()));
    let url = format!("{}/{path}", known.base_url.trim_end_matches('/'));
    Ok(worker::Request::new_with_init(&url, &init)?)
}

fn streamed(response: &worker::Response) -> Result<Response, ApiError> {
    let status = match response.status_code() {
        // What we send is a plain POST: a redirect is the provider's mistake, and a login page is no answer.
        300..400 => StatusCode::BAD_GATEWAY,
        code => StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY),
    };
    let mut headers = HeaderMap::new();
    for name in RETURNED {
        let value = response
            .headers()
            .get(name)?
            .and_then(|value| HeaderValue::from_str(&value).ok());
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/json"));
    let body = match response.body() {
        worker::ResponseBody::Stream(stream) => Body::new(worker::Body::new(stream.clone())),
        worker::ResponseBody::Body(bytes) => Body::from(bytes.clone()),
        worker::ResponseBody::Empty => Body::empty(),
    };
    let mut answer = http::Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_endpoints_of_a_conversation_are_relayed() {
        assert_eq!(endpoint("v1/chat/completions"), Some("chat/completions"));
        assert_eq!(endpoint("messages"), Some("messages"));
        for other in ["v1/files", "v1/../admin", "", "v1/v1/messages", "chat/completions/x"] {
            assert_eq!(endpoint(other), None, "{other}");
        }
    }
}
