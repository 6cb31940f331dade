//! What the object answers to HTTP: `/create` from the Worker, `/api/sessions/:id/…` from people (authenticated by the
//! Worker, which sends the actor along), `/runner/:id` from the sandbox.

use std::rc::Rc;

use errand_protocol::api::{
    CreateSession, ErrorCode, EventPage, PatchPrompt, PatchSession, PostAbort, PostAnswer, PostPrompt, PromptAccepted,
};
use errand_protocol::ids::{InteractionId, PromptId, Seq, SessionId};
use errand_protocol::limits::MAX_EVENT_PAGE;
use errand_protocol::session::{Prompt, PromptMode};
use errand_protocol::text::{PromptText, Title};
use errand_protocol::viewer::Command;
use errand_session::{Input, NewSession, store};
use serde::Serialize;
use worker::{Method, Request, Response};

use super::Agent;
use super::sse::news_within;
use super::viewer_socket::parse_seq;
use crate::http::auth::Actor;
use crate::http::error::ApiError;
use crate::http::json::parse_json;
use crate::platform::rpc::{self, CreateCommand};
use crate::platform::{clock, ids};

/// How long creating waits for the registry.
const REGISTRY_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

type Answer = Result<Response, ApiError>;

/// Answers one request.
pub(super) async fn serve(agent: &Rc<Agent>, mut request: Request) -> Answer {
    let path = request.path();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["create"] => create(agent, parse_json(&request.bytes().await?)?).await,
        ["runner", _] => {
            require_session(agent)?;
            agent.accept_runner(&request)
        }
        ["api", "sessions", _, rest @ ..] => {
            let actor = actor(&request)?;
            require_session(agent)?;
            let own = agent.read(|s| s.spec().owner.id == actor.person.id && s.spec().org == actor.org)?;
            if !own {
                return Err(ApiError::not_found("session"));
            }
            let rest: Vec<String> = rest.iter().map(|part| (*part).to_owned()).collect();
            own_session(agent, &actor, request, &rest).await
        }
        _ => Err(ApiError::not_found("address")),
    }
}

fn require_session(agent: &Rc<Agent>) -> Result<(), ApiError> {
    if agent.load()? {
        Ok(())
    } else {
        Err(ApiError::not_found("session"))
    }
}

fn actor(request: &Request) -> Result<Actor, ApiError> {
    let header = request
        .headers()
        .get(rpc::ACTOR)?
        .ok_or_else(|| ApiError::internal("no actor from the Worker"))?;
    Ok(serde_json::from_str(&header)?)
}

async fn create(agent: &Rc<Agent>, command: CreateCommand) -> Answer {
    let CreateCommand { actor, id, request } = command;
    if agent.id()? != id {
        return Err(ApiError::internal("a session was sent to another's object"));
    }
    let prompt = request.prompt.clone();
    let told = agent.registry_told();
    let existed = agent.load()?;
    if existed {
        check_same(agent, &actor, &request)?;
    } else {
        agent.create(new_session(&actor, &id, request)?)?;
    }
    first_prompt(agent, &id, &actor, prompt)?;
    if !existed {
        // So that who creates a session finds it in the list. When the registry is slow, the list has it later.
        let mut told = told;
        news_within(&mut told, REGISTRY_PATIENCE).await;
    }
    let status = if existed { 200 } else { 201 };
    Ok(Response::from_json(&agent.read(errand_session::Session::summary)?)?.with_status(status))
}

fn new_session(actor: &Actor, id: &SessionId, request: CreateSession) -> Result<NewSession, ApiError> {
    let CreateSession {
        id: _,
        title,
        repo,
        prompt,
        model,
    } = request;
    let titled_by_person = title.is_some();
    let from_prompt = || prompt.as_ref().and_then(Title::from_prompt);
    let from_repo = || repo.as_ref().and_then(|repo| repo.url.short_name().parse().ok());
    let title = title
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
        fork: None,
    })
}

fn check_same(agent: &Agent, actor: &Actor, request: &CreateSession) -> Result<(), ApiError> {
    let same = agent.read(|session| {
        let spec = session.spec();
        let mine = spec.owner.id == actor.person.id && spec.org == actor.org;
        mine && spec.repo == request.repo && Some(&spec.model) == request.model.as_ref()
    })?;
    if same {
        Ok(())
    } else {
        Err(ApiError::new(ErrorCode::Conflict, "this session id is taken"))
    }
}

/// The prompt that came with the creation. Its id is derived from the session's: creating again does not ask twice.
fn first_prompt(agent: &Rc<Agent>, id: &SessionId, actor: &Actor, prompt: Option<PromptText>) -> Result<(), ApiError> {
    let Some(text) = prompt else { return Ok(()) };
    let prompt_id = ids::derive(id.as_str(), "prompt", "first");
    command(
        agent,
        actor,
        Command::Prompt {
            prompt_id,
            text,
            model: None,
            mode: PromptMode::Queue,
        },
    )
}

