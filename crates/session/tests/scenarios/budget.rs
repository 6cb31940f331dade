//! Budgets: a warning, a hand-over note, rest, and going on.

use errand_protocol::api::ErrorCode;
use errand_protocol::event::EventBody;
use errand_protocol::ids::{PromptId, TurnId};
use errand_protocol::interaction::{Answer, Ask, Interaction, Resolution};
use errand_protocol::money::{BudgetLevel, BudgetNotice, Micros};
use errand_protocol::runner::{AgentFrame, RunnerEvent};
use errand_protocol::sandbox::SandboxState;
use errand_protocol::session::{Activity, Phase, PromptState, TurnOutcome};
use errand_protocol::time::Timestamp;
use errand_protocol::viewer::Command;
use errand_session::{Input, NOTE, SandboxCall};

use crate::harness::Harness;
use crate::make::*;
use crate::push::nothing_to_push;

pub(crate) fn notice(until: Option<Timestamp>) -> BudgetNotice {
    BudgetNotice {
        budget: "bdg_1".parse().unwrap(),
        what: "The budget of each person for a day".to_owned(),
        dimension: None,
        subject: None,
        limit: Micros(10_000),
        spent: Micros(9_100),
        until,
    }
}

fn heard(h: &mut Harness, level: BudgetLevel, reserve: bool) {
    heard_until(h, level, reserve, None);
}

fn heard_until(h: &mut Harness, level: BudgetLevel, reserve: bool, until: Option<Timestamp>) {
    let notice = notice(until);
    h.step(Input::Budget { notice, level, reserve }).unwrap();
}

pub(crate) fn used_up(h: &mut Harness) {
    heard(h, BudgetLevel::UsedUp, true);
}

/// The note's prompt, as the runner was asked to take it in.
pub(crate) fn offered(h: &mut Harness) -> Option<PromptId> {
    let frames = h.sent_to_runner().into_iter();
    let mut notes = frames.filter_map(|frame| match frame {
        AgentFrame::Steer { prompt_id, text, .. } => Some((prompt_id, text)),
        _ => None,
    });
    let (id, text) = notes.next()?;
    assert_eq!(text.as_str(), NOTE);
    assert!(notes.next().is_none());
    Some(id)
}

pub(crate) fn taken(turn: &TurnId, prompt_id: PromptId) -> RunnerEvent {
    RunnerEvent::SteerAccepted {
        turn_id: turn.clone(),
        prompt_id,
    }
}

pub(crate) fn asked(h: &Harness) -> Interaction {
    h.session.budget_ask().expect("people are asked").clone()
}

/// A session that has written its note and rests.
pub(crate) fn rested() -> Harness {
    let (mut h, turn) = Harness::running();
    used_up(&mut h);
    let note = offered(&mut h).unwrap();
    h.event(taken(&turn, note));
    h.event(ended(&turn, TurnOutcome::Done));
    nothing_to_push(&mut h);
    h.saved("s1");
    h.pass(10_000);
    h.outcome_is(SandboxState::Exited);
    h
}

fn extend(h: &Harness, limit: u64) -> Command {
    Command::Answer {
        interaction_id: asked(h).id,
        answer: Answer::Extend { limit: Micros(limit) },
    }
}

#[test]
fn a_warning_is_told_once_and_changes_nothing_else() {
    let (mut h, turn) = Harness::running();
    for _ in 0..3 {
        heard(&mut h, BudgetLevel::Soft, true);
    }
    let warned = |h: &Harness| {
        let events = h.events();
        events
            .iter()
            .filter(|event| matches!(event.body, EventBody::BudgetWarned { .. }))
            .count()
    };
    assert_eq!(warned(&h), 1);
    assert_eq!(h.session.summary().budget, Some(BudgetLevel::Soft));
    assert_eq!(h.turn(), Some(turn.clone()));
    h.evict(true);
    heard(&mut h, BudgetLevel::Soft, true);
    assert_eq!(warned(&h), 1, "also after the object was loaded anew");
    let tomorrow = h.now.plus(60_000);
    heard_until(&mut h, BudgetLevel::Soft, true, Some(tomorrow));
    assert_eq!(warned(&h), 2, "another period");
    h.pass(120_000);
    h.event(ended(&turn, TurnOutcome::Done));
    h.prompt("p2");
    assert_eq!(h.session.summary().budget, None, "the period is over");
}

