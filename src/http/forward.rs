//! Handing requests on to a SessionAgent: routes of one session, and the runner's WebSocket. The Worker checks who
//! asks, the id's shape and the body's size; everything else is the object's. Headers are copied by name, so that
//! nobody outside can set those in which the Worker vouches for the caller.

use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use errand_access::Actor;
use errand_protocol::ids::SessionId;
use errand_protocol::limits::MAX_BODY_BYTES;
use http::header::{SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use super::auth;
use super::error::ApiError;
use super::{App, RequestId, Slots, json, wire};
use crate::platform::json::ascii;
use crate::platform::rpc;
use crate::platform::sandbox_token::Audience;

/// Methods of the objects' addresses.
const METHODS: [Method; 6] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];

/// `/api/sessions/{id}` and everything beneath it.
#[worker::send]
pub(super) async fn to_session(
    app: App,
    Extension(id): Extension<RequestId>,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    request: Request,
) -> Result<Response, ApiError> {
    let session = session_id(request.uri(), "/api/sessions/")?;
    let vouched = (rpc::ACTOR, serde_json::to_string(&actor)?);
    let stub = app.config.session_agent(&session)?;
    let mut response = send(&stub, request, &id, vouched).await?;
    slots.audit.take_over(response.headers_mut());
    Ok(response)
}

/// `GET /runner/{id}`: the runner's WebSocket.
#[worker::send]
pub(super) async fn to_session_from_runner(
    app: App,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Result<Response, ApiError> {
    let session = session_id(request.uri(), "/runner/")?;
    let claims = auth::sandbox(&app.config, request.headers(), &session, Audience::Runner)?;
    if !is_upgrade(request.headers()) {
        return Err(ApiError::bad_request("this address takes only WebSocket connections"));
    }
    let caller = rpc::SandboxCaller {
        org: claims.org,
        generation: claims.generation,
    };
    let vouched = (rpc::RUNNER, serde_json::to_string(&caller)?);
    send(&app.config.session_agent(&session)?, request, &id, vouched).await
}

/// Sends a request on to an object: same method, path and query, body within the limit, and the header in which the
/// Worker vouches for the caller.
pub(super) async fn send(
    stub: &worker::Stub,
    request: Request,
    id: &RequestId,
    (vouched, value): (&'static str, String),
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let body = body_of(&parts, body).await?;
    let offers_errand = auth::offers_errand_protocol(&parts.headers);
    let mut headers = HeaderMap::new();
    copy_headers(&parts.headers, &mut headers);
    headers.insert(rpc::REQUEST_ID, header_text(&id.0)?);
    headers.insert(vouched, header_text(&value)?);
    let onward = wire::onward(&parts.uri.to_string(), method(&parts.method), &headers, &body);
    let onward = onward.map_err(|_| ApiError::bad_request("a header cannot be passed on"))?;
    let mut response: Response = wire::passed_on(stub.fetch_with_request(onward).await?)?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS && offers_errand {
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("errand"));
    }
    Ok(response)
}

/// The platform's bindings take a method that they do not know for GET. No address of an object has OPTIONS.
fn method(asked: &Method) -> worker::Method {
    if METHODS.contains(asked) {
        asked.to_string().into()
    } else {
        worker::Method::Options
    }
}

async fn body_of(parts: &Parts, body: Body) -> Result<Vec<u8>, ApiError> {
    if parts.method.is_safe() {
        return Ok(Vec::new());
    }
    let bytes = json::read(body, MAX_BODY_BYTES).await?;
    if !bytes.is_empty() {
        json::require_json(&parts.headers)?;
    }
    Ok(bytes)
}

/// What an object may learn of the caller's headers. The token is not among it.
fn copy_headers(from: &HeaderMap, to: &mut HeaderMap) {
    const PASSED_ON: [&str; 10] = [
        "accept",
        auth::ADDRESS,
        "content-type",
        "idempotency-key",
        "last-event-id",
        "upgrade",
        "connection",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-extensions",
    ];
    for name in PASSED_ON {
        if let Some(value) = from.get(name) {
            to.insert(HeaderName::from_static(name), value.clone());
        }
    }
}

fn header_text(json: &str) -> Result<HeaderValue, ApiError> {
    HeaderValue::from_str(&ascii(json)).map_err(|e| ApiError::internal(format!("header: {e}")))
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get(UPGRADE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

/// The id that follows `prefix`. It is read from the address as it was sent: an id needs no escapes, and one that
/// cannot be decoded is no id either.
pub(super) fn session_id(uri: &Uri, prefix: &str) -> Result<SessionId, ApiError> {
    let segment = uri.path().strip_prefix(prefix).and_then(|rest| rest.split('/').next());
    segment
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| ApiError::not_found("session"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_set_the_headers_that_vouch_for_it() {
        let mut from = HeaderMap::new();
        for name in [
            rpc::ACTOR,
            rpc::RUNNER,
            rpc::REQUEST_ID,
            "authorization",
            "cookie",
            "accept",
        ] {
            from.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
        }
        let mut to = HeaderMap::new();
        copy_headers(&from, &mut to);
        assert_eq!(to.len(), 1);
        assert!(to.contains_key("accept"));
    }

    #[test]
    fn an_id_is_what_stands_after_the_prefix() {
        let id = |path: &'static str| session_id(&Uri::from_static(path), "/api/sessions/").ok();
        assert_eq!(id("/api/sessions/ses_1/ws?after=1").unwrap().as_str(), "ses_1");
        for bad in [
            "/api/sessions/",
            "/api/sessions/usr_1",
            "/api/sessions/ses_%31",
            "/api/sessions/ses_%ff",
            "/other",
        ] {
            assert_eq!(id(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_in_any_script_survive_the_header() {
        for name in ["Zoë 🚀", "a\u{7f}\r\n\tb"] {
            let json = serde_json::to_string(name).unwrap();
            let header = header_text(&json).unwrap();
            let back: String = serde_json::from_str(header.to_str().unwrap()).unwrap();
            assert_eq!(back, name);
        }
    }
}
