//! The decision.

use std::collections::BTreeMap;

use errand_protocol::access::{GroupRole, Role, Scope, Visibility};
use errand_protocol::ids::{OrgId, SessionId, UserId};
use errand_protocol::text::RepoUrl;

use crate::action::{About, Action, By, Needs, Standing};
use crate::principal::{Actor, Credential, Principal};

/// What an action is done to.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// One's own person.
    Oneself,
    /// An org as a whole.
    Org(&'a OrgId),
    /// A session that is to be made in an org.
    NewSession {
        /// The org.
        org: &'a OrgId,
        /// What it is to work on.
        repo: Option<&'a RepoUrl>,
    },
    /// A group of an org.
    Group {
        /// The org.
        org: &'a OrgId,
        /// What the one who asks is in it.
        standing: Option<GroupRole>,
    },
    /// A session.
    Session(SessionResource<'a>),
}

/// What of a session its access depends on.
#[derive(Debug, Clone, Copy)]
pub struct SessionResource<'a> {
    /// Which.
    pub id: &'a SessionId,
    /// Its tenant.
    pub org: &'a OrgId,
    /// Whose it is.
    pub owner: &'a UserId,
    /// Who else may see it.
    pub visibility: Visibility,
    /// Who redeemed its share links, and as what. Counts only while it is shared by link.
    pub guests: &'a BTreeMap<UserId, Role>,
    /// What it works on.
    pub repo: Option<&'a RepoUrl>,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not known who asks.
    #[error("you are not signed in, or your session has ended")]
    Unauthenticated,
    /// There is no such thing, as far as this caller may know.
    #[error("there is no such thing")]
    NotFound,
    /// The caller's role in the org is not enough.
    #[error("this takes the role {} or above", .0.as_str())]
    Role(Role),
    /// The API key was not made for this.
    #[error("this API key lacks the scope {}", .0.as_str())]
    Scope(Scope),
    /// The API key is good for one repository, and this is about something else.
    #[error("this API key is good for one repository only")]
    Repository,
    /// No API key can do it.
    #[error("this can only be done by a person who is signed in, not with an API key")]
    PersonOnly,
    /// The caller belongs to the group, and this is up to its admins.
    #[error("this takes an admin of the group, or of the org")]
    GroupAdmin,
    /// The session is somebody else's.
    #[error("this session is shared with you, and this is up to its owner")]
    NotYours,
}

/// Whether `principal` may do `action` to `resource`. Whatever no rule permits is refused.
///
/// # Errors
/// Why it may not.
pub fn decide<'a>(principal: impl Into<Principal<'a>>, action: Action, resource: &Resource<'_>) -> Result<(), Refusal> {
    let needs = action.needs();
    match (principal.into(), needs.about, resource) {
        (Principal::Sandbox { session, org }, About::OwnSandbox, Resource::Session(of)) => {
            permit(of.id == session && of.org == org, Refusal::NotFound)
        }
        // A sandbox token is no credential of a person.
        (Principal::Anonymous | Principal::Sandbox { .. }, ..) => Err(Refusal::Unauthenticated),
        (Principal::Actor(actor), About::Session(standing), Resource::Session(session)) => {
            on_session(actor, needs, standing, session)
        }
        (Principal::Actor(actor), About::Org, Resource::Org(org)) => in_org(actor, action, needs, org, None),
        (Principal::Actor(actor), About::Org, Resource::NewSession { org, repo }) => {
            in_org(actor, action, needs, org, *repo)
        }
        (Principal::Actor(actor), About::Group(least), Resource::Group { org, standing }) => {
            permit(actor.org == **org, Refusal::NotFound)?;
            let oversees = actor.role >= Role::Admin;
            permit(oversees || standing.is_some(), Refusal::NotFound)?;
            in_org(actor, action, needs, org, None)?;
            permit(oversees || *standing >= Some(least), Refusal::GroupAdmin)
        }
        (Principal::Actor(actor), About::Oneself, Resource::Oneself) => by_credential(actor, needs),
        (Principal::Actor(_), ..) => Err(Refusal::NotFound),
    }
}

fn on_session(actor: &Actor, needs: Needs, standing: Standing, session: &SessionResource<'_>) -> Result<(), Refusal> {
    permit(actor.org == *session.org, Refusal::NotFound)?;
    let known_repo = match &actor.credential {
        Credential::ApiKey { repo: Some(repo), .. } => session.repo.is_some_and(|of| of.is_same(repo)),
        Credential::ApiKey { repo: None, .. } | Credential::SignIn { .. } => true,
    };
    let is = standings(actor, session);
    permit(known_repo && is(Standing::Reader), Refusal::NotFound)?;
    by_credential(actor, needs)?;
    permit(actor.role >= needs.role, Refusal::Role(needs.role))?;
    permit(is(standing), Refusal::NotYours)
}

/// What the actor is to a session.
fn standings<'s>(actor: &'s Actor, session: &SessionResource<'_>) -> impl Fn(Standing) -> bool + use<'s> {
    let owns = *session.owner == actor.person.id;
    let oversees = actor.role >= Role::Admin;
    let guest = match session.visibility {
        Visibility::Private => None,
        Visibility::Link => session.guests.get(&actor.person.id).copied(),
        Visibility::Org => Some(Role::Member),
    };
    move |standing| match standing {
        Standing::Reader => owns || oversees || guest.is_some(),
        Standing::Participant => owns || guest >= Some(Role::Member),
        Standing::Overseer => owns || oversees,
        Standing::Owner => owns,
    }
}

fn in_org(actor: &Actor, action: Action, needs: Needs, org: &OrgId, repo: Option<&RepoUrl>) -> Result<(), Refusal> {
    permit(actor.org == *org, Refusal::NotFound)?;
    by_credential(actor, needs)?;
    permit(actor.role >= needs.role, Refusal::Role(needs.role))?;
    match &actor.credential {
        Credential::ApiKey { repo: Some(only), .. } => {
            // The list is cut down to the repository's sessions by who asks the registry.
            let listed = action == Action::ListSessions;
            permit(
                listed || repo.is_some_and(|repo| repo.is_same(only)),
                Refusal::Repository,
            )
        }
        Credential::ApiKey { repo: None, .. } | Credential::SignIn { .. } => Ok(()),
    }
}

fn by_credential(actor: &Actor, needs: Needs) -> Result<(), Refusal> {
    match (needs.by, &actor.credential) {
        (_, Credential::SignIn { .. }) | (By::Any, Credential::ApiKey { .. }) => Ok(()),
        (By::Scope(scope), Credential::ApiKey { scopes, .. }) => permit(scopes.contains(scope), Refusal::Scope(scope)),
        (By::Person, Credential::ApiKey { .. }) => Err(Refusal::PersonOnly),
    }
}

fn permit(condition: bool, otherwise: Refusal) -> Result<(), Refusal> {
    if condition { Ok(()) } else { Err(otherwise) }
}
