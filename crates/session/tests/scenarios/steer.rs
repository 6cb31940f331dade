//! Steering: a prompt reaches the running turn, or runs as its own, exactly once.

use errand_protocol::api::ErrorCode;
use errand_protocol::event::EventBody;
use errand_protocol::ids::{PromptId, TurnId};
use errand_protocol::runner::{AgentFrame, RunnerEvent};
use errand_protocol::session::{PromptMode, PromptState, TurnOutcome};
use errand_protocol::viewer::Command;
use errand_session::store;

use crate::harness::Harness;
use crate::make::*;

pub(crate) fn steer(id: &str) -> Command {
    Command::Prompt {
        prompt_id: prompt_id(id),
        text: "also this".parse().unwrap(),
        model: None,
        mode: PromptMode::Steer,
    }
}

/// What the runner was asked to take in since the last look.
fn offered(h: &mut Harness) -> Vec<PromptId> {
    let frames = h.sent_to_runner().into_iter();
    frames
        .filter_map(|frame| match frame {
            AgentFrame::Steer { prompt_id, .. } => Some(prompt_id),
            _ => None,
        })
        .collect()
}

fn taken(turn: &TurnId, id: &str) -> RunnerEvent {
    RunnerEvent::SteerAccepted {
        turn_id: turn.clone(),
        prompt_id: prompt_id(id),
    }
}

fn refused(turn: &TurnId, id: &str) -> RunnerEvent {
    RunnerEvent::SteerRefused {
        turn_id: turn.clone(),
        prompt_id: prompt_id(id),
        cause: cause("turn_over"),
    }
}

#[test]
fn a_steering_prompt_reaches_the_running_turn_and_ends_with_it() {
    let (mut h, turn) = Harness::running();
    h.prompt("waits");
    h.command(steer("s")).unwrap();
    assert_eq!(offered(&mut h), [prompt_id("s")]);
    h.event(taken(&turn, "s"));
    assert_eq!(h.state_of("s"), PromptState::Steered);
    assert!(
        h.events()
            .iter()
            .any(|e| matches!(&e.body, EventBody::PromptSteered { turn_id, .. } if *turn_id == turn))
    );
    h.evict(true);
    h.event(ended(&turn, TurnOutcome::Done));
    assert_eq!(
        (h.state_of("p1"), h.state_of("s")),
        (PromptState::Done, PromptState::Done)
    );
    assert_eq!(h.state_of("waits"), PromptState::Running);
    let fold = store::fold(&h.db).unwrap();
    let transcript = fold.finish(h.session.summary(), h.session.head_seq(), vec![]);
    let told = transcript.messages.iter().filter(|m| m.turn_id.as_ref() == Some(&turn));
    assert_eq!(told.count(), 2, "both prompts stand in the turn");
}

#[test]
fn without_a_running_turn_it_is_a_prompt_like_any_other() {
    let mut h = Harness::idle();
    h.command(steer("s")).unwrap();
    assert_eq!(h.state_of("s"), PromptState::Running);
}

#[test]
fn what_the_turn_did_not_take_in_runs_next_and_before_what_waited() {
    let (mut h, turn) = Harness::running();
    h.prompt("waits");
    h.command(steer("s")).unwrap();
    h.event(ended(&turn, TurnOutcome::Done));
    assert_eq!(
        (h.state_of("s"), h.state_of("waits")),
        (PromptState::Running, PromptState::Queued)
    );
}

#[test]
fn a_refused_one_waits_for_a_turn_of_its_own_and_can_be_changed_again() {
    let (mut h, turn) = Harness::running();
    h.command(steer("s")).unwrap();
    let edit = || Command::EditPrompt {
        prompt_id: prompt_id("s"),
        text: "otherwise".parse().unwrap(),
    };
    assert_eq!(
        h.command(edit()).unwrap_err().code,
        ErrorCode::Conflict,
        "it is on its way"
    );
    h.event(refused(&turn, "s"));
    h.command(edit()).unwrap();
    offered(&mut h);
    h.pass(60_000);
    assert_eq!(offered(&mut h), []);
    h.event(ended(&turn, TurnOutcome::Done));
    assert_eq!(h.state_of("s"), PromptState::Running);
}

