//! What the Worker itself decides before it does something: actions in an org and on oneself. What concerns one
//! session is decided in its object (`session_agent::access`). The rules are [`errand_access::decide`]'s.

use errand_access::{Action, Actor, Refusal, Resource, decide};
use errand_protocol::api::ErrorCode;
use errand_protocol::text::RepoUrl;

use super::error::ApiError;

/// Whether the actor may do this in the org in which they act.
///
/// # Errors
/// Why not.
pub(crate) fn in_org(actor: &Actor, action: Action) -> Result<(), ApiError> {
    Ok(decide(actor, action, &Resource::Org(&actor.org))?)
}

/// Whether the actor may make a session on this repository in the org in which they act.
///
/// # Errors
/// Why not.
pub(crate) fn to_create(actor: &Actor, repo: Option<&RepoUrl>) -> Result<(), ApiError> {
    let resource = Resource::NewSession { org: &actor.org, repo };
    Ok(decide(actor, Action::CreateSession, &resource)?)
}

/// Whether the actor may do this to their own person.
///
/// # Errors
/// Why not.
pub(crate) fn oneself(actor: &Actor, action: Action) -> Result<(), ApiError> {
    Ok(decide(actor, action, &Resource::Oneself)?)
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unauthenticated => Self::unauthenticated(),
            Refusal::NotFound => Self::new(ErrorCode::NotFound, refusal.to_string()),
            Refusal::Role(_)
            | Refusal::Scope(_)
            | Refusal::Repository
            | Refusal::PersonOnly
            | Refusal::GroupAdmin
            | Refusal::NotYours => Self::forbidden(refusal.to_string()),
        }
    }
}
