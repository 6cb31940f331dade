//! Sandboxes that may be up for so long only.

use errand_protocol::runner::AgentFrame;
use errand_protocol::sandbox::SandboxState;
use errand_protocol::session::{Phase, PromptState, TurnOutcome};
use errand_protocol::settings::SandboxWish;
use errand_session::{NewSession, SandboxCall, Session, store};

use crate::db::Db;
use crate::harness::Harness;
use crate::make::*;

const MINUTE: i64 = 60_000;

/// A session whose sandboxes may be up for 8 minutes; nothing asked of it yet.
fn limited() -> Harness {
    let db = Db::new();
    store::migrate(&db).unwrap();
    let sandbox = SandboxWish {
        minutes: Some(8),
        ..SandboxWish::default()
    };
    let new = NewSession {
        sandbox,
        ..new_session()
    };
    let (session, effects) = Session::create(new, START);
    store::apply(&db, &effects).unwrap();
    let mut h = Harness::of(session, db);
    h.evict(false);
    h
}

/// `p1` runs since the engine got ready.
fn running() -> Harness {
    let mut h = limited();
    h.booted();
    h.engine_ready();
    let turn = h.turn().unwrap();
    h.event(accepted(&turn));
    h.sent_to_runner();
    h
}

#[test]
fn an_idle_sandbox_is_paused_when_its_time_is_over() {
    let mut h = running();
    let turn = h.turn().unwrap();
    h.event(ended(&turn, TurnOutcome::Done));
    h.evict(true);
    h.pass(8 * MINUTE - 1);
    assert_eq!(h.phase(), Phase::Running);
    h.pass(1);
    assert_eq!(h.phase(), Phase::Pausing);
}

#[test]
fn a_turn_is_stopped_and_what_waits_gets_another_sandbox() {
    let mut h = running();
    let turn = h.turn().unwrap();
    h.prompt("p2");
    h.pass(8 * MINUTE);
    let told = h.sent_to_runner();
    assert!(
        told.iter()
            .any(|frame| matches!(frame, AgentFrame::Abort { turn_id } if *turn_id == turn))
    );
    h.event(ended(&turn, TurnOutcome::Aborted));
    assert_eq!((h.phase(), h.state_of("p2")), (Phase::Pausing, PromptState::Queued));
    assert!(h.sent_to_runner().contains(&AgentFrame::Save {}));
    h.saved("1");
    h.outcome_is(SandboxState::Exited);
    assert!(matches!(h.call(), SandboxCall::Ensure { resume: Some(_), .. }));
    h.bring_up();
    assert_eq!((h.generation(), h.state_of("p2")), (2, PromptState::Running));
    let turn = h.turn().unwrap();
    h.event(accepted(&turn));
    h.pass(8 * MINUTE - 1);
    assert!(
        !h.sent_to_runner()
            .iter()
            .any(|frame| matches!(frame, AgentFrame::Abort { .. }))
    );
    h.pass(1);
    assert!(
        h.sent_to_runner()
            .iter()
            .any(|frame| matches!(frame, AgentFrame::Abort { .. }))
    );
}

#[test]
fn a_slow_start_does_not_eat_it_up_and_an_engine_that_starts_again_does_not_prolong_it() {
    let mut h = limited();
    h.booted();
    h.pass(MINUTE);
    h.engine_ready();
    let turn = h.turn().unwrap();
    h.event(accepted(&turn));
    h.event(ended(&turn, TurnOutcome::Done));
    h.pass(7 * MINUTE);
    assert_eq!(h.phase(), Phase::Running);
    h.hello(2, false, None);
    assert_eq!(h.phase(), Phase::Starting);
    h.engine_ready();
    h.pass(MINUTE);
    assert_eq!(h.phase(), Phase::Pausing);
}

#[test]
fn without_a_limit_it_may_stay() {
    let (mut h, turn) = Harness::running();
    for _ in 0..9 {
        h.pass(8 * MINUTE);
        h.event(accepted(&turn));
    }
    assert_eq!(h.turn(), Some(turn));
}