#[test]
fn a_used_up_budget_gets_a_note_from_the_running_turn_then_the_session_rests_and_asks() {
    let (mut h, turn) = Harness::running();
    h.prompt("waits");
    used_up(&mut h);
    assert!(h.session.writes_note());
    let note = offered(&mut h).expect("the running turn is told");
    used_up(&mut h);
    assert_eq!(offered(&mut h), None, "once");
    h.event(taken(&turn, note.clone()));
    h.event(ended(&turn, TurnOutcome::Done));
    nothing_to_push(&mut h);
    assert_eq!(h.phase(), Phase::Pausing, "nothing else is begun");
    assert!(h.sent_to_runner().contains(&AgentFrame::Save {}), "the work is saved");
    assert!(!h.session.writes_note());
    assert_eq!(h.state_of("waits"), PromptState::Queued);
    h.saved("s1");
    h.pass(10_000);
    h.outcome_is(SandboxState::Exited);
    assert_eq!((h.phase(), h.cause().code.as_str()), (Phase::Paused, "budget"));
    assert_eq!(h.session.summary().activity, Activity::AwaitingInput);
    assert_eq!(h.session.summary().budget, Some(BudgetLevel::UsedUp));
    assert!(
        h.cause().message.contains("left a hand-over note"),
        "{}",
        h.cause().message
    );
    assert!(matches!(asked(&h).ask, Ask::Budget { .. }));
    h.evict(false);
    assert!(matches!(asked(&h).ask, Ask::Budget { .. }));
    h.prompt("later");
    assert_eq!((h.phase(), h.state_of("later")), (Phase::Paused, PromptState::Queued));
}

#[test]
fn an_extension_lets_it_go_on_where_it_was_cut() {
    let mut h = rested();
    h.prompt("waits");
    let too_low = h.command(extend(&h, 10_000)).unwrap_err();
    assert_eq!(too_low.code, ErrorCode::Invalid);
    let other = Command::Answer {
        interaction_id: asked(&h).id,
        answer: allow(),
    };
    assert_eq!(h.command(other).unwrap_err().code, ErrorCode::Invalid);
    let id = asked(&h).id;
    h.command(extend(&h, 20_000)).unwrap();
    assert_eq!(h.session.summary().budget, None);
    h.bring_up();
    let text = h.sent_to_runner().into_iter().find_map(|frame| match frame {
        AgentFrame::Run { text, .. } => Some(text),
        _ => None,
    });
    assert!(text.unwrap().as_str().contains("Go on"));
    assert_eq!(h.state_of("waits"), PromptState::Queued, "after what was cut");
    let late = Command::Answer {
        interaction_id: id,
        answer: Answer::Extend { limit: Micros(30_000) },
    };
    assert_eq!(h.command(late).unwrap_err().code, ErrorCode::AlreadyResolved);
}

#[test]
fn a_person_may_try_again_and_the_period_may_end() {
    for by_person in [true, false] {
        let (mut h, turn) = Harness::running();
        let until = h.now.plus(3_600_000);
        heard_until(&mut h, BudgetLevel::UsedUp, true, Some(until));
        let note = offered(&mut h).unwrap();
        h.event(taken(&turn, note));
        h.event(ended(&turn, TurnOutcome::Done));
        nothing_to_push(&mut h);
        h.pass(10_000);
        h.outcome_is(SandboxState::Exited);
        h.prompt("waits");
        assert_eq!(asked(&h).deadline, until);
        if by_person {
            h.command(Command::Retry {}).unwrap();
        } else {
            h.pass(3_600_000);
        }
        assert!(h.session.budget_ask().is_none());
        h.bring_up();
        assert_eq!(h.state_of("waits"), PromptState::Running);
    }
}

