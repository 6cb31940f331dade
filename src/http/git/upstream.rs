//! What is sent to a host of repositories: to which of its addresses, with which of git's headers, and the credential in
//! its place; and what of its answer comes back.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use errand_git::address::{Endpoint, Service};
use errand_protocol::api::ErrorCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use worker::{Headers, Method, RequestInit, RequestRedirect};

use super::access::Grant;
use super::body::Payload;
use super::credential::Credential;
use crate::http::NativeBody;
use crate::http::error::ApiError;
use crate::platform::rpc;

/// So long a host may take until its answer begins. A fetch is answered at once, with progress; a push only when all of
/// it is there and checked.
const REFS_LIMIT: Duration = Duration::from_secs(20);
const FETCH_LIMIT: Duration = Duration::from_mins(2);
const PUSH_LIMIT: Duration = Duration::from_mins(15);
/// A header of git's is short; longer ones are not passed on.
const MAX_HEADER: usize = 200;
/// A host that is asked too often is asked again after so many seconds.
const LOOK_AGAIN: u64 = 60;
/// What of git's headers the host gets to see.
const SENT: [&str; 5] = [
    "content-type",
    "content-encoding",
    "accept",
    "user-agent",
    "git-protocol",
];

/// Asks the host.
///
/// # Errors
/// In words for the one who runs git, unless the host does what it was asked.
pub(super) async fn ask(
    grant: &Grant,
    credential: &Credential,
    from: &HeaderMap,
    payload: Payload,
) -> Result<worker::Response, ApiError> {
    let endpoint = grant.wanted.endpoint;
    let limit = match endpoint {
        Endpoint::Refs(_) => REFS_LIMIT,
        Endpoint::Pack(Service::UploadPack) => FETCH_LIMIT,
        Endpoint::Pack(Service::ReceivePack) => PUSH_LIMIT,
    };
    let request = request(grant, credential, from, payload)?;
    let answer = rpc::fetch(request, limit).await.map_err(|error| {
        let mut refusal = ApiError::unavailable(format!("{} does not answer; try again later", grant.host.host));
        refusal.source = Some(format!("git {}: {error}", grant.wanted.repository));
        refusal
    })?;
    let kind = answer.headers().get("content-type")?.unwrap_or_default();
    match answer.status_code() {
        200 if kind == endpoint.answer_type() => Ok(answer),
        200 => Err(ApiError::unavailable(format!(
            "{} did not answer as a git server does; check the address of the repository",
            grant.host.host
        ))),
        status => Err(refusal(grant, credential, status)),
    }
}

fn request(
    grant: &Grant,
    credential: &Credential,
    from: &HeaderMap,
    payload: Payload,
) -> Result<worker::Request, ApiError> {
    let headers = Headers::new();
    for name in SENT {
        let value = from.get(name).and_then(|value| value.to_str().ok());
        if let Some(value) = value.filter(|value| value.len() <= MAX_HEADER) {
            headers.set(name, value)?;
        }
    }
    if let Some(basic) = credential.header() {
        headers.set("authorization", basic.expose())?;
    }
    let mut init = RequestInit::new();
    init.with_headers(headers)
        // A redirect could carry the credential elsewhere.
        .with_redirect(RequestRedirect::Manual);
    match payload {
        Payload::None => init.with_method(Method::Get),
        Payload::Whole(bytes) => {
            let bytes = worker::js_sys::Uint8Array::from(bytes.as_slice());
            init.with_method(Method::Post).with_body(Some(bytes.into()))
        }
        Payload::Stream(stream) => init.with_method(Method::Post).with_body(Some(stream.into())),
    };
    let path = &grant.wanted.repository.path;
    let url = format!("{}/{path}.git/{}", grant.host.url, grant.wanted.endpoint.path());
    Ok(worker::Request::new_with_init(&url, &init)?)
}

/// What the host's refusal means. What it wrote itself stays here: it could hold anything.
fn refusal(grant: &Grant, credential: &Credential, status: u16) -> ApiError {
    let (repository, host) = (&grant.wanted.repository, &grant.host.host);
    let has = credential.header().is_some();
    match status {
        401 | 403 if has => ApiError::forbidden(format!(
            "{host} refused the credential for {repository}: it has ended, or may not do this (from {})",
            credential.source
        )),
        401 | 403 => ApiError::forbidden(format!(
            "{repository} asks for credentials and none is stored: its owner signs in with GitHub, or an admin stores one"
        )),
        404 => ApiError::new(
            ErrorCode::NotFound,
            format!(
                "{host} knows no repository {repository} (with the credential from {})",
                credential.source
            ),
        ),
        429 => ApiError::limited(format!("{host} is asked too often; try again in a while"), LOOK_AGAIN),
        300..=399 => ApiError::unavailable(format!(
            "{host} says that {repository} is somewhere else now: use its present address"
        )),
        _ => {
            let mut error = ApiError::unavailable(format!("{host} does not work just now ({status}); try again later"));
            error.source = Some(format!("git {repository}: status {status}"));
            error
        }
    }
}

/// The answer as it comes, piece by piece.
pub(super) fn streamed(answer: &worker::Response) -> Response {
    let headers = answer.headers().clone();
    let mut response = http::Response::new(Body::empty());
    if let worker::ResponseBody::Stream(stream) = answer.body() {
        response.extensions_mut().insert(NativeBody::new(stream.clone()));
    }
    let kind = headers.get("content-type").ok().flatten();
    if let Some(kind) = kind.and_then(|kind| HeaderValue::from_str(&kind).ok()) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}
