//! "Why does it wait?": marks of starts, verdicts of watchdogs, what stands in the way.

use errand_protocol::runner::RunnerEvent;
use errand_protocol::sandbox::{SandboxErrorKind, SandboxState};
use errand_protocol::session::{StartStep, TurnOutcome};
use errand_protocol::startup::{Remedy, Start, StartOutcome, StartPoint, Watchdog};
use errand_protocol::transcript::ToolStatus;
use errand_session::store;

use crate::harness::Harness;
use crate::make::*;

fn starts(h: &Harness) -> Vec<Start> {
    let all = store::starts(&h.db, 10).unwrap();
    all.into_iter().map(|numbered| numbered.start).collect()
}

fn points(start: &Start) -> Vec<StartPoint> {
    start.marks.iter().map(|mark| mark.point).collect()
}

fn verdicts(h: &Harness) -> Vec<Watchdog> {
    let all = store::verdicts(&h.db).unwrap();
    all.into_iter().map(|verdict| verdict.watchdog).collect()
}

#[test]
fn a_start_notes_when_each_point_was_reached() {
    use StartPoint::{Admitted, Booting, Cloning, Engine, FirstToken, FirstTool, Queued, Ready, Requested, Setup};

    let mut h = Harness::new();
    h.booted();
    for step in [StartStep::Cloning, StartStep::Setup, StartStep::Engine] {
        h.pass(1_000);
        h.event(RunnerEvent::Step { step });
        h.evict(true);
    }
    h.pass(1_000);
    h.engine_ready();
    let turn = h.turn().unwrap();
    h.event(accepted(&turn));
    h.pass(500);
    h.event(part_started(&turn, text_part("a", 0)));
    h.event(part_started(&turn, tool_part("b", 1, ToolStatus::Running)));
    h.event(part_started(&turn, tool_part("c", 2, ToolStatus::Running)));
    let start = &starts(&h)[0];
    assert_eq!(
        points(start),
        [
            Queued, Admitted, Requested, Booting, Cloning, Setup, Engine, Ready, FirstToken, FirstTool
        ]
    );
    assert_eq!(start.outcome, StartOutcome::Ready);
    assert_eq!(start.marks[7].at.since(start.marks[0].at), 4_000);
    assert_eq!(start.marks[8].at.since(start.marks[7].at), 500);
    assert_eq!(h.samples.len(), 1, "the registry learns how long it took");
}

#[test]
fn only_the_first_turn_belongs_to_the_start() {
    let (mut h, turn) = Harness::running();
    h.event(ended(&turn, TurnOutcome::Done));
    h.prompt("p2");
    let turn = h.turn().unwrap();
    h.event(accepted(&turn));
    h.event(part_started(&turn, text_part("a", 0)));
    assert_eq!(points(&starts(&h)[0]).last(), Some(&StartPoint::Ready));
}

#[test]
fn every_try_is_a_start_of_its_own_with_its_cause() {
    let mut h = Harness::new();
    h.booted();
    h.event(RunnerEvent::StartFailed {
        step: StartStep::Cloning,
        cause: cause("repo_unreachable"),
        retryable: true,
    });
    h.pass(2_000);
    let all = starts(&h);
    assert_eq!((all[1].outcome, all[1].attempt), (StartOutcome::Failed, 1));
    assert_eq!(all[1].cause.as_ref().unwrap().code, "repo_unreachable");
    assert_eq!((all[0].outcome, all[0].attempt), (StartOutcome::Going, 2));
    assert_eq!(verdicts(&h), [Watchdog::Start]);
}

#[test]
fn old_starts_and_verdicts_are_forgotten() {
    let mut h = Harness::new();
    for _ in 0..60 {
        h.command(errand_protocol::viewer::Command::Resume {}).unwrap();
        h.clean_up();
        h.outcome(Err(error(SandboxErrorKind::InvalidSpec)));
        h.clean_up();
    }
    assert_eq!(store::starts(&h.db, 100).unwrap().len(), 10);
    assert_eq!(verdicts(&h).len(), 50);
}

