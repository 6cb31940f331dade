//! Making a session: `POST https://do/create` from the Worker.

use std::rc::Rc;
use std::time::Duration;

use errand_access::Actor;
use errand_protocol::api::{CreateSession, ErrorCode};
use errand_protocol::ids::SessionId;
use errand_protocol::session::PromptMode;
use errand_protocol::text::{PromptText, Title};
use errand_protocol::viewer::Command;
use errand_session::fork::store as fork_store;
use errand_session::{Input, NewSession, Session};
use worker::Response;

use super::Agent;
use super::routes::Answer;
use super::sse::news_within;
use crate::http::error::ApiError;
use crate::platform::ids;
use crate::platform::rpc::CreateCommand;
use crate::platform::signal::Waiter;

/// How long creating waits for the registry.
const REGISTRY_PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn create(agent: &Rc<Agent>, command: CreateCommand) -> Answer {
    let CreateCommand {
        actor,
        id,
        request,
        hash,
        visibility,
        co_author,
    } = command;
    if agent.id()? != id {
        return Err(ApiError::internal("a session was sent to another's object"));
    }
    let prompt = request.prompt.clone();
    let told = agent.registry_told();
    let existed = agent.load()?;
    if existed {
        check_same(agent, &actor, &request, &hash)?;
    } else if fork_store::plan(&agent.sql)?.is_some() {
        return Err(taken());
    } else {
        agent.create(new_session(&actor, &id, (request, hash), co_author)?)?;
        agent.step(Input::Command {
            by: actor.person.clone(),
            id: None,
            command: Command::Share { visibility },
        })?;
    }
    first_prompt(agent, &id, &actor, prompt)?;
    made(agent, told, existed).await
}

/// Answers with the session. Of a new one the list knows by then; when the registry is slow, the list has it later.
pub(super) async fn made(agent: &Agent, mut told: Waiter, existed: bool) -> Answer {
    if !existed {
        news_within(&mut told, REGISTRY_PATIENCE).await;
    }
    let status = if existed { 200 } else { 201 };
    Ok(Response::from_json(&agent.read(Session::summary)?)?.with_status(status))
}

/// The id is somebody else's, or of something else.
pub(super) fn taken() -> ApiError {
    ApiError::new(ErrorCode::Conflict, "this session id is taken")
}

fn new_session(
    actor: &Actor,
    id: &SessionId,
    (request, hash): (CreateSession, String),
    co_author: bool,
) -> Result<NewSession, ApiError> {
    let CreateSession {
        id: _,
        title,
        repo,
        prompt,
        model,
        visibility: _,
        sandbox,
    } = request;
    let titled_by_person = title.is_some();
    let from_prompt = || prompt.as_ref().and_then(Title::from_prompt);
    let from_repo = || repo.as_ref().and_then(|repo| Title::cleaned(repo.url.short_name()));
    let title = title
        .map(Title::from)
        .or_else(from_prompt)
        .or_else(from_repo)
        .or_else(|| "New session".parse().ok());
    Ok(NewSession {
        id: id.clone(),
        org: actor.org.clone(),
        owner: actor.person.clone(),
        title: title.ok_or_else(|| ApiError::internal("no title"))?,
        titled_by_person,
        repo,
        model: model.ok_or_else(|| ApiError::internal("no model from the Worker"))?,
        co_author,
        fork: None,
        // The Worker has filled in what holds.
        sandbox: sandbox.unwrap_or_default(),
        trigger: actor.trigger(),
        request: Some(hash),
    })
}

/// The session is there: this must be a repetition of what made it.
fn check_same(agent: &Agent, actor: &Actor, request: &CreateSession, hash: &str) -> Result<(), ApiError> {
    let (mine, same) = agent.read(|session| {
        let spec = session.spec();
        let mine = spec.owner.id == actor.person.id && spec.org == actor.org && spec.forked_from.is_none();
        let same = match &spec.request {
            Some(made_by) => made_by == hash,
            // Made before this was noted.
            None => spec.repo == request.repo && Some(&spec.model) == request.model.as_ref(),
        };
        (mine, same)
    })?;
    match (mine, same) {
        (true, true) => Ok(()),
        (true, false) => Err(ApiError::new(
            ErrorCode::Conflict,
            "this session id or idempotency key stands for another session",
        )),
        (false, _) => Err(taken()),
    }
}

/// The prompt that came with the creation. Its id is derived from the session's: creating again does not ask twice.
pub(super) fn first_prompt(
    agent: &Rc<Agent>,
    id: &SessionId,
    actor: &Actor,
    prompt: Option<PromptText>,
) -> Result<(), ApiError> {
    let Some(text) = prompt else { return Ok(()) };
    agent.step(Input::Command {
        by: actor.person.clone(),
        id: None,
        command: Command::Prompt {
            prompt_id: ids::derive(id.as_str(), "prompt", "first"),
            text,
            model: None,
            mode: PromptMode::Queue,
        },
    })
}
