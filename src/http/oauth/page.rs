//! What people see when a sign-in fails: a page of words, without scripts.

use axum::body::Body;
use axum::response::Response;
use errand_protocol::api::ErrorCode;
use http::header::{ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::http::error::ApiError;

/// Whether a browser asks, as against a program.
pub(super) fn wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// The error as a page with its status.
pub(super) fn of(error: &ApiError, request_id: &str) -> Response {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let title = if error.code == ErrorCode::NotInvited {
        "Coming soon"
    } else {
        "You are not signed in"
    };
    let message = escaped(&error.message);
    error.log(request_id);
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title} · Errand</title>\
         <body style=\"font:16px/1.5 system-ui;max-width:36rem;margin:20vh auto;padding:0 1rem\">\
         <h1>{title}</h1><p>{message}.</p><p><a href=\"/\">Back to Errand</a></p><p><small>{request_id}</small></p>"
    );
    let mut response = http::Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_are_no_markup() {
        assert_eq!(escaped("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
