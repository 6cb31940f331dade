//! Idle sandboxes: pausing, and waking up for a prompt.

use errand_protocol::event::EventBody;
use errand_protocol::runner::{AgentFrame, RunnerEvent};
use errand_protocol::sandbox::{SandboxErrorKind, SandboxState};
use errand_protocol::session::{Activity, Phase, PromptState};
use errand_session::SandboxCall;

use crate::harness::Harness;
use crate::make::*;

fn suspend(generation: u32) -> SandboxCall {
    let name = format!("sbx-ses_1-{generation}");
    SandboxCall::Suspend { name }
}

/// The idle time is over, and the runner has had its time to save the work.
fn pausing() -> Harness {
    let mut h = Harness::idle();
    h.pass(15 * 60_000);
    assert_eq!(h.phase(), Phase::Pausing);
    assert!(h.sent_to_runner().contains(&AgentFrame::Save {}));
    assert_eq!(h.calls, [], "the work is saved first");
    h.pass(10_000);
    h
}

#[test]
fn a_sandbox_without_work_is_paused_after_a_while() {
    let mut h = Harness::idle();
    h.pass(15 * 60_000 - 1);
    assert_eq!(h.phase(), Phase::Running);
    h.pass(1);
    assert_eq!(h.phase(), Phase::Pausing);
    h.saved("1");
    assert_eq!(h.call(), suspend(1));
    h.outcome_is(SandboxState::Exited);
    assert_eq!(
        (h.phase(), h.session.summary().activity),
        (Phase::Paused, Activity::Paused)
    );
    assert_eq!(
        h.session
            .next_deadline(&h.timings)
            .map(|(_, what)| what)
            .filter(|what| *what != "index"),
        None
    );
}

#[test]
fn a_prompt_keeps_an_idle_sandbox_from_being_paused() {
    let mut h = Harness::idle();
    h.pass(14 * 60_000);
    h.prompt("p2");
    let turn = h.turn().unwrap();
    h.event(accepted(&turn));
    h.pass(9 * 60_000);
    h.event(ended(&turn, errand_protocol::session::TurnOutcome::Done));
    h.pass(14 * 60_000);
    assert_eq!(h.phase(), Phase::Running);
}

#[test]
fn a_prompt_wakes_a_paused_session_with_its_files() {
    let mut h = pausing();
    h.outcome_is(SandboxState::Exited);
    h.prompt("p2");
    assert!(matches!(h.call(), SandboxCall::Ensure { resume: Some(from), .. } if from == "sbx-ses_1-1"));
    h.bring_up();
    assert_eq!(h.state_of("p2"), PromptState::Running);
}

#[test]
fn a_prompt_while_pausing_runs_as_soon_as_it_is_paused() {
    let mut h = pausing();
    h.prompt("p2");
    assert_eq!(h.session.summary().activity, Activity::Queued);
    h.outcome_is(SandboxState::Exited);
    assert_eq!((h.phase(), h.generation()), (Phase::Resuming, 2));
    h.bring_up();
    assert_eq!(h.state_of("p2"), PromptState::Running);
}

#[test]
fn a_provider_that_fails_to_suspend_is_asked_again_and_given_up_after_a_while() {
    let mut h = pausing();
    h.outcome(Err(error(SandboxErrorKind::Transient)));
    assert_eq!(h.phase(), Phase::Pausing);
    h.pass(1_000);
    assert_eq!(h.call(), suspend(1));
    h.pass(120_000);
    assert_eq!(h.phase(), Phase::Paused);
    h.calls.clear();
    h.pass(60_000);
    assert_eq!(h.calls, [suspend(1)], "the sandbox is not left running");
}

#[test]
fn a_provider_that_never_answers_does_not_keep_a_prompt_waiting_for_ever() {
    let mut h = pausing();
    h.prompt("p2");
    h.pass(120_000);
    assert_eq!(h.phase(), Phase::Resuming);
}

#[test]
fn what_cannot_be_paused_goes_on_running() {
    let mut h = pausing();
    h.outcome(Err(error(SandboxErrorKind::Unsupported)));
    assert_eq!(h.phase(), Phase::Running);
    h.prompt("p2");
    assert_eq!(h.state_of("p2"), PromptState::Running);
}

#[test]
fn files_that_were_gone_before_the_pause_are_not_passed_over_in_silence() {
    let mut h = pausing();
    h.outcome_is(SandboxState::Gone);
    assert_eq!(h.phase(), Phase::Paused);
    let said =
        |body: &EventBody| matches!(body, EventBody::SandboxTrouble { cause, .. } if cause.code == "sandbox_lost");
    assert!(h.events().iter().any(|event| said(&event.body)));
}

#[test]
fn a_runner_that_goes_while_pausing_is_no_loss() {
    let mut h = pausing();
    h.lose_runner();
    assert_eq!(h.phase(), Phase::Pausing);
    h.evict(false);
    h.calls.retain(|call| *call == suspend(1));
    h.outcome_is(SandboxState::Exited);
    assert_eq!(h.phase(), Phase::Paused);
}

#[test]
fn an_idle_session_whose_sandbox_is_lost_rests_until_the_next_prompt() {
    let mut h = Harness::idle();
    h.lose_runner();
    h.pass(30_000);
    h.outcome_is(SandboxState::Gone);
    assert_eq!(h.phase(), Phase::Paused);
    h.calls.clear();
    h.prompt("p2");
    h.calls.retain(|call| matches!(call, SandboxCall::Ensure { .. }));
    h.bring_up();
    assert_eq!(h.state_of("p2"), PromptState::Running);
}

#[test]
fn a_prompt_before_the_provider_was_asked_calls_the_pause_off() {
    let mut h = Harness::idle();
    h.pass(15 * 60_000);
    assert_eq!(h.phase(), Phase::Pausing);
    h.prompt("p2");
    assert_eq!(h.phase(), Phase::Running);
    assert_eq!(h.state_of("p2"), PromptState::Running);
    h.pass(14_000);
    assert_eq!(h.calls, []);
}

#[test]
fn a_runner_that_cannot_save_does_not_hold_the_pause_up() {
    let mut h = Harness::idle();
    h.pass(15 * 60_000);
    h.event(RunnerEvent::SnapshotFailed {
        cause: cause("snapshot_too_large"),
    });
    assert_eq!(h.call(), suspend(1));
}
