//! Making room: an idle session gives its place to one that waits, and one that works never does.

use errand_protocol::event::EventBody;
use errand_protocol::ids::{SessionId, UserId};
use errand_protocol::runner::{AgentFrame, RunnerEvent};
use errand_protocol::sandbox::{SandboxErrorKind, SandboxState};
use errand_protocol::session::{Activity, Phase, PromptState, Session as Summary, TurnOutcome};
use errand_protocol::time::Timestamp;
use errand_protocol::viewer::Command;
use errand_session::room::{Room, Scarce, whom_to_ask};
use errand_session::{Input, SandboxCall};

use crate::harness::Harness;
use crate::make::*;

const LONG_ENOUGH: i64 = 30_000;

fn ask(h: &mut Harness) -> Room {
    let said = h.session.room(h.now, &h.timings, h.watched);
    let done = h.step(Input::MakeRoom { even_watched: false });
    assert_eq!(done.is_ok(), said == Room::Now, "what it says is what it does");
    said
}

/// Nobody watches, and it has been idle for long enough.
fn spare() -> Harness {
    let mut h = Harness::idle();
    h.watched = false;
    h.pass(LONG_ENOUGH);
    h
}

#[test]
fn an_idle_session_saves_its_work_and_gives_its_place_away() {
    let mut h = spare();
    assert_eq!(ask(&mut h), Room::Now);
    assert_eq!(h.phase(), Phase::Pausing);
    assert!(h.sent_to_runner().contains(&AgentFrame::Save {}));
    assert_eq!(h.calls, [], "the work is saved first");
    assert_eq!(ask(&mut h), Room::Coming, "asking again changes nothing");
    h.saved("1");
    assert!(matches!(h.call(), SandboxCall::Suspend { .. }));
    h.outcome_is(SandboxState::Exited);
    assert_eq!((h.phase(), ask(&mut h)), (Phase::Paused, Room::Resting));
    assert_eq!(h.booked.last().unwrap().reason, "room");
    h.prompt("p2");
    h.bring_up();
    assert_eq!(h.state_of("p2"), PromptState::Running);
    assert_eq!(h.session.summary().cause, None);
}

#[test]
fn people_can_read_why() {
    let mut h = spare();
    ask(&mut h);
    h.evict(true);
    h.saved("1");
    h.outcome_is(SandboxState::Exited);
    h.evict(false);
    let said = |wanted: Phase| {
        let told = |body: &EventBody| matches!(body, EventBody::SessionPhase { phase, cause: Some(cause) } if *phase == wanted && cause.message.contains("to make room for another session"));
        h.events().iter().any(|event| told(&event.body))
    };
    assert!(said(Phase::Pausing) && said(Phase::Paused));
    assert_eq!(h.cause().code, "made_room");
    h.command(Command::Resume {}).unwrap();
    assert_eq!(h.session.summary().cause, None);
}

#[test]
fn only_who_has_been_idle_for_a_while_is_paused() {
    let mut h = Harness::idle();
    h.watched = false;
    assert_eq!(ask(&mut h), Room::Later { ms: LONG_ENOUGH });
    h.pass(LONG_ENOUGH - 1);
    assert_eq!(ask(&mut h), Room::Later { ms: 1 });
    h.pass(1);
    assert_eq!(ask(&mut h), Room::Now);
}

#[test]
fn who_is_watched_is_paused_only_when_that_is_said() {
    let mut h = spare();
    h.watched = true;
    assert_eq!(ask(&mut h), Room::Watched);
    assert_eq!(h.phase(), Phase::Running);
    h.step(Input::MakeRoom { even_watched: true }).unwrap();
    assert_eq!(h.phase(), Phase::Pausing);
}

#[test]
fn who_works_keeps_its_place() {
    let mut h = Harness::new();
    assert_eq!(ask(&mut h), Room::Resting);
    h.prompt("p1");
    assert_eq!(ask(&mut h), Room::Busy);
    let (mut h, turn) = Harness::running();
    h.watched = false;
    h.pass(LONG_ENOUGH);
    assert_eq!(ask(&mut h), Room::Busy);
    h.event(ended(&turn, TurnOutcome::Done));
    h.pass(LONG_ENOUGH);
    h.lose_runner();
    assert_eq!(
        (h.phase(), ask(&mut h)),
        (Phase::Reconnecting, Room::Busy),
        "nothing could be saved"
    );
}

