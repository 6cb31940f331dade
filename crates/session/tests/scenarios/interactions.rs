//! Interactions: opened once, settled once, and the answer reaches the engine.

use errand_protocol::api::ErrorCode;
use errand_protocol::event::EventBody;
use errand_protocol::interaction::{Answer, Ask, PermissionReply, Resolution};
use errand_protocol::runner::{AgentFrame, RunnerEvent};
use errand_protocol::session::{Activity, TurnOutcome};
use errand_session::Input;

use crate::harness::Harness;
use crate::make::*;

fn asking(ask: Ask) -> Harness {
    let (mut h, turn) = Harness::running();
    h.event(asked(&turn, "q", ask));
    h.sent_to_runner();
    h
}

fn resolutions(h: &Harness) -> Vec<Resolution> {
    let events = h.events().into_iter();
    events
        .filter_map(|event| match event.body {
            EventBody::InteractionResolved { resolution, .. } => Some(resolution),
            _ => None,
        })
        .collect()
}

fn resolves(h: &mut Harness) -> Vec<Answer> {
    let frames = h.sent_to_runner().into_iter();
    frames
        .filter_map(|frame| match frame {
            AgentFrame::Resolve { answer, .. } => Some(answer),
            _ => None,
        })
        .collect()
}

fn closed(id: &str) -> RunnerEvent {
    RunnerEvent::InteractionClosed {
        interaction_id: int(id),
    }
}

fn choose(label: &str) -> Answer {
    Answer::Question {
        answers: vec![vec![label.to_owned()]],
    }
}

#[test]
fn a_question_waits_for_a_person_and_the_answer_reaches_the_runner() {
    let mut h = asking(permission());
    assert_eq!(h.session.summary().activity, Activity::AwaitingInput);
    h.command(answer("q", allow())).unwrap();
    assert_eq!(resolves(&mut h), [allow()]);
    assert_eq!(
        resolutions(&h),
        [Resolution::Answered {
            answer: allow(),
            by: ada()
        }]
    );
    assert_eq!(h.session.summary().activity, Activity::Thinking);
}

