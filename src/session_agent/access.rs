//! Who may do what to this session: its own facts, put to [`errand_access::decide`], and which action each route is.

use std::rc::Rc;

use errand_access::{Action, Actor, Principal, Refusal, Resource, SessionResource, decide};
use errand_protocol::ids::OrgId;
use errand_session::Session;
use worker::Method;

use super::Agent;
use super::routes::require_session;
use crate::http::error::ApiError;

impl Agent {
    /// Loads the session; the actor must be allowed to do this to it.
    pub(super) fn allow(self: &Rc<Self>, actor: &Actor, action: Action) -> Result<(), ApiError> {
        self.allow_principal(actor.into(), action)
    }

    /// Loads the session; the caller's token must be of its sandbox.
    pub(super) fn allow_sandbox(self: &Rc<Self>, org: &OrgId) -> Result<(), ApiError> {
        let session = &self.id()?;
        self.allow_principal(Principal::Sandbox { session, org }, Action::ActAsSandbox)
    }

    fn allow_principal(self: &Rc<Self>, principal: Principal<'_>, action: Action) -> Result<(), ApiError> {
        require_session(self)?;
        match self.read(|session| may(session, principal, action))? {
            Ok(()) => Ok(()),
            Err(Refusal::NotFound) => Err(ApiError::not_found("session")),
            Err(refusal) => Err(refusal.into()),
        }
    }
}

/// Whether the principal may do this to the session.
pub(super) fn may(session: &Session, principal: Principal<'_>, action: Action) -> Result<(), Refusal> {
    let (spec, access) = (session.spec(), session.access());
    let resource = Resource::Session(SessionResource {
        id: &spec.id,
        org: &spec.org,
        owner: &spec.owner.id,
        visibility: access.visibility,
        guests: &access.guests,
        repo: spec.repo.as_ref().map(|repo| &repo.url),
    });
    decide(principal, action, &resource)
}

/// What a request below `/api/sessions/:id` asks for. An address that does not exist takes what every other one takes
/// at least: whoever may not see the session does not learn which addresses it has.
pub(super) fn action_of(method: &Method, rest: &[&str]) -> Action {
    match (method, rest) {
        // What more a change of single fields takes is decided in `writes`.
        (Method::Patch, [])
        | (Method::Post, ["archive" | "restore"])
        | (Method::Get | Method::Delete, ["shares", ..]) => Action::ManageSession,
        (Method::Delete, []) => Action::EndSession,
        (Method::Post, ["prompts" | "abort" | "retry" | "pause" | "resume"] | ["interactions", _])
        | (Method::Patch | Method::Delete, ["prompts", _]) => Action::Prompt,
        (_, ["shares", ..]) => Action::ShareSession,
        (Method::Post, ["fork"]) => Action::ForkSession,
        _ => Action::ReadSession,
    }
}
