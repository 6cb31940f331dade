//! The flat table of routes.

use axum::Router;
use axum::routing::{any, get, patch, post};
use errand_protocol::api::ErrorCode;

use super::error::ApiError;
use super::{App, forward, health, llm, money, sessions, sign_in, snapshots};

/// All routes. Static files and the client's own addresses never reach the Worker; anything else is 404.
pub(super) fn router(app: App) -> Router {
    Router::new()
        // For everybody.
        .route("/health", get(health::health))
        .route("/api/config", get(health::config))
        .route("/auth/dev", post(sign_in::dev))
        .route("/auth/logout", post(sign_in::logout))
        // For people and their scripts.
        .route("/api/auth/me", get(sign_in::me))
        .route("/api/repos", get(sessions::repos))
        .route("/api/events", get(sessions::events))
        .route("/api/events/ws", get(sessions::events))
        .route("/api/sessions", get(sessions::list).post(sessions::create))
        .route("/api/sessions/{id}", any(forward::to_session))
        .route("/api/sessions/{id}/snapshot", get(snapshots::last))
        .route("/api/sessions/{id}/{*rest}", any(forward::to_session))
        .route("/api/usage", get(money::usage))
        .route("/api/usage/history", get(money::history))
        // For those who answer for the org.
        .route("/api/admin/budgets", get(money::budgets).post(money::make_budget))
        .route(
            "/api/admin/budgets/{id}",
            patch(money::change_budget).delete(money::remove_budget),
        )
        .route("/api/admin/prices", get(money::prices).put(money::set_prices))
        // For sandboxes, with their token.
        .route("/runner/{id}", get(forward::to_session_from_runner))
        .route(
            "/runner/{id}/snapshots/{snapshot}",
            get(snapshots::get).put(snapshots::put),
        )
        .route("/llm/{provider}/{*path}", any(llm::proxy))
        .fallback(|| async { ApiError::not_found("address") })
        .method_not_allowed_fallback(|| async {
            ApiError::new(ErrorCode::MethodNotAllowed, "this address does not know that method")
        })
        .with_state(app)
}
