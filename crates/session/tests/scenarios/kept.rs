//! How long sandboxes are kept, and why they are stopped, as the ledger is told.

use errand_protocol::ids::Generation;
use errand_protocol::sandbox::SandboxState;
use errand_protocol::session::TurnOutcome;
use errand_protocol::viewer::Command;
use errand_session::Input;

use crate::harness::Harness;
use crate::make::*;

#[test]
fn a_sandbox_is_booked_when_it_is_paused_with_its_turns() {
    let (mut h, turn) = Harness::running();
    h.pass(5_000);
    h.event(ended(&turn, TurnOutcome::Done));
    assert!(h.booked.is_empty());
    h.pass(15 * 60_000 + 10_000);
    h.outcome_is(SandboxState::Exited);
    let life = h.booked.pop().expect("it is told");
    assert_eq!((life.generation, life.reason.as_str()), (Generation(1), "idle"));
    assert_eq!(life.until.since(life.since), 5_000 + 15 * 60_000 + 10_000);
    assert_eq!((life.turns[0].turn.clone(), life.turns[0].seconds), (turn, 5));
    assert!(h.booked.is_empty(), "once");
}

#[test]
fn each_end_has_its_reason() {
    let mut h = Harness::idle();
    h.command(Command::Archive {}).unwrap();
    h.pass(10_000);
    h.outcome_is(SandboxState::Exited);
    assert_eq!(h.booked.pop().unwrap().reason, "archived");

    let mut h = Harness::idle();
    h.command(Command::Pause {}).unwrap();
    h.pass(10_000);
    h.outcome_is(SandboxState::Exited);
    assert_eq!(h.booked.pop().unwrap().reason, "paused");

    let mut h = Harness::idle();
    h.command(Command::Terminate {}).unwrap();
    assert_eq!(h.booked.pop().unwrap().reason, "ended");

    let (mut h, _) = Harness::running();
    h.prompt("waits");
    h.lose_runner();
    h.pass(3_000);
    h.outcome_is(SandboxState::Exited);
    let lost = h.booked.pop().unwrap();
    assert_eq!((lost.generation, lost.reason.as_str()), (Generation(1), "sandbox_lost"));
}

#[test]
fn the_ledger_is_told_again_until_it_has_it_also_after_the_object_was_forgotten() {
    let mut h = Harness::idle();
    h.ledger_answers = false;
    h.command(Command::Terminate {}).unwrap();
    let life = h.booked.pop().unwrap();
    let generation = life.generation;
    h.step(Input::Booked { generation, ok: false }).unwrap();
    h.pass(2_000);
    assert_eq!(h.booked.pop().as_ref(), Some(&life));
    h.evict(false);
    h.pass(120_000);
    assert_eq!(h.booked.pop().as_ref(), Some(&life), "the same again");
    h.step(Input::Booked { generation, ok: true }).unwrap();
    h.booked.clear();
    h.pass(600_000);
    assert!(h.booked.is_empty());
}
