//! What people may read of a session: its summary, log, transcript, and why it waits.

use std::rc::Rc;
use std::time::Duration;

use errand_access::Actor;
use errand_protocol::api::EventPage;
use errand_protocol::ids::Seq;
use errand_protocol::limits::{MAX_EVENT_PAGE, MAX_STARTS};
use errand_protocol::startup::{Startup, Typical};
use errand_session::{Session, store};
use serde::Serialize;
use worker::{Request, Response};

use super::Agent;
use super::remote::repo_key;
use super::routes::Answer;
use super::viewer_socket::parse_seq;
use crate::http::error::ApiError;
use crate::platform::rpc;
use crate::session_registry::commands::TypicalCommand;

/// How long `…/startup` waits for what is usual.
const TYPICAL_PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn json(value: &impl Serialize) -> Answer {
    Ok(Response::from_json(value)?)
}

pub(super) fn summary(agent: &Agent) -> Answer {
    json(&agent.read(Session::summary)?)
}

pub(super) fn transcript(agent: &Agent) -> Answer {
    let fold = store::fold(&agent.sql)?;
    let transcript = agent.read(|session| fold.finish(session.summary(), session.head_seq(), session.open_parts()))?;
    json(&transcript)
}

/// Where the time of starts goes, what watchdogs decided, why it waits, what is usual.
pub(super) async fn startup(agent: &Rc<Agent>, request_id: &str) -> Answer {
    let starts = store::starts(&agent.sql, MAX_STARTS)?;
    let mut startup = Startup {
        verdicts: store::verdicts(&agent.sql)?,
        waiting: agent.read(|session| session.waiting(&agent.timings))?,
        typical: None,
        starts: starts.into_iter().map(|numbered| numbered.start).collect(),
    };
    let resumed = startup.starts.first().is_some_and(|last| last.resumed);
    startup.typical = typical(agent, resumed, request_id).await?;
    json(&startup)
}

/// Nobody's page waits for the registry: without its answer there is nothing usual to compare with.
async fn typical(agent: &Rc<Agent>, resumed: bool, request_id: &str) -> Result<Option<Typical>, ApiError> {
    let (org, repo) = agent.read(|session| (session.spec().org.clone(), repo_key(session)))?;
    let registry = agent.config()?.registry(&org)?;
    let command = TypicalCommand { repo, resumed };
    let asked = async { Ok(rpc::post(&registry, "typical", &command, request_id).await) };
    let answer = rpc::in_time(asked, TYPICAL_PATIENCE).await;
    Ok(match answer {
        Ok(Ok(typical)) => typical,
        Ok(Err(error)) => {
            log::warn!(request = request_id; "typical starts: {}", error.source.unwrap_or(error.message));
            None
        }
        Err(error) => {
            log::warn!(request = request_id; "typical starts: {error}");
            None
        }
    })
}

/// `?after=` or `?before=`, as JSON; as a stream when the caller wants one.
pub(super) fn events(agent: &Rc<Agent>, request: &Request, actor: &Actor) -> Answer {
    let accept = request.headers().get("accept")?.unwrap_or_default();
    let after = query_seq(request, "after")?;
    if accept.contains("text/event-stream") {
        let last = request.headers().get("last-event-id")?.filter(|id| !id.is_empty());
        let last = last.map(|text| parse_seq(&text, "Last-Event-ID")).transpose()?;
        return agent.stream_events(last.or(after).unwrap_or_default(), actor);
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
