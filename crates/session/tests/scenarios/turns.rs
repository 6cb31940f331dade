//! Turns: dispatch, acceptance, silence, time-outs, aborting, ending.

use errand_protocol::event::EventBody;
use errand_protocol::runner::{AgentFrame, RunnerEvent};
use errand_protocol::session::{Activity, Cause, Phase, PromptState, TurnOutcome};
use errand_protocol::transcript::{PartBody, ToolStatus};
use errand_protocol::viewer::{Command, ServerFrame};
use errand_session::SandboxCall;

use crate::harness::Harness;
use crate::make::*;

fn aborts(h: &mut Harness) -> usize {
    let frames = h.sent_to_runner();
    frames.iter().filter(|f| matches!(f, AgentFrame::Abort { .. })).count()
}

/// Outcome and cause of the turn that ended last.
fn last_end(h: &Harness) -> (TurnOutcome, Option<Cause>) {
    let events = h.events().into_iter().rev();
    let mut ends = events.filter_map(|event| match event.body {
        EventBody::TurnFinished { outcome, cause, .. } => Some((outcome, cause)),
        _ => None,
    });
    ends.next().expect("a turn ended")
}

fn dispatched() -> Harness {
    let mut h = Harness::new();
    h.booted();
    h.engine_ready();
    assert_eq!(h.told_to_run().len(), 1);
    h
}

#[test]
fn a_prompt_that_is_not_accepted_is_sent_again_with_the_same_turn() {
    let mut h = dispatched();
    let turn = h.turn().unwrap();
    h.pass(14_999);
    assert!(h.told_to_run().is_empty());
    h.pass(1);
    assert_eq!(h.told_to_run(), [turn.clone()]);
    h.event(accepted(&turn));
    h.pass(60_000);
    assert!(h.told_to_run().is_empty());
    assert_eq!(h.phase(), Phase::Running);
}

#[test]
fn a_runner_that_never_takes_the_prompt_is_replaced_and_the_turn_fails_with_the_cause() {
    let mut h = dispatched();
    h.pass(45_000);
    assert_eq!(last_end(&h).1.unwrap().code, "runner_unresponsive");
    assert_eq!(h.state_of("p1"), PromptState::Failed);
    assert_eq!(h.phase(), Phase::Paused, "nothing else waits");
    let name = "sbx-ses_1-1".to_owned();
    assert_eq!(h.calls, [SandboxCall::Suspend { name }]);
}

#[test]
fn after_an_unresponsive_runner_the_waiting_prompt_gets_a_new_sandbox() {
    let mut h = dispatched();
    h.prompt("p2");
    h.pass(45_000);
    assert_eq!((h.phase(), h.generation()), (Phase::Resuming, 2));
    h.bring_up();
    assert_eq!(h.state_of("p2"), PromptState::Running);
}

#[test]
fn a_silent_turn_is_asked_about_but_goes_on_while_a_tool_works() {
    let (mut h, turn) = Harness::running();
    h.event(part_started(&turn, tool_part("a", 0, ToolStatus::Running)));
    h.pass(599_999);
    assert!(h.told_to_run().is_empty());
    h.pass(1);
    assert_eq!(h.told_to_run(), [turn.clone()]);
    h.pass(600_000);
    assert_eq!(h.told_to_run(), [turn]);
    assert_eq!((h.phase(), h.generation()), (Phase::Running, 1));
}

#[test]
fn a_turn_that_stays_silent_though_no_tool_works_hangs_and_is_stopped() {
    let (mut h, turn) = Harness::running();
    h.pass(600_000);
    assert_eq!(h.told_to_run(), [turn.clone()]);
    h.pass(599_999);
    assert_eq!(aborts(&mut h), 0);
    h.pass(1);
    assert_eq!(aborts(&mut h), 1);
    h.event(ended(&turn, TurnOutcome::Aborted));
    let (outcome, cause) = last_end(&h);
    assert_eq!(
        (outcome, cause.unwrap().code.as_str()),
        (TurnOutcome::Failed, "turn_stalled")
    );
}

#[test]
fn a_sign_of_life_after_it_was_asked_about_gives_a_turn_its_time_again() {
    let (mut h, turn) = Harness::running();
    h.pass(600_000);
    h.pass(500_000);
    h.event(part_started(&turn, text_part("a", 0)));
    h.pass(600_000);
    assert_eq!(aborts(&mut h), 0);
}

#[test]
fn a_turn_whose_model_wants_to_be_asked_later_may_be_silent_until_then() {
    let (mut h, turn) = Harness::running();
    h.event(RunnerEvent::TurnRetrying {
        turn_id: turn,
        attempt: 1,
        message: "Slow down".to_owned(),
        next_at: h.now.plus(40 * 60_000),
    });
    h.pass(50 * 60_000 - 1);
    assert!(h.told_to_run().is_empty());
    h.pass(1);
    assert_eq!(h.told_to_run().len(), 1);
}

#[test]
fn a_turn_that_streams_is_not_silent() {
    let (mut h, turn) = Harness::running();
    h.event(part_started(&turn, text_part("a", 0)));
    for offset in 0..30 {
        h.pass(60_000);
        h.delta(delta("a", offset, "x"));
    }
    assert!(h.told_to_run().is_empty());
}