#[test]
fn an_offer_without_an_answer_is_repeated_and_then_given_up() {
    let (mut h, _) = Harness::running();
    h.command(steer("s")).unwrap();
    assert_eq!(offered(&mut h).len(), 1);
    h.pass(15_000);
    assert_eq!(offered(&mut h).len(), 1);
    h.pass(15_000);
    assert_eq!(offered(&mut h).len(), 1);
    h.pass(300_000);
    assert_eq!(offered(&mut h).len(), 0);
    assert_eq!(store::verdicts(&h.db).unwrap().len(), 1);
    h.command(Command::WithdrawPrompt {
        prompt_id: prompt_id("s"),
    })
    .unwrap();
}

#[test]
fn a_runner_that_comes_back_is_offered_it_again() {
    let (mut h, turn) = Harness::running();
    h.command(steer("s")).unwrap();
    h.lose_runner();
    offered(&mut h);
    h.hello(2, true, Some(turn.clone()));
    assert_eq!(offered(&mut h), [prompt_id("s")]);
    h.event(taken(&turn, "s"));
    h.event(taken(&turn, "s"));
    assert_eq!(h.state_of("s"), PromptState::Steered);
}

#[test]
fn one_that_was_handed_to_a_turn_that_was_lost_meanwhile_ends_with_it() {
    let (mut h, turn) = Harness::running();
    h.command(steer("s")).unwrap();
    let rseq = h.spooled();
    h.lose_runner();
    h.pass(3_000);
    h.outcome_is(errand_protocol::sandbox::SandboxState::Exited);
    assert_eq!(h.state_of("p1"), PromptState::Failed);
    assert_eq!(h.state_of("s"), PromptState::Queued);
    h.sent_to_runner();
    // The next sandbox takes the spool over, in which the answer to the offer stands.
    h.outcome_is(errand_protocol::sandbox::SandboxState::Running);
    let mut hello = h.hello_frame(true, None);
    if let errand_protocol::runner::RunnerFrame::Hello { spool_id, .. } = &mut hello {
        *spool_id = spool(1);
    }
    h.frame(5, hello);
    assert!(h.told_to_run().is_empty(), "not before all that was written is here");
    h.numbered(rseq, taken(&turn, "s"));
    assert_eq!(h.state_of("s"), PromptState::Failed);
    assert!(h.told_to_run().is_empty());
}

#[test]
fn an_abort_ends_what_was_taken_in_too() {
    let (mut h, turn) = Harness::running();
    h.command(steer("s")).unwrap();
    h.event(taken(&turn, "s"));
    h.command(abort()).unwrap();
    h.command(steer("later")).unwrap();
    assert!(!offered(&mut h).contains(&prompt_id("later")), "the turn is to stop");
    h.event(ended(&turn, TurnOutcome::Aborted));
    assert_eq!(
        (h.state_of("s"), h.state_of("later")),
        (PromptState::Aborted, PromptState::Running)
    );
}

#[test]
fn a_prompt_that_the_runner_may_have_taken_in_is_not_called_withdrawn_by_the_end() {
    let (mut h, turn) = Harness::running();
    h.prompt("waits");
    h.command(steer("s")).unwrap();
    assert_eq!(offered(&mut h), [prompt_id("s")]);
    h.command(Command::Terminate {}).unwrap();
    assert_eq!(
        (h.state_of("s"), h.state_of("waits")),
        (PromptState::Aborted, PromptState::Withdrawn)
    );
    h.event(taken(&turn, "s"));
    assert_eq!(h.state_of("s"), PromptState::Aborted);
}
