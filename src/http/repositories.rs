//! What an org says of its repositories: `/api/admin/repositories`, and the one-click `…/egress/allow` of a session. A
//! change is in the database first; then the sandboxes that run on the repository are told, by way of their sessions.
//! Set-up scripts and secrets count from the next start of a sandbox.

use axum::Extension;
use axum::response::Response;
use errand_access::{Action, Actor};
use errand_protocol::api::ErrorCode;
use errand_protocol::egress::{EgressPolicy, MAX_EGRESS_HOSTS};
use errand_protocol::ids::{OrgId, SessionId};
use errand_protocol::repository::{
    AllowHost, MAX_REPOSITORIES, MAX_SECRETS, Repository, RepositoryList, RepositoryPolicy,
};
use errand_protocol::text::RepoUrl;
use http::{StatusCode, Uri};
use serde::Deserialize;

use super::audit::Note;
use super::error::{ApiError, json_response};
use super::json::Json;
use super::{App, RequestId, Slots, allow, forward, query};
use crate::config::Config;
use crate::d1::repositories::{self, Change};
use crate::platform::{clock, rpc};
use crate::session_agent::commands::{EgressAccess, EgressSubject, PolicyChanged};
use crate::session_registry::commands::AtWorkCommand;

/// A change that meets others' is made again from what they left, so often.
const TRIES: u32 = 5;

#[derive(Debug, Deserialize)]
struct Query {
    url: Option<String>,
}

/// The repository of the query's `url`, if there is one.
pub(super) fn url_of(uri: &Uri) -> Result<Option<RepoUrl>, ApiError> {
    let query: Query = query::read(uri, ApiError::bad_request("the query cannot be read"))?;
    let parsed = query.url.map(|url| url.parse()).transpose();
    parsed.map_err(|error: errand_protocol::text::InvalidText| ApiError::invalid("url", error.to_string()))
}

/// `GET /api/admin/repositories[?url=]`.
#[worker::send]
pub(super) async fn get(app: App, actor: Actor, uri: Uri) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::ReadSettings)?;
    if let Some(url) = url_of(&uri)? {
        let found = repositories::find(&app.config, &actor.org, &url).await?;
        return Ok(json_response(StatusCode::OK, &found.repository));
    }
    let repositories = repositories::list(&app.config, &actor.org).await?;
    Ok(json_response(StatusCode::OK, &RepositoryList { repositories }))
}

/// `PUT /api/admin/repositories`.
#[worker::send]
pub(super) async fn put(
    app: App,
    Extension(id): Extension<RequestId>,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Json(mut policy): Json<RepositoryPolicy>,
) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::WriteSettings)?;
    slots.audit.about(policy.url.as_str());
    tidy(&mut policy)?;
    let before = repositories::find(&app.config, &actor.org, &policy.url).await?;
    slots
        .audit
        .tell(|note| tell_change(note, &before.repository.policy, &policy));
    if !write(&app.config, &actor, &policy, None).await? {
        let message = format!("an org says something of at most {MAX_REPOSITORIES} repositories");
        return Err(ApiError::new(ErrorCode::Conflict, message));
    }
    tell(&app, &actor.org, &policy.url, None, &id);
    let found = repositories::find(&app.config, &actor.org, &policy.url).await?;
    Ok(json_response(StatusCode::OK, &found.repository))
}

/// What is different. Not what a set-up script says: people write tokens into them.
fn tell_change(note: &mut Note, from: &RepositoryPolicy, to: &RepositoryPolicy) {
    let mode = |policy: &RepositoryPolicy| match policy.egress {
        EgressPolicy::Open => "open",
        EgressPolicy::Allowlist { .. } => "allowlist",
    };
    let hosts = |policy: &RepositoryPolicy| match &policy.egress {
        EgressPolicy::Open => Vec::new(),
        EgressPolicy::Allowlist { hosts } => hosts.clone(),
    };
    note.change("egress", mode(from), mode(to));
    note.lists("hosts", &hosts(from), &hosts(to));
    note.lists("secrets", &from.secrets, &to.secrets);
    if from.setup != to.setup {
        note.say("setup", to.setup.as_ref().map_or("removed", |_| "changed"));
    }
}

async fn write(config: &Config, actor: &Actor, policy: &RepositoryPolicy, seen: Option<i64>) -> Result<bool, ApiError> {
    let change = Change {
        by: &actor.person.id,
        at: clock::now(),
        seen,
    };
    Ok(repositories::write(config, &actor.org, policy, &change).await?)
}

