//! Starting: the steps, their deadlines, tries and what they wait for, until ready or until a person is needed.

use errand_protocol::event::EventBody;
use errand_protocol::runner::RunnerEvent;
use errand_protocol::sandbox::{Isolation, SandboxErrorKind, SandboxState};
use errand_protocol::session::{Activity, Phase, PromptState, StartStep};
use errand_protocol::startup::StartPoint;
use errand_protocol::viewer::Command;
use errand_session::{SandboxCall, store};

use crate::harness::Harness;
use crate::make::*;

fn ensure(call: &SandboxCall) -> (String, Option<String>) {
    match call {
        SandboxCall::Ensure { name, resume, .. } => (name.clone(), resume.clone()),
        other => panic!("not a request for a sandbox: {other:?}"),
    }
}

fn steps(h: &Harness) -> Vec<(StartStep, u32)> {
    let events = h.events().into_iter();
    events
        .filter_map(|event| match event.body {
            EventBody::SandboxStep { step, attempt, .. } => Some((step, attempt)),
            _ => None,
        })
        .collect()
}

/// From the queue to a sandbox that boots.
const IN_ORDER: [StartPoint; 4] = [
    StartPoint::Queued,
    StartPoint::Admitted,
    StartPoint::Requested,
    StartPoint::Booting,
];

/// How far the last start has come.
fn points(h: &Harness) -> Vec<StartPoint> {
    let starts = store::starts(&h.db, 1).unwrap();
    starts
        .first()
        .unwrap()
        .start
        .marks
        .iter()
        .map(|mark| mark.point)
        .collect()
}

fn fail(step: StartStep, retryable: bool) -> RunnerEvent {
    RunnerEvent::StartFailed {
        step,
        cause: cause("repo_not_found"),
        retryable,
    }
}

#[test]
fn a_new_session_rests_without_a_sandbox() {
    let h = Harness::new();
    assert_eq!(h.phase(), Phase::Idle);
    assert!(h.calls.is_empty());
    assert_eq!(h.session.next_deadline(&h.timings), None);
}

#[test]
fn the_first_prompt_asks_for_a_sandbox_and_goes_through_all_steps() {
    let mut h = Harness::new();
    h.prompt("p1");
    assert_eq!(ensure(&h.call()), ("sbx-ses_1-1".to_owned(), None));
    h.outcome_is(SandboxState::Creating);
    assert_eq!(h.session.summary().isolation, Some(Isolation::Namespaces));
    h.hello(1, false, None);
    for step in [StartStep::Cloning, StartStep::Setup, StartStep::Engine] {
        h.event(RunnerEvent::Step { step });
        assert_eq!(h.session.summary().activity, Activity::Starting);
    }
    assert!(h.told_to_run().is_empty(), "nothing is sent before the engine is ready");
    h.engine_ready();
    let names = [
        StartStep::Requested,
        StartStep::Booting,
        StartStep::Cloning,
        StartStep::Setup,
        StartStep::Engine,
    ];
    assert_eq!(steps(&h), names.map(|step| (step, 1)));
    assert_eq!(h.phase(), Phase::Running);
    assert_eq!(h.told_to_run().len(), 1);
    let ready = |body: &EventBody| matches!(body, EventBody::SandboxReady { isolation: Some(_), .. });
    assert!(h.events().iter().any(|event| ready(&event.body)));
}

#[test]
fn a_runner_that_dials_before_the_provider_answers_is_as_good_as_an_answer() {
    let mut h = Harness::new();
    h.prompt("p1");
    h.hello(1, true, None);
    assert_eq!(h.phase(), Phase::Running);
    h.outcome_is(SandboxState::Running);
    assert_eq!(h.phase(), Phase::Running);
    h.engine_ready();
    let ready = h
        .events()
        .iter()
        .filter(|e| matches!(e.body, EventBody::SandboxReady { .. }))
        .count();
    assert_eq!(ready, 1, "readiness is logged though the hello came first");
}

