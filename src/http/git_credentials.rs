//! `/api/admin/git-credentials`: an org's credentials for hosts of repositories. They are sealed before they are stored,
//! and in no answer.

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use errand_access::{Action, Actor};
use errand_protocol::api::ErrorCode;
use errand_protocol::git::{GitCredential, GitCredentialList, GitHost, GitUsername, PutGitCredential, RepoPattern};
use http::StatusCode;

use super::error::{ApiError, json_response};
use super::git::place;
use super::json::Json;
use super::{App, Slots, allow};
use crate::d1::git_credentials::{self, Stored};
use crate::platform::{clock, sealing};

/// Patterns of one credential.
const MAX_PATTERNS: usize = 200;

/// `GET /api/admin/git-credentials`.
#[worker::send]
pub(super) async fn list(app: App, actor: Actor) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::WriteOrgSecrets)?;
    let list = GitCredentialList {
        hosts: app.config.git_hosts.names(),
        credentials: git_credentials::list(&app.config, &actor.org).await?,
    };
    Ok(json_response(StatusCode::OK, &list))
}

/// `PUT /api/admin/git-credentials/{host}`.
#[worker::send]
pub(super) async fn put(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path(host): Path<String>,
    Json(body): Json<PutGitCredential>,
) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::WriteOrgSecrets)?;
    let host = known_host(&app, &host)?;
    slots.audit.about(host.as_str());
    slots
        .audit
        .say_if("user name", body.username.as_ref().map(GitUsername::as_str));
    slots.audit.say("repositories", repositories_words(&body.repositories));
    if body.repositories.len() > MAX_PATTERNS {
        return Err(ApiError::invalid(
            "repositories",
            format!("at most {MAX_PATTERNS} repositories"),
        ));
    }
    let secret = sealing::seal(&app.config, place(&actor.org, &host), body.secret.expose());
    let stored = Stored {
        shown: GitCredential {
            host,
            username: body.username.unwrap_or_default(),
            repositories: body.repositories,
            updated_at: clock::now(),
            updated_by: actor.person.id.clone(),
            used_at: None,
        },
        secret: secret.map_err(|error| ApiError::internal(format!("sealing: {error}")))?,
    };
    git_credentials::put(&app.config, &actor.org, &stored).await?;
    Ok(json_response(StatusCode::OK, &stored.shown))
}

/// `DELETE /api/admin/git-credentials/{host}`: fine when there is none.
#[worker::send]
pub(super) async fn remove(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path(host): Path<String>,
) -> Result<StatusCode, ApiError> {
    allow::in_org(&actor, Action::WriteOrgSecrets)?;
    // One of a host that is not configured any more can still be removed.
    let host: GitHost = host.parse().map_err(|_| ApiError::not_found("git host here"))?;
    slots.audit.about(host.as_str());
    git_credentials::remove(&app.config, &actor.org, &host).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn repositories_words(patterns: &[RepoPattern]) -> String {
    if patterns.is_empty() {
        return "all of the host's".to_owned();
    }
    let texts: Vec<String> = patterns.iter().cloned().map(String::from).collect();
    texts.join(", ")
}

fn known_host(app: &App, text: &str) -> Result<GitHost, ApiError> {
    let host: Option<GitHost> = text.parse().ok();
    host.filter(|host| app.config.git_hosts.get(host).is_some())
        .ok_or_else(|| {
            let mut error = ApiError::new(
                ErrorCode::NotFound,
                "this installation does not reach that git host; its operator names hosts in GIT_HOSTS",
            );
            error.details = Some(serde_json::json!({ "hosts": app.config.git_hosts.names() }));
            error
        })
}