/// Checks how much there is of it, and takes out what is said twice.
fn tidy(policy: &mut RepositoryPolicy) -> Result<(), ApiError> {
    if let EgressPolicy::Allowlist { hosts } = &mut policy.egress {
        hosts.sort();
        hosts.dedup();
        check_hosts(hosts.len())?;
    }
    policy.secrets.sort();
    policy.secrets.dedup();
    if policy.secrets.len() > MAX_SECRETS {
        let message = format!("a repository gets at most {MAX_SECRETS} secrets");
        return Err(ApiError::invalid("secrets", message));
    }
    Ok(())
}

fn check_hosts(count: usize) -> Result<(), ApiError> {
    if count > MAX_EGRESS_HOSTS {
        let message = format!("an egress policy names at most {MAX_EGRESS_HOSTS} hosts");
        return Err(ApiError::invalid("egress.hosts", message));
    }
    Ok(())
}

/// `POST /api/sessions/{id}/egress/allow`: adds a host to what the session's repository may reach. Answers when the
/// session's own sandbox may reach it; the same again changes nothing.
#[worker::send]
pub(super) async fn allow_host(
    app: App,
    Extension(id): Extension<RequestId>,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    uri: Uri,
    Json(AllowHost { host }): Json<AllowHost>,
) -> Result<Response, ApiError> {
    let session = forward::session_id(&uri, "/api/sessions/")?;
    slots.audit.about(&format!("{session} {host}"));
    slots.audit.say("host", &host);
    let stub = app.config.session_agent(&session)?;
    let access = EgressAccess { actor: actor.clone() };
    let EgressSubject { repo } = rpc::post(&stub, "egress-access", &access, &id.0).await?;
    let repo = repo.ok_or_else(|| {
        ApiError::new(
            ErrorCode::Conflict,
            "this session has no repository, and its sandbox no list of hosts",
        )
    })?;
    slots.audit.say("repository", &repo);
    let repository = add(&app.config, &actor, &repo, &host).await?;
    let changed = PolicyChanged { org: actor.org.clone() };
    let () = rpc::post(&stub, "policy-changed", &changed, &id.0).await?;
    tell(&app, &actor.org, &repo, Some(session), &id);
    Ok(json_response(StatusCode::OK, &repository))
}

async fn add(
    config: &Config,
    actor: &Actor,
    repo: &RepoUrl,
    host: &errand_protocol::egress::HostRule,
) -> Result<Repository, ApiError> {
    for _ in 0..TRIES {
        let found = repositories::find(config, &actor.org, repo).await?;
        let mut policy = found.repository.policy.clone();
        match (&policy.egress, policy.egress.with(host.clone())) {
            (EgressPolicy::Open, _) => {
                let message =
                    "this repository's sandboxes may reach the whole public internet; what is private stays refused";
                return Err(ApiError::new(ErrorCode::Conflict, message));
            }
            (EgressPolicy::Allowlist { .. }, None) => return Ok(found.repository),
            (EgressPolicy::Allowlist { hosts }, Some(wider)) => {
                check_hosts(hosts.len() + 1)?;
                policy.egress = wider;
            }
        }
        if write(config, actor, &policy, Some(found.revision)).await? {
            return Ok(repositories::find(config, &actor.org, repo).await?.repository);
        }
    }
    Err(ApiError::new(
        ErrorCode::Conflict,
        "others change this repository at the same time: try again",
    ))
}

/// Tells the sessions that work on the repository, after the answer. One that is not reached goes by the new policy from
/// its next sandbox on.
fn tell(app: &App, org: &OrgId, url: &RepoUrl, but: Option<SessionId>, id: &RequestId) {
    let (config, org, url, id) = (app.config.clone(), org.clone(), url.clone(), id.0.clone());
    app.context.wait_until(async move {
        let told: Result<(), ApiError> = async {
            let command = AtWorkCommand { repo: url.key() };
            let sessions: Vec<SessionId> = rpc::post(&config.registry(&org)?, "at-work", &command, &id).await?;
            for session in sessions.into_iter().filter(|session| Some(session) != but.as_ref()) {
                let stub = config.session_agent(&session)?;
                let changed = PolicyChanged { org: org.clone() };
                let told: Result<(), ApiError> = rpc::post(&stub, "policy-changed", &changed, &id).await;
                if let Err(error) = told {
                    log::warn!(request = id.as_str(), session = session.as_str(); "policy: {}", error.source.unwrap_or(error.message));
                }
            }
            Ok(())
        }
        .await;
        if let Err(error) = told {
            log::error!(request = id.as_str(); "policy not told: {}", error.source.unwrap_or(error.message));
        }
    });
}
