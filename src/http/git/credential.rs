//! The credential for a repository's host: the session's owner's own, else the org's, else the installation's, else none.
//! It is opened for one request and lives no longer.

use base64ct::{Base64, Encoding};
use errand_protocol::git::{GitHost, GitUsername};
use errand_protocol::ids::OrgId;

use super::access::Grant;
use crate::config::{GitProvider, Secret};
use crate::d1::git_credentials;
use crate::http::App;
use crate::http::error::ApiError;
use crate::platform::clock;
use crate::platform::sealing::{self, Place};

/// Noting when a credential was used is bounded to once an hour.
const NOTE_MS: i64 = 60 * 60 * 1000;

/// What is put in.
#[derive(Debug)]
pub(super) struct Credential {
    /// Whose, for the audit log.
    pub(super) source: String,
    basic: Option<Secret>,
}

impl Credential {
    fn new(source: String, username: &GitUsername, secret: &Secret) -> Self {
        let pair = format!("{}:{}", username.as_str(), secret.expose());
        let basic = format!("Basic {}", Base64::encode_string(pair.as_bytes()));
        Self {
            source,
            basic: Some(basic.into()),
        }
    }

    /// The value of `Authorization`.
    pub(super) const fn header(&self) -> Option<&Secret> {
        self.basic.as_ref()
    }
}

/// The first that there is.
pub(super) async fn find(app: &App, grant: &Grant) -> Result<Credential, ApiError> {
    if let Some(own) = owners(app, grant).await? {
        return Ok(own);
    }
    if let Some(of_org) = orgs(app, grant).await? {
        return Ok(of_org);
    }
    Ok(match &grant.host.credential {
        Some((username, secret)) => Credential::new(format!("installation:{}", grant.host.host), username, secret),
        None => Credential {
            source: "none".to_owned(),
            basic: None,
        },
    })
}

/// The owner's token of their sign-in, while they belong to the org and it has not ended.
async fn owners(app: &App, grant: &Grant) -> Result<Option<Credential>, ApiError> {
    let Some(GitProvider::Github) = grant.host.provider else {
        return Ok(None);
    };
    let (config, owner) = (&app.config, &grant.of.owner.id);
    let stored = git_credentials::own_token(config, &grant.claims.org, owner, "github").await?;
    let alive = stored.filter(|token| token.expires_at.is_none_or(|at| at > clock::now()));
    let Some(token) = alive else { return Ok(None) };
    let place = Place {
        org: None,
        purpose: "oauth.github",
        subject: owner.as_str(),
    };
    let opened = sealing::open(config, place, &token.access).map_err(unsealed)?;
    if opened.stale {
        let anew = sealing::seal(config, place, opened.secret.expose()).map_err(unsealed)?;
        git_credentials::reseal_own(config, owner, "github", &token.access, &anew).await?;
    }
    let source = format!("github:{owner}");
    Ok(Some(Credential::new(source, &GitUsername::default(), &opened.secret)))
}

/// The org's credential for the host, when it is meant for this repository.
async fn orgs(app: &App, grant: &Grant) -> Result<Option<Credential>, ApiError> {
    let (config, org, host) = (&app.config, &grant.claims.org, &grant.host.host);
    let Some(stored) = git_credentials::find(config, org, host).await? else {
        return Ok(None);
    };
    let (shown, path) = (&stored.shown, &grant.wanted.repository.path);
    let meant = shown.repositories.is_empty() || shown.repositories.iter().any(|pattern| pattern.matches(path));
    if !meant {
        return Ok(None);
    }
    let opened = sealing::open(config, place(org, host), &stored.secret).map_err(unsealed)?;
    let now = clock::now();
    if opened.stale || shown.used_at.is_none_or(|at| now.since(at) >= NOTE_MS) {
        let sealed = if opened.stale {
            sealing::seal(config, place(org, host), opened.secret.expose()).map_err(unsealed)?
        } else {
            stored.secret.clone()
        };
        git_credentials::used(config, org, &stored, &sealed, now).await?;
    }
    Ok(Some(Credential::new(
        format!("org:{host}"),
        &shown.username,
        &opened.secret,
    )))
}

/// Where an org's credential for a host is sealed to.
pub(in crate::http) fn place<'a>(org: &'a OrgId, host: &'a GitHost) -> Place<'a> {
    Place {
        org: Some(org),
        purpose: "git.credential",
        subject: host.as_str(),
    }
}

fn unsealed(error: sealing::SealError) -> ApiError {
    ApiError::internal(format!("a git credential: {error}"))
}
