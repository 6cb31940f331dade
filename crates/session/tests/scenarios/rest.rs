//! Pausing and resuming by hand, being put away, snapshots.

use errand_protocol::api::ErrorCode;
use errand_protocol::event::EventBody;
use errand_protocol::limits::OLDEST_SNAPSHOT_RUNTIME;
use errand_protocol::runner::RunnerEvent;
use errand_protocol::sandbox::SandboxState;
use errand_protocol::session::{Phase, PromptState};
use errand_protocol::viewer::Command;
use errand_session::{SandboxCall, store};

use crate::harness::Harness;

fn paused() -> Harness {
    let mut h = Harness::idle();
    h.command(Command::Pause {}).unwrap();
    h.saved("1");
    h.outcome_is(SandboxState::Exited);
    assert_eq!(h.phase(), Phase::Paused);
    h
}

#[test]
fn a_person_can_pause_what_has_nothing_to_do_and_bring_it_back() {
    let mut h = paused();
    h.command(Command::Pause {}).unwrap();
    h.command(Command::Resume {}).unwrap();
    assert_eq!(h.phase(), Phase::Resuming);
    assert!(matches!(h.call(), SandboxCall::Ensure { resume: Some(_), .. }));
    h.bring_up();
    assert_eq!(h.phase(), Phase::Running);
    h.command(Command::Resume {}).unwrap();
    assert_eq!(h.phase(), Phase::Running);
}

#[test]
fn work_is_not_cut_off_by_a_pause() {
    let (mut h, _) = Harness::running();
    for command in [Command::Pause {}, Command::Archive {}] {
        assert_eq!(h.command(command).unwrap_err().code, ErrorCode::Conflict);
    }
}

#[test]
fn a_start_that_nobody_needs_any_more_can_be_called_off() {
    let mut h = Harness::new();
    h.command(Command::Resume {}).unwrap();
    assert_eq!(h.phase(), Phase::Starting);
    h.outcome_is(SandboxState::Creating);
    h.command(Command::Pause {}).unwrap();
    assert_eq!(h.phase(), Phase::Idle);
    assert!(matches!(h.call(), SandboxCall::Delete { .. }));
}

#[test]
fn who_wants_it_back_while_it_is_being_paused_gets_it_back() {
    let mut h = Harness::idle();
    h.command(Command::Pause {}).unwrap();
    h.command(Command::Resume {}).unwrap();
    assert_eq!(h.phase(), Phase::Running, "the provider was not asked yet");
    h.command(Command::Pause {}).unwrap();
    h.saved("1");
    h.command(Command::Resume {}).unwrap();
    assert_eq!(h.phase(), Phase::Pausing);
    h.outcome_is(SandboxState::Exited);
    assert_eq!(h.phase(), Phase::Resuming);
    h.bring_up();
    assert_eq!(h.phase(), Phase::Running);
}

#[test]
fn an_archived_session_rests_and_a_prompt_takes_it_back_out() {
    let mut h = Harness::idle();
    h.command(Command::Archive {}).unwrap();
    assert!(h.session.summary().archived_at.is_some());
    assert_eq!(h.phase(), Phase::Pausing);
    h.pass(1_000);
    h.evict(true);
    assert!(h.session.summary().archived_at.is_some());
    h.command(Command::Archive {}).unwrap();
    h.command(Command::Restore {}).unwrap();
    h.command(Command::Restore {}).unwrap();
    assert_eq!(h.session.summary().archived_at, None);
    h.command(Command::Archive {}).unwrap();
    h.prompt("p2");
    assert_eq!(h.session.summary().archived_at, None);
    let all = h.events();
    let changes = all
        .iter()
        .filter(|e| matches!(e.body, EventBody::SessionArchived { .. }));
    assert_eq!(changes.count(), 4);
    assert!(h.indexed.iter().any(|s| s.archived_at.is_some()), "lists hear of it");
}

#[test]
fn what_is_over_can_still_be_put_away() {
    let mut h = Harness::idle();
    h.command(Command::Terminate {}).unwrap();
    h.command(Command::Archive {}).unwrap();
    assert!(h.session.summary().archived_at.is_some());
    assert_eq!(h.phase(), Phase::Terminated);
}

#[test]
fn the_newest_snapshot_counts_and_the_one_before_is_removed() {
    let mut h = Harness::idle();
    h.saved("1");
    h.saved("1");
    assert!(h.dropped.is_empty());
    h.saved("2");
    assert_eq!(h.dropped, ["snp_1".parse().unwrap()]);
    h.evict(true);
    assert_eq!(h.session.snapshot_source().unwrap().id.as_str(), "snp_2");
}

#[test]
fn a_snapshot_that_is_too_old_is_refused_and_people_are_told() {
    let mut h = Harness::idle();
    h.event(RunnerEvent::SnapshotSaved {
        snapshot_id: "snp_old".parse().unwrap(),
        turn_id: None,
        bytes: 1,
        runtime: OLDEST_SNAPSHOT_RUNTIME - 1,
    });
    assert_eq!(h.session.snapshot_source(), None);
    h.lose_runner();
    h.pass(3_000);
    h.outcome_is(SandboxState::Gone);
    h.clean_up();
    h.prompt("p2");
    assert_eq!(h.dropped, ["snp_old".parse().unwrap()]);
    let told =
        |body: &EventBody| matches!(body, EventBody::SandboxTrouble { cause, .. } if cause.code == "snapshot_too_old");
    assert!(h.events().iter().any(|e| told(&e.body)));
    assert_eq!(store::verdicts(&h.db).unwrap()[0].cause.code, "snapshot_too_old");
    h.bring_up();
    assert_eq!(h.state_of("p2"), PromptState::Running);
}
