//! The git proxy (DESIGN §4): `/git/{host}/{owner}/{repo}.git/…`, git's smart HTTP for a sandbox. The sandbox shows its
//! token, the session says which repository it works on, and the Worker puts in a credential for that repository's host.
//!
//! What is asked upstream is made from the installation's list of hosts and from the session's own repository, never from
//! the request: its address only chooses. The platform streams bodies both ways; of a push the head is read first, and nothing of
//! it is passed on before each branch that it names may be pushed to ([`errand_git`]).
//!
//! Errors are plain text, which git shows its user. The credential appears in no answer and no log, and redirects, which
//! could carry it elsewhere, are not followed.

mod access;
mod body;
mod credential;
mod notes;
mod upstream;

use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use errand_git::address::{self, Endpoint, Service, Wanted};
use errand_git::branches::Branches;
use errand_git::report;
use errand_protocol::api::ErrorCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};

use self::access::Grant;
pub(crate) use self::access::proxy_of;
use self::body::{Incoming, Payload};
pub(super) use self::credential::place;
use super::error::ApiError;
use super::{App, RequestId};

/// One of git's four requests.
#[worker::send]
pub(super) async fn proxy(app: App, Extension(id): Extension<RequestId>, request: Request) -> Response {
    match relay(&app, &id.0, request).await {
        Ok(response) => response,
        Err(error) => error.into_git_response(&id.0),
    }
}

async fn relay(app: &App, id: &str, request: Request) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let claims = access::authenticate(app, &parts.headers)?;
    let wanted = address::wanted(parts.uri.path(), parts.uri.query()).ok_or_else(|| ApiError::not_found("address"))?;
    well_formed(&wanted, &parts)?;
    let grant = access::grant(app, id, &claims, wanted).await?;
    match grant.wanted.endpoint {
        Endpoint::Refs(_) => {
            let answer = ask(app, id, &grant, &parts.headers, Payload::None).await?;
            Ok(upstream::streamed(&answer))
        }
        Endpoint::Pack(Service::UploadPack) => {
            let payload = body::of(app, Vec::new(), Incoming::of(&mut parts)).await?;
            let answer = ask(app, id, &grant, &parts.headers, payload).await?;
            Ok(upstream::streamed(&answer))
        }
        Endpoint::Pack(Service::ReceivePack) => {
            let body = Incoming::readable(&mut parts)?;
            push(app, id, &grant, &parts.headers, body).await
        }
    }
}

/// Asks the host, with the credential for it; its use is noted, however that ends.
async fn ask(
    app: &App,
    id: &str,
    grant: &Grant,
    headers: &HeaderMap,
    payload: Payload,
) -> Result<worker::Response, ApiError> {
    let credential = credential::find(app, grant).await?;
    let answer = upstream::ask(grant, &credential, headers, payload).await;
    notes::used(app, id, grant, &credential, answer.as_ref().err());
    answer
}

/// The method and the media type that belong to the endpoint.
fn well_formed(wanted: &Wanted, parts: &Parts) -> Result<(), ApiError> {
    let service = match wanted.endpoint {
        Endpoint::Refs(_) => {
            return if parts.method == Method::GET {
                Ok(())
            } else {
                Err(wrong_method("GET"))
            };
        }
        Endpoint::Pack(service) => service,
    };
    if parts.method != Method::POST {
        return Err(wrong_method("POST"));
    }
    let said = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let unsupported = |message: String| Err(ApiError::new(ErrorCode::UnsupportedMediaType, message));
    let kind = format!("application/x-{}-request", service.name());
    if said(CONTENT_TYPE) != Some(kind.as_str()) {
        return unsupported(format!("the body must be {kind}"));
    }
    match said(CONTENT_ENCODING) {
        None if parts.headers.contains_key(CONTENT_ENCODING) => unsupported("the encoding cannot be read".to_owned()),
        None | Some("identity" | "gzip") => Ok(()),
        Some(_) => unsupported("the body may be compressed with gzip only".to_owned()),
    }
}

fn wrong_method(right: &str) -> ApiError {
    ApiError::new(ErrorCode::MethodNotAllowed, format!("only {right}"))
}

/// A push: its head is read, judged, and only then passed on, with the rest behind it.
async fn push(app: &App, id: &str, grant: &Grant, headers: &HeaderMap, body: Incoming) -> Result<Response, ApiError> {
    let (push, head, rest) = body::read_push(body).await?;
    if let Some(answer) = report::refusal(&push, &Branches::of(&grant.session)) {
        body::drain(rest).await;
        notes::refused(app, id, grant, &push);
        if push.report_status {
            return Ok(report_response(answer));
        }
        return Err(ApiError::forbidden("this session pushes to its own branches only"));
    }
    let payload = body::of(app, head, rest).await?;
    let answer = ask(app, id, grant, headers, payload).await?;
    Ok(notes::watched(app, id, grant, push, &answer))
}

fn report_response(answer: Vec<u8>) -> Response {
    let mut response = http::Response::new(Body::from(answer));
    let kind = HeaderValue::from_static("application/x-git-receive-pack-result");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