#[test]
fn each_step_has_its_own_patience() {
    let long = [StartStep::Cloning, StartStep::Setup];
    for step in [
        StartStep::Booting,
        StartStep::Cloning,
        StartStep::Setup,
        StartStep::Engine,
    ] {
        let mut h = Harness::new();
        h.booted();
        if step != StartStep::Booting {
            h.event(RunnerEvent::Step { step });
        }
        let patience = if long.contains(&step) { 600_000 } else { 120_000 };
        assert_eq!(
            h.session.phase_deadline(&h.timings).unwrap().since(h.now).min(90_000),
            90_000
        );
        h.pass(patience - 1);
        assert_eq!(h.session.summary().cause, None, "{step:?}");
        h.pass(1);
        assert_eq!(
            (h.phase(), h.cause().code.as_str()),
            (Phase::Starting, "start_timeout"),
            "{step:?}"
        );
    }
}

#[test]
fn a_provider_that_never_answers_is_asked_for_the_same_sandbox_three_times_then_a_person() {
    let mut h = Harness::new();
    h.prompt("p1");
    h.pass(120_000);
    // Nobody knows whether it was made: another name could make a second one.
    h.pass(2_000);
    assert_eq!(h.generation(), 1);
    h.pass(120_000 + 8_000 + 120_000);
    assert_eq!((h.phase(), h.cause().code.as_str()), (Phase::Error, "start_timeout"));
    assert_eq!(h.state_of("p1"), PromptState::Queued, "the prompt still waits");
    let last_steps: Vec<u32> = steps(&h).iter().map(|(_, attempt)| *attempt).collect();
    assert_eq!(last_steps, [1, 2, 3]);
}

#[test]
fn a_call_without_an_outcome_is_made_again() {
    let mut h = Harness::new();
    h.prompt("p1");
    let call = h.call();
    h.pass(59_999);
    assert_eq!(h.calls.len(), 1);
    h.pass(1);
    assert_eq!(h.calls, [call.clone(), call]);
}

#[test]
fn a_call_is_made_again_after_an_eviction() {
    let mut h = Harness::new();
    h.prompt("p1");
    let call = h.call();
    h.evict(false);
    assert_eq!(h.call(), call);
}

#[test]
fn a_start_that_failed_is_tried_again_after_a_while_and_the_dead_sandbox_removed() {
    let mut h = Harness::new();
    h.booted();
    h.event(fail(StartStep::Cloning, true));
    assert_eq!(
        (h.phase(), h.cause().code.as_str()),
        (Phase::Starting, "repo_not_found")
    );
    let name = "sbx-ses_1-1".to_owned();
    assert_eq!(h.call(), SandboxCall::Delete { name });
    assert_eq!(h.closed.len(), 1);
    h.outcome_is(SandboxState::Gone);
    h.pass(1_999);
    assert!(h.calls.is_empty());
    h.pass(1);
    assert_eq!(ensure(&h.call()).0, "sbx-ses_1-2");
    h.bring_up();
    assert_eq!(h.phase(), Phase::Running);
    assert_eq!(h.session.summary().cause, None);
    assert_eq!(h.told_to_run().len(), 1);
}

#[test]
fn the_third_try_waits_longer_and_the_third_failure_needs_a_person() {
    let mut h = Harness::new();
    h.prompt("p1");
    for (attempt, wait) in [(1, 2_000), (2, 8_000), (3, 0)] {
        h.calls.retain(|call| matches!(call, SandboxCall::Ensure { .. }));
        h.outcome_is(SandboxState::Failed);
        if attempt < 3 {
            h.pass(wait - 1);
            assert_eq!(h.generation(), attempt);
            h.pass(1);
            assert_eq!(h.generation(), attempt + 1);
        }
    }
    assert_eq!((h.phase(), h.cause().code.as_str()), (Phase::Error, "sandbox_exited"));
    assert!(h.cause().message.contains("killed"), "the provider's words are shown");
}

#[test]
fn what_trying_again_cannot_mend_is_an_error_at_once() {
    let mut h = Harness::new();
    h.booted();
    h.event(fail(StartStep::Cloning, false));
    assert_eq!((h.phase(), h.cause().code.as_str()), (Phase::Error, "repo_not_found"));
    assert_eq!(h.state_of("p1"), PromptState::Queued);
    for kind in [
        SandboxErrorKind::InvalidSpec,
        SandboxErrorKind::Auth,
        SandboxErrorKind::Unsupported,
    ] {
        let mut h = Harness::new();
        h.prompt("p1");
        h.outcome(Err(error(kind)));
        assert_eq!(
            (h.phase(), h.cause().code.as_str()),
            (Phase::Error, "sandbox_refused"),
            "{kind:?}"
        );
    }
}