async fn own_session(agent: &Rc<Agent>, actor: &Actor, mut request: Request, rest: &[String]) -> Answer {
    let method = request.method();
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    match (&method, rest.as_slice()) {
        (Method::Get, []) => summary(agent),
        (Method::Patch, []) => {
            let PatchSession { title } = body(&mut request).await?;
            if let Some(title) = title {
                command(agent, actor, Command::Rename { title })?;
            }
            summary(agent)
        }
        (Method::Delete, []) => {
            command(agent, actor, Command::Terminate {})?;
            summary(agent)
        }
        (Method::Get, ["ws"]) => agent.accept_viewer(&request, actor.person.clone()),
        (Method::Get, ["events"]) => events(agent, &request),
        (Method::Get, ["transcript"]) => transcript(agent),
        (Method::Post, ["prompts"]) => post_prompt(agent, actor, request).await,
        (Method::Patch, ["prompts", id]) => {
            let id: PromptId = prompt_id(id)?;
            let PatchPrompt { text, to, promote } = body(&mut request).await?;
            let prompt_id = || id.clone();
            if let Some(text) = text {
                let prompt_id = prompt_id();
                command(agent, actor, Command::EditPrompt { prompt_id, text })?;
            }
            if let Some(to) = to {
                let prompt_id = prompt_id();
                command(agent, actor, Command::MovePrompt { prompt_id, to })?;
            }
            if promote {
                let prompt_id = prompt_id();
                command(agent, actor, Command::PromotePrompt { prompt_id })?;
            }
            prompt_answer(agent, &id, 200)
        }
        (Method::Delete, ["prompts", id]) => {
            let id: PromptId = prompt_id(id)?;
            command(agent, actor, Command::WithdrawPrompt { prompt_id: id.clone() })?;
            prompt_answer(agent, &id, 200)
        }
        (Method::Post, ["abort"]) => {
            let bytes = request.bytes().await?;
            let PostAbort { turn_id } = if bytes.is_empty() {
                PostAbort::default()
            } else {
                parse_json(&bytes)?
            };
            command(agent, actor, Command::Abort { turn_id })?;
            summary(agent)
        }
        (Method::Post, ["retry"]) => {
            command(agent, actor, Command::Retry {})?;
            summary(agent)
        }
        (Method::Post, ["interactions", id]) => {
            let interaction_id: InteractionId = id.parse().map_err(|_| ApiError::not_found("question"))?;
            let PostAnswer { answer } = body(&mut request).await?;
            command(agent, actor, Command::Answer { interaction_id, answer })?;
            summary(agent)
        }
        (
            _,
            [] | ["ws" | "events" | "transcript" | "prompts" | "abort" | "retry"] | ["prompts" | "interactions", _],
        ) => Err(ApiError::new(
            ErrorCode::MethodNotAllowed,
            "this address does not know that method",
        )),
        _ => Err(ApiError::not_found("address")),
    }
}

async fn body<T: serde::de::DeserializeOwned>(request: &mut Request) -> Result<T, ApiError> {
    parse_json(&request.bytes().await?)
}

fn command(agent: &Rc<Agent>, actor: &Actor, command: Command) -> Result<(), ApiError> {
    agent.step(Input::Command {
        by: actor.person.clone(),
        id: None,
        command,
    })
}

fn json(value: &impl Serialize) -> Answer {
    Ok(Response::from_json(value)?)
}

fn summary(agent: &Agent) -> Answer {
    json(&agent.read(errand_session::Session::summary)?)
}

fn prompt_id(text: &str) -> Result<PromptId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("prompt"))
}

async fn post_prompt(agent: &Rc<Agent>, actor: &Actor, mut request: Request) -> Answer {
    let key = request.headers().get("idempotency-key")?;
    let PostPrompt { id, text, model, mode } = body(&mut request).await?;
    if let Some(model) = &model
        && agent.config()?.models.get(model).is_none()
    {
        return Err(ApiError::invalid("model", format!("there is no model {model} here")));
    }
    let derived = || key.map(|key| ids::derive(actor.person.id.as_str(), "prompt", &format!("{:?} {key}", agent.id())));
    let id = id.or_else(derived).unwrap_or_else(|| ids::mint(clock::now()));
    command(
        agent,
        actor,
        Command::Prompt {
            prompt_id: id.clone(),
            text,
            model,
            mode,
        },
    )?;
    prompt_answer(agent, &id, 202)
}

fn prompt_answer(agent: &Agent, id: &PromptId, status: u16) -> Answer {
    let prompt: Prompt = store::prompt(&agent.sql, id)?.ok_or_else(|| ApiError::not_found("prompt"))?;
    Ok(Response::from_json(&PromptAccepted { prompt })?.with_status(status))
}

fn transcript(agent: &Agent) -> Answer {
    let fold = store::fold(&agent.sql)?;
    let transcript = agent.read(|session| fold.finish(session.summary(), session.head_seq(), session.open_parts()))?;
    json(&transcript)
}

/// `?after=` or `?before=`, as JSON; as a stream when the caller wants one.
fn events(agent: &Rc<Agent>, request: &Request) -> Answer {
    let accept = request.headers().get("accept")?.unwrap_or_default();
    let after = query_seq(request, "after")?;
    if accept.contains("text/event-stream") {
        let last = request.headers().get("last-event-id")?.filter(|id| !id.is_empty());
        let last = last.map(|text| parse_seq(&text, "Last-Event-ID")).transpose()?;
        return agent.stream_events(last.or(after).unwrap_or_default());
    }
    let limit = match query(request, "limit")? {
        None => 100,
        Some(text) => {
            let limit: Option<u32> = text.parse().ok().filter(|limit| (1..=MAX_EVENT_PAGE).contains(limit));
            limit.ok_or_else(|| ApiError::invalid("limit", format!("limit must be 1 to {MAX_EVENT_PAGE}")))?
        }
    };
    let events = match query_seq(request, "before")? {
        Some(before) => store::events_before(&agent.sql, before, limit)?,
        None => store::events_after(&agent.sql, after.unwrap_or_default(), limit)?,
    };
    json(&EventPage {
        events,
        head_seq: agent.head(),
    })
}

fn query(request: &Request, name: &str) -> Result<Option<String>, ApiError> {
    let url = request.url()?;
    Ok(url
        .query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned()))
}

/// A position in the log, from the query.
pub(super) fn query_seq(request: &Request, name: &str) -> Result<Option<Seq>, ApiError> {
    query(request, name)?.map(|text| parse_seq(&text, name)).transpose()
}