#[test]
fn whoever_waits_is_told_for_what_until_when_and_what_can_be_done() {
    let mut h = Harness::new();
    assert_eq!(h.session.waiting(&h.timings), None);
    h.prompt("p1");
    let start = h.session.waiting(&h.timings).unwrap();
    assert_eq!(
        (start.remedy, start.deadline),
        (Some(Remedy::Terminate {}), Some(START.plus(120_000)))
    );
    h.outcome(Err(error(SandboxErrorKind::Capacity)));
    assert!(h.session.waiting(&h.timings).unwrap().reason.starts_with("No room."));
    h.pass(1_000);
    h.outcome(Err(error(SandboxErrorKind::InvalidSpec)));
    assert_eq!(h.session.waiting(&h.timings).unwrap().remedy, Some(Remedy::Retry {}));

    let (mut h, turn) = Harness::running();
    assert_eq!(h.session.waiting(&h.timings), None, "it works");
    h.event(asked(&turn, "q", permission()));
    let interaction_id = int("q");
    assert_eq!(
        h.session.waiting(&h.timings).unwrap().remedy,
        Some(Remedy::Answer { interaction_id })
    );
    h.lose_runner();
    assert!(h.session.waiting(&h.timings).unwrap().deadline.is_some());
    h.pass(3_000);
    h.outcome_is(SandboxState::Exited);
    assert_eq!(h.session.waiting(&h.timings), None, "nothing is left to do");
}

#[test]
fn every_watchdog_says_what_it_saw_and_did() {
    let (mut silent, _) = Harness::running();
    silent.runner_pings = false;
    silent.pass(90_000);
    assert_eq!(verdicts(&silent), [Watchdog::RunnerSilence]);

    let mut idle = Harness::idle();
    idle.pass(15 * 60_000);
    assert_eq!(verdicts(&idle), [Watchdog::Idle]);
    idle.pass(10 * 60_000);
    assert_eq!(verdicts(&idle), [Watchdog::Pausing, Watchdog::Idle]);

    let (mut long, turn) = Harness::running();
    for _ in 0..9 {
        long.pass(9 * 60_000 + 59_000);
        long.event(accepted(&turn));
    }
    long.pass(10_000);
    assert_eq!(verdicts(&long)[0], Watchdog::TurnTotal);

    let (mut quiet, turn) = Harness::running();
    quiet.pass(600_000);
    assert_eq!(verdicts(&quiet), [Watchdog::TurnSilence]);
    quiet.event(asked(&turn, "q", permission()));
    quiet.pass(24 * 60 * 60_000);
    assert!(verdicts(&quiet).contains(&Watchdog::Interaction));
    quiet.command(abort()).unwrap();
    quiet.pass(30_000);
    assert!(verdicts(&quiet).starts_with(&[Watchdog::Abort, Watchdog::Abort]));
}

#[test]
fn a_question_that_nobody_watches_waits_shorter_where_the_policy_says_so() {
    let ask = |watched: bool| {
        let timings = errand_session::Timings {
            unattended: Some(300_000),
            ..errand_session::Timings::default()
        };
        let (mut h, turn) = Harness::running();
        h.timings = timings;
        h.watched = watched;
        h.event(asked(&turn, "q", permission()));
        h
    };
    let mut seen = ask(true);
    seen.pass(300_000);
    assert_eq!(verdicts(&seen), []);
    let mut alone = ask(false);
    alone.pass(300_000);
    assert_eq!(verdicts(&alone), [Watchdog::Interaction]);
    let mut joined = ask(false);
    joined.pass(299_999);
    joined.step(errand_session::Input::Watched).unwrap();
    joined.evict(true);
    joined.pass(300_000);
    assert_eq!(verdicts(&joined), [], "who comes in time gets the full time");
}
