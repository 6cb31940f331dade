//! Prompts: order, ids, editing, taking back, limits.

use errand_protocol::api::ErrorCode;
use errand_protocol::event::EventBody;
use errand_protocol::runner::AgentFrame;
use errand_protocol::session::{Phase, PromptMode, PromptState, TurnOutcome};
use errand_protocol::viewer::Command;
use errand_session::Input;

use crate::harness::Harness;
use crate::make::*;

fn edit(id: &str, text: &str) -> Command {
    Command::EditPrompt {
        prompt_id: prompt_id(id),
        text: text.parse().unwrap(),
    }
}

fn withdraw(id: &str) -> Command {
    Command::WithdrawPrompt {
        prompt_id: prompt_id(id),
    }
}

fn code(result: Result<(), errand_session::Rejection>) -> ErrorCode {
    result.unwrap_err().code
}

#[test]
fn prompts_run_one_after_another_in_the_order_of_their_arrival() {
    let (mut h, first) = Harness::running();
    h.prompt("p2");
    h.prompt("p3");
    assert!(h.told_to_run().is_empty());
    let mut turn = first;
    for (done, next) in [("p1", "p2"), ("p2", "p3")] {
        h.event(ended(&turn, TurnOutcome::Done));
        assert_eq!(
            (h.state_of(done), h.state_of(next)),
            (PromptState::Done, PromptState::Running)
        );
        turn = h.turn().unwrap();
        assert_eq!(h.told_to_run(), [turn.clone()]);
        h.event(accepted(&turn));
    }
    h.event(ended(&turn, TurnOutcome::Failed));
    assert_eq!(h.state_of("p3"), PromptState::Failed);
    assert_eq!(h.turn(), None);
}

#[test]
fn the_same_prompt_again_is_accepted_once() {
    let mut h = Harness::new();
    h.prompt("p1");
    let head = h.session.head_seq();
    h.prompt("p1");
    assert_eq!((h.session.head_seq(), h.session.summary().queue), (head, 1));
    // Also long after it ran, and after the end.
    let (mut h, turn) = Harness::running();
    h.prompt("p1");
    h.event(ended(&turn, TurnOutcome::Done));
    h.prompt("p1");
    h.command(Command::Terminate {}).unwrap();
    h.prompt("p1");
    let queued = h
        .events()
        .iter()
        .filter(|e| matches!(e.body, EventBody::PromptQueued { .. }))
        .count();
    assert_eq!(queued, 1);
}

#[test]
fn a_prompt_id_stands_for_one_prompt() {
    fn ask(text: &str, model: Option<&str>, mode: PromptMode) -> Command {
        Command::Prompt {
            prompt_id: prompt_id("p1"),
            text: text.parse().unwrap(),
            model: model.map(|model| model.parse().unwrap()),
            mode,
        }
    }
    let same = || ask("please p1", None, PromptMode::Queue);
    let others = || {
        [
            ask("rather this", None, PromptMode::Queue),
            ask("please p1", Some("other/model"), PromptMode::Queue),
            ask("please p1", None, PromptMode::Steer),
        ]
    };
    let check = |h: &mut Harness, when: &str| {
        h.command(same()).unwrap();
        for other in others() {
            assert_eq!(code(h.command(other)), ErrorCode::Conflict, "{when}");
        }
    };
    let mut h = Harness::new();
    h.prompt("p1");
    check(&mut h, "it waits");
    // Edited twice: it is still the prompt that it was sent as.
    h.command(edit("p1", "rather this")).unwrap();
    check(&mut h, "it was edited");
    h.command(edit("p1", "or this")).unwrap();
    h.evict(false);
    check(&mut h, "it was edited again");
    h.bring_up();
    check(&mut h, "it runs");
    let turn = h.turn().unwrap();
    h.event(accepted(&turn));
    h.event(ended(&turn, TurnOutcome::Done));
    check(&mut h, "it is done");
    h.command(Command::Terminate {}).unwrap();
    check(&mut h, "the session is over");
}

#[test]
fn somebody_elses_prompt_id_is_taken() {
    let mut h = Harness::new();
    h.prompt("p1");
    let by = person("eve");
    let command = prompt("p1");
    assert_eq!(
        code(h.step(Input::Command { by, id: None, command })),
        ErrorCode::Conflict
    );
}

#[test]
fn a_waiting_prompt_can_be_edited_and_runs_as_edited() {
    let mut h = Harness::new();
    h.prompt("p1");
    h.command(edit("p1", "rather this")).unwrap();
    let head = h.session.head_seq();
    h.command(edit("p1", "rather this")).unwrap();
    assert_eq!(h.session.head_seq(), head, "the same edit again changes nothing");
    h.evict(false);
    h.bring_up();
    let text = h.sent_to_runner().into_iter().find_map(|frame| match frame {
        AgentFrame::Run { text, .. } => Some(text),
        _ => None,
    });
    assert_eq!(text.unwrap().as_str(), "rather this");
}

