//! The order of waiting prompts.

use errand_protocol::api::ErrorCode;
use errand_protocol::runner::AgentFrame;
use errand_protocol::session::{Place, PromptState, TurnOutcome};
use errand_protocol::viewer::{Command, ServerFrame};

use crate::harness::Harness;
use crate::make::*;

fn waiting(h: &Harness) -> Vec<String> {
    let ServerFrame::Hello { queue, .. } = h.session.hello(h.session.head_seq(), None, vec![]) else {
        unreachable!()
    };
    queue
        .iter()
        .map(|prompt| prompt.id.as_str().replace("prm_", ""))
        .collect()
}

fn three() -> Harness {
    let (mut h, _) = Harness::running();
    for id in ["a", "b", "c"] {
        h.prompt(id);
    }
    h
}

fn to(id: &str, to: Place) -> Command {
    Command::MovePrompt {
        prompt_id: prompt_id(id),
        to,
    }
}

#[test]
fn a_waiting_prompt_can_be_moved_anywhere_and_the_order_survives() {
    let before = |id: &str| Place::Before(prompt_id(id));
    for (moved, place, order) in [
        ("c", Place::First, ["c", "a", "b"]),
        ("a", Place::Last, ["b", "c", "a"]),
        ("a", before("c"), ["b", "a", "c"]),
        ("c", before("b"), ["a", "c", "b"]),
        ("b", before("b"), ["a", "b", "c"]),
        ("b", before("c"), ["a", "b", "c"]),
    ] {
        let mut h = three();
        h.command(to(moved, place)).unwrap();
        assert_eq!(waiting(&h), order);
        h.evict(true);
        assert_eq!(waiting(&h), order);
        h.prompt("last");
        assert_eq!(waiting(&h).pop().unwrap(), "last");
    }
}

#[test]
fn what_does_not_wait_cannot_be_moved() {
    let mut h = three();
    let code = |h: &mut Harness, command| h.command(command).unwrap_err().code;
    assert_eq!(code(&mut h, to("p1", Place::Last)), ErrorCode::Conflict);
    assert_eq!(code(&mut h, to("nobody", Place::Last)), ErrorCode::NotFound);
    assert_eq!(
        code(&mut h, to("a", Place::Before(prompt_id("nobody")))),
        ErrorCode::NotFound
    );
}

#[test]
fn a_promoted_prompt_stops_the_turn_and_runs_next() {
    let mut h = three();
    let turn = h.turn().unwrap();
    h.command(Command::PromotePrompt {
        prompt_id: prompt_id("c"),
    })
    .unwrap();
    let turn_id = turn.clone();
    assert!(h.sent_to_runner().contains(&AgentFrame::Abort { turn_id }));
    h.event(ended(&turn, TurnOutcome::Aborted));
    assert_eq!(
        (h.state_of("p1"), h.state_of("c")),
        (PromptState::Aborted, PromptState::Running)
    );
    assert_eq!(waiting(&h), ["a", "b"]);
}

#[test]
fn a_command_that_comes_again_is_carried_out_once() {
    let mut h = three();
    let id = Some("cmd_1".parse().unwrap());
    let command = |h: &mut Harness, command| {
        let id = id.clone();
        h.step(errand_session::Input::Command { by: ada(), id, command })
    };
    command(&mut h, abort()).unwrap();
    let turn = h.turn().unwrap();
    h.event(ended(&turn, TurnOutcome::Aborted));
    h.evict(true);
    let next = h.turn().unwrap();
    h.event(accepted(&next));
    command(&mut h, abort()).unwrap();
    assert_eq!(
        h.state_of("a"),
        PromptState::Running,
        "the late repetition does not stop the next turn"
    );
    let by = person("grace");
    let other = errand_session::Input::Command {
        by,
        id: id.clone(),
        command: abort(),
    };
    h.step(other).unwrap();
    h.event(ended(&next, TurnOutcome::Aborted));
    assert_eq!(
        h.state_of("a"),
        PromptState::Aborted,
        "somebody else's ids are their own"
    );
}

#[test]
fn a_refused_command_is_not_remembered() {
    let mut h = Harness::idle();
    let id: Option<errand_protocol::ids::CommandId> = Some("cmd_1".parse().unwrap());
    let edit = || errand_session::Input::Command {
        by: ada(),
        id: id.clone(),
        command: to("x", Place::First),
    };
    assert!(h.step(edit()).is_err());
    let turn_id = h.turn();
    assert_eq!(turn_id, None);
    h.prompt("busy");
    h.prompt("x");
    h.prompt("y");
    h.step(edit()).unwrap();
    assert_eq!(waiting(&h), ["x", "y"]);
}
