//! From the engine's parts to Errand's. Pure.

use errand_protocol::ids::PartId;
use errand_protocol::interaction::{Ask, Question, QuestionOption};
use errand_protocol::session::{Todo, Usage};
use errand_protocol::time::Timestamp;
use errand_protocol::transcript::{Part, PartBody, ToolStatus};
use serde_json::Value;

use crate::cut;
use crate::engine::event::{PartInfo, PermissionAsk, QuestionAsk, TodoInfo, ToolState};

/// The engine's tool that runs a sub-agent.
const TASK: &str = "task";
/// What an interrupted tool call says.
pub const INTERRUPTED: &str = "Interrupted before it finished.";

/// Where a part stands, which the engine does not say.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its id, checked.
    pub id: PartId,
    /// Its place in the root's message.
    pub index: u32,
    /// The sub-agent call that it belongs to.
    pub parent: Option<PartId>,
    /// When it was first seen.
    pub started_at: Timestamp,
}

/// What the engine says about a part, in Errand's words.
#[derive(Debug)]
pub struct Seen {
    /// The part; its streaming text is the final one when `done`, else empty.
    pub part: Part,
    /// Whether it is complete.
    pub done: bool,
    /// A running tool's output so far.
    pub output: Option<String>,
}

/// Reads a part. `None` for parts that are not shown (step marks, snapshots).
pub fn read(info: &PartInfo, place: Place, workspace: &str, compaction: bool, now: Timestamp) -> Option<Seen> {
    let ended;
    let mut started = info.time.and_then(|time| time.start);
    let mut output = None;
    let body = match (info.kind.as_str(), &info.state) {
        ("text" | "reasoning", _) => {
            ended = info.time.and_then(|time| time.end);
            let text = if ended.is_some() {
                cut::text(&info.text, cut::MAX_TEXT_BYTES).0
            } else {
                String::new()
            };
            if info.kind == "text" && !compaction {
                PartBody::Text { text }
            } else {
                PartBody::Reasoning { text }
            }
        }
        ("tool", Some(state)) => {
            let status = tool_status(&state.status);
            let done = matches!(status, ToolStatus::Completed | ToolStatus::Error);
            let time = state.time.unwrap_or_default();
            started = time.start;
            ended = done.then(|| time.end.unwrap_or(now.millis()));
            if status == ToolStatus::Running {
                output = state.metadata.get("output").and_then(Value::as_str).map(str::to_owned);
            }
            if info.tool == TASK {
                subtask(state, status)
            } else {
                tool(&info.tool, state, status)
            }
        }
        ("patch", _) => {
            ended = Some(now.millis());
            let files = info.files.iter().map(|file| relative(file, workspace)).collect();
            PartBody::Patch { files }
        }
        ("file", _) => {
            ended = Some(now.millis());
            let name = info.filename.clone().unwrap_or_else(|| "file".to_owned());
            PartBody::File {
                name,
                mime: info.mime.clone(),
                url: None,
            }
        }
        _ => return None,
    };
    let part = Part {
        id: place.id,
        index: place.index,
        parent_part_id: place.parent,
        started_at: started.map_or(place.started_at, Timestamp::from_millis),
        ended_at: ended.map(Timestamp::from_millis),
        body,
    };
    Some(Seen {
        part,
        done: ended.is_some(),
        output,
    })
}

fn tool_status(status: &str) -> ToolStatus {
    match status {
        "pending" => ToolStatus::Pending,
        "completed" => ToolStatus::Completed,
        "error" => ToolStatus::Error,
        _ => ToolStatus::Running,
    }
}

fn tool(name: &str, state: &ToolState, status: ToolStatus) -> PartBody {
    let mut cut = false;
    let meta = |key: &str| state.metadata.get(key);
    let mut short = |value: Option<&str>| value.map(|value| cut::field(value, &mut cut));
    let printed = meta("output")
        .and_then(Value::as_str)
        .filter(|_| status == ToolStatus::Error);
    let output = short(state.output.as_deref().or(printed));
    let error = short(state.error.as_deref());
    let diff = short(meta("diff").and_then(Value::as_str));
    let input = if state.input.is_object() {
        cut::input(&state.input, &mut cut)
    } else {
        serde_json::json!({})
    };
    PartBody::Tool {
        tool: name.to_owned(),
        title: state.title.clone().filter(|title| !title.is_empty()),
        status,
        input,
        output,
        error,
        diff,
        exit_code: meta("exit")
            .and_then(Value::as_i64)
            .and_then(|code| i32::try_from(code).ok()),
        truncated: cut,
    }
}

