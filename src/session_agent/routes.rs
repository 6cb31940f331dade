//! What the object answers to HTTP: commands from the Worker and from other objects, `/api/sessions/:id/…` from people
//! (authenticated by the Worker, which sends the actor along), `/runner/:id` from the sandbox.

use std::cell::RefCell;
use std::rc::Rc;

use errand_access::Actor;
use errand_protocol::viewer::Command;
use worker::{Method, Request, Response};

use super::access::action_of;
use super::writes::Write;
use super::{Agent, create, fork, forked, git, llm, policy, reads, room, shares, snapshots};
use crate::http::audit::Note;
use crate::http::error::ApiError;
use crate::http::idempotency;
use crate::http::json::parse_json;
use crate::platform::rpc;

/// An answer, or the error that becomes one.
pub(super) type Answer = Result<Response, ApiError>;

/// Answers one request.
pub(super) async fn serve(agent: &Rc<Agent>, mut request: Request) -> Answer {
    let path = request.path();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["create"] => create::create(agent, parse_json(&request.bytes().await?)?).await,
        ["access-changed"] => agent.access_changed(&rpc::read_command(&mut request).await?),
        ["snapshot-access"] => snapshots::access(agent, &rpc::read_command(&mut request).await?),
        ["git-access"] => git::access(agent, &rpc::read_command(&mut request).await?),
        ["git-pushed"] => git::pushed(agent, rpc::read_command(&mut request).await?),
        ["budget"] => llm::budget(agent, rpc::read_command(&mut request).await?),
        ["budget-raised"] => llm::budget_raised(agent, rpc::read_command(&mut request).await?),
        ["llm-access"] => llm::access(agent, &rpc::read_command(&mut request).await?),
        ["environment-access"] => policy::environment_access(agent, &rpc::read_command(&mut request).await?),
        ["egress-access"] => policy::egress_access(agent, &rpc::read_command(&mut request).await?),
        ["policy-changed"] => policy::changed(agent, &rpc::read_command(&mut request).await?).await,
        ["make-room"] => room::make(agent, &rpc::read_command(&mut request).await?),
        ["last-snapshot"] => snapshots::last(agent, &rpc::read_command(&mut request).await?),
        ["fork-find"] => forked::find(agent, rpc::read_command(&mut request).await?),
        ["fork-begin"] => forked::begin(agent, rpc::read_command(&mut request).await?).await,
        ["fork-copy"] => forked::copy(agent, &rpc::read_command(&mut request).await?),
        ["fork-make"] => forked::make(agent, rpc::read_command(&mut request).await?).await,
        ["runner", _] => agent.accept_runner(&request).await,
        ["api", "sessions", _, rest @ ..] => {
            let actor = actor(&request)?;
            // Who redeems a link does not see the session yet: `shares::join` decides.
            // What an answer takes depends on what is answered: `llm::answer` decides.
            let decides = matches!(rest, ["join"] | ["interactions", _]) && request.method() == Method::Post;
            if decides {
                require_session(agent)?;
            } else {
                agent.allow(&actor, action_of(&request.method(), rest))?;
            }
            session_route(agent, &actor, request, rest).await
        }
        _ => Err(ApiError::not_found("address")),
    }
}

/// Loads the session, which must have been made.
pub(super) fn require_session(agent: &Rc<Agent>) -> Result<(), ApiError> {
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

async fn session_route(agent: &Rc<Agent>, actor: &Actor, request: Request, rest: &[&str]) -> Answer {
    let request_id = rpc::request_id(&request)?;
    match (&request.method(), rest) {
        (Method::Get, []) => reads::summary(agent),
        (Method::Get, ["ws"]) => agent.accept_viewer(&request, actor),
        (Method::Get, ["events"]) => reads::events(agent, &request, actor),
        (Method::Get, ["shares"]) => shares::list(agent),
        (Method::Get, ["transcript"]) => reads::transcript(agent),
        (Method::Get, ["startup"]) => reads::startup(agent, &request_id).await,
        (Method::Get, ["usage"]) => llm::usage(agent, &request_id).await,
        (Method::Get, rest) => Err(unknown(rest)),
        (method, rest) => change(agent, actor, method.clone(), request, rest, &request_id).await,
    }
}

async fn change(
    agent: &Rc<Agent>,
    actor: &Actor,
    method: Method,
    mut request: Request,
    rest: &[&str],
    request_id: &str,
) -> Answer {
    let key = request.headers().get("idempotency-key")?;
    let write = Write {
        agent,
        actor,
        route: format!("{} {}", method.as_ref(), rest.join("/")),
        key: idempotency::checked(key.as_deref())?.map(str::to_owned),
        body: request.bytes().await?,
        note: RefCell::default(),
    };
    let answer = carry_out(&write, method, rest, request_id).await;
    let note = write.note.take();
    if note == Note::default() {
        return answer;
    }
    // Of what is refused it is told as well.
    let answer = answer.or_else(|error| error.into_worker_response(request_id))?;
    Ok(note.onto(answer)?)
}

async fn carry_out(write: &Write<'_>, method: Method, rest: &[&str], request_id: &str) -> Answer {
    match (method, rest) {
        (Method::Patch, []) => write.patch_session(),
        (Method::Delete, []) => write.command(Command::Terminate {}),
        (Method::Post, ["prompts"]) => write.post_prompt().await,
        (Method::Patch, ["prompts", id]) => write.patch_prompt(id),
        (Method::Delete, ["prompts", id]) => write.withdraw_prompt(id),
        (Method::Post, ["interactions", id]) => llm::answer(write, id, request_id).await,
        (Method::Post, ["abort"]) => write.abort(),
        (Method::Post, ["retry"]) => write.command(Command::Retry {}),
        (Method::Post, ["pause"]) => write.command(Command::Pause {}),
        (Method::Post, ["resume"]) => write.command(Command::Resume {}),
        (Method::Post, ["archive"]) => write.command(Command::Archive {}),
        (Method::Post, ["restore"]) => write.command(Command::Restore {}),
        (Method::Post, ["shares"]) => shares::make(write),
        (Method::Delete, ["shares", id]) => shares::remove(write, id),
        (Method::Post, ["join"]) => shares::join(write),
        (Method::Post, ["fork"]) => fork::fork(write, request_id).await,
        (_, rest) => Err(unknown(rest)),
    }
}

/// No such address, or not with that method.
fn unknown(rest: &[&str]) -> ApiError {
    let methods = match rest {
        [] => "GET, PATCH, DELETE",
        ["ws" | "events" | "transcript" | "startup" | "usage"] => "GET",
        ["shares"] => "GET, POST",
        ["prompts" | "abort" | "retry" | "pause" | "resume" | "archive" | "restore" | "fork" | "join"]
        | ["interactions", _] => "POST",
        ["prompts", _] => "PATCH, DELETE",
        ["shares", _] => "DELETE",
        _ => return ApiError::not_found("address"),
    };
    ApiError::method_not_allowed(methods)
}
