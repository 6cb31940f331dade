//! Reconnecting: the runner's grace, the provider's word, the replacement.

use errand_protocol::event::EventBody;
use errand_protocol::sandbox::{SandboxErrorKind, SandboxState};
use errand_protocol::session::{Activity, Phase, PromptState, TurnOutcome};
use errand_session::SandboxCall;

use crate::harness::Harness;
use crate::make::*;

fn lost() -> Harness {
    let (mut h, _) = Harness::running();
    h.lose_runner();
    assert_eq!(h.phase(), Phase::Reconnecting);
    h
}

fn inspect(generation: u32) -> SandboxCall {
    let name = format!("sbx-ses_1-{generation}");
    SandboxCall::Inspect { name }
}

fn resumes(h: &Harness) -> Option<String> {
    match h.calls.last() {
        Some(SandboxCall::Ensure { resume, .. }) => resume.clone(),
        _ => None,
    }
}

#[test]
fn a_runner_that_comes_back_within_its_grace_goes_on_as_if_nothing_had_been() {
    let (mut h, turn) = Harness::running();
    h.lose_runner();
    assert_eq!(h.session.summary().activity, Activity::Thinking);
    h.pass(2_999);
    assert!(h.calls.is_empty(), "nobody is asked yet");
    h.pass(1);
    assert_eq!(h.call(), inspect(1));
    h.outcome_is(SandboxState::Running);
    h.pass(26_999);
    assert_eq!(h.phase(), Phase::Reconnecting);
    h.hello(2, true, Some(turn.clone()));
    assert_eq!(h.phase(), Phase::Running);
    h.event(ended(&turn, TurnOutcome::Done));
    assert_eq!(h.state_of("p1"), PromptState::Done);
}

#[test]
fn a_sandbox_that_the_provider_knows_to_be_gone_is_not_waited_for() {
    let mut h = lost();
    h.prompt("p2");
    h.pass(3_000);
    h.outcome_is(SandboxState::Exited);
    assert_eq!((h.phase(), h.generation()), (Phase::Resuming, 2));
}

#[test]
fn after_the_grace_the_provider_is_asked_and_a_living_sandbox_gets_another_minute() {
    let mut h = lost();
    h.pass(30_000);
    assert_eq!(h.call(), inspect(1));
    h.outcome_is(SandboxState::Running);
    h.pass(59_999);
    assert_eq!((h.phase(), h.generation()), (Phase::Reconnecting, 1));
    h.pass(1);
    assert_eq!(h.state_of("p1"), PromptState::Failed);
    assert_eq!(h.phase(), Phase::Paused);
}

#[test]
fn a_sandbox_that_is_gone_is_replaced_by_one_that_takes_its_files_over() {
    let mut h = lost();
    h.prompt("p2");
    h.pass(30_000);
    h.outcome_is(SandboxState::Exited);
    assert_eq!((h.phase(), h.generation()), (Phase::Resuming, 2));
    assert_eq!(resumes(&h).as_deref(), Some("sbx-ses_1-1"));
    assert_eq!(h.cause().code, "sandbox_lost");
    assert_eq!(
        h.state_of("p1"),
        PromptState::Failed,
        "a turn that had begun does not begin again"
    );
    h.bring_up();
    assert_eq!(h.state_of("p2"), PromptState::Running);
}

#[test]
fn a_successor_of_which_no_runner_was_heard_may_have_taken_nothing_over() {
    let mut h = lost();
    h.prompt("p2");
    h.pass(30_000);
    h.outcome_is(SandboxState::Exited);
    assert_eq!((resumes(&h).as_deref(), h.generation()), (Some("sbx-ses_1-1"), 2));
    // Stopped while it was being made: that looks like one whose runner has ended.
    h.outcome_is(SandboxState::Creating);
    h.pass(3_000);
    h.outcome_is(SandboxState::Exited);
    h.next();
    assert_eq!(
        (resumes(&h).as_deref(), h.generation()),
        (Some("sbx-ses_1-1"), 3),
        "the provider follows the files from there, wherever they are"
    );
}

