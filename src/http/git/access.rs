//! Who asks, and what of a repository they may do.

use errand_git::address::{Repository, Service, Wanted};
use errand_git::branches::Branches;
use errand_protocol::api::ErrorCode;
use errand_protocol::git::{GitProxy, GitRewrite};
use errand_protocol::ids::SessionId;
use errand_protocol::text::RepoUrl;
use http::HeaderMap;

use crate::config::{Config, GitHostConfig};
use crate::http::error::ApiError;
use crate::http::{App, auth};
use crate::platform::sandbox_token::{self, Audience, Claims};
use crate::platform::{clock, rpc};
use crate::session_agent::commands::{GitAccess, GitSession};

/// What a sandbox may do: checked, and all that is needed to do it.
#[derive(Debug)]
pub(super) struct Grant {
    /// The session.
    pub(super) session: SessionId,
    /// What its token says.
    pub(super) claims: Claims,
    /// What the session says of itself.
    pub(super) of: GitSession,
    /// Where the repository is.
    pub(super) host: GitHostConfig,
    /// What it wants.
    pub(super) wanted: Wanted,
}

/// The sandbox that shows its token.
pub(super) fn authenticate(app: &App, headers: &HeaderMap) -> Result<Claims, ApiError> {
    let token = auth::bearer(headers).ok_or_else(refused)?;
    let session = sandbox_token::claimed_session(token).ok_or_else(refused)?;
    sandbox_token::verify_sandbox_token(&app.config, &session, token, Audience::Git, clock::now())
        .map_err(|_| refused())
}

fn refused() -> ApiError {
    ApiError::new(
        ErrorCode::Unauthenticated,
        "the sandbox token is missing, not valid, expired, or its session has gone on without it",
    )
}

/// Asks the session, and judges what is wanted by what it says.
pub(super) async fn grant(app: &App, id: &str, claims: &Claims, wanted: Wanted) -> Result<Grant, ApiError> {
    let access = GitAccess {
        org: claims.org.clone(),
        generation: claims.generation,
    };
    let stub = app.config.session_agent(&claims.sub)?;
    let of: Result<GitSession, ApiError> = rpc::post(&stub, "git-access", &access, id).await;
    let over = |code| matches!(code, ErrorCode::NotFound | ErrorCode::Conflict | ErrorCode::Terminated);
    let of = of.map_err(|error| if over(error.code) { refused() } else { error })?;
    let host = app.config.git_hosts.get(&wanted.repository.host);
    let host = host.ok_or_else(|| ApiError::not_found("git host here"))?.clone();
    let own = of.repo.as_ref().and_then(Repository::of_url);
    let grant = Grant {
        session: claims.sub.clone(),
        claims: claims.clone(),
        of,
        host,
        wanted,
    };
    judge(&grant, own.as_ref())?;
    Ok(grant)
}

/// Its own repository it may read and push to; those that the host's configuration names it may read.
fn judge(grant: &Grant, own: Option<&Repository>) -> Result<(), ApiError> {
    let wanted = &grant.wanted.repository;
    if own == Some(wanted) {
        return Ok(());
    }
    let readable = grant.host.read.iter().any(|pattern| pattern.matches(&wanted.path));
    match grant.wanted.endpoint.service() {
        Service::UploadPack if readable => Ok(()),
        Service::ReceivePack if readable => Err(ApiError::forbidden(format!(
            "this session may read {wanted}, and not push to it"
        ))),
        Service::UploadPack | Service::ReceivePack => Err(ApiError::not_found("repository for this session")),
    }
}

/// What a runner is told of the repository at this address; [`None`] when it is not reached through the proxy.
pub(crate) fn proxy_of(config: &Config, session: &SessionId, url: &RepoUrl) -> Option<GitProxy> {
    let repository = Repository::of_url(url)?;
    config.git_hosts.get(&repository.host)?;
    let origin = errand_git::address::Origin::of(url, &repository)?;
    let own = |from: String| GitRewrite {
        from,
        path: repository.proxied(),
        one: true,
    };
    let readable = config.git_hosts.iter().flat_map(|host| {
        host.read.iter().map(|pattern| GitRewrite {
            from: format!("https://{}/{}", host.host, pattern.beginning()),
            path: format!("{}{}/{}", errand_git::address::PREFIX, host.host, pattern.beginning()),
            one: pattern.is_one(),
        })
    });
    Some(GitProxy {
        origin: origin.url,
        rewrites: origin.spellings.into_iter().map(own).chain(readable).collect(),
        branch: Branches::of(session).name().parse().ok()?,
    })
}
