//! The work is pushed before a session rests for its budget, and nothing keeps it from resting.

use errand_protocol::event::EventBody;
use errand_protocol::git::Pushed;
use errand_protocol::ids::TurnId;
use errand_protocol::runner::{AgentFrame, PushOutcome, RunnerEvent};
use errand_protocol::sandbox::SandboxState;
use errand_protocol::session::{Phase, TurnOutcome};
use errand_protocol::time::Timestamp;
use errand_protocol::viewer::Command;
use errand_session::Input;

use crate::budget::{asked, offered, raised, taken, used_up};
use crate::harness::Harness;
use crate::make::*;

fn answered(h: &mut Harness, stop: Timestamp, outcome: PushOutcome) {
    h.event(RunnerEvent::PushEnded { stop, outcome });
}

fn since(h: &Harness) -> Timestamp {
    h.session.core().budget.as_ref().unwrap().since
}

/// The runner finds that the repository has everything.
pub(crate) fn nothing_to_push(h: &mut Harness) {
    let stop = since(h);
    answered(h, stop, PushOutcome::Nothing {});
}

fn wip() -> Pushed {
    Pushed {
        branch: "errand/ses_1-wip".parse().unwrap(),
        commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
    }
}

fn pushed(lacks: Option<&str>) -> PushOutcome {
    PushOutcome::Pushed {
        pushed: wip(),
        lacks: lacks.map(str::to_owned),
    }
}

/// A session whose note is written.
pub(crate) fn noted() -> Harness {
    let (mut h, turn) = Harness::running();
    used_up(&mut h);
    let note = offered(&mut h).unwrap();
    h.event(taken(&turn, note));
    h.event(ended(&turn, TurnOutcome::Done));
    h
}

pub(crate) fn pushed_and_rested() -> Harness {
    let mut h = noted();
    let stop = since(&h);
    answered(&mut h, stop, pushed(None));
    rests(&mut h);
    h
}

/// The stops for which the runner was asked to push, since it was last looked.
fn told(h: &mut Harness) -> Vec<Timestamp> {
    let frames = h.sent_to_runner().into_iter();
    frames
        .filter_map(|frame| match frame {
            AgentFrame::Push { stop, .. } => Some(stop),
            _ => None,
        })
        .collect()
}

fn troubles(h: &Harness) -> Vec<(String, String)> {
    let events = h.events().into_iter();
    events
        .filter_map(|event| match event.body {
            EventBody::SandboxTrouble { cause, .. } => Some((cause.code, cause.message)),
            _ => None,
        })
        .collect()
}

fn pushes(h: &Harness) -> usize {
    let events = h.events().into_iter();
    events
        .filter(|event| matches!(event.body, EventBody::GitPushed { .. }))
        .count()
}

fn rests(h: &mut Harness) {
    assert_eq!(h.phase(), Phase::Pausing);
    assert!(h.session.budget_ask().is_some());
    h.pass(10_000);
    h.outcome_is(SandboxState::Exited);
    assert_eq!((h.phase(), h.cause().code.as_str()), (Phase::Paused, "budget"));
}

#[test]
fn the_work_is_pushed_before_people_are_asked_and_they_are_told_where_it_is() {
    let mut h = noted();
    let frames = h.sent_to_runner();
    let asked_for = frames.iter().find_map(|frame| match frame {
        AgentFrame::Push { stop, author, message } => Some((*stop, author.clone(), message.clone())),
        _ => None,
    });
    let (stop, author, message) = asked_for.expect("the runner is told");
    assert_eq!((stop, author.name), (since(&h), ada().name));
    assert!(
        message.starts_with("Unfinished: ") && message.contains("is used up"),
        "{message}"
    );
    assert!(!frames.contains(&AgentFrame::Save {}));
    assert_eq!((h.phase(), h.session.budget_ask()), (Phase::Running, None));
    answered(&mut h, stop, pushed(None));
    assert!(h.sent_to_runner().contains(&AgentFrame::Save {}), "then it is saved");
    // The proxy tells it as well.
    h.step(Input::Pushed(wip())).unwrap();
    assert_eq!(pushes(&h), 1);
    rests(&mut h);
    let message = h.cause().message;
    assert!(
        message.contains("is pushed to errand/ses_1-wip (0123456789)"),
        "{message}"
    );
    assert_eq!(h.session.summary().pushed, Some(wip()));
    assert_eq!(troubles(&h), []);
}

#[test]
fn work_that_could_not_be_pushed_or_not_wholly_is_told() {
    let mut h = noted();
    let stop = since(&h);
    let cause = cause("push_refused");
    answered(&mut h, stop, PushOutcome::Failed { cause: cause.clone() });
    assert_eq!(troubles(&h), [(cause.code, cause.message)]);
    rests(&mut h);
    assert!(h.cause().message.contains("What was done is kept"));

    let mut h = noted();
    let stop = since(&h);
    answered(&mut h, stop, pushed(Some("large files")));
    let [(code, message)] = troubles(&h).try_into().unwrap();
    assert_eq!(code, "push_incomplete");
    assert!(message.contains("without large files"), "{message}");
    rests(&mut h);
}

