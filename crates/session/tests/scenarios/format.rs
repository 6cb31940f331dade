//! What is stored must be readable for ever: the JSON of the machine's state and of one event of each type, pinned.
//! When this fails, old sessions would be read otherwise than they were written: make the change additive (a default
//! for what is missing), and only then pin the new text.

use errand_protocol::event::EventBody;
use errand_protocol::ids::Generation;
use errand_protocol::interaction::Resolution;
use errand_protocol::runner::RunnerEvent;
use errand_protocol::sandbox::Isolation;
use errand_protocol::session::{
    FileChange, FileStatus, Phase, Place, Prompt, PromptState, StartStep, Todo, TurnOutcome, Usage,
};
use errand_protocol::transcript::ToolStatus;
use errand_session::Core;

use crate::harness::Harness;
use crate::make::*;

/// What the first version wrote.
const CORE_1: &str = include_str!("format/core-1.jsonl");
const CORE: &str = include_str!("format/core.jsonl");
const EVENTS: &str = include_str!("format/events.jsonl");

/// Machines in many states, so that every field stands there filled and empty.
fn states() -> Vec<String> {
    let mut all = vec![Harness::new()];
    let mut starting = Harness::new();
    starting.prompt("p1");
    starting.outcome(Err(error(errand_protocol::sandbox::SandboxErrorKind::Capacity)));
    all.push(starting);
    let (mut busy, turn) = Harness::running();
    busy.event(RunnerEvent::Todos { todos: vec![todo()] });
    busy.event(asked(&turn, "q1", permission()));
    busy.event(asked(&turn, "q2", question()));
    busy.command(answer("q1", allow())).unwrap();
    busy.command(abort()).unwrap();
    all.push(busy);
    let (mut lost, _) = Harness::running();
    lost.lose_runner();
    all.push(lost);
    let mut pausing = Harness::idle();
    pausing.pass(15 * 60_000);
    all.push(pausing);
    let mut steered = Harness::running().0;
    steered.saved("1");
    steered.command(crate::steer::steer("s")).unwrap();
    all.push(steered);
    let mut archived = Harness::idle();
    archived.command(errand_protocol::viewer::Command::Archive {}).unwrap();
    archived.saved("1");
    archived.command(errand_protocol::viewer::Command::Resume {}).unwrap();
    archived.command(errand_protocol::viewer::Command::Archive {}).unwrap();
    all.push(archived);
    let mut failed = Harness::new();
    failed.prompt("p1");
    failed.outcome(Err(error(errand_protocol::sandbox::SandboxErrorKind::Auth)));
    all.push(failed);
    all.push(crate::budget::rested());
    all.push(crate::push::noted());
    all.push(crate::push::pushed_and_rested());
    all.iter()
        .map(|h| h.db.texts("SELECT body FROM core").remove(0))
        .collect()
}

fn todo() -> Todo {
    Todo {
        content: "look".to_owned(),
        status: "pending".to_owned(),
        priority: "high".to_owned(),
    }
}

fn session_events() -> Vec<EventBody> {
    let new = new_session();
    vec![
        EventBody::SessionCreated {
            owner: ada(),
            title: new.title.clone(),
            repo: new.repo,
            model: new.model,
            forked_from: None,
        },
        EventBody::SessionTitled {
            title: new.title,
            by: Some(ada()),
        },
        EventBody::SessionPhase {
            phase: Phase::Error,
            cause: Some(cause("runner_lost")),
        },
        EventBody::SessionArchived {
            archived: true,
            by: ada(),
        },
        EventBody::SessionJoined {
            role: errand_protocol::access::Role::Member,
            by: ada(),
        },
        EventBody::SessionUnshared {
            guests: vec!["usr_bob".parse().unwrap()],
            by: ada(),
        },
        EventBody::SessionShared {
            visibility: errand_protocol::access::Visibility::Org,
            by: ada(),
        },
        EventBody::BudgetWarned {
            notice: crate::budget::notice(None),
        },
        EventBody::BudgetReached {
            notice: crate::budget::notice(Some(START)),
        },
        EventBody::SandboxStep {
            generation: Generation(2),
            step: StartStep::Cloning,
            attempt: 1,
        },
        EventBody::SandboxReady {
            generation: Generation(2),
            isolation: Some(Isolation::Namespaces),
            engine: "1.18.33".to_owned(),
        },
        EventBody::SandboxTrouble {
            generation: Generation(2),
            cause: cause("runner_lost"),
        },
        EventBody::GitCloned {
            branch: "main".parse().unwrap(),
            commit: "c0ffee".to_owned(),
        },
        EventBody::GitPushed {
            branch: "errand/ses_1".parse().unwrap(),
            commit: "c0ffee".to_owned(),
        },
        EventBody::NoteTodos { todos: vec![todo()] },
        EventBody::SandboxSnapshot {
            snapshot_id: "snp_1".parse().unwrap(),
            turn_id: Some(turn_id("trn_1")),
            bytes: 1000,
        },
        EventBody::PromptMoved {
            prompt_id: prompt_id("p1"),
            to: Place::Before(prompt_id("p2")),
            by: ada(),
        },
        EventBody::PromptSteered {
            prompt_id: prompt_id("p1"),
            turn_id: turn_id("trn_1"),
        },
    ]
}

