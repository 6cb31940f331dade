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
mod query;
mod repositories;
pub(crate) mod revoke;
mod router;
mod secrets;
mod sessions;
mod settings;
mod sign_in;
mod snapshots;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use tower_service::Service;
use worker::{Context, Env};

use self::audit::Asked;
use self::error::ApiError;
pub(crate) use self::money::{check_limit, tell_raise};
pub(crate) use self::wire::{NativeBody, Upload};
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

/// The router is built once, and knows nothing of a request: each brings its [`App`] along.
#[derive(Debug, Clone)]
pub(crate) struct Stateless;

/// The reference of the request that is being served; the router has it as an extension.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Answers one request. Every answer carries `x-request-id`.
pub(crate) async fn serve(
    request: worker::web_sys::Request,
    env: &Env,
    context: Context,
) -> worker::Result<worker::web_sys::Response> {
    let id = ids::request_id(clock::now());
    let context = Arc::new(context);
    let slots = Slots::default();
    let request = wire::readable(&request).map_err(|_| ApiError::bad_request("the address or a header cannot be read"));
    let asked = request.as_ref().ok().map(Asked::by);
    let routed = match request {
        Ok(request) => route(request, env, Arc::clone(&context), &id, &slots).await,
        Err(error) => Err(error),
    };
    let mut response = routed.unwrap_or_else(|error| error.into_http_response(&id));
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let headers = std::mem::take(response.headers_mut());
        response = error.into_http_response(&id);
        response.headers_mut().extend(headers);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(rpc::REQUEST_ID, value);
    }
    slots.rate.show(response.headers_mut());
    if let Some((org, entry)) = slots.audit.entry(asked.as_ref(), response.status(), &id)
        && let Ok(config) = Config::of(env)
    {
        context.wait_until(async move { audit::write(&config, &org, &entry).await });
    }
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Answers are about a person or the moment: no cache may give them to the next caller.
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    wire::answer(response).await
}

/// What is noted while a request is served, for what comes after the handler.
#[derive(Debug, Clone, Default)]
struct Slots {
    audit: audit::Slot,
    rate: limited::Slot,
}

async fn route(
    mut request: http::Request<worker::Body>,
    env: &Env,
    context: Arc<Context>,
    id: &str,
    slots: &Slots,
) -> Result<http::Response<Body>, ApiError> {
    let app = App {
        config: Config::of(env)?,
        context,
    };
    request.extensions_mut().insert(app);
    request.extensions_mut().insert(RequestId(id.to_owned()));
    request.extensions_mut().insert(slots.clone());
    match ROUTER.with(Router::clone).call(request).await {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

thread_local! {
    /// Built once: there are many routes.
    static ROUTER: Router = router::router();
}
