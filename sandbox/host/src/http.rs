//! The contract over HTTP: reads a bounded body, checks the signature over its raw bytes, then routes. Every answer
//! to a bad request is the contract's error body.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use errand_protocol::egress::EgressPolicy;
use errand_protocol::sandbox::{
    SIGNATURE_HEADER, SandboxError, SandboxErrorBody, SandboxErrorKind, SandboxSpec, TIMESTAMP_HEADER,
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::{Deserialize, Serialize};

use crate::auth::{SignedRequest, Verifier};
use crate::checks::invalid;
use crate::host::{Host, now};

/// Larger bodies are refused.
pub const MAX_BODY_BYTES: usize = 1 << 20;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The routes of the contract.
pub fn router(host: Arc<Host>, verifier: Verifier) -> Router {
    let verifier = Arc::new(Mutex::new(verifier));
    Router::new()
        .route("/v1/sandboxes", get(list))
        .route("/v1/sandboxes/{name}", get(inspect).put(ensure).delete(delete))
        .route("/v1/sandboxes/{name}/suspend", post(suspend))
        .route("/v1/sandboxes/{name}/egress", put(set_egress))
        .route("/v1/sandboxes/{name}/extend", post(extend))
        .fallback(|| async { failure(StatusCode::NOT_FOUND, invalid("there is no such call")) })
        .method_not_allowed_fallback(|| async {
            failure(
                StatusCode::METHOD_NOT_ALLOWED,
                invalid("this method is not allowed here"),
            )
        })
        .layer(middleware::from_fn_with_state(verifier, signed))
        .route("/v1/health", get(health))
        .with_state(host)
}

/// Lets only well-signed requests through, with their body read.
async fn signed(State(verifier): State<Arc<Mutex<Verifier>>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = match read(body, &parts.headers).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let checked = verifier.lock().unwrap_or_else(PoisonError::into_inner).verify(
        SignedRequest {
            method: parts.method.as_str(),
            path: parts.uri.path_and_query().map_or("", |path| path.as_str()),
            body: &body,
            timestamp: text(TIMESTAMP_HEADER),
            signature: text(SIGNATURE_HEADER),
        },
        now().millis(),
    );
    match checked {
        Ok(()) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(error) => error_response(error),
    }
}

async fn read(body: Body, headers: &HeaderMap) -> Result<Bytes, Response> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_BYTES).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(failure(StatusCode::BAD_REQUEST, invalid("the body could not be read"))),
        Err(_) => Err(failure(
            StatusCode::REQUEST_TIMEOUT,
            invalid("the body did not arrive in time"),
        )),
    }
}

fn too_large() -> Response {
    failure(StatusCode::PAYLOAD_TOO_LARGE, invalid("the body is larger than 1 MiB"))
}

async fn ensure(State(host): State<Arc<Host>>, Path(name): Path<String>, body: Bytes) -> Response {
    // serde's message names a field and a place, never a value of the environment: those are plain texts.
    let spec: SandboxSpec = match serde_json::from_slice(&body) {
        Ok(spec) => spec,
        Err(error) => return error_response(invalid(&format!("the specification cannot be read: {error}"))),
    };
    answer(StatusCode::ACCEPTED, host.ensure(&name, spec).await)
}

async fn inspect(State(host): State<Arc<Host>>, Path(name): Path<String>) -> Response {
    answer(StatusCode::OK, host.get(&name).await)
}

#[derive(Deserialize)]
struct Filter {
    label: Option<String>,
}

async fn list(State(host): State<Arc<Host>>, Query(filter): Query<Filter>) -> Response {
    answer(StatusCode::OK, host.list(filter.label.as_deref()))
}

async fn delete(State(host): State<Arc<Host>>, Path(name): Path<String>) -> Response {
    match host.delete(&name).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => error_response(error),
    }
}

async fn suspend(State(host): State<Arc<Host>>, Path(name): Path<String>) -> Response {
    answer(StatusCode::OK, host.suspend(&name).await)
}

async fn set_egress(State(host): State<Arc<Host>>, Path(name): Path<String>, body: Bytes) -> Response {
    let policy: EgressPolicy = match serde_json::from_slice(&body) {
        Ok(policy) => policy,
        Err(error) => return error_response(invalid(&format!("the policy cannot be read: {error}"))),
    };
    answer(StatusCode::OK, host.set_egress(&name, policy).await)
}

async fn extend() -> Response {
    error_response(SandboxError {
        kind: SandboxErrorKind::Unsupported,
        message: "sandboxes do not expire here".to_owned(),
        retry_after_ms: None,
    })
}

async fn health(State(host): State<Arc<Host>>) -> Response {
    json(StatusCode::OK, &host.health())
}

fn answer<T: Serialize>(status: StatusCode, result: Result<T, SandboxError>) -> Response {
    match result {
        Ok(value) => json(status, &value),
        Err(error) => error_response(error),
    }
}

/// The contract's error with its HTTP status.
fn error_response(error: SandboxError) -> Response {
    let status = match error.kind {
        SandboxErrorKind::Transient => StatusCode::SERVICE_UNAVAILABLE,
        SandboxErrorKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        SandboxErrorKind::Capacity => StatusCode::INSUFFICIENT_STORAGE,
        SandboxErrorKind::Conflict => StatusCode::CONFLICT,
        SandboxErrorKind::InvalidSpec => StatusCode::UNPROCESSABLE_ENTITY,
        SandboxErrorKind::Auth => StatusCode::UNAUTHORIZED,
        SandboxErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
    };
    failure(status, error)
}

fn failure(status: StatusCode, error: SandboxError) -> Response {
    json(status, &SandboxErrorBody { error })
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