#[test]
fn an_answer_that_does_not_come_is_not_waited_for_and_still_counts_when_it_does() {
    let mut h = noted();
    let stop = since(&h);
    h.pass(59_000);
    assert_eq!(h.phase(), Phase::Running);
    h.pass(1_000);
    assert_eq!(h.phase(), Phase::Pausing);
    let [(code, message)] = troubles(&h).try_into().unwrap();
    assert_eq!(code, "push_failed");
    assert!(message.contains("took too long"), "{message}");
    answered(&mut h, stop, pushed(None));
    assert_eq!(pushes(&h), 1);
    let cause = cause("push_failed");
    answered(&mut h, stop, PushOutcome::Failed { cause });
    assert_eq!(troubles(&h).len(), 1, "that was told");
}

#[test]
fn a_runner_that_comes_back_is_asked_again_and_also_after_the_object_was_loaded_anew() {
    let mut h = noted();
    let stop = since(&h);
    assert_eq!(told(&mut h), [stop]);
    h.evict(false);
    assert_eq!((h.phase(), h.session.budget_ask()), (Phase::Reconnecting, None));
    h.pass(1_000);
    h.hello(2, true, None);
    assert_eq!(told(&mut h), [stop], "the same, which is harmless");
    answered(&mut h, stop, PushOutcome::Nothing {});
    rests(&mut h);
    assert_eq!(troubles(&h), []);
}

#[test]
fn a_runner_that_is_started_again_goes_on_when_it_is_ready() {
    let mut h = noted();
    let stop = since(&h);
    let _ = h.sent_to_runner();
    h.lose_runner();
    h.hello(2, false, None);
    assert_eq!((h.phase(), told(&mut h)), (Phase::Starting, vec![]));
    h.event(RunnerEvent::Ready { engine: "1".to_owned() });
    assert_eq!((h.phase(), told(&mut h)), (Phase::Running, vec![stop]));
    nothing_to_push(&mut h);
    rests(&mut h);
}

#[test]
fn a_sandbox_that_is_lost_meanwhile_is_not_replaced_for_it() {
    let mut h = noted();
    h.lose_runner();
    h.pass(3_000);
    h.outcome_is(SandboxState::Exited);
    assert!(h.session.budget_ask().is_some());
    assert!(h.phase().resting(), "{:?}", h.phase());
    assert!(troubles(&h).iter().any(|(code, _)| code == "push_failed"));
}

#[test]
fn what_was_meant_for_another_stop_ends_nothing() {
    let mut h = noted();
    let other = since(&h).plus(-1);
    answered(&mut h, other, PushOutcome::Nothing {});
    let cause = cause("push_failed");
    answered(&mut h, other, PushOutcome::Failed { cause });
    assert_eq!((h.phase(), troubles(&h)), (Phase::Running, vec![]));
}

#[test]
fn a_person_who_stops_the_sandbox_or_ends_the_session_does_not_wait() {
    let mut h = noted();
    h.command(Command::Pause {}).unwrap();
    assert_eq!(troubles(&h).len(), 1);
    rests(&mut h);

    let mut h = noted();
    let stop = since(&h);
    h.command(Command::Terminate {}).unwrap();
    answered(&mut h, stop, PushOutcome::Nothing {});
    assert_eq!((h.phase(), h.session.budget_ask()), (Phase::Terminated, None));
}

#[test]
fn work_that_goes_on_at_once_is_not_pushed() {
    let (mut h, turn) = Harness::running();
    used_up(&mut h);
    let note = offered(&mut h).unwrap();
    h.event(taken(&turn, note));
    raised(&mut h, "bdg_1", Some(20_000));
    h.event(ended(&turn, TurnOutcome::Done));
    assert_eq!(told(&mut h), []);
    assert_eq!((h.phase(), h.session.summary().budget), (Phase::Running, None));

    let mut h = noted();
    let stop = since(&h);
    raised(&mut h, "bdg_1", Some(20_000));
    h.prompt("next");
    assert_eq!(h.told_to_run(), Vec::<TurnId>::new(), "what was begun is finished");
    answered(&mut h, stop, PushOutcome::Nothing {});
    assert_eq!(h.told_to_run().len(), 1);
}

#[test]
fn the_turn_for_the_note_and_the_commit_are_in_the_name_of_the_one_whose_work_was_stopped() {
    let (mut h, turn) = Harness::running();
    used_up(&mut h);
    h.event(ended(&turn, TurnOutcome::Done));
    let author = |frames: &[AgentFrame]| {
        frames.iter().find_map(|frame| match frame {
            AgentFrame::Run { author, .. } | AgentFrame::Push { author, .. } => Some(author.name.clone()),
            _ => None,
        })
    };
    let frames = h.sent_to_runner();
    let own = frames.iter().find_map(|frame| match frame {
        AgentFrame::Run { turn_id, .. } => Some(turn_id.clone()),
        _ => None,
    });
    assert_eq!(author(&frames), Some(ada().name));
    h.event(accepted(&own.unwrap()));
    let _ = h.sent_to_runner();
    h.event(ended(&h.turn().unwrap(), TurnOutcome::Done));
    assert_eq!(author(&h.sent_to_runner()), Some(ada().name));
    nothing_to_push(&mut h);
    assert!(!asked(&h).id.as_str().is_empty());
}