#[test]
fn without_a_reserve_the_turn_ends_with_the_reason_and_no_note() {
    let (mut h, turn) = Harness::running();
    heard(&mut h, BudgetLevel::UsedUp, false);
    assert!(!h.session.writes_note());
    assert_eq!(offered(&mut h), None);
    h.event(ended(&turn, TurnOutcome::Failed));
    let finished = h.events().into_iter().find_map(|event| match event.body {
        EventBody::TurnFinished { cause, .. } => cause,
        _ => None,
    });
    assert_eq!(
        finished.unwrap().code,
        "budget",
        "not what the engine made of the refusal"
    );
    nothing_to_push(&mut h);
    h.pass(10_000);
    h.outcome_is(SandboxState::Exited);
    assert!(
        h.cause().message.contains("nothing left for a hand-over note"),
        "{}",
        h.cause().message
    );
}

#[test]
fn a_reserve_that_others_have_used_ends_the_waiting_for_the_note() {
    let (mut h, turn) = Harness::running();
    used_up(&mut h);
    let note = offered(&mut h).unwrap();
    h.event(RunnerEvent::SteerRefused {
        turn_id: turn.clone(),
        prompt_id: note.clone(),
        cause: cause("turn_over"),
    });
    heard(&mut h, BudgetLevel::UsedUp, false);
    h.event(ended(&turn, TurnOutcome::Failed));
    nothing_to_push(&mut h);
    assert_eq!(h.phase(), Phase::Pausing);
    assert_eq!(
        h.session.summary().queue,
        0,
        "the note's prompt does not wait for another day"
    );
}

#[test]
fn a_turn_that_ends_before_it_hears_of_it_gets_a_turn_for_the_note() {
    let (mut h, turn) = Harness::running();
    used_up(&mut h);
    h.event(ended(&turn, TurnOutcome::Done));
    let told = h.told_to_run();
    assert_eq!(told.len(), 1, "a turn of its own");
    h.event(accepted(&told[0]));
    assert!(h.session.writes_note());
    h.event(ended(&told[0], TurnOutcome::Done));
    nothing_to_push(&mut h);
    assert_eq!(h.phase(), Phase::Pausing);
}

#[test]
fn a_note_that_takes_too_long_is_not_waited_for() {
    let (mut h, turn) = Harness::running();
    used_up(&mut h);
    let note = offered(&mut h).unwrap();
    h.event(taken(&turn, note));
    h.pass(5 * 60_000);
    assert!(
        h.sent_to_runner()
            .contains(&AgentFrame::Abort { turn_id: turn.clone() })
    );
    h.event(ended(&turn, TurnOutcome::Aborted));
    nothing_to_push(&mut h);
    assert_eq!(h.phase(), Phase::Pausing);
}

#[test]
fn a_budget_that_is_used_up_while_nothing_runs_rests_at_once() {
    let mut h = Harness::idle();
    used_up(&mut h);
    nothing_to_push(&mut h);
    assert_eq!(h.phase(), Phase::Pausing);
    h.pass(10_000);
    h.outcome_is(SandboxState::Exited);
    assert!(!h.cause().message.contains("note"), "{}", h.cause().message);
    let answered = h.command(extend(&h, 20_000));
    answered.unwrap();
    assert_eq!(h.phase(), Phase::Paused, "there is nothing to go on with");
}

