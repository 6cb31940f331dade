//! Calls from the Worker and its objects to other objects and servers. Owns: time limits, the JSON convention between
//! objects (`POST https://do/<command>`, JSON in, JSON out, errors as everywhere).

use std::future::Future;
use std::time::Duration;

use errand_access::Actor;
use errand_protocol::access::Visibility;
use errand_protocol::api::{CreateSession, ErrorBody};
use errand_protocol::ids::{Generation, OrgId, SessionId, UserId};
use errand_protocol::session::Session;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use worker::js_sys::{Array, Uint8Array};
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen_futures::JsFuture;
use worker::{
    AbortController, AbortSignal, Delay, Fetch, Headers, Method, Request, RequestInit, Response, ResponseBody, Stub,
    web_sys,
};

use crate::http::error::ApiError;
use crate::platform::{clock, ids};

/// Header with the reference of the request, for the logs.
pub const REQUEST_ID: &str = "x-request-id";
/// Header with the [`Actor`] as JSON: who asks. Set by the Worker alone.
pub const ACTOR: &str = "x-errand-actor";
/// Header with the [`SandboxCaller`] of a runner whose token the Worker has verified, as JSON.
pub const RUNNER: &str = "x-errand-runner";

/// Header in which an object tells the Worker what the audit log is to say of the request. Nobody outside gets it.
pub const AUDIT: &str = "x-errand-audit";

/// What a sandbox's token says of it, besides its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxCaller {
    /// In which org.
    pub org: OrgId,
    /// Which sandbox of the session.
    pub generation: Generation,
}

/// `POST https://do/create` to a SessionAgent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateCommand {
    /// Who creates it, and in which org.
    pub actor: Actor,
    /// Its id.
    pub id: SessionId,
    /// What is wanted; `model` is always filled in.
    pub request: CreateSession,
    /// Hash of what was wanted before anything was filled in, without the id.
    pub hash: String,
    /// Who sees it from the beginning.
    #[serde(default)]
    pub visibility: Visibility,
    /// Whether its commits name Errand as a co-author.
    #[serde(default)]
    pub co_author: bool,
}

/// `POST https://do/apply` to a SessionRegistry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplyCommand {
    /// The session as it is now.
    pub session: Session,
    /// With whom its share links share it now.
    #[serde(default)]
    pub guests: Vec<UserId>,
}

/// Sends `body` to an object and reads its answer.
///
/// # Errors
/// The object's own error, or internal when it cannot be reached or answers something else.
pub async fn post<B: Serialize, R: DeserializeOwned>(
    stub: &Stub,
    command: &str,
    body: &B,
    request_id: &str,
) -> Result<R, ApiError> {
    read(post_raw(stub, command, body, request_id).await?).await
}

/// Sends `body` to an object and returns its answer as it is.
///
/// # Errors
/// When it cannot be reached.
pub async fn post_raw<B: Serialize>(
    stub: &Stub,
    command: &str,
    body: &B,
    request_id: &str,
) -> Result<Response, ApiError> {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    headers.set(REQUEST_ID, request_id)?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        .with_body(Some(serde_json::to_string(body)?.into()));
    let request = Request::new_with_init(&format!("https://do/{command}"), &init)?;
    Ok(stub.fetch_with_request(request).await?)
}

/// What another part of ours sends to an object.
///
/// # Errors
/// Bad request when it is not that: then one of us is of another version.
pub async fn read_command<T: DeserializeOwned>(request: &mut Request) -> Result<T, ApiError> {
    let body = request.bytes().await?;
    super::json::read(&body).map_err(|error| ApiError::bad_request(format!("not this command: {error}")))
}

async fn read<R: DeserializeOwned>(response: Response) -> Result<R, ApiError> {
    let status = response.status_code();
    let bytes = bytes_of(&response).await?;
    if (200..300).contains(&status) {
        return Ok(super::json::read(&bytes)?);
    }
    match super::json::read::<ErrorBody>(&bytes) {
        Ok(body) => Err(ApiError::from(body.error)),
        Err(_) => Err(ApiError::internal(format!("an object answered {status}"))),
    }
}

/// Sends a request to a server; the wait for its head is limited.
///
/// # Errors
/// When it cannot be reached or takes too long.
pub async fn fetch(request: Request, limit: Duration) -> worker::Result<Response> {
    let abort = AbortController::default();
    let signal = abort.signal();
    head(request, limit, abort, &signal).await
}

/// The same for somebody who may go away meanwhile: then the server is told to stop, which is an error too.
///
/// # Errors
/// When it cannot be reached or takes too long, and when nobody waits for it any more.
pub async fn fetch_for(request: Request, limit: Duration, gone: &AbortSignal) -> worker::Result<Response> {
    let abort = AbortController::default();
    let (gone, late): (&JsValue, JsValue) = (gone.as_ref(), JsValue::clone(abort.signal().as_ref()));
    let either = web_sys::AbortSignal::any(&Array::of2(gone, &late));
    head(request, limit, abort, &either.into()).await
}

async fn head(
    request: Request,
    limit: Duration,
    abort: AbortController,
    stop: &AbortSignal,
) -> worker::Result<Response> {
    let fetch = Fetch::Request(request);
    let sent = std::pin::pin!(fetch.send_with_signal(stop));
    match select(sent, Delay::from(limit)).await {
        Either::Left((response, _)) => response,
        Either::Right(((), _)) => {
            abort.abort();
            Err(timeout())
        }
    }
}

/// The body of an answer.
///
/// # Errors
/// When it breaks off.
pub async fn bytes_of(response: &Response) -> worker::Result<Vec<u8>> {
    match response.body() {
        ResponseBody::Stream(stream) => whole(stream).await,
        ResponseBody::Body(bytes) => Ok(bytes.clone()),
        ResponseBody::Empty => Ok(Vec::new()),
    }
}

/// All of a stream, taken by the platform in one piece: to read it chunk by chunk costs a turn of the event loop for
/// each, and one more to learn that it is over.
///
/// # Errors
/// When it breaks off.
pub async fn whole(stream: &web_sys::ReadableStream) -> worker::Result<Vec<u8>> {
    let body = web_sys::Response::new_with_opt_readable_stream(Some(stream))?;
    let bytes = JsFuture::from(body.array_buffer()?).await?;
    Ok(Uint8Array::new(&bytes).to_vec())
}

/// The body of an answer; an error when it is longer.
///
/// # Errors
/// When it breaks off, or has more than `max` bytes.
pub async fn bytes_up_to(response: &mut Response, max: usize) -> worker::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut stream = response.stream()?;
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
        if bytes.len() > max {
            return Err(worker::Error::RustError(format!("an answer of more than {max} bytes")));
        }
    }
    Ok(bytes)
}

/// `work`, or an error when it takes too long.
///
/// # Errors
/// What `work` returns, or that it took too long.
pub async fn in_time<T>(work: impl Future<Output = worker::Result<T>>, limit: Duration) -> worker::Result<T> {
    match select(std::pin::pin!(work), Delay::from(limit)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(((), _)) => Err(timeout()),
    }
}

fn timeout() -> worker::Error {
    worker::Error::RustError("no answer in time".to_owned())
}

/// The reference of the request that an object serves, as the Worker gave it.
///
/// # Errors
/// When the platform cannot read the headers.
pub fn request_id(request: &Request) -> worker::Result<String> {
    let given = request.headers().get(REQUEST_ID)?;
    Ok(given.unwrap_or_else(|| ids::request_id(clock::now())))
}
