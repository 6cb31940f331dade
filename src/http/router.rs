//! The flat table of routes.

use axum::Router;
use axum::routing::{any, delete, get, patch, post, put};
use errand_protocol::api::ErrorCode;

use super::error::ApiError;
use super::{
    Stateless, audit, environment, forward, git, git_credentials, groups, health, keys, llm, members, model_keys,
    money, oauth, repositories, secrets, sessions, settings, sign_in, snapshots,
};

/// All routes. Static files and the client's own addresses never reach the Worker; anything else is 404.
pub(super) fn router() -> Router {
    Router::new()
        // For everybody.
        .route("/health", get(health::health))
        .route("/api/config", get(health::config))
        .route("/auth/dev", post(sign_in::dev))
        .route("/auth/logout", post(sign_in::logout))
        .route("/auth/github", get(oauth::to_github))
        .route("/auth/github/callback", get(oauth::from_github))
        .route("/auth/google", get(oauth::to_google))
        .route("/auth/google/callback", get(oauth::from_google))
        // For people and their scripts.
        .route("/api/auth/sign-ins", get(sign_in::list).delete(sign_in::end_all))
        .route("/api/auth/sign-ins/{id}", delete(sign_in::end_one))
        .route("/api/auth/org", post(sign_in::switch_org))
        .route("/api/auth/invitations", post(members::redeem))
        .route("/api/orgs", get(members::orgs).post(members::make_org))
        .route("/api/keys", get(keys::list).post(keys::make))
        .route("/api/keys/{id}", delete(keys::revoke))
        .route("/api/groups", get(groups::list).post(groups::make))
        .route(
            "/api/groups/{id}",
            get(groups::get).patch(groups::rename).delete(groups::remove),
        )
        .route(
            "/api/groups/{id}/members/{user}",
            put(groups::put_member).delete(groups::remove_member),
        )
        .route("/api/admin/org", patch(members::rename_org))
        .route("/api/admin/members", get(members::list))
        .route("/api/admin/members/{id}", patch(members::patch).delete(members::remove))
        .route(
            "/api/admin/invitations",
            get(members::list_invitations).post(members::invite),
        )
        .route("/api/admin/invitations/{id}", delete(members::uninvite))
        .route("/api/admin/settings", get(settings::get).put(settings::put))
        .route(
            "/api/admin/settings/groups/{id}",
            get(settings::get_of_group).put(settings::put_of_group),
        )
        .route(
            "/api/admin/settings/users/{id}",
            get(settings::get_of_user).put(settings::put_of_user),
        )
        .route("/api/admin/audit", get(audit::read))
        .route("/api/admin/git-credentials", get(git_credentials::list))
        .route(
            "/api/admin/git-credentials/{host}",
            put(git_credentials::put).delete(git_credentials::remove),
        )
        .route("/api/auth/me", get(sign_in::me))
        .route("/api/repos", get(sessions::repos))
        .route("/api/events", get(sessions::events))
        .route("/api/events/ws", get(sessions::events))
        .route("/api/sessions", get(sessions::list).post(sessions::create))
        .route("/api/sessions/{id}", any(forward::to_session))
        .route("/api/sessions/{id}/snapshot", get(snapshots::last))
        .route("/api/sessions/{id}/egress/allow", post(repositories::allow_host))
        .route("/api/sessions/{id}/{*rest}", any(forward::to_session))
        .route("/api/models", get(model_keys::list_models))
        .route("/api/model-keys", get(model_keys::list))
        .route(
            "/api/model-keys/{provider}",
            put(model_keys::put).delete(model_keys::remove),
        )
        .route("/api/usage", get(money::usage))
        .route("/api/usage/history", get(money::history))
        .route("/api/usage/estimate", get(money::estimate))
        .route("/api/secrets", get(secrets::list_own))
        .route("/api/secrets/{name}", put(secrets::put_own).delete(secrets::remove_own))
        // For those who answer for the org.
        .route("/api/admin/repositories", get(repositories::get).put(repositories::put))
        .route("/api/admin/secrets", get(secrets::list_of_org))
        .route(
            "/api/admin/secrets/{name}",
            put(secrets::put_of_org).delete(secrets::remove_of_org),
        )
        .route("/api/admin/model-keys", get(model_keys::list_of_org))
        .route(
            "/api/admin/model-keys/{provider}",
            put(model_keys::put_of_org).delete(model_keys::remove_of_org),
        )
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
        .route("/runner/{id}/environment", get(environment::get))
        .route("/llm/{provider}/{*path}", any(llm::proxy))
        .route("/git/{host}/{*path}", any(git::proxy))
        .fallback(|| async { ApiError::not_found("address") })
        .method_not_allowed_fallback(|| async {
            ApiError::new(ErrorCode::MethodNotAllowed, "this address does not know that method")
        })
        .with_state(Stateless)
}
