//! Snapshots between a sandbox, or a person, and R2. Owns: who may, how large, streaming without holding the bytes in
//! memory. Does not: know which snapshots a session has and which sandbox is its current one: it asks the SessionAgent.

use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use errand_access::Actor;
use errand_protocol::api::ErrorCode;
use errand_protocol::ids::SnapshotId;
use errand_protocol::limits::MAX_SNAPSHOT_BYTES;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};

use super::auth;
use super::error::ApiError;
use super::{App, NativeBody, RequestId, Upload, forward};
use crate::platform::sandbox_token::Audience;
use crate::platform::{blobs, rpc};
use crate::session_agent::commands::{LastSnapshot, SnapshotAccess, SnapshotRef};

/// `PUT /runner/{id}/snapshots/{snapshot}`: stores one. The same again replaces it.
#[worker::send]
pub(super) async fn put(
    app: App,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let (mut parts, _) = request.into_parts();
    let length = content_length(&parts.headers)?;
    let key = permitted_key(&app, &parts, &id).await?;
    let stream = Upload::take(&mut parts.extensions).ok_or_else(nothing)?;
    let stored = blobs::put(&app.config.files()?, key, stream, length).await;
    stored.map_err(|error| {
        let mut refusal = ApiError::unavailable("the snapshot could not be stored");
        refusal.source = Some(format!("storing a snapshot: {error}"));
        refusal
    })?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /runner/{id}/snapshots/{snapshot}`.
#[worker::send]
pub(super) async fn get(app: App, Extension(id): Extension<RequestId>, request: Request) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let key = permitted_key(&app, &parts, &id).await?;
    download(&app, key).await
}

/// `GET /api/sessions/{id}/snapshot`: the last one, as a file.
#[worker::send]
pub(super) async fn last(
    app: App,
    Extension(id): Extension<RequestId>,
    actor: Actor,
    uri: Uri,
) -> Result<Response, ApiError> {
    let session = forward::session_id(&uri, "/api/sessions/")?;
    let org = actor.org.clone();
    let stub = app.config.session_agent(&session)?;
    let SnapshotRef { id: snapshot } = rpc::post(&stub, "last-snapshot", &LastSnapshot { actor }, &id.0).await?;
    let mut response = download(&app, blobs::snapshot_key(&org, &session, &snapshot)).await?;
    let disposition = format!("attachment; filename=\"errand-{session}.tar.gz\"");
    let disposition = HeaderValue::from_str(&disposition).map_err(|e| ApiError::internal(e.to_string()))?;
    response.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    Ok(response)
}

/// Where the snapshot of the address is, when the caller is the session's current sandbox.
async fn permitted_key(app: &App, parts: &Parts, id: &RequestId) -> Result<String, ApiError> {
    let session = forward::session_id(&parts.uri, "/runner/")?;
    let claims = auth::sandbox(&app.config, &parts.headers, &session, Audience::Runner)?;
    let snapshot = snapshot_id(&parts.uri).ok_or_else(|| ApiError::not_found("snapshot"))?;
    let access = SnapshotAccess {
        org: claims.org.clone(),
        generation: claims.generation,
    };
    let stub = app.config.session_agent(&session)?;
    let () = rpc::post(&stub, "snapshot-access", &access, &id.0).await?;
    Ok(blobs::snapshot_key(&claims.org, &session, &snapshot))
}

fn snapshot_id(uri: &Uri) -> Option<SnapshotId> {
    uri.path().rsplit('/').next()?.parse().ok()
}

/// The length that the caller announces. Without one R2 takes no stream, and a limit could be checked only afterwards.
fn content_length(headers: &HeaderMap) -> Result<u32, ApiError> {
    let said = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length: Option<u64> = said.and_then(|text| text.parse().ok());
    let length = length.filter(|length| *length > 0).ok_or_else(nothing)?;
    u32::try_from(length)
        .ok()
        .filter(|length| u64::from(*length) <= MAX_SNAPSHOT_BYTES)
        .ok_or_else(|| {
            let mut error = ApiError::new(
                ErrorCode::TooLarge,
                format!("the snapshot is too large: at most {MAX_SNAPSHOT_BYTES} bytes"),
            );
            error.details = Some(serde_json::json!({ "maxBytes": MAX_SNAPSHOT_BYTES }));
            error
        })
}

fn nothing() -> ApiError {
    ApiError::bad_request("a snapshot needs a content-length, and something in it")
}

async fn download(app: &App, key: String) -> Result<Response, ApiError> {
    let blob = blobs::get(&app.config.files()?, key).await?;
    let blob = blob.ok_or_else(|| ApiError::not_found("snapshot"))?;
    let mut response = http::Response::new(Body::empty());
    response.extensions_mut().insert(NativeBody::new(blob.stream));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/gzip"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_must_be_announced_and_within_the_limit() {
        let code = |value: &'static str| {
            let headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static(value))]);
            content_length(&headers).map_err(|error| error.code)
        };
        assert_eq!(code("7"), Ok(7));
        assert_eq!(code("99614720"), Ok(99_614_720));
        assert_eq!(code("99614721"), Err(ErrorCode::TooLarge));
        assert_eq!(code("99999999999999999999"), Err(ErrorCode::BadRequest));
        for bad in ["0", "-1", "x", ""] {
            assert_eq!(code(bad), Err(ErrorCode::BadRequest), "{bad}");
        }
        assert!(content_length(&HeaderMap::new()).is_err());
    }

    #[test]
    fn a_snapshots_id_is_the_last_part_of_the_address() {
        let id = |path| snapshot_id(&Uri::from_static(path)).map(|id| id.to_string());
        assert_eq!(id("/runner/ses_1/snapshots/snp_1").as_deref(), Some("snp_1"));
        for bad in ["/runner/ses_1/snapshots/ses_1", "/runner/ses_1/snapshots/snp_%2e", "/"] {
            assert_eq!(id(bad), None, "{bad}");
        }
    }
}
