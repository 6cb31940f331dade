//! Reading the engine's own record of a turn, as the events that would have told it.

use errand_protocol::ids::MessageId;

use crate::engine::api::{Api, ApiError};
use crate::engine::event::{EngineEvent, Status};

/// The engine's record of a turn.
#[derive(Debug, Default)]
pub struct Record {
    /// As events, in an order in which they could have come.
    pub events: Vec<EngineEvent>,
    /// Requests that wait for a person.
    pub waiting: Vec<String>,
}

/// Reads everything since the prompt: messages of the root and of its sub-agents, what waits, what runs.
///
/// # Errors
/// When the engine does not answer.
pub async fn read(api: &Api, root: &str, prompt: &MessageId) -> Result<Record, ApiError> {
    let mut record = Record::default();
    record.events.push(EngineEvent::Session(api.session(root).await?));
    // Parents before children, so that a child's parts find their place.
    let mut level = vec![root.to_owned()];
    while let Some(session) = level.pop() {
        messages(api, &session, prompt, &mut record.events).await?;
        for child in api.children(&session).await? {
            level.push(child.id.clone());
            record.events.push(EngineEvent::Session(child));
        }
    }
    for ask in api.permissions().await? {
        record.waiting.push(ask.id.clone());
        record.events.push(EngineEvent::Permission(ask));
    }
    for ask in api.questions().await? {
        record.waiting.push(ask.id.clone());
        record.events.push(EngineEvent::Question(ask));
    }
    let todos = api.todos(root).await?;
    if !todos.is_empty() {
        record.events.push(EngineEvent::Todos(root.to_owned(), todos));
    }
    let status = api.statuses().await?.remove(root).unwrap_or(Status::Idle);
    record.events.push(EngineEvent::Status(root.to_owned(), status));
    Ok(record)
}

/// Ids ascend with time, in all sessions: what is older than the prompt belongs to earlier turns.
async fn messages(api: &Api, session: &str, since: &MessageId, events: &mut Vec<EngineEvent>) -> Result<(), ApiError> {
    for mut message in api.messages(session).await? {
        if message.info.id.as_str() < since.as_str() {
            continue;
        }
        // As it happened: the message begins, its parts come, it ends.
        let ended = message.info.clone();
        message.info.time.completed = None;
        message.info.summary = None;
        events.push(EngineEvent::Message(message.info));
        events.extend(message.parts.into_iter().map(|part| EngineEvent::Part(Box::new(part))));
        if ended.time.completed.is_some() {
            events.push(EngineEvent::Message(ended));
        }
    }
    Ok(())
}