#[test]
fn a_turn_that_had_not_begun_runs_in_the_next_sandbox() {
    let mut h = Harness::new();
    h.booted();
    h.engine_ready();
    let turn = h.turn().unwrap();
    h.lose_runner();
    h.pass(30_000);
    h.outcome_is(SandboxState::Gone);
    h.sent_to_runner();
    h.bring_up();
    assert_eq!(h.told_to_run(), [turn.clone()], "as the same turn");
    h.event(accepted(&turn));
    h.event(ended(&turn, TurnOutcome::Done));
    let started = h
        .events()
        .iter()
        .filter(|e| matches!(e.body, EventBody::TurnStarted { .. }))
        .count();
    assert_eq!((started, h.state_of("p1")), (1, PromptState::Done));
}

#[test]
fn a_provider_that_cannot_say_is_asked_again_until_patience_ends() {
    let mut h = lost();
    h.pass(30_000);
    for _ in 0..3 {
        h.outcome(Err(error(SandboxErrorKind::Transient)));
        h.next();
        assert_eq!(h.call(), inspect(1));
    }
    h.outcome(Err(error(SandboxErrorKind::Auth)));
    h.pass(30_000);
    assert_ne!(h.phase(), Phase::Reconnecting);
    assert!(h.turn().is_none());
}

#[test]
fn nobody_asks_the_provider_any_more_when_the_search_is_over() {
    let mut h = lost();
    h.pass(30_000);
    h.outcome(Err(error(SandboxErrorKind::Transient)));
    h.hello(2, true, h.turn());
    h.pass(60_000);
    assert!(h.calls.is_empty(), "{:?}", h.calls);

    let mut h = lost();
    h.pass(30_000);
    h.outcome(Err(error(SandboxErrorKind::Transient)));
    h.calls.clear();
    h.pass(60_000);
    assert_eq!(h.phase(), Phase::Paused);
    h.calls.clear();
    h.pass(600_000);
    assert!(!h.calls.contains(&inspect(1)), "{:?}", h.calls);
}

#[test]
fn the_providers_late_word_does_not_disturb_a_runner_that_is_back() {
    let mut h = lost();
    h.pass(30_000);
    h.hello(2, true, h.turn());
    h.outcome_is(SandboxState::Gone);
    assert_eq!((h.phase(), h.generation()), (Phase::Running, 1));
}

#[test]
fn a_runner_that_comes_back_late_but_before_its_replacement_is_welcome() {
    let (mut h, turn) = Harness::running();
    h.lose_runner();
    h.pass(30_000);
    h.outcome_is(SandboxState::Running);
    h.pass(30_000);
    h.hello(2, true, Some(turn));
    assert_eq!(h.phase(), Phase::Running);
}

#[test]
fn a_session_that_loses_sandbox_after_sandbox_stops_and_says_why() {
    let (mut h, _) = Harness::running();
    for number in 2..=4 {
        h.prompt(&format!("p{number}"));
        h.lose_runner();
        h.pass(30_000);
        h.outcome_is(SandboxState::Gone);
        if number < 4 {
            h.bring_up();
            let turn = h.turn().unwrap();
            h.event(accepted(&turn));
        }
    }
    assert_eq!((h.phase(), h.cause().code.as_str()), (Phase::Error, "sandbox_lost"));
    assert_eq!(h.state_of("p4"), PromptState::Queued, "what had not begun still waits");
}

#[test]
fn an_eviction_at_any_moment_of_the_search_loses_nothing() {
    for evict_after in [0, 10_000, 30_000, 30_001] {
        let (mut h, turn) = Harness::running();
        h.lose_runner();
        h.pass(evict_after);
        h.evict(false);
        h.pass(29_000);
        assert_eq!(h.phase(), Phase::Reconnecting, "after {evict_after}");
        h.hello(2, true, Some(turn));
        assert_eq!(h.phase(), Phase::Running);
    }
}
