//! Small values for tests, each from as little as possible.

use std::collections::BTreeMap;

use errand_protocol::ids::{ConnId, InteractionId, MessageId, PartId, PromptId, SpoolId, TurnId};
use errand_protocol::interaction::{Answer, Ask, PermissionReply, Question, QuestionOption};
use errand_protocol::runner::RunnerEvent;
use errand_protocol::sandbox::{Isolation, RepoSpec, SandboxError, SandboxErrorKind, SandboxState, SandboxStatus};
use errand_protocol::session::{Cause, Person, PromptMode, TurnOutcome, Usage};
use errand_protocol::time::Timestamp;
use errand_protocol::transcript::{Part, PartBody, ToolStatus};
use errand_protocol::viewer::{Command, Delta};
use errand_session::NewSession;

/// When tests begin.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub(crate) fn person(name: &str) -> Person {
    Person {
        id: format!("usr_{name}").parse().unwrap(),
        name: name.to_owned(),
        email: format!("{name}@example.org"),
    }
}

pub(crate) fn ada() -> Person {
    person("ada")
}

pub(crate) fn prompt_id(body: &str) -> PromptId {
    PromptId::from_body(body).unwrap()
}
pub(crate) fn turn_id(text: &str) -> TurnId {
    text.parse().unwrap()
}
pub(crate) fn msg(body: &str) -> MessageId {
    MessageId::from_body(body).unwrap()
}
pub(crate) fn prt(body: &str) -> PartId {
    PartId::from_body(body).unwrap()
}
pub(crate) fn int(body: &str) -> InteractionId {
    InteractionId::from_body(body).unwrap()
}
pub(crate) fn conn(number: u32) -> ConnId {
    ConnId::from_body(&number.to_string()).unwrap()
}
pub(crate) fn spool(number: u32) -> SpoolId {
    SpoolId::from_body(&number.to_string()).unwrap()
}

pub(crate) fn new_session() -> NewSession {
    NewSession {
        id: "ses_1".parse().unwrap(),
        org: "org_1".parse().unwrap(),
        owner: ada(),
        title: "Fix the test".parse().unwrap(),
        titled_by_person: false,
        repo: Some(RepoSpec {
            url: "/srv/repo".parse().unwrap(),
            branch: None,
        }),
        model: "demo/demo".parse().unwrap(),
        co_author: false,
        fork: None,
        sandbox: errand_protocol::settings::SandboxWish::default(),
        trigger: None,
        request: None,
    }
}

pub(crate) fn prompt(id: &str) -> Command {
    Command::Prompt {
        prompt_id: prompt_id(id),
        text: format!("please {id}").parse().unwrap(),
        model: None,
        mode: PromptMode::Queue,
    }
}

pub(crate) fn abort() -> Command {
    Command::Abort { turn_id: None }
}

pub(crate) fn status(name: &str, state: SandboxState) -> SandboxStatus {
    let dead = !matches!(state, SandboxState::Creating | SandboxState::Running);
    SandboxStatus {
        name: name.to_owned(),
        state,
        created_at: None,
        exit: (dead && state != SandboxState::Gone).then(|| "killed".to_owned()),
        isolation: (!dead).then_some(Isolation::Namespaces),
        labels: BTreeMap::new(),
    }
}

pub(crate) fn error(kind: SandboxErrorKind) -> SandboxError {
    SandboxError {
        kind,
        message: "No room.".to_owned(),
        retry_after_ms: None,
    }
}

pub(crate) fn cause(code: &str) -> Cause {
    Cause::new(code, "In words.")
}

pub(crate) fn text_part(id: &str, index: u32) -> Part {
    Part {
        id: prt(id),
        index,
        parent_part_id: None,
        started_at: START,
        ended_at: None,
        body: PartBody::Text { text: String::new() },
    }
}

pub(crate) fn tool_part(id: &str, index: u32, status: ToolStatus) -> Part {
    Part {
        body: PartBody::Tool {
            tool: "bash".to_owned(),
            title: None,
            status,
            input: serde_json::json!({"command": "ls"}),
            output: None,
            error: None,
            diff: None,
            exit_code: None,
            truncated: false,
        },
        ..text_part(id, index)
    }
}

pub(crate) fn finished(part: Part, text: &str) -> Part {
    Part {
        ended_at: Some(START),
        ..part.with_streaming_text(text.to_owned())
    }
}

pub(crate) fn delta(part: &str, offset: u32, text: &str) -> Delta {
    Delta {
        part_id: prt(part),
        offset,
        text: text.to_owned(),
        reset: false,
    }
}

pub(crate) fn accepted(turn: &TurnId) -> RunnerEvent {
    RunnerEvent::TurnAccepted { turn_id: turn.clone() }
}

pub(crate) fn ended(turn: &TurnId, outcome: TurnOutcome) -> RunnerEvent {
    RunnerEvent::TurnFinished {
        turn_id: turn.clone(),
        outcome,
        cause: (outcome == TurnOutcome::Failed).then(|| cause("model_auth")),
        usage: Usage::default(),
        files: Vec::new(),
    }
}

pub(crate) fn part_started(turn: &TurnId, part: Part) -> RunnerEvent {
    RunnerEvent::PartStarted {
        turn_id: turn.clone(),
        message_id: msg("1"),
        part,
    }
}

pub(crate) fn part_finished(turn: &TurnId, part: Part) -> RunnerEvent {
    RunnerEvent::PartFinished {
        turn_id: turn.clone(),
        message_id: msg("1"),
        part,
    }
}

pub(crate) fn permission() -> Ask {
    Ask::Permission {
        permission: "bash".to_owned(),
        patterns: vec!["rm *".to_owned()],
        command: Some("rm x".to_owned()),
        path: None,
        diff: None,
        always: vec!["rm *".to_owned()],
    }
}

pub(crate) fn question() -> Ask {
    let option = |label: &str| QuestionOption {
        label: label.to_owned(),
        description: String::new(),
    };
    Ask::Question {
        questions: vec![Question {
            header: "Colour".to_owned(),
            question: "Which colour?".to_owned(),
            options: vec![option("red"), option("blue")],
            multiple: false,
            custom: false,
        }],
    }
}

pub(crate) fn asked(turn: &TurnId, id: &str, ask: Ask) -> RunnerEvent {
    RunnerEvent::InteractionAsked {
        interaction_id: int(id),
        turn_id: turn.clone(),
        part_id: None,
        ask,
    }
}

pub(crate) fn allow() -> Answer {
    Answer::Permission {
        reply: PermissionReply::Once,
        message: None,
    }
}

pub(crate) fn answer(id: &str, answer: Answer) -> Command {
    Command::Answer {
        interaction_id: int(id),
        answer,
    }
}
