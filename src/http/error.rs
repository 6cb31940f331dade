//! The one place that makes HTTP errors: `{ "error": { code, message, details?, requestId } }`.
//!
//! Handlers and objects return [`ApiError`]. What went wrong inside is kept apart from what people read: it is logged
//! once, where the error becomes a response, and never sent.

use axum::body::Body;
use axum::response::IntoResponse;
use errand_protocol::api::{ErrorBody, ErrorCode, ErrorDetail};
use errand_protocol::runner::Dialect;
use errand_session::sql::SqlError;
use http::StatusCode;

use crate::config::ConfigError;

/// An error on its way to the caller.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// Which field, which limit.
    pub details: Option<serde_json::Value>,
    /// For the log only.
    pub source: Option<String>,
    /// The methods that the address knows, for the header `Allow` of a 405.
    pub allow: Option<&'static str>,
}

impl ApiError {
    /// An error with this code and message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: None,
            source: None,
            allow: None,
        }
    }

    /// 400: not JSON, not a frame, not the right types.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }

    /// 401: nobody is signed in.
    pub fn unauthenticated() -> Self {
        Self::new(
            ErrorCode::Unauthenticated,
            "you are not signed in, or your session has ended",
        )
    }

    /// 403: known, but not allowed.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Forbidden, message)
    }

    /// 404: no such thing, or not the caller's.
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no such {what}"))
    }

    /// 405: the address knows these methods only.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let message = "this address does not know that method";
        let mut error = Self::new(ErrorCode::MethodNotAllowed, message);
        error.allow = Some(allow);
        error
    }

    /// 413: over a limit of `errand_protocol::limits`.
    pub fn too_large(max: usize) -> Self {
        let mut error = Self::new(
            ErrorCode::TooLarge,
            format!("the body is too large: at most {max} bytes"),
        );
        error.details = Some(serde_json::json!({ "maxBytes": max }));
        error
    }

    /// 422: well-formed, but the value of `field` is not acceptable.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        let mut error = Self::new(ErrorCode::Invalid, message);
        error.details = Some(serde_json::json!({ "field": field }));
        error
    }

    /// 429: too often, or too many; it is worth trying again after so many seconds, as far as one can tell.
    pub fn limited(message: impl Into<String>, retry_after: u64) -> Self {
        let mut error = Self::new(ErrorCode::RateLimited, message);
        error.details = Some(serde_json::json!({ "retryAfter": retry_after }));
        error
    }

    /// 503: a part of the installation does not answer.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unavailable, message)
    }

    /// 500: our fault; `source` goes to the log.
    pub fn internal(source: impl Into<String>) -> Self {
        let mut error = Self::new(
            ErrorCode::Internal,
            "something went wrong on our side; the request id finds it in the logs",
        );
        error.source = Some(source.into());
        error
    }

    /// As a Durable Object answers it.
    ///
    /// # Errors
    /// When the platform refuses to make a response.
    pub fn into_worker_response(self, request_id: &str) -> worker::Result<worker::Response> {
        self.log(request_id);
        let (status, allow, retry_after) = (self.code.status(), self.allow, self.retry_after());
        let response = worker::Response::from_json(&self.into_body(request_id))?.with_status(status);
        if let Some(methods) = allow {
            response.headers().set("allow", methods)?;
        }
        if let Some(seconds) = retry_after {
            response.headers().set("retry-after", &seconds.to_string())?;
        }
        Ok(response)
    }

    /// When to try again, for the header of that name.
    fn retry_after(&self) -> Option<u64> {
        self.details.as_ref()?.get("retryAfter")?.as_u64()
    }

    /// As the router answers it.
    pub fn into_http_response(self, request_id: &str) -> axum::response::Response {
        self.log(request_id);
        let (status, retry_after) = (self.status(), self.retry_after());
        waiting(json_response(status, &self.into_body(request_id)), retry_after)
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// As the LLM proxy answers it: OpenAI's clients read `error.message` and `error.code`, Anthropic's `type` and
    /// `error.type`, Google's a number in `error.code` and a word in `error.status`.
    pub fn into_llm_response(self, request_id: &str, dialect: Dialect) -> axum::response::Response {
        self.log(request_id);
        let status = self.status();
        let body = match dialect {
            Dialect::Openai | Dialect::Responses | Dialect::Anthropic => serde_json::json!({
                "type": "error",
                "error": {
                    "type": self.code,
                    "code": self.code,
                    "message": self.message,
                    "param": null,
                    "details": self.details,
                    "requestId": request_id,
                }
            }),
            Dialect::Google => serde_json::json!({
                "error": {
                    "code": self.code.status(),
                    "status": self.code,
                    "message": self.message,
                    "requestId": request_id,
                }
            }),
        };
        let mut response = json_response(status, &body);
        if let Some(methods) = self.allow {
            let methods = http::HeaderValue::from_static(methods);
            response.headers_mut().insert(http::header::ALLOW, methods);
        }
        waiting(response, self.retry_after())
    }

    /// As the git proxy answers it: git shows its user what is plain text.
    pub fn into_git_response(self, request_id: &str) -> axum::response::Response {
        self.log(request_id);
        let status = self.status();
        let mut response = http::Response::new(Body::from(format!("Errand: {} ({request_id})\n", self.message)));
        *response.status_mut() = status;
        let text = http::HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(http::header::CONTENT_TYPE, text);
        waiting(response, self.retry_after())
    }

    fn into_body(self, request_id: &str) -> ErrorBody {
        ErrorBody {
            error: ErrorDetail {
                code: self.code,
                message: self.message,
                details: self.details,
                request_id: request_id.to_owned(),
            },
        }
    }

    /// Notes what went wrong inside.
    pub(crate) fn log(&self, request_id: &str) {
        if let Some(source) = &self.source {
            log::error!(request = request_id; "{source}");
        }
    }
}