#[test]
fn a_turn_that_takes_too_long_is_stopped_and_counts_as_failed() {
    let (mut h, turn) = Harness::running();
    h.event(part_started(&turn, tool_part("a", 0, ToolStatus::Running)));
    h.pass(90 * 60_000 - 1);
    assert_eq!(aborts(&mut h), 0);
    h.pass(1);
    assert_eq!(aborts(&mut h), 1);
    h.event(ended(&turn, TurnOutcome::Aborted));
    let (outcome, cause) = last_end(&h);
    assert_eq!(
        (outcome, cause.unwrap().code.as_str()),
        (TurnOutcome::Failed, "turn_timeout")
    );
    assert_eq!(h.state_of("p1"), PromptState::Failed);
}

#[test]
fn time_in_which_a_person_is_asked_is_not_time_of_the_turn() {
    let (mut h, turn) = Harness::running();
    h.event(part_started(&turn, tool_part("a", 0, ToolStatus::Running)));
    h.event(asked(&turn, "q", permission()));
    h.pass(3 * 60 * 60_000);
    assert_eq!(h.session.summary().activity, Activity::AwaitingInput);
    h.command(answer("q", allow())).unwrap();
    h.pass(60_000);
    assert_eq!(aborts(&mut h), 0);
    assert_eq!(h.phase(), Phase::Running);
    h.pass(89 * 60_000);
    assert_eq!(aborts(&mut h), 1);
}

#[test]
fn a_person_stops_the_turn_and_the_next_prompt_runs() {
    let (mut h, turn) = Harness::running();
    h.prompt("p2");
    h.command(abort()).unwrap();
    assert_eq!(aborts(&mut h), 1);
    assert_eq!(h.turn(), Some(turn.clone()), "until the runner says so it is not over");
    h.event(ended(&turn, TurnOutcome::Aborted));
    assert_eq!(
        (h.state_of("p1"), h.state_of("p2")),
        (PromptState::Aborted, PromptState::Running)
    );
}

#[test]
fn a_second_abort_and_a_late_one_change_nothing() {
    let (mut h, turn) = Harness::running();
    let late = Command::Abort {
        turn_id: Some(turn_id("trn_other")),
    };
    h.command(late.clone()).unwrap();
    assert_eq!(aborts(&mut h), 0);
    h.command(abort()).unwrap();
    h.command(abort()).unwrap();
    assert_eq!(aborts(&mut h), 1);
    h.event(ended(&turn, TurnOutcome::Aborted));
    h.command(late).unwrap();
    h.command(abort()).unwrap();
    assert_eq!(aborts(&mut h), 0);
    let aborting = h
        .events()
        .iter()
        .filter(|e| matches!(e.body, EventBody::TurnAborting { .. }))
        .count();
    assert_eq!(aborting, 1);
}

#[test]
fn a_turn_that_was_stopped_counts_as_aborted_also_when_its_runner_has_forgotten_why_it_ended() {
    let (mut h, turn) = Harness::running();
    h.command(abort()).unwrap();
    h.event(ended(&turn, TurnOutcome::Failed));
    let (outcome, cause) = last_end(&h);
    assert_eq!(
        (outcome, cause.unwrap().code.as_str()),
        (TurnOutcome::Aborted, "aborted")
    );
}

#[test]
fn an_abort_that_nobody_answers_is_repeated_once_then_the_sandbox_is_replaced() {
    let (mut h, _) = Harness::running();
    h.command(abort()).unwrap();
    assert_eq!(aborts(&mut h), 1);
    h.pass(15_000);
    assert_eq!(aborts(&mut h), 1);
    assert_eq!(h.phase(), Phase::Running);
    h.pass(15_000);
    assert_eq!(h.state_of("p1"), PromptState::Aborted);
    assert_eq!(h.phase(), Phase::Paused);
}

#[test]
fn an_abort_before_the_sandbox_is_up_ends_the_turn_at_once() {
    let mut h = dispatched();
    h.lose_runner();
    h.pass(30_000);
    h.outcome_is(errand_protocol::sandbox::SandboxState::Gone);
    assert_eq!(h.phase(), Phase::Resuming);
    assert!(
        h.turn().is_some(),
        "the turn that never began goes on in the new sandbox"
    );
    h.command(abort()).unwrap();
    assert_eq!((h.turn(), h.state_of("p1")), (None, PromptState::Aborted));
}

#[test]
fn an_abort_while_the_runner_is_away_reaches_it_when_it_is_back() {
    let (mut h, turn) = Harness::running();
    h.lose_runner();
    h.command(abort()).unwrap();
    h.pass(20_000);
    h.sent_to_runner();
    h.hello(2, true, Some(turn.clone()));
    assert_eq!(aborts(&mut h), 1);
    h.pass(14_999);
    assert_eq!(aborts(&mut h), 0, "patience begins anew with the new connection");
    h.event(ended(&turn, TurnOutcome::Aborted));
    assert_eq!(h.state_of("p1"), PromptState::Aborted);
}

