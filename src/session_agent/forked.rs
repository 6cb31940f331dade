//! A fork's own side: taking copies in before it is made, and being made. What asks is another session's object
//! ([`super::fork`]), which has checked who may.
//!
//! A fork that is left half made is removed after a while ([`Agent::forget_unmade_fork`]).

use std::rc::Rc;
use std::time::Duration;

use errand_access::Actor;
use errand_protocol::session::ForkOrigin;
use errand_session::fork::store::{self as fork_store, Plan};
use errand_session::{NewSession, Session, store};

use super::Agent;
use super::commands::{BeginFork, CopyEvents, FindFork, FoundFork, MakeFork};
use super::create::{first_prompt, made, taken};
use super::reads::json;
use super::routes::Answer;
use crate::http::error::ApiError;
use crate::platform::blobs;

/// What is known here of a fork.
pub(super) fn find(agent: &Rc<Agent>, command: FindFork) -> Answer {
    let FindFork {
        actor,
        origin,
        turn,
        prompt,
    } = command;
    let fits =
        |known: &ForkOrigin| known.session_id == origin && turn.as_ref().is_none_or(|turn| *turn == known.turn_id);
    if agent.load()? {
        if !is_fork_of(agent, &actor, fits)? {
            return Err(taken());
        }
        first_prompt(agent, &agent.id()?, &actor, prompt)?;
        let session = agent.read(Session::summary)?;
        let turn = session.forked_from.as_ref().map(|origin| origin.turn_id.clone());
        let made = Some(session);
        return json(&FoundFork { turn, made });
    }
    let turn = match fork_store::plan(&agent.sql)? {
        Some(plan) if plan.owner == actor.person.id && plan.org == actor.org && fits(&plan.origin) => {
            Some(plan.origin.turn_id)
        }
        Some(_) => return Err(taken()),
        None => None,
    };
    json(&FoundFork { turn, made: None })
}

fn is_fork_of(agent: &Agent, actor: &Actor, fits: impl FnOnce(&ForkOrigin) -> bool) -> Result<bool, ApiError> {
    agent.read(|session| {
        let spec = session.spec();
        let mine = spec.owner.id == actor.person.id && spec.org == actor.org;
        mine && spec.forked_from.as_ref().is_some_and(fits)
    })
}

/// Copies may come from now on. From here on this object is good for nothing else.
pub(super) async fn begin(agent: &Rc<Agent>, command: BeginFork) -> Answer {
    let BeginFork { actor, origin } = command;
    let plan = Plan {
        id: agent.id()?,
        owner: actor.person.id.clone(),
        org: actor.org.clone(),
        origin,
    };
    if agent.load()? {
        // Made by another request with the same id a moment ago: it will say so when it is told to be made.
        let same = is_fork_of(agent, &actor, |known| *known == plan.origin)?;
        return if same { json(&()) } else { Err(taken()) };
    }
    match fork_store::plan(&agent.sql)? {
        Some(known) if known == plan => return json(&()),
        Some(_) => return Err(taken()),
        None => {}
    }
    store::migrate(&agent.sql)?;
    fork_store::set_plan(&agent.sql, &plan)?;
    agent.wait_for_fork().await?;
    json(&())
}

/// Takes copies in.
pub(super) fn copy(agent: &Rc<Agent>, command: &CopyEvents) -> Answer {
    if !agent.load()? {
        match fork_store::plan(&agent.sql)? {
            Some(plan) if plan.origin == command.origin => store::import(&agent.sql, &command.events)?,
            Some(_) | None => return Err(taken()),
        }
    }
    json(&())
}

/// All copies are here: makes the session.
pub(super) async fn make(agent: &Rc<Agent>, command: MakeFork) -> Answer {
    let MakeFork {
        actor, fork, prompt, ..
    } = &command;
    let told = agent.registry_told();
    let existed = agent.load()?;
    if existed {
        if !is_fork_of(agent, actor, |known| *known == fork.origin)? {
            return Err(taken());
        }
    } else {
        let planned = fork_store::plan(&agent.sql)?.is_some_and(|plan| plan.origin == fork.origin);
        if !planned || !fork_store::is_whole(&agent.sql, fork.head_seq)? {
            return Err(ApiError::internal("a fork is to be made without all of its copies"));
        }
        fork_store::drop_plan(&agent.sql)?;
        agent.create(NewSession {
            id: agent.id()?,
            org: actor.org.clone(),
            owner: actor.person.clone(),
            title: command.title.clone(),
            titled_by_person: command.titled_by_person,
            repo: command.repo.clone(),
            model: command.model.clone(),
            co_author: command.co_author,
            fork: Some(fork.clone()),
            sandbox: command.sandbox,
            trigger: actor.trigger(),
            request: None,
        })?;
    }
    first_prompt(agent, &agent.id()?, actor, prompt.clone())?;
    made(agent, told, existed).await
}

impl Agent {
    /// Nobody went on with a fork that was begun here: as if it never had been.
    pub(super) fn forget_unmade_fork(self: &Rc<Self>) {
        let Ok(Some(plan)) = fork_store::plan(&self.sql) else {
            return;
        };
        let agent = Rc::clone(self);
        self.state.wait_until(async move {
            if let Err(error) = agent.forget(&plan).await {
                log::error!("a half made fork: {}", error.source.unwrap_or(error.message));
            }
        });
    }

    async fn forget(&self, plan: &Plan) -> Result<(), ApiError> {
        // Should one of these fail, the next alarm tries again.
        self.wait_for_fork().await?;
        let files = self.config()?.files()?;
        blobs::delete_all(&files, blobs::snapshots_of(&plan.org, &plan.id)).await?;
        Ok(self.state.storage().delete_all().await?)
    }

    /// Sets the alarm after which a fork that is not made is forgotten.
    async fn wait_for_fork(&self) -> Result<(), ApiError> {
        let patience = u64::try_from(self.timings.unmade_fork).unwrap_or_default();
        Ok(self.state.storage().set_alarm(Duration::from_millis(patience)).await?)
    }
}