fn waiting(mut response: axum::response::Response, retry_after: Option<u64>) -> axum::response::Response {
    if let Some(seconds) = retry_after {
        let headers = response.headers_mut();
        headers.insert(http::header::RETRY_AFTER, http::HeaderValue::from(seconds));
    }
    response
}

/// A JSON answer.
pub fn json_response(status: StatusCode, body: &impl serde::Serialize) -> axum::response::Response {
    // Wire types are plain data: writing them cannot fail.
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let mut response = http::Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

/// In the router the error travels as an extension; `http::serve`, which knows the request id, writes it out.
impl IntoResponse for ApiError {
    fn into_response(self) -> axum::response::Response {
        let mut response = http::Response::new(Body::empty());
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ErrorDetail> for ApiError {
    fn from(detail: ErrorDetail) -> Self {
        Self {
            code: detail.code,
            message: detail.message,
            details: detail.details,
            source: None,
            allow: None,
        }
    }
}

impl From<worker::Error> for ApiError {
    fn from(error: worker::Error) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<SqlError> for ApiError {
    fn from(error: SqlError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(format!("JSON between our own parts: {error}"))
    }
}

impl From<ConfigError> for ApiError {
    fn from(error: ConfigError) -> Self {
        Self::internal(format!("configuration: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_inside_is_not_sent() {
        let body = ApiError::internal("password=hunter2").into_body("req_1");
        let json = serde_json::to_string(&body).unwrap();
        assert!(!json.contains("hunter2"));
        assert!(json.contains(r#""code":"internal""#) && json.contains(r#""requestId":"req_1""#));
    }

    #[test]
    fn a_limit_says_when_to_try_again() {
        let header = |error: ApiError| {
            let response = error.into_http_response("req_1");
            response.headers().get(http::header::RETRY_AFTER).cloned()
        };
        assert_eq!(header(ApiError::limited("no", 60)).unwrap(), "60");
        assert_eq!(header(ApiError::new(ErrorCode::RateLimited, "no")), None);
        let (git, llm) = (ApiError::limited("no", 7), ApiError::limited("no", 7));
        assert_eq!(git.into_git_response("req_1").headers()["retry-after"], "7");
        assert_eq!(
            llm.into_llm_response("req_1", Dialect::Openai).headers()["retry-after"],
            "7"
        );
    }

    #[test]
    fn a_refused_value_names_its_field() {
        let body = ApiError::invalid("repo.url", "no").into_body("req_1");
        assert_eq!(body.error.details.unwrap()["field"], "repo.url");
    }
}