#[test]
fn whoever_answers_second_is_told_so() {
    let mut h = asking(permission());
    h.command(answer("q", allow())).unwrap();
    let late = Input::Command {
        id: None,
        by: person("bob"),
        command: answer("q", allow()),
    };
    assert_eq!(h.step(late).unwrap_err().code, ErrorCode::AlreadyResolved);
    let unknown = h.command(answer("other", allow()));
    assert_eq!(unknown.unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(resolutions(&h).len(), 1);
}

#[test]
fn asking_twice_is_one_interaction() {
    let mut h = asking(permission());
    let turn = h.turn().unwrap();
    h.event(asked(&turn, "q", permission()));
    let opened = h
        .events()
        .iter()
        .filter(|e| matches!(e.body, EventBody::InteractionOpened { .. }))
        .count();
    assert_eq!(opened, 1);
}

#[test]
fn an_answer_is_sent_again_until_the_engine_no_longer_asks() {
    let mut h = asking(permission());
    let turn = h.turn().unwrap();
    h.command(answer("q", allow())).unwrap();
    h.sent_to_runner();
    h.evict(false);
    h.hello(2, true, Some(turn.clone()));
    assert_eq!(resolves(&mut h), [allow()], "after a lost connection");
    h.event(asked(&turn, "q", permission()));
    assert_eq!(resolves(&mut h), [allow()], "when the engine asks again");
    h.event(closed("q"));
    h.lose_runner();
    h.hello(3, true, Some(turn));
    assert!(resolves(&mut h).is_empty());
    assert_eq!(resolutions(&h).len(), 1);
}

#[test]
fn what_nobody_answers_gets_its_default() {
    for (ask, default) in [(permission(), None), (question(), Some(Answer::Dismiss {}))] {
        let mut h = asking(ask);
        h.pass(24 * 60 * 60_000 - 1);
        assert!(resolutions(&h).is_empty());
        h.pass(1);
        let sent = resolves(&mut h);
        assert_eq!(sent.len(), 1);
        match default {
            Some(default) => assert_eq!(sent[0], default),
            None => assert!(matches!(
                &sent[0],
                Answer::Permission {
                    reply: PermissionReply::Reject,
                    message: Some(_)
                }
            )),
        }
        assert_eq!(
            resolutions(&h),
            [Resolution::Expired {
                answer: sent[0].clone()
            }]
        );
        assert_eq!(
            h.command(answer("q", allow())).unwrap_err().code,
            ErrorCode::AlreadyResolved
        );
    }
}

#[test]
fn the_default_is_taken_also_while_the_runner_is_away_and_told_when_it_is_back() {
    let mut h = asking(question());
    let turn = h.turn().unwrap();
    h.timings.reconnect_grace = 48 * 60 * 60_000;
    h.lose_runner();
    h.pass(24 * 60 * 60_000);
    assert_eq!(resolutions(&h).len(), 1);
    h.sent_to_runner();
    h.hello(2, true, Some(turn));
    assert_eq!(resolves(&mut h), [Answer::Dismiss {}]);
}

#[test]
fn the_end_of_the_turn_settles_what_it_had_asked() {
    let mut h = asking(permission());
    let turn = h.turn().unwrap();
    h.event(ended(&turn, TurnOutcome::Aborted));
    assert_eq!(resolutions(&h), [Resolution::Cancelled {}]);
    assert_eq!(
        h.command(answer("q", allow())).unwrap_err().code,
        ErrorCode::AlreadyResolved
    );
    h.event(closed("q"));
    assert_eq!(resolutions(&h).len(), 1);
}

#[test]
fn what_the_engine_no_longer_asks_is_settled() {
    let mut h = asking(permission());
    h.event(closed("q"));
    assert_eq!(resolutions(&h), [Resolution::Cancelled {}]);
    assert_eq!(h.session.summary().activity, Activity::Thinking);
}

#[test]
fn a_question_of_another_turn_is_not_opened() {
    let (mut h, _) = Harness::running();
    h.event(asked(&turn_id("trn_other"), "q", permission()));
    assert!(
        !h.events()
            .iter()
            .any(|e| matches!(e.body, EventBody::InteractionOpened { .. }))
    );
}

#[test]
fn an_answer_must_fit_its_question() {
    let two = Answer::Question {
        answers: vec![vec!["red".to_owned(), "blue".to_owned()]],
    };
    let none = Answer::Question { answers: vec![] };
    let empty = Answer::Question { answers: vec![vec![]] };
    let long = Answer::Permission {
        reply: PermissionReply::Reject,
        message: Some("x".repeat(10_001)),
    };
    for (ask, wrong) in [
        (permission(), choose("red")),
        (permission(), Answer::Dismiss {}),
        (permission(), long),
        (question(), allow()),
        (question(), choose("green")),
        (question(), two),
        (question(), none),
        (question(), empty),
    ] {
        let mut h = asking(ask);
        let refused = h.command(answer("q", wrong.clone())).unwrap_err();
        assert_eq!(refused.code, ErrorCode::Invalid, "{wrong:?}");
        assert!(resolutions(&h).is_empty());
    }
    let mut h = asking(question());
    h.command(answer("q", choose("blue"))).unwrap();
    assert_eq!(resolves(&mut h), [choose("blue")]);
}

#[test]
fn free_text_and_several_choices_are_taken_where_they_are_allowed() {
    let Ask::Question { mut questions } = question() else {
        panic!("a question");
    };
    questions[0].custom = true;
    questions[0].multiple = true;
    let mut h = asking(Ask::Question { questions });
    let both = Answer::Question {
        answers: vec![vec!["red".to_owned(), "a warm one".to_owned()]],
    };
    h.command(answer("q", both)).unwrap();
}

#[test]
fn several_questions_are_open_at_once_and_too_many_get_their_default() {
    let (mut h, turn) = Harness::running();
    for number in 0..25 {
        let Ask::Permission {
            permission,
            patterns,
            command,
            path,
            always,
            ..
        } = permission()
        else {
            panic!("a permission");
        };
        let diff = Some("ü".repeat(200_000));
        let ask = Ask::Permission {
            permission,
            patterns,
            command,
            path,
            diff,
            always,
        };
        h.event(asked(&turn, &format!("q{number}"), ask));
    }
    assert_eq!(resolutions(&h).len(), 5);
    h.command(answer("q7", allow())).unwrap();
    h.event(asked(&turn, "q30", permission()));
    assert_eq!(resolutions(&h).len(), 6, "there was room for one more");
    h.evict(true);
    h.command(answer("q8", allow())).unwrap();
}