#[test]
fn a_sandbox_that_is_lost_while_it_writes_the_note_is_replaced_for_it_and_then_rests() {
    let (mut h, _) = Harness::running();
    used_up(&mut h);
    h.lose_runner();
    h.pass(3_000);
    h.outcome_is(SandboxState::Exited);
    assert!(matches!(h.call(), SandboxCall::Ensure { .. }));
    h.pass(5 * 60_000);
    assert!(h.session.budget_ask().is_some(), "patience ends");
    assert!(matches!(h.phase(), Phase::Paused | Phase::Idle), "{:?}", h.phase());
}

#[test]
fn a_note_that_a_lost_agent_may_have_had_is_not_taken_back() {
    let (mut h, turn) = Harness::running();
    used_up(&mut h);
    let note = offered(&mut h).unwrap();
    heard(&mut h, BudgetLevel::UsedUp, false);
    h.lose_runner();
    h.pass(3_000);
    h.outcome_is(SandboxState::Exited);
    assert!(h.session.budget_ask().is_some());
    let ended_with_its_turn = EventBody::PromptSteered {
        prompt_id: note.clone(),
        turn_id: turn,
    };
    let bodies: Vec<EventBody> = h.events().into_iter().map(|event| event.body).collect();
    assert!(bodies.contains(&ended_with_its_turn), "{bodies:?}");
    let taken_back =
        |body: &EventBody| matches!(body, EventBody::PromptWithdrawn { prompt_id, .. } if *prompt_id == note);
    assert!(!bodies.iter().any(taken_back));
    assert_eq!(h.session.summary().queue, 0);
}

#[test]
fn an_ended_session_asks_nothing_any_more() {
    let mut h = rested();
    h.command(Command::Terminate {}).unwrap();
    assert!(h.session.budget_ask().is_none());
    used_up(&mut h);
    assert!(h.session.budget_ask().is_none());
}

pub(crate) fn raised(h: &mut Harness, budget: &str, limit: Option<u64>) {
    let budget = budget.parse().unwrap();
    let by = ada();
    let limit = limit.map(Micros);
    h.step(Input::BudgetRaised { budget, limit, by }).unwrap();
}

#[test]
fn a_raise_lets_what_waits_go_on_and_begins_nothing_that_was_cut() {
    for limit in [Some(20_000), None] {
        let mut h = rested();
        raised(&mut h, "bdg_other", limit);
        raised(&mut h, "bdg_1", Some(10_000));
        assert!(matches!(asked(&h).ask, Ask::Budget { .. }), "neither is enough");
        raised(&mut h, "bdg_1", limit);
        assert_eq!(h.session.budget_ask(), None);
        assert_eq!((h.phase(), h.session.summary().budget), (Phase::Paused, None));
        raised(&mut h, "bdg_1", limit);
        h.prompt("next");
        assert_eq!(h.phase(), Phase::Resuming);

        let mut h = rested();
        h.prompt("waits");
        raised(&mut h, "bdg_1", limit);
        assert_eq!(h.phase(), Phase::Resuming);
        let mut latest_first = h.events().into_iter().rev();
        let resolved = latest_first.find_map(|event| match event.body {
            EventBody::InteractionResolved { resolution, .. } => Some(resolution),
            _ => None,
        });
        let by_whom = resolved.unwrap();
        let answered = matches!(&by_whom, Resolution::Answered { by, .. } if *by == ada());
        assert_eq!(answered, limit.is_some(), "{by_whom:?}");
    }
}

#[test]
fn a_raise_before_it_rests_lets_it_go_on_when_the_note_is_written() {
    let (mut h, turn) = Harness::running();
    heard(&mut h, BudgetLevel::Soft, true);
    used_up(&mut h);
    raised(&mut h, "bdg_1", Some(20_000));
    let note = offered(&mut h).unwrap();
    h.event(taken(&turn, note));
    h.prompt("next");
    h.evict(true);
    h.event(ended(&turn, TurnOutcome::Done));
    assert_eq!(h.session.summary().budget, None);
    assert_eq!((h.phase(), h.state_of("next")), (Phase::Running, PromptState::Running));
}
