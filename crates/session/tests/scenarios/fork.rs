//! Forks: what is copied, and what the new session begins with.

use errand_protocol::event::{Event, EventBody};
use errand_protocol::ids::{Seq, TurnId};
use errand_protocol::session::{ForkOrigin, Phase, PromptState, TurnOutcome};
use errand_protocol::viewer::Command;
use errand_session::fork::{Fork, Survey};
use errand_session::{NewSession, Session, store};

use crate::db::Db;
use crate::harness::Harness;
use crate::make::*;

/// Two turns have ended, a third prompt waits since the first; the work of both turns is saved.
fn original() -> (Harness, [TurnId; 2]) {
    let (mut h, first) = Harness::running();
    h.prompt("p2");
    h.prompt("p3");
    h.command(Command::WithdrawPrompt {
        prompt_id: prompt_id("p3"),
    })
    .unwrap();
    h.event(part_started(&first, text_part("a", 0)));
    h.event(part_finished(&first, finished(text_part("a", 0), "whole")));
    h.event(ended(&first, TurnOutcome::Done));
    let second = h.turn().unwrap();
    h.event(accepted(&second));
    h.event(ended(&second, TurnOutcome::Done));
    h.event(errand_protocol::runner::RunnerEvent::SnapshotSaved {
        snapshot_id: "snp_2".parse().unwrap(),
        turn_id: Some(second.clone()),
        bytes: 1,
        runtime: 1,
    });
    (h, [first, second])
}

fn survey(h: &Harness, turn: &TurnId) -> (Survey, Vec<Event>) {
    let mut survey = Survey::new(turn.clone());
    let events = h.events();
    for event in &events {
        survey.push(event);
    }
    let copies = events.into_iter().filter(|event| survey.copies(event)).collect();
    (survey, copies)
}

#[test]
fn a_fork_gets_what_was_said_up_to_its_turn_and_nothing_later() {
    let (h, [first, second]) = original();
    let (_, copies) = survey(&h, &first);
    let prompts: Vec<_> = copies
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::PromptQueued { prompt } => Some(prompt.id.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(prompts, ["prm_p1"], "the second ran later, the third never");
    assert!(matches!(&copies.last().unwrap().body, EventBody::TurnFinished { turn_id, .. } if *turn_id == first));
    let (_, all) = survey(&h, &second);
    assert!(all.len() > copies.len());
    let (none, copies) = survey(&h, &turn_id("trn_unknown"));
    assert_eq!((none.end(), copies.len()), (None, 0));
}

#[test]
fn only_a_turn_that_is_in_the_snapshot_can_be_continued_with_its_files() {
    let (mut h, [first, second]) = original();
    let ended = [first.clone(), second.clone()];
    assert_eq!(
        h.session.snapshot_for(&first, &ended).unwrap().upto,
        Some(first.clone())
    );
    assert!(h.session.snapshot_for(&second, &ended).is_some());
    h.event(errand_protocol::runner::RunnerEvent::SnapshotSaved {
        snapshot_id: "snp_1".parse().unwrap(),
        turn_id: Some(first.clone()),
        bytes: 1,
        runtime: 1,
    });
    assert!(h.session.snapshot_for(&first, &ended).is_some());
    assert_eq!(
        h.session.snapshot_for(&second, &ended),
        None,
        "its work is not saved yet"
    );
}

#[test]
fn a_fork_continues_the_log_and_begins_with_the_saved_work() {
    let (h, [first, second]) = original();
    let (survey, copies) = survey(&h, &first);
    let numbered = |(at, event): (usize, Event)| Event {
        seq: Seq(at as u64 + 2),
        ..event
    };
    let copies: Vec<Event> = copies.into_iter().enumerate().map(numbered).collect();
    let db = Db::new();
    store::migrate(&db).unwrap();
    store::import(&db, &copies).unwrap();
    store::import(&db, &copies).unwrap();
    assert_eq!(
        store::load(&db, START).unwrap(),
        None,
        "it does not exist before it is whole"
    );
    let snapshot = h.session.snapshot_for(&first, &[first.clone(), second]);
    let origin = ForkOrigin {
        session_id: "ses_1".parse().unwrap(),
        turn_id: first.clone(),
    };
    let fork = Fork {
        origin: origin.clone(),
        head_seq: copies.last().unwrap().seq,
        todos: survey.todos().to_vec(),
        snapshot,
    };
    let new = NewSession {
        id: "ses_2".parse().unwrap(),
        fork: Some(fork),
        ..new_session()
    };
    let (session, effects) = Session::create(new, START);
    store::apply(&db, &effects).unwrap();
    let mut fork = Harness::of(session, db);
    fork.evict(true);
    assert_eq!(fork.session.summary().forked_from, Some(origin));
    assert_eq!(fork.session.snapshot_source().unwrap().upto, Some(first));
    fork.prompt("more");
    assert_eq!(fork.phase(), Phase::Resuming);
    fork.bring_up();
    assert_eq!(fork.state_of("more"), PromptState::Running);
    fork.saved("own");
    assert_eq!(
        fork.session.snapshot_source().unwrap().upto,
        None,
        "its own work counts from now on"
    );
}