#[test]
fn while_there_is_no_capacity_the_session_says_so_and_asks_again() {
    let mut h = Harness::new();
    h.prompt("p1");
    for wait in [1_000, 2_000, 4_000] {
        h.outcome(Err(error(SandboxErrorKind::Capacity)));
        assert_eq!(
            (h.phase(), h.cause().code.as_str()),
            (Phase::Starting, "sandbox_capacity")
        );
        h.pass(wait - 1);
        assert!(h.calls.is_empty());
        h.pass(1);
        assert_eq!(ensure(&h.call()).0, "sbx-ses_1-1");
    }
    h.outcome_is(SandboxState::Running);
    assert_eq!(h.session.summary().cause, None);
}

#[test]
fn the_provider_may_say_how_long_to_wait() {
    let mut h = Harness::new();
    h.prompt("p1");
    let mut busy = error(SandboxErrorKind::RateLimited);
    busy.retry_after_ms = Some(30_000);
    h.outcome(Err(busy));
    h.pass(29_999);
    assert!(h.calls.is_empty());
    h.pass(1);
    assert_eq!(h.calls.len(), 1);
}

#[test]
fn a_wait_for_capacity_that_never_ends_ends_with_the_providers_words() {
    let mut h = Harness::new();
    h.prompt("p1");
    for _ in 0..20_000 {
        if h.phase() == Phase::Error {
            break;
        }
        if h.calls.is_empty() {
            h.next();
        } else {
            h.outcome(Err(error(SandboxErrorKind::Capacity)));
        }
    }
    assert_eq!((h.phase(), h.cause().code.as_str()), (Phase::Error, "sandbox_capacity"));
}

#[test]
fn a_prompt_that_waits_for_a_place_over_night_starts_at_its_first_try_when_there_is_one() {
    let mut h = Harness::new();
    h.prompt("p1");
    let asked = h.now;
    while h.now.since(asked) < 8 * 60 * 60 * 1_000 {
        if h.calls.is_empty() {
            h.next();
        } else {
            h.outcome(Err(error(SandboxErrorKind::Capacity)));
            assert_eq!(points(&h), [StartPoint::Queued], "nobody has let it in");
        }
        assert_eq!(h.phase(), Phase::Starting);
    }
    while h.calls.is_empty() {
        h.next();
    }
    assert_eq!(ensure(&h.call()).0, "sbx-ses_1-1", "the first try still");
    h.outcome_is(SandboxState::Running);
    assert_eq!(points(&h), IN_ORDER);
}

#[test]
fn an_eviction_while_waiting_for_capacity_does_not_look_for_a_sandbox_that_was_never_made() {
    let mut h = Harness::new();
    h.prompt("p1");
    h.outcome(Err(error(SandboxErrorKind::Capacity)));
    h.evict(false);
    h.pass(10_000);
    assert!(
        h.calls.iter().all(|call| matches!(call, SandboxCall::Ensure { .. })),
        "{:?}",
        h.calls
    );
}

#[test]
fn a_sandbox_that_exits_before_its_runner_dials_is_noticed_early() {
    let mut h = Harness::new();
    h.prompt("p1");
    h.outcome_is(SandboxState::Creating);
    h.pass(3_000);
    let name = "sbx-ses_1-1".to_owned();
    assert_eq!(h.call(), SandboxCall::Inspect { name });
    h.outcome_is(SandboxState::Running);
    h.pass(10_000);
    h.outcome_is(SandboxState::Exited);
    assert_eq!(h.cause().code, "sandbox_exited");
    assert_eq!(h.phase(), Phase::Starting);
}

#[test]
fn a_runner_that_is_lost_while_starting_is_looked_for() {
    let mut h = Harness::new();
    h.booted();
    h.lose_runner();
    assert_eq!(h.phase(), Phase::Starting);
    h.pass(3_000);
    h.outcome_is(SandboxState::Running);
    h.hello(2, false, None);
    h.engine_ready();
    assert_eq!(h.phase(), Phase::Running);
    assert_eq!(h.generation(), 1);
}

