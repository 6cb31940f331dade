//! The flat table of routes.

use axum::Router;
use axum::routing::{get, post};
use errand_protocol::api::ErrorCode;

use super::error::ApiError;
use super::{App, sign_in};

/// All routes. What is not here is a static file or the client's business, and never reaches the Worker, or is 404.
pub(super) fn router(app: App) -> Router {
    Router::new()
        .route("/auth/dev", post(sign_in::dev))
        .route("/auth/logout", post(sign_in::logout))
        .route("/api/auth/me", get(sign_in::me))
        .fallback(|| async { ApiError::not_found("address") })
        .method_not_allowed_fallback(|| async {
            ApiError::new(ErrorCode::MethodNotAllowed, "this address does not know that method")
        })
        .with_state(app)
}