#[test]
fn a_prompt_that_comes_before_the_question_is_a_refusal() {
    let mut h = spare();
    h.prompt("p2");
    assert_eq!(ask(&mut h), Room::Busy);
    assert_eq!(h.state_of("p2"), PromptState::Running);
}

#[test]
fn a_prompt_that_comes_after_it_takes_the_place_back() {
    let mut h = spare();
    ask(&mut h);
    h.prompt("p2");
    assert_eq!(h.phase(), Phase::Running, "the provider was not asked yet");
    assert_eq!((h.state_of("p2"), ask(&mut h)), (PromptState::Running, Room::Busy));
    assert_eq!(h.session.summary().cause, None);

    let mut h = spare();
    ask(&mut h);
    h.event(RunnerEvent::SnapshotFailed {
        cause: cause("snapshot_too_large"),
    });
    h.prompt("p2");
    assert_eq!(
        (h.phase(), ask(&mut h)),
        (Phase::Pausing, Room::Busy),
        "it goes on at once"
    );
    h.outcome_is(SandboxState::Exited);
    assert_eq!(h.phase(), Phase::Resuming);
    h.bring_up();
    assert_eq!(h.state_of("p2"), PromptState::Running);
}

#[test]
fn where_nothing_can_be_paused_it_goes_on_running() {
    let mut h = spare();
    ask(&mut h);
    h.saved("1");
    h.outcome(Err(error(SandboxErrorKind::Unsupported)));
    assert_eq!((h.phase(), h.session.summary().cause), (Phase::Running, None));
    assert_eq!(
        ask(&mut h),
        Room::Later { ms: LONG_ENOUGH },
        "it is not asked again at once"
    );
}

fn listed(id: &str, owner: &str, changed_at: i64) -> Summary {
    let mut summary = Harness::idle().session.summary();
    assert_eq!((summary.phase, summary.activity), (Phase::Running, Activity::Idle));
    summary.id = SessionId::from_body(id).unwrap();
    summary.owner.id = UserId::from_body(owner).unwrap();
    summary.updated_at = Timestamp::from_millis(changed_at);
    summary
}

fn asked(scarce: Scarce, index: &[Summary]) -> Vec<String> {
    let (me, mine) = (UserId::from_body("ada").unwrap(), SessionId::from_body("w").unwrap());
    let asked = whom_to_ask(scarce, &mine, &me, index);
    asked.iter().map(|id| id.as_str()[4..].to_owned()).collect()
}

#[test]
fn who_has_been_idle_for_longest_is_asked_first() {
    let index = [
        listed("b", "bob", 3),
        listed("a", "ada", 2),
        listed("c", "bob", 1),
        listed("d", "ada", 1),
    ];
    assert_eq!(asked(Scarce::Host, &index), ["c", "d", "a", "b"]);
    assert_eq!(asked(Scarce::Org, &index), ["c", "d", "a", "b"]);
}

#[test]
fn for_a_persons_limit_only_their_own_sessions_are_asked() {
    let index = [listed("b", "bob", 1), listed("a", "ada", 2)];
    assert_eq!(asked(Scarce::Person, &index), ["a"]);
    assert_eq!(asked(Scarce::Person, &index[..1]), [""; 0]);
}

#[test]
fn nobody_is_asked_who_works_or_rests_or_waits_itself() {
    let other = |change: fn(&mut Summary)| {
        let mut summary = listed("a", "ada", 1);
        change(&mut summary);
        summary
    };
    let index = [
        other(|s| s.activity = Activity::Tool),
        other(|s| s.activity = Activity::AwaitingInput),
        other(|s| s.queue = 1),
        other(|s| s.phase = Phase::Starting),
        other(|s| s.phase = Phase::Reconnecting),
        other(|s| s.phase = Phase::Paused),
        other(|s| s.id = SessionId::from_body("w").unwrap()),
    ];
    assert_eq!(asked(Scarce::Host, &index), [""; 0]);
}
