//! Reading one frame of the engine's event stream.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{EngineError, EngineEvent, MessageInfo, PartInfo, SessionInfo, Status, TodoInfo};

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
}

/// Reads one frame of `/global/event` (or of `/event`, which has no envelope).
pub fn parse(frame: &str) -> Option<EngineEvent> {
    let outer: Frame<'_> = serde_json::from_str(frame).ok()?;
    let payload: Payload<'_> = serde_json::from_str(outer.payload.map_or(frame, RawValue::get)).ok()?;
    let body = payload.properties?.get();
    match payload.kind {
        "session.created" | "session.updated" => {
            read::<WithInfo<SessionInfo>>(body).map(|b| EngineEvent::Session(b.info))
        }
        "session.status" => read::<StatusBody>(body).map(|b| EngineEvent::Status(b.session, b.status)),
        "session.idle" => read::<SessionBody>(body).map(|b| EngineEvent::Status(b.session, Status::Idle)),
        "session.error" => read::<ErrorBody>(body).and_then(|b| Some(EngineEvent::Failed(b.session, b.error?))),
        "message.updated" => read::<WithInfo<MessageInfo>>(body).map(|b| EngineEvent::Message(b.info)),
        "message.part.updated" => read::<PartBody>(body).map(|b| EngineEvent::Part(Box::new(b.part))),
        "message.part.removed" => read::<PartRef>(body).map(|b| EngineEvent::PartRemoved(b.part)),
        "message.part.delta" => read::<DeltaBody>(body)
            .filter(|b| b.field == "text")
            .map(|b| EngineEvent::Delta {
                part: b.part,
                text: b.delta,
            }),
        "permission.asked" => read(body).map(EngineEvent::Permission),
        "question.asked" => read(body).map(EngineEvent::Question),
        "permission.replied" | "question.replied" | "question.rejected" => {
            read::<RequestBody>(body).map(|b| EngineEvent::Settled(b.request))
        }
        "todo.updated" => read::<TodoBody>(body).map(|b| EngineEvent::Todos(b.session, b.todos)),
        _ => None,
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a str) -> Option<T> {
    match serde_json::from_str(body) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(%error, "the engine sent an event that could not be read");
            None
        }
    }
}

#[derive(Deserialize)]
struct WithInfo<T> {
    info: T,
}

#[derive(Deserialize)]
struct SessionBody {
    #[serde(rename = "sessionID")]
    session: String,
}

#[derive(Deserialize)]
struct StatusBody {
    #[serde(rename = "sessionID")]
    session: String,
    status: Status,
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(rename = "sessionID")]
    session: Option<String>,
    error: Option<EngineError>,
}

#[derive(Deserialize)]
struct PartBody {
    part: PartInfo,
}

#[derive(Deserialize)]
struct PartRef {
    #[serde(rename = "partID")]
    part: String,
}

#[derive(Deserialize)]
struct DeltaBody {
    #[serde(rename = "partID")]
    part: String,
    field: String,
    delta: String,
}

#[derive(Deserialize)]
struct RequestBody {
    #[serde(rename = "requestID")]
    request: String,
}

#[derive(Deserialize)]
struct TodoBody {
    #[serde(rename = "sessionID")]
    session: String,
    todos: Vec<TodoInfo>,
}