#[test]
fn a_name_that_is_taken_is_left_for_the_next_one() {
    let mut h = Harness::new();
    h.prompt("p1");
    h.outcome(Err(error(SandboxErrorKind::Conflict)));
    h.calls.clear();
    h.pass(2_000);
    assert_eq!(ensure(&h.calls[0]).0, "sbx-ses_1-2");
}

#[test]
fn an_outcome_for_an_older_sandbox_changes_nothing() {
    let mut h = Harness::new();
    h.prompt("p1");
    let old = h.call();
    h.outcome_is(SandboxState::Failed);
    h.calls.clear();
    h.pass(2_000);
    let before = h.session.head_seq();
    h.outcome_of(old, Ok(status("sbx-ses_1-1", SandboxState::Running)));
    assert_eq!((h.session.head_seq(), h.generation()), (before, 2));
}

#[test]
fn the_circuit_breaker_stops_prompts_from_starting_sandboxes_until_a_person_retries() {
    let mut h = Harness::new();
    for (number, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
        h.prompt(id);
        let starts = h.calls.iter().any(|call| matches!(call, SandboxCall::Ensure { .. }));
        assert_eq!(starts, number < 3, "start {number}");
        if starts {
            h.outcome(Err(error(SandboxErrorKind::InvalidSpec)));
        }
        h.clean_up();
        assert_eq!(h.phase(), Phase::Error);
    }
    assert_eq!(h.session.summary().queue, 4);
    h.command(Command::Retry {}).unwrap();
    assert_eq!(h.phase(), Phase::Starting);
    h.bring_up();
    assert_eq!(h.state_of("a"), PromptState::Running);
}

#[test]
fn the_circuit_breaker_forgets_after_a_while() {
    let mut h = Harness::new();
    for id in ["a", "b", "c"] {
        h.prompt(id);
        h.outcome(Err(error(SandboxErrorKind::InvalidSpec)));
        h.clean_up();
    }
    h.pass(300_001);
    h.prompt("d");
    assert_eq!(h.phase(), Phase::Starting);
}

#[test]
fn a_prompt_in_error_starts_again_and_takes_the_waiting_ones_along() {
    let mut h = Harness::new();
    h.booted();
    h.event(fail(StartStep::Engine, false));
    h.calls.clear();
    h.prompt("p2");
    assert_eq!(h.phase(), Phase::Starting);
    h.calls.retain(|call| matches!(call, SandboxCall::Ensure { .. }));
    h.bring_up();
    assert_eq!(
        (h.state_of("p1"), h.state_of("p2")),
        (PromptState::Running, PromptState::Queued)
    );
}

#[test]
fn a_retry_where_nothing_failed_does_nothing() {
    let mut h = Harness::new();
    h.command(Command::Retry {}).unwrap();
    assert_eq!(h.phase(), Phase::Idle);
    let (mut h, _) = Harness::running();
    let head = h.session.head_seq();
    h.command(Command::Retry {}).unwrap();
    assert_eq!(h.session.head_seq(), head);
}

#[test]
fn a_sandbox_that_could_not_be_made_leaves_the_files_where_they_were() {
    let mut h = Harness::idle();
    h.lose_runner();
    h.prompt("p2");
    h.pass(30_000);
    h.outcome_is(SandboxState::Gone);
    h.outcome_is(SandboxState::Creating);
    h.pass(3_000);
    h.outcome_is(SandboxState::Failed);
    let name = "sbx-ses_1-2".to_owned();
    assert_eq!(
        h.call(),
        SandboxCall::Suspend { name },
        "whatever is left of it does not run on"
    );
    h.clean_up();
    h.pass(2_000);
    assert_eq!(
        ensure(&h.call()),
        ("sbx-ses_1-3".to_owned(), Some("sbx-ses_1-1".to_owned()))
    );
}

#[test]
fn a_sandbox_that_was_perhaps_never_made_inherits_nothing() {
    let mut h = Harness::idle();
    h.lose_runner();
    h.prompt("p2");
    h.pass(30_000);
    h.outcome_is(SandboxState::Gone);
    let first = h.call();
    h.pass(120_000 + 2_000);
    assert!(
        h.calls.iter().all(|call| *call == first),
        "the same is asked for again: {:?}",
        h.calls
    );
}
