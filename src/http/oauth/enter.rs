//! Who gets in, and in which org they then act.
//!
//! Somebody whom we know gets in as long as they are a member of some org. Somebody new gets in when `ALLOWED_USERS` has
//! them, and joins the installation's org (the first of all as its owner), or with an invitation, and joins that org.
//! People are known by the provider's id; an address never leads to somebody's account. Who was removed from all orgs
//! stays out, on the list or not, until somebody invites them.

use errand_access::Candidate;
use errand_protocol::api::ErrorCode;
use errand_protocol::ids::{OrgId, UserId};
use errand_protocol::session::Person;
use errand_protocol::time::Timestamp;

use super::provider::{Profile, Provider, Tokens};
use super::state::Attempt;
use crate::config::{Config, Secret};
use crate::d1::identities::{self, Enrolment, Join, StoredTokens};
use crate::d1::{invitations, members};
use crate::http::error::ApiError;
use crate::http::sign_in::Newcomer;
use crate::http::{App, RequestId, auth, revoke};
use crate::platform::ids;
use crate::platform::sealing::{self, Place};

pub(super) async fn enter(
    app: &App,
    provider: Provider,
    attempt: &Attempt,
    profile: Profile,
    tokens: Tokens,
    id: &RequestId,
    now: Timestamp,
) -> Result<Newcomer, ApiError> {
    let config = &app.config;
    let known = identities::find(config, provider.name(), &profile.id).await?;
    let join = how_to_join(config, provider, attempt, &profile, known.is_some(), now).await?;
    let derived = || ids::derive(provider.name(), "user", &profile.id);
    let person = Person {
        id: known.unwrap_or_else(derived),
        name: profile.name.clone(),
        email: profile.email.clone(),
    };
    let enrolment = Enrolment {
        person: &person,
        provider: provider.name(),
        provider_user_id: &profile.id,
        login: &profile.login,
        tokens: sealed(config, provider, &person.id, tokens, now)?,
        join: &join,
    };
    identities::enrol(config, &enrolment, now).await?;
    let orgs = members::orgs_of(config, &person.id).await?;
    let wanted = match &join {
        Join::Invitation { org, .. } => org.clone(),
        Join::Installation { .. } | Join::Nothing => installation_org(),
    };
    let org = orgs.iter().find(|(org, _)| org.id == wanted).or_else(|| orgs.first());
    let (org, role) = org.ok_or_else(|| not_invited(&profile.login))?;
    if matches!(join, Join::Invitation { .. }) {
        revoke::tell_joined(config, &person.id, &org.id, *role, id).await?;
    }
    Ok(Newcomer {
        person,
        org: org.id.clone(),
        role: *role,
    })
}

/// What joins somebody to an org; refuses those who have no business here.
async fn how_to_join(
    config: &Config,
    provider: Provider,
    attempt: &Attempt,
    profile: &Profile,
    known: bool,
    now: Timestamp,
) -> Result<Join, ApiError> {
    if let Some(code) = &attempt.invitation {
        let found = invitations::open(config, &auth::token_hash(code), now).await?;
        if let Some(found) = found.filter(|found| found.is_for(&profile.verified_emails)) {
            return Ok(Join::Invitation {
                id: found.id,
                org: found.org_id,
            });
        }
    }
    if known {
        return Ok(Join::Nothing);
    }
    let candidate = Candidate {
        github_login: (provider == Provider::GitHub).then_some(&profile.login),
        verified_emails: &profile.verified_emails,
    };
    if !config.allowed_users.permits(candidate) {
        return Err(match attempt.invitation {
            Some(_) => dead_invitation(&profile.login),
            None => not_invited(&profile.login),
        });
    }
    let name = config.origin.split("://").nth(1).unwrap_or(&config.origin);
    Ok(Join::Installation {
        org: installation_org(),
        name: name.to_owned(),
    })
}

/// The org that people of this installation join.
pub(super) fn installation_org() -> OrgId {
    ids::derive("installation", "org", "first")
}

/// Somebody came with an invitation that opens nothing. Why is not told: whoever guesses codes would learn of it.
fn dead_invitation(login: &str) -> ApiError {
    let message = "this invitation was used already, is over, was taken back, or is for another address: ask whoever sent \
                   it for another one";
    let mut error = ApiError::new(ErrorCode::NotInvited, message);
    error.details = Some(serde_json::json!({ "login": login, "invitation": true }));
    error
}

/// Somebody whom this installation does not let in is told as whom they came: it may have been the wrong account.
fn not_invited(login: &str) -> ApiError {
    let message = "Errand is not open to everybody yet: ask its operator or a colleague for an invitation";
    let mut error = ApiError::new(ErrorCode::NotInvited, message);
    error.details = Some(serde_json::json!({ "login": login }));
    error
}

fn sealed(
    config: &Config,
    provider: Provider,
    user: &UserId,
    tokens: Tokens,
    now: Timestamp,
) -> Result<StoredTokens, ApiError> {
    let purpose = format!("oauth.{}", provider.name());
    let place = Place {
        org: None,
        purpose: &purpose,
        subject: user.as_str(),
    };
    let seal = |secret: &Secret| sealing::seal(config, place, secret.expose());
    let failed = |e: sealing::SealError| ApiError::internal(format!("sealing: {e}"));
    Ok(StoredTokens {
        access: seal(&tokens.access).map_err(failed)?,
        refresh: tokens.refresh.as_ref().map(seal).transpose().map_err(failed)?,
        scopes: tokens.scopes,
        expires_at: tokens.expires_in.map(|seconds| now.plus(seconds.saturating_mul(1000))),
    })
}
