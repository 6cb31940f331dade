//! The HTTP API (DESIGN §6). Owns: routes, authentication, body limits, errors. Does not: decide what a session may
//! do — that is the SessionAgent's.

pub(crate) mod allow;
pub(crate) mod audit;
pub mod auth;
mod environment;
pub mod error;
mod forward;
pub(crate) mod git;
mod git_credentials;
mod groups;
mod health;
pub(crate) mod idempotency;
pub mod json;
mod keys;
mod limited;
mod llm;
mod members;
mod model_keys;
mod money;
mod oauth;
#[cfg(test)]
mod openapi;
mod repositories;
pub(crate) mod revoke;
mod router;
mod secrets;
mod sessions;
mod settings;
mod sign_in;
mod snapshots;

use std::sync::Arc;

use axum::body::Body;
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{Extensions, HeaderValue};
use tower_service::Service;
use worker::send::SendWrapper;
use worker::web_sys::ReadableStream;
use worker::{Context, Env, ResponseBody};

use self::audit::Asked;
use self::error::ApiError;
pub(crate) use self::money::check_limit;
use crate::config::Config;
use crate::platform::{clock, ids, rpc};

/// What every handler knows.
#[derive(Debug, Clone)]
pub(crate) struct App {
    /// The configuration and the bindings.
    pub(crate) config: Arc<Config>,
    /// The request's own: what goes on after the answer.
    pub(crate) context: Arc<Context>,
}

/// The reference of the request that is being served; the router has it as an extension.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// A body that the platform streams by itself, instead of the response's own: it is not copied through our memory, and
/// its length is known when it comes from R2.
#[derive(Clone)]
pub(crate) struct NativeBody(SendWrapper<ReadableStream>);

impl NativeBody {
    /// Of this stream.
    pub(crate) fn new(stream: ReadableStream) -> Self {
        Self(SendWrapper(stream))
    }
}

/// The body of a request that is large and passed on: the platform's own stream, which the request has in place of a body.
#[derive(Clone)]
pub(crate) struct Upload(SendWrapper<ReadableStream>);

impl Upload {
    /// What a request brought; [`None`] without a body.
    pub(crate) fn take(extensions: &mut Extensions) -> Option<ReadableStream> {
        extensions.remove::<Self>().map(|Self(stream)| stream.0)
    }
}

/// The request as the router wants it. Who turns a body into that of an [`http::Request`] reads it through our memory.
fn readable(request: worker::Request) -> worker::Result<worker::HttpRequest> {
    let path = request.path();
    // A method that the platform's bindings do not know they take for GET.
    let known = matches!(request.inner().method().as_str(), "GET" | "POST" | "PUT");
    let passed_on = known && (path.starts_with("/git/") || path.starts_with("/runner/"));
    let Some(body) = request.inner().body().filter(|_| passed_on) else {
        return request.try_into();
    };
    let mut init = worker::RequestInit::new();
    init.with_method(request.method())
        .with_headers(request.headers().clone());
    let bare = worker::Request::new_with_init(request.inner().url().as_str(), &init)?;
    let mut bare = worker::HttpRequest::try_from(bare)?;
    bare.extensions_mut().insert(Upload(SendWrapper(body)));
    Ok(bare)
}

/// Answers one request. Every answer carries `x-request-id`.
pub(crate) async fn serve(
    request: worker::Request,
    env: &Env,
    context: Context,
) -> worker::Result<worker::web_sys::Response> {
    let id = ids::request_id(clock::now());
    let context = Arc::new(context);
    let slots = Slots::default();
    let asked = Asked::of(&request);
    let mut response = match route(request, env, Arc::clone(&context), &id, &slots).await {
        Ok(response) => response,
        Err(error) => error.into_http_response(&id),
    };
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let headers = std::mem::take(response.headers_mut());
        response = error.into_http_response(&id);
        response.headers_mut().extend(headers);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(rpc::REQUEST_ID, value);
    }
    slots.rate.show(response.headers_mut());
    if let Some((org, entry)) = slots.audit.entry(&asked, response.status(), &id)
        && let Ok(config) = Config::from_env(env)
    {
        context.wait_until(async move { audit::write(&config, &org, &entry).await });
    }
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Answers are about a person or the moment: no cache may give them to the next caller.
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    let native = response.extensions_mut().remove::<NativeBody>();
    let answer = worker::response_to_wasm(response)?;
    Ok(match native {
        None => answer,
        Some(NativeBody(stream)) => {
            let answer = worker::Response::from(answer);
            let (status, headers) = (answer.status_code(), answer.headers().clone());
            let body = ResponseBody::Stream(stream.0);
            let answer = worker::Response::from_body(body)?;
            answer.with_status(status).with_headers(headers).into()
        }
    })
}

/// What is noted while a request is served, for what comes after the handler.
#[derive(Debug, Clone, Default)]
struct Slots {
    audit: audit::Slot,
    rate: limited::Slot,
}

async fn route(
    request: worker::Request,
    env: &Env,
    context: Arc<Context>,
    id: &str,
    slots: &Slots,
) -> Result<http::Response<Body>, ApiError> {
    let mut request = readable(request).map_err(|_| ApiError::bad_request("the address or a header cannot be read"))?;
    let app = App {
        config: Arc::new(Config::from_env(env)?),
        context,
    };
    request.extensions_mut().insert(RequestId(id.to_owned()));
    request.extensions_mut().insert(slots.clone());
    match router::router(app).call(request).await {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}
