//! Reading bodies. A body is read in pieces and given up as soon as it is over the limit; what it says is judged in
//! words: not JSON or not the right types is 400, a value that a type refuses is 422 and names its field.

use axum::extract::{FromRequest, Request};
use errand_protocol::api::ErrorCode;
use errand_protocol::limits::MAX_BODY_BYTES;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use worker::web_sys::ReadableStream;

use super::error::ApiError;
use crate::platform::rpc;

/// A JSON body of at most [`MAX_BODY_BYTES`].
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        require_json(&parts.headers)?;
        let bytes = read(body, MAX_BODY_BYTES).await?;
        parse_json(&bytes).map(Self)
    }
}

/// Refuses a body that does not say it is JSON: a form of another site cannot say so without asking first.
pub(super) fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let says = headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = says.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        let message = "the body must be JSON, with content-type application/json";
        Err(ApiError::new(ErrorCode::UnsupportedMediaType, message))
    }
}

/// So much of a body that is too large is taken in and thrown away before it is refused. A client that is cut off
/// while it sends sees a broken connection instead of the reason.
const PATIENCE_BYTES: usize = 16 * 1024 * 1024;

/// The whole body, when it has at most `max` bytes. Of a larger one no more than `max` bytes are ever held.
pub(super) async fn read(mut body: axum::body::Body, max: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::bad_request("the body could not be read to its end"))?;
        let Ok(chunk) = frame.into_data() else { continue };
        length += chunk.len();
        if length <= max {
            bytes.extend_from_slice(&chunk);
        } else if length > max + PATIENCE_BYTES {
            break;
        } else {
            bytes = Vec::new();
        }
    }
    if length > max {
        Err(ApiError::too_large(max))
    } else {
        Ok(bytes)
    }
}

/// The whole of a request's body that is still the platform's, when it has at most `max` bytes.
pub(super) async fn read_upload(stream: ReadableStream, headers: &HeaderMap, max: usize) -> Result<Vec<u8>, ApiError> {
    let said = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length: Option<usize> = said.and_then(|text| text.parse().ok());
    if length.is_none_or(|length| length > max) {
        return read(axum::body::Body::new(worker::Body::new(stream)), max).await;
    }
    // No more than it says it is will come: it is taken in one piece.
    let whole = rpc::whole(&stream).await;
    whole.map_err(|_| ApiError::bad_request("the body could not be read to its end"))
}

/// The value in a JSON text, which must be an object: serde would read an array as a struct's fields in order.
///
/// # Errors
/// Bad request when it is not JSON or not of the right types; invalid when a value is not acceptable.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first.is_some_and(|byte| *byte != b'{') {
        return Err(ApiError::bad_request("the body must be a JSON object"));
    }
    let text =
        std::str::from_utf8(bytes).map_err(|_| ApiError::bad_request("the body is not valid JSON: not UTF-8"))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        judge(&path, &error.into_inner())
    })?;
    reader.end().map_err(|error| judge(".", &error))?;
    Ok(value)
}

fn judge(path: &str, error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    // serde_json appends the place, which means nothing to somebody who filled in a form.
    let message = text.split(" at line ").next().unwrap_or_default();
    if !error.is_data() {
        return ApiError::bad_request(format!("the body is not valid JSON: {text}"));
    }
    let at_a_field = !matches!(path, "." | "?" | "");
    if wrong_shape(message) {
        let place = if at_a_field { format!("{path}: ") } else { String::new() };
        return ApiError::bad_request(format!("{place}{message}"));
    }
    ApiError::invalid(if at_a_field { path } else { "" }, message)
}

/// serde's own complaints, as against those of a type that refuses a value.
fn wrong_shape(message: &str) -> bool {
    [
        "invalid type",
        "invalid length",
        "unknown field",
        "unknown variant",
        "missing field",
        "duplicate field",
        "invalid value",
    ]
    .iter()
    .any(|complaint| message.starts_with(complaint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use errand_protocol::api::{CreateSession, DevSignIn};

    fn refusal(json: &str) -> ApiError {
        parse_json::<CreateSession>(json.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_is_not_json_is_a_bad_request() {
        for bad in ["", "{", "nonsense", "[]", "{} {}", "\"\\ud800\"", &"[".repeat(100_000)] {
            assert_eq!(
                refusal(bad).code,
                ErrorCode::BadRequest,
                "{}",
                &bad[..bad.len().min(20)]
            );
        }
        assert_eq!(
            parse_json::<CreateSession>(b"\xff\xfe").unwrap_err().code,
            ErrorCode::BadRequest
        );
    }

    #[test]
    fn wrong_types_and_unknown_fields_are_bad_requests_that_name_the_place() {
        let error = refusal(r#"{"repo":{"url":7}}"#);
        assert_eq!(error.code, ErrorCode::BadRequest);
        assert!(error.message.contains("repo.url"), "{}", error.message);
        assert_eq!(refusal(r#"{"promt":"x"}"#).code, ErrorCode::BadRequest);
        assert_eq!(parse_json::<DevSignIn>(b"{}").unwrap_err().code, ErrorCode::BadRequest);
    }

    #[test]
    fn a_refused_value_is_invalid_and_names_its_field() {
        let error = refusal(r#"{"repo":{"url":"../etc"}}"#);
        assert_eq!(error.code, ErrorCode::Invalid);
        assert_eq!(error.details.unwrap()["field"], "repo.url");
        let error = refusal(&format!(r#"{{"title":"{}"}}"#, "x".repeat(100_000)));
        assert_eq!(error.code, ErrorCode::Invalid);
        assert!(
            error.message.contains("too long") && !error.message.contains("line"),
            "{}",
            error.message
        );
    }

    #[test]
    fn a_body_must_say_that_it_is_json() {
        let headers = |value: &str| HeaderMap::from_iter([(http::header::CONTENT_TYPE, value.parse().unwrap())]);
        assert!(require_json(&headers("application/json; charset=utf-8")).is_ok());
        assert!(require_json(&headers("text/plain")).is_err());
        assert!(require_json(&HeaderMap::new()).is_err());
    }
}
