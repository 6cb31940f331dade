//! The list of sessions, making one, and the live feed. What concerns one session is forwarded (see `forward`).

use axum::Extension;
use axum::extract::Request;
use axum::response::Response;
use errand_access::{Action, Actor, Credential};
use errand_protocol::access::Role;
use errand_protocol::api::{CreateSession, RepoInfo, RepoList};
use errand_protocol::ids::SessionId;
use http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;

use super::error::{ApiError, json_response};
use super::json::Json;
use super::{App, RequestId, Slots, allow, forward, idempotency, query, wire};
use crate::admission;
use crate::models;
use crate::platform::{crypto, rpc};
use crate::session_registry::commands::{ListCommand, RecentReposCommand, Which};

const MAX_LIMIT: u32 = 100;
const DEFAULT_LIMIT: u32 = 50;
const RECENT_REPOS: u32 = 20;

#[derive(Debug, Deserialize)]
struct ListQuery {
    limit: Option<u32>,
    cursor: Option<String>,
    q: Option<String>,
    archived: Option<String>,
    filter: Option<String>,
}

/// `GET /api/sessions?limit=&cursor=&q=&archived=&filter=`.
#[worker::send]
pub(super) async fn list(
    app: App,
    Extension(id): Extension<RequestId>,
    actor: Actor,
    uri: Uri,
) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::ListSessions)?;
    let query = list_query(&uri)?;
    let all = query.filter.as_deref() == Some("all");
    let repo = match &actor.credential {
        Credential::ApiKey { repo, .. } => repo.clone(),
        Credential::SignIn { .. } => None,
    };
    let command = ListCommand {
        // What `decide` lets this role see of others' sessions: admins look after all of them.
        which: match (all, actor.role >= Role::Admin) {
            (false, _) => Which::Mine,
            (true, false) => Which::Shared,
            (true, true) => Which::Everybodys,
        },
        repo,
        viewer: actor.person.id,
        limit: query.limit.unwrap_or(DEFAULT_LIMIT),
        cursor: query.cursor,
        q: query.q.filter(|q| !q.trim().is_empty()),
        archived: query.archived.as_deref() == Some("true"),
    };
    // The registry's answer is the API's, errors included: nothing is gained by reading it here.
    Ok(
        rpc::post_raw(&app.config.registry(&actor.org)?, "list", &command, &id.0)
            .await?
            .into(),
    )
}

/// `POST /api/sessions`. The answer is the SessionAgent's.
#[worker::send]
pub(super) async fn create(
    app: App,
    Extension(id): Extension<RequestId>,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    headers: HeaderMap,
    Json(mut request): Json<CreateSession>,
) -> Result<Response, ApiError> {
    slots
        .audit
        .say_if("repository", request.repo.as_ref().map(|repo| &repo.url));
    allow::to_create(&actor, request.repo.as_ref().map(|repo| &repo.url))?;
    if let Some(repo) = request.repo.as_ref().filter(|repo| !app.config.permits(&repo.url)) {
        let message = match repo.url.local_path() {
            Some(_) => "paths of the sandbox host are not open to sessions here: name an https:// address",
            None => "the repository must be an https:// address",
        };
        return Err(ApiError::invalid("repo.url", message));
    }
    let hash = hash(&request)?;
    let usable = models::usable(&app.config, &actor.org, &actor.person.id).await?;
    request.model = Some(usable.chosen(&app.config, request.model.take())?);
    let session = session_id(&actor, &request, &headers)?;
    slots.audit.about(session.as_str());
    slots.audit.say_if("model", request.model.as_ref());
    let stub = app.config.session_agent(&session)?;
    let wish = admission::Wish {
        visibility: request.visibility,
        sandbox: request.sandbox.unwrap_or_default(),
    };
    let allowed = admission::admit(&app.config, &actor, &session, wish, &id.0).await?;
    request.sandbox = Some(allowed.sandbox);
    let command = rpc::CreateCommand {
        actor,
        id: session,
        request,
        hash,
        visibility: allowed.visibility,
        co_author: allowed.co_author,
    };
    Ok(wire::passed_on(rpc::post_raw(&stub, "create", &command, &id.0).await?)?)
}