#[test]
fn a_waiting_prompt_can_be_taken_back_and_never_runs() {
    let (mut h, turn) = Harness::running();
    h.prompt("p2");
    h.prompt("p3");
    h.command(withdraw("p2")).unwrap();
    h.command(withdraw("p2")).unwrap();
    h.event(ended(&turn, TurnOutcome::Done));
    assert_eq!(
        (h.state_of("p2"), h.state_of("p3")),
        (PromptState::Withdrawn, PromptState::Running)
    );
    let taken_back = h
        .events()
        .iter()
        .filter(|e| matches!(e.body, EventBody::PromptWithdrawn { .. }))
        .count();
    assert_eq!(taken_back, 1);
}

#[test]
fn a_prompt_that_runs_or_ran_can_neither_be_edited_nor_taken_back() {
    let (mut h, turn) = Harness::running();
    assert_eq!(code(h.command(edit("p1", "no"))), ErrorCode::Conflict);
    assert_eq!(code(h.command(withdraw("p1"))), ErrorCode::Conflict);
    h.event(ended(&turn, TurnOutcome::Done));
    assert_eq!(code(h.command(withdraw("p1"))), ErrorCode::Conflict);
    assert_eq!(code(h.command(withdraw("p9"))), ErrorCode::NotFound);
    assert_eq!(code(h.command(edit("p9", "no"))), ErrorCode::NotFound);
}

#[test]
fn a_full_queue_refuses_one_more_and_takes_it_after_one_was_taken_back() {
    let mut h = Harness::new();
    for number in 0..100 {
        h.prompt(&format!("p{number}"));
    }
    assert_eq!(code(h.command(prompt("one-more"))), ErrorCode::RateLimited);
    h.prompt("p5");
    h.command(withdraw("p50")).unwrap();
    h.prompt("one-more");
    assert_eq!(h.session.summary().queue, 100);
}

#[test]
fn prompts_wait_in_every_phase_and_survive_an_eviction_in_order() {
    let mut h = Harness::new();
    h.prompt("p1");
    h.prompt("p2");
    assert_eq!(h.phase(), Phase::Starting);
    h.evict(false);
    h.prompt("p3");
    h.bring_up();
    h.lose_runner();
    h.prompt("p4");
    assert_eq!(h.phase(), Phase::Reconnecting);
    h.evict(false);
    h.hello(2, true, h.turn());
    assert_eq!(h.state_of("p1"), PromptState::Running);
    for done in ["p1", "p2", "p3", "p4"] {
        assert_eq!(h.state_of(done), PromptState::Running);
        let turn = h.turn().unwrap();
        h.event(accepted(&turn));
        h.event(ended(&turn, TurnOutcome::Done));
    }
    assert_eq!(h.session.summary().queue, 0);
}

#[test]
fn a_prompt_carries_its_own_model_and_its_authors_name_to_the_runner() {
    let (mut h, turn) = Harness::running();
    let command = Command::Prompt {
        prompt_id: prompt_id("p2"),
        text: "x".parse().unwrap(),
        model: Some("other/model".parse().unwrap()),
        mode: PromptMode::Queue,
    };
    let by = person("bob");
    h.step(Input::Command { by, id: None, command }).unwrap();
    h.event(ended(&turn, TurnOutcome::Done));
    let run = h.sent_to_runner().into_iter().find_map(|frame| match frame {
        AgentFrame::Run { model, author, .. } => Some((model.as_str().to_owned(), author.name)),
        _ => None,
    });
    assert_eq!(run.unwrap(), ("other/model".to_owned(), "bob".to_owned()));
}

#[test]
fn a_title_by_a_person_outlasts_the_engines_suggestions() {
    let (mut h, _) = Harness::running();
    let suggest = |title: &str| errand_protocol::runner::RunnerEvent::Title {
        title: title.to_owned(),
    };
    h.event(suggest("Mend\u{7} the test"));
    assert_eq!(h.session.summary().title.as_str(), "Mend the test");
    h.event(suggest("Mend \u{202e}the test\u{2069}"));
    assert_eq!(h.session.summary().title.as_str(), "Mend the test");
    h.event(suggest("   "));
    h.event(suggest("\u{200b}\u{202e}"));
    assert_eq!(h.session.summary().title.as_str(), "Mend the test");
    h.event(suggest(&"long ".repeat(1_000)));
    assert!(h.session.summary().title.as_str().chars().count() <= 120);
    let title = "Mine".parse().unwrap();
    h.command(Command::Rename { title }).unwrap();
    h.event(suggest("Better"));
    assert_eq!(h.session.summary().title.as_str(), "Mine");
    assert_eq!(h.session.chosen_title().unwrap().as_str(), "Mine");
}