fn prompt_and_turn_events() -> Vec<EventBody> {
    let (turn_id, prompt_id) = (turn_id("trn_1"), prompt_id("p1"));
    vec![
        EventBody::PromptQueued {
            prompt: Prompt {
                id: prompt_id.clone(),
                text: "please".parse().unwrap(),
                author: ada(),
                model: Some("demo/demo".parse().unwrap()),
                mode: errand_protocol::session::PromptMode::Queue,
                state: PromptState::Queued,
                created_at: START,
            },
        },
        EventBody::PromptEdited {
            prompt_id: prompt_id.clone(),
            text: "rather".parse().unwrap(),
        },
        EventBody::PromptWithdrawn {
            prompt_id: prompt_id.clone(),
            by: ada(),
        },
        EventBody::TurnStarted {
            turn_id: turn_id.clone(),
            prompt_id: prompt_id.clone(),
        },
        EventBody::TurnAborting {
            turn_id: turn_id.clone(),
            by: Some(ada()),
        },
        EventBody::TurnRetrying {
            turn_id: turn_id.clone(),
            attempt: 2,
            message: "Overloaded.".to_owned(),
            next_at: START,
        },
        EventBody::TurnFinished {
            turn_id,
            prompt_id,
            outcome: TurnOutcome::Failed,
            cause: Some(cause("model_auth")),
            usage: Usage {
                input: 1,
                output: 2,
                reasoning: 3,
                cache_read: 4,
                cache_write: 5,
                cost: 0.25,
            },
            files: vec![FileChange {
                path: "src/a.rs".to_owned(),
                status: FileStatus::Modified,
                additions: 1,
                deletions: 2,
                patch: Some("@@".to_owned()),
            }],
        },
    ]
}

fn transcript_events() -> Vec<EventBody> {
    let (turn_id, message_id) = (turn_id("trn_1"), msg("1"));
    let interaction = serde_json::json!({
        "id": "int_q", "turnId": "trn_1", "kind": "permission", "permission": "bash", "patterns": ["rm *"],
        "always": [], "openedAt": START, "deadline": START
    });
    vec![
        EventBody::MessageStarted {
            turn_id: turn_id.clone(),
            message_id: message_id.clone(),
        },
        EventBody::MessageFinished {
            turn_id: turn_id.clone(),
            message_id: message_id.clone(),
            cause: Some(cause("context_overflow")),
        },
        EventBody::PartStarted {
            turn_id: turn_id.clone(),
            message_id: message_id.clone(),
            part: text_part("a", 0),
        },
        EventBody::PartFinished {
            turn_id,
            message_id: message_id.clone(),
            part: finished(tool_part("b", 1, ToolStatus::Completed), "out"),
        },
        EventBody::PartRemoved {
            message_id,
            part_id: prt("a"),
        },
        EventBody::InteractionOpened {
            interaction: serde_json::from_value(interaction).unwrap(),
        },
        EventBody::InteractionResolved {
            interaction_id: int("q"),
            resolution: Resolution::Answered {
                answer: allow(),
                by: ada(),
            },
        },
    ]
}

fn same_lines(pinned: &str, now: &[String]) {
    let pinned: Vec<&str> = pinned.lines().collect();
    for (number, (pinned, now)) in pinned.iter().zip(now).enumerate() {
        assert_eq!(pinned, now, "line {}", number + 1);
    }
    assert_eq!(pinned.len(), now.len());
}

#[test]
fn the_machines_state_is_stored_as_it_was_pinned() {
    same_lines(CORE, &states());
}

#[test]
fn every_event_is_stored_as_it_was_pinned() {
    let all = [session_events(), prompt_and_turn_events(), transcript_events()].concat();
    let now: Vec<String> = all.iter().map(|body| serde_json::to_string(body).unwrap()).collect();
    same_lines(EVENTS, &now);
    let types: std::collections::BTreeSet<String> = now
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].to_string())
        .collect();
    assert_eq!(types.len(), 32, "one of each type: {types:?}");
}

#[test]
fn what_was_pinned_can_be_read() {
    for line in CORE_1.lines() {
        serde_json::from_str::<Core>(line).unwrap();
    }
    for line in CORE.lines() {
        let core: Core = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&core).unwrap(), line);
    }
    for line in EVENTS.lines() {
        let body: EventBody = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&body).unwrap(), line);
    }
}