/// `GET /api/repos`.
#[worker::send]
pub(super) async fn repos(app: App, Extension(id): Extension<RequestId>, actor: Actor) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::ListSessions)?;
    let command = RecentReposCommand {
        owner: actor.person.id.clone(),
        limit: RECENT_REPOS,
    };
    let mut repos: Vec<RepoInfo> =
        rpc::post(&app.config.registry(&actor.org)?, "recent-repos", &command, &id.0).await?;
    if let Credential::ApiKey { repo: Some(only), .. } = &actor.credential {
        repos.retain(|used| used.repo.url == *only);
    }
    if let Some(sample) = app.config.sample() {
        repos.retain(|used| used.repo.url != sample.repo.url);
        repos.push(sample);
    }
    Ok(json_response(StatusCode::OK, &RepoList { repos }))
}

/// `GET /api/events` (SSE) and `/api/events/ws`.
#[worker::send]
pub(super) async fn events(
    app: App,
    Extension(id): Extension<RequestId>,
    actor: Actor,
    request: Request,
) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::ListenToFeed)?;
    let stub = app.config.event_bus(&actor.person.id)?;
    let vouched = (rpc::ACTOR, serde_json::to_string(&actor)?);
    forward::send(&stub, request, &id, vouched).await
}

fn list_query(uri: &Uri) -> Result<ListQuery, ApiError> {
    let query: ListQuery = query::read(uri, ApiError::bad_request("limit must be a whole number"))?;
    if query.limit.is_some_and(|limit| !(1..=MAX_LIMIT).contains(&limit)) {
        return Err(ApiError::invalid(
            "limit",
            format!("limit must be between 1 and {MAX_LIMIT}"),
        ));
    }
    if !matches!(query.archived.as_deref(), None | Some("true" | "false")) {
        return Err(ApiError::invalid("archived", "archived must be true or false"));
    }
    if !matches!(query.filter.as_deref(), None | Some("mine" | "all")) {
        return Err(ApiError::invalid("filter", "filter must be mine or all"));
    }
    Ok(query)
}

/// The client's id; else the one that belongs to its idempotency key; else a new one.
fn session_id(actor: &Actor, request: &CreateSession, headers: &HeaderMap) -> Result<SessionId, ApiError> {
    match &request.id {
        Some(id) => Ok(id.clone()),
        None => idempotency::id_of_request(actor, "session", headers),
    }
}

/// What tells a repetition of a request from another one with the same id or idempotency key.
fn hash(request: &CreateSession) -> Result<String, ApiError> {
    let asked = CreateSession {
        id: None,
        ..request.clone()
    };
    Ok(crypto::hex(&crypto::sha256(&serde_json::to_vec(&asked)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use errand_protocol::api::ErrorCode;

    #[test]
    fn a_list_has_between_1_and_100_rows() {
        let code = |uri: &'static str| list_query(&Uri::from_static(uri)).map_err(|e| e.code).map(|q| q.limit);
        assert_eq!(code("/api/sessions"), Ok(None));
        assert_eq!(code("/api/sessions?limit=100&other=1"), Ok(Some(100)));
        assert_eq!(code("/api/sessions?limit=0"), Err(ErrorCode::Invalid));
        assert_eq!(code("/api/sessions?limit=101"), Err(ErrorCode::Invalid));
        assert_eq!(code("/api/sessions?limit=ten"), Err(ErrorCode::BadRequest));
        assert_eq!(code("/api/sessions?limit=-1"), Err(ErrorCode::BadRequest));
        assert_eq!(code("/api/sessions?archived=true"), Ok(None));
        assert_eq!(code("/api/sessions?archived=1"), Err(ErrorCode::Invalid));
    }
}