#[test]
fn an_aborted_turn_whose_sandbox_is_lost_counts_as_aborted() {
    let (mut h, _) = Harness::running();
    h.command(abort()).unwrap();
    h.lose_runner();
    h.pass(30_000);
    h.outcome_is(errand_protocol::sandbox::SandboxState::Gone);
    let (outcome, cause) = last_end(&h);
    assert_eq!(outcome, TurnOutcome::Aborted);
    assert_eq!(cause.expect("a person can read why").code, "aborted");
}

#[test]
fn the_runners_outcome_and_result_stand_in_the_log() {
    for (outcome, state) in [
        (TurnOutcome::Done, PromptState::Done),
        (TurnOutcome::Failed, PromptState::Failed),
        (TurnOutcome::Aborted, PromptState::Aborted),
    ] {
        let (mut h, turn) = Harness::running();
        h.event(ended(&turn, outcome));
        assert_eq!(last_end(&h).0, outcome);
        assert_eq!(h.state_of("p1"), state);
        assert_eq!(h.session.summary().activity, Activity::Idle);
    }
}

#[test]
fn an_end_of_another_turn_ends_nothing() {
    let (mut h, turn) = Harness::running();
    h.event(ended(&turn_id("trn_other"), TurnOutcome::Done));
    assert_eq!(h.turn(), Some(turn));
}

#[test]
fn parts_that_are_open_when_the_turn_ends_are_closed_with_what_is_known() {
    let (mut h, turn) = Harness::running();
    h.event(part_started(&turn, text_part("a", 0)));
    h.delta(delta("a", 0, "half a sen"));
    h.event(part_started(&turn, tool_part("b", 1, ToolStatus::Running)));
    assert_eq!(h.session.summary().activity, Activity::Tool);
    h.event(ended(&turn, TurnOutcome::Aborted));
    let closed: Vec<_> = h
        .events()
        .into_iter()
        .filter_map(|event| match event.body {
            EventBody::PartFinished { part, .. } => Some(part),
            _ => None,
        })
        .collect();
    assert_eq!(closed[0].streaming_text(), Some("half a sen"));
    assert!(closed.iter().all(|part| part.ended_at.is_some()));
    assert!(matches!(
        &closed[1].body,
        PartBody::Tool {
            status: ToolStatus::Error,
            error: Some(_),
            ..
        }
    ));
}

#[test]
fn a_part_of_a_turn_that_is_over_is_not_opened_again_but_its_final_state_is_kept() {
    let (mut h, turn) = Harness::running();
    h.event(part_started(&turn, text_part("a", 0)));
    h.event(ended(&turn, TurnOutcome::Aborted));
    h.event(part_started(&turn, text_part("b", 1)));
    assert!(h.session.open_parts().is_empty());
    h.event(part_finished(&turn, finished(text_part("a", 0), "whole")));
    assert!(matches!(h.last_event(), EventBody::PartFinished { part, .. } if part.streaming_text() == Some("whole")));
}

#[test]
fn an_engine_that_was_restarted_in_a_turn_is_trouble_in_the_log_and_the_runner_ends_the_turn() {
    let (mut h, turn) = Harness::running();
    h.event(RunnerEvent::EngineRestarted {
        cause: cause("engine_crashed"),
    });
    assert!(matches!(h.last_event(), EventBody::SandboxTrouble { .. }));
    assert_eq!(h.turn(), Some(turn.clone()));
    h.event(ended(&turn, TurnOutcome::Failed));
    assert_eq!(h.state_of("p1"), PromptState::Failed);
}

#[test]
fn an_engine_that_comes_up_no_more_ends_the_turn_and_gets_a_new_sandbox_for_the_next_prompt() {
    let (mut h, turn) = Harness::running();
    h.prompt("p2");
    h.event(ended(&turn, TurnOutcome::Failed));
    h.event(RunnerEvent::StartFailed {
        step: errand_protocol::session::StartStep::Engine,
        cause: cause("engine_failed"),
        retryable: true,
    });
    assert_eq!((h.phase(), h.generation()), (Phase::Resuming, 2));
    h.bring_up();
    assert_eq!(h.state_of("p2"), PromptState::Running);
}

#[test]
fn retries_of_the_model_and_the_list_of_tasks_are_visible() {
    let (mut h, turn) = Harness::running();
    h.event(RunnerEvent::TurnRetrying {
        turn_id: turn,
        attempt: 1,
        message: "Overloaded.".to_owned(),
        next_at: START,
    });
    assert!(matches!(h.last_event(), EventBody::TurnRetrying { attempt: 1, .. }));
    let todos = vec![errand_protocol::session::Todo {
        content: "look".to_owned(),
        status: "pending".to_owned(),
        priority: "high".to_owned(),
    }];
    h.event(RunnerEvent::Todos { todos: todos.clone() });
    let head = h.session.head_seq();
    h.event(RunnerEvent::Todos { todos: todos.clone() });
    assert_eq!(h.session.head_seq(), head, "the same list again is no news");
    h.evict(true);
    let hello = h.session.hello(head, None, vec![]);
    assert!(matches!(hello, ServerFrame::Hello { todos: now, .. } if now == todos));
}