fn subtask(state: &ToolState, status: ToolStatus) -> PartBody {
    let input = |key: &str| {
        state
            .input
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let mut cut = false;
    PartBody::Subtask {
        description: input("description"),
        agent: input("subagent_type"),
        status,
        output: state.output.as_deref().map(|value| cut::field(value, &mut cut)),
        error: state.error.as_deref().map(|value| cut::field(value, &mut cut)),
    }
}

/// An open part that will not be finished by the engine any more, with its text so far.
pub fn interrupted(mut part: Part, text: Option<&str>, now: Timestamp) -> Part {
    part.ended_at = Some(now);
    if let Some(text) = text {
        let max = match part.body {
            PartBody::Tool { .. } => errand_protocol::limits::MAX_PART_FIELD_BYTES,
            PartBody::Text { .. }
            | PartBody::Reasoning { .. }
            | PartBody::File { .. }
            | PartBody::Patch { .. }
            | PartBody::Subtask { .. } => cut::MAX_TEXT_BYTES,
        };
        part = part.with_streaming_text(cut::text(text, max).0);
    }
    match &mut part.body {
        PartBody::Tool { status, error, .. } | PartBody::Subtask { status, error, .. } => {
            *status = ToolStatus::Error;
            *error = Some(INTERRUPTED.to_owned());
        }
        PartBody::Text { .. } | PartBody::Reasoning { .. } | PartBody::File { .. } | PartBody::Patch { .. } => {}
    }
    part
}

/// A command that the engine calls completed although the abort ended it.
pub fn stopped_command(part: &mut Part) {
    if let PartBody::Tool {
        tool,
        status,
        exit_code: None,
        error,
        ..
    } = &mut part.body
        && tool == "bash"
        && *status == ToolStatus::Completed
    {
        *status = ToolStatus::Error;
        *error = Some(INTERRUPTED.to_owned());
    }
}

/// A path as seen from the workspace; one outside of it stays as it is.
pub fn relative(path: &str, workspace: &str) -> String {
    path.strip_prefix(workspace)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(path)
        .to_owned()
}

/// The tokens of one model step.
pub fn usage(info: &PartInfo) -> Usage {
    let tokens = info.tokens.unwrap_or_default();
    Usage {
        input: tokens.input,
        output: tokens.output,
        reasoning: tokens.reasoning,
        cache_read: tokens.cache.read,
        cache_write: tokens.cache.write,
        cost: info.cost,
    }
}

/// Adds up.
pub fn add(sum: Usage, more: &Usage) -> Usage {
    Usage {
        input: sum.input + more.input,
        output: sum.output + more.output,
        reasoning: sum.reasoning + more.reasoning,
        cache_read: sum.cache_read + more.cache_read,
        cache_write: sum.cache_write + more.cache_write,
        cost: sum.cost + more.cost,
    }
}

/// A permission, as a person is asked for it.
pub fn permission(ask: PermissionAsk, workspace: &str) -> Ask {
    let meta = |key: &str| ask.metadata.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut cut = false;
    Ask::Permission {
        command: meta("command").map(|command| cut::field(&command, &mut cut)),
        path: meta("filepath").map(|path| relative(&path, workspace)),
        diff: meta("diff").map(|diff| cut::field(&diff, &mut cut)),
        permission: ask.permission,
        patterns: ask.patterns,
        always: ask.always,
    }
}

/// Questions, as a person is asked them.
pub fn questions(ask: QuestionAsk) -> Ask {
    let questions = ask.questions.into_iter().map(|question| Question {
        header: question.header,
        question: question.question,
        options: question
            .options
            .into_iter()
            .map(|option| QuestionOption {
                label: option.label,
                description: option.description,
            })
            .collect(),
        multiple: question.multiple,
        custom: question.custom.unwrap_or(true),
    });
    Ask::Question {
        questions: questions.collect(),
    }
}

/// The agent's list.
pub fn todos(list: Vec<TodoInfo>) -> Vec<Todo> {
    list.into_iter()
        .map(|todo| Todo {
            content: todo.content,
            status: todo.status,
            priority: todo.priority,
        })
        .collect()
}
