//! The policy of the session's repository, as far as it concerns this session: who may ask for it and change it, and
//! making its sandbox go by it. What it says is in D1 (`d1::repositories`), read anew each time.
//!
//! **Invariant:** a sandbox is never made without the policy having been read. One that is made while the policy changes
//! is told of the change afterwards: whoever changes it writes first and tells then, whoever makes a sandbox makes it
//! first and looks again then.

use std::rc::Rc;
use std::time::Duration;

use errand_access::Action;
use errand_protocol::api::ErrorCode;
use errand_protocol::egress::EgressPolicy;
use errand_protocol::ids::OrgId;
use errand_session::Session;
use worker::{Delay, Method};

use super::Agent;
use super::commands::{EgressAccess, EgressSubject, EnvironmentAccess, EnvironmentSubject, PolicyChanged};
use super::reads::json;
use super::routes::Answer;
use crate::d1::repositories;
use crate::http::error::ApiError;
use crate::platform::sandbox_host;

/// How long the host may take to take a policy in.
const LIMIT: Duration = Duration::from_secs(5);
/// Pauses before the host is told again.
const AGAIN: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(2)];

/// Only the sandbox of the current generation, and not after the session has been ended.
pub(super) fn environment_access(agent: &Rc<Agent>, command: &EnvironmentAccess) -> Answer {
    agent.allow_sandbox(&command.org)?;
    if agent.read(Session::is_over)? {
        return Err(ApiError::new(ErrorCode::Terminated, "this session has been ended"));
    }
    if agent.read(Session::generation)? != command.generation {
        return Err(ApiError::new(
            ErrorCode::Conflict,
            "another sandbox has taken this session over",
        ));
    }
    let subject = agent.read(|session| EnvironmentSubject {
        owner: session.spec().owner.clone(),
        repo: session.spec().repo.as_ref().map(|repo| repo.url.clone()),
    })?;
    json(&subject)
}

/// Who may change it learns what it is about.
pub(super) fn egress_access(agent: &Rc<Agent>, command: &EgressAccess) -> Answer {
    agent.allow(&command.actor, Action::AllowEgress)?;
    let repo = agent.read(|session| session.spec().repo.as_ref().map(|repo| repo.url.clone()))?;
    json(&EgressSubject { repo })
}

/// The policy changed: the sandbox goes by the new one when this answers.
pub(super) async fn changed(agent: &Rc<Agent>, command: &PolicyChanged) -> Answer {
    super::routes::require_session(agent)?;
    if agent.read(|session| session.spec().org != command.org)? {
        return Err(ApiError::not_found("session"));
    }
    agent.keep_to_policy().await?;
    json(&())
}

impl Agent {
    /// What this session's sandboxes may reach.
    ///
    /// # Errors
    /// When the database cannot be read; then no sandbox is made.
    pub(super) async fn egress_policy(&self) -> Result<EgressPolicy, ApiError> {
        let (org, repo): (OrgId, _) = self.read(|session| {
            let spec = session.spec();
            (spec.org.clone(), spec.repo.as_ref().map(|repo| repo.url.clone()))
        })?;
        let Some(repo) = repo else {
            return Ok(EgressPolicy::Open);
        };
        let found = repositories::find(self.config()?, &org, &repo).await?;
        Ok(found.repository.policy.egress)
    }

    /// The sandbox was made with this policy: when another one holds by now, it is told.
    pub(super) fn look_again(self: &Rc<Self>, made_with: EgressPolicy) {
        let agent = Rc::clone(self);
        self.state.wait_until(async move {
            let looked: Result<(), ApiError> = async {
                if agent.egress_policy().await? != made_with {
                    agent.keep_to_policy().await?;
                }
                Ok(())
            }
            .await;
            if let Err(error) = looked {
                log::error!("policy: {}", error.source.unwrap_or(error.message));
            }
        });
    }

    /// Tells the host of the current sandbox what holds now. Fine when there is no sandbox.
    async fn keep_to_policy(&self) -> Result<(), ApiError> {
        let generation = self.read(Session::generation)?;
        if generation.0 == 0 {
            return Ok(());
        }
        let path = format!("/v1/sandboxes/sbx-{}-{}/egress", self.id()?, generation.0);
        let mut pauses = AGAIN.iter();
        loop {
            let policy = serde_json::to_vec(&self.egress_policy().await?)?;
            let answer = sandbox_host::call(self.config()?, Method::Put, &path, &policy, LIMIT).await;
            let trouble = match answer {
                Ok(answer) if answer.status < 300 => return Ok(()),
                Ok(answer) => format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body)),
                Err(error) => error.to_string(),
            };
            let Some(pause) = pauses.next() else {
                let message = "the policy is stored, and the host of the running sandbox does not take it in";
                let mut error = ApiError::unavailable(message);
                error.source = Some(format!("{path}: {trouble}"));
                return Err(error);
            };
            Delay::from(*pause).await;
        }
    }
}
