//! The end: from anywhere, for good, with nothing left behind.

use errand_protocol::api::ErrorCode;
use errand_protocol::close::CloseCode;
use errand_protocol::runner::AgentFrame;
use errand_protocol::sandbox::{SandboxErrorKind, SandboxState};
use errand_protocol::session::{Activity, Phase, PromptState};
use errand_protocol::viewer::Command;
use errand_session::SandboxCall;

use crate::harness::Harness;
use crate::make::*;

fn end(h: &mut Harness) {
    h.command(Command::Terminate {}).unwrap();
    assert_eq!(
        (h.phase(), h.session.summary().activity),
        (Phase::Terminated, Activity::Terminated)
    );
}

fn delete(generation: u32) -> SandboxCall {
    let name = format!("sbx-ses_1-{generation}");
    SandboxCall::Delete { name }
}

#[test]
fn the_end_stops_the_turn_takes_prompts_back_and_removes_the_sandbox() {
    let (mut h, turn) = Harness::running();
    h.prompt("p2");
    h.event(asked(&turn, "q", permission()));
    h.event(part_started(&turn, text_part("a", 0)));
    end(&mut h);
    assert_eq!(
        (h.state_of("p1"), h.state_of("p2")),
        (PromptState::Aborted, PromptState::Withdrawn)
    );
    assert!(h.sent_to_runner().contains(&AgentFrame::Shutdown {}));
    assert_eq!(h.calls, [], "the runner saves the work and exits by itself");
    h.lose_runner();
    assert_eq!(h.call(), delete(1));
    h.outcome_is(SandboxState::Gone);
    h.pass(1_000_000);
    assert!(h.calls.is_empty());
}

#[test]
fn a_session_that_never_had_a_sandbox_has_nothing_to_remove() {
    let mut h = Harness::new();
    end(&mut h);
    assert!(h.calls.is_empty());
}

#[test]
fn ending_twice_is_fine_and_everything_else_is_refused() {
    let mut h = Harness::idle();
    end(&mut h);
    let head = h.session.head_seq();
    end(&mut h);
    h.command(abort()).unwrap();
    for command in [
        prompt("p9"),
        Command::Retry {},
        Command::Rename {
            title: "x".parse().unwrap(),
        },
        answer("q", allow()),
    ] {
        assert_eq!(h.command(command).unwrap_err().code, ErrorCode::Terminated);
    }
    assert_eq!(h.session.head_seq(), head);
}

#[test]
fn a_runner_that_does_not_exit_is_removed_after_a_while() {
    let mut h = Harness::idle();
    end(&mut h);
    h.pass(19_999);
    assert_eq!(h.calls, []);
    h.pass(1);
    assert_eq!(h.call(), delete(1));
    assert_eq!(h.closed, [(conn(1), CloseCode::Terminated)]);
}

#[test]
fn what_the_runner_saves_after_the_end_counts_and_nothing_else_does() {
    let (mut h, turn) = Harness::running();
    end(&mut h);
    let head = h.session.head_seq();
    h.event(part_started(&turn, text_part("late", 0)));
    h.event(ended(&turn, errand_protocol::session::TurnOutcome::Aborted));
    assert_eq!(h.session.head_seq(), head);
    h.saved("last");
    assert_eq!(h.session.snapshot().unwrap().id.as_str(), "snp_last");
    assert_eq!(h.call(), delete(1), "there is nothing more to wait for");
}

#[test]
fn the_removal_is_repeated_until_it_worked_also_over_evictions() {
    let mut h = Harness::idle();
    end(&mut h);
    h.lose_runner();
    for _ in 0..5 {
        h.outcome(Err(error(SandboxErrorKind::Transient)));
        h.evict(false);
        h.next();
        assert_eq!(h.call(), delete(1));
    }
    h.outcome_is(SandboxState::Gone);
    assert_eq!(h.db.core()["calls"].as_array().unwrap().len(), 0);
}

#[test]
fn a_removal_waits_for_the_request_that_is_on_its_way() {
    let mut h = Harness::new();
    h.prompt("p1");
    let ensure = h.call();
    end(&mut h);
    assert_eq!(
        h.calls,
        std::slice::from_ref(&ensure),
        "or the request could overtake it and leave an orphan"
    );
    h.outcome_of(ensure, Ok(status("sbx-ses_1-1", SandboxState::Creating)));
    assert_eq!(h.call(), delete(1));
}

#[test]
fn a_removal_does_not_wait_for_ever_for_a_request_whose_outcome_is_lost() {
    let mut h = Harness::new();
    h.prompt("p1");
    end(&mut h);
    h.pass(60_000);
    assert!(h.calls.contains(&delete(1)));
}

#[test]
fn the_end_removes_every_sandbox_that_may_still_be_there() {
    let mut h = Harness::idle();
    h.lose_runner();
    h.prompt("p2");
    h.pass(30_000);
    h.outcome_is(SandboxState::Exited);
    h.outcome(Err(error(SandboxErrorKind::Transient)));
    end(&mut h);
    h.calls.sort_by_key(|call| call.name().to_owned());
    assert_eq!(
        h.calls,
        [delete(1), delete(2)],
        "nobody knows which of them has the files"
    );
}

#[test]
fn the_end_works_from_every_phase() {
    let mut starting = Harness::new();
    starting.booted();
    let mut reconnecting = Harness::running().0;
    reconnecting.lose_runner();
    let mut pausing = Harness::idle();
    pausing.pass(15 * 60_000);
    let mut failed = Harness::new();
    failed.prompt("p1");
    failed.outcome(Err(error(SandboxErrorKind::InvalidSpec)));
    for mut h in [starting, reconnecting, pausing, failed] {
        end(&mut h);
        h.evict(false);
        assert_eq!(h.phase(), Phase::Terminated);
        h.pass(300_000);
    }
}
