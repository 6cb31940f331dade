//! The transcript as a fold over the log.

use errand_protocol::runner::RunnerEvent;
use errand_protocol::session::TurnOutcome;
use errand_protocol::transcript::{Message, PartBody, Role, ToolStatus};
use errand_protocol::viewer::Command;
use errand_session::store;

use crate::harness::Harness;
use crate::make::*;

fn messages(h: &Harness) -> Vec<Message> {
    let fold = store::fold(&h.db).unwrap();
    let session = h.session.summary();
    fold.finish(session, h.session.head_seq(), h.session.open_parts())
        .messages
}

fn texts(message: &Message) -> Vec<&str> {
    message.parts.iter().filter_map(|part| part.streaming_text()).collect()
}

fn message_started(h: &mut Harness, id: &str) {
    let turn_id = h.turn().unwrap();
    let message_id = msg(id);
    h.event(RunnerEvent::MessageStarted { turn_id, message_id });
}

#[test]
fn a_prompt_and_its_answer_stand_in_order_with_author_and_turn() {
    let (mut h, turn) = Harness::running();
    message_started(&mut h, "1");
    h.event(part_finished(&turn, finished(text_part("a", 0), "Done.")));
    h.event(ended(&turn, TurnOutcome::Done));
    let all = messages(&h);
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].role, all[0].author.clone()), (Role::User, Some(ada())));
    assert_eq!(texts(&all[0]), ["please p1"]);
    assert_eq!(all[0].id, msg("p1"));
    assert_eq!((all[1].role, texts(&all[1])), (Role::Assistant, vec!["Done."]));
    assert!(all.iter().all(|message| message.turn_id == Some(turn.clone())));
}

#[test]
fn parts_stand_by_their_index_whatever_order_they_finish_in() {
    let (mut h, turn) = Harness::running();
    for (id, index) in [("c", 2), ("a", 0), ("d", 3), ("b", 1)] {
        h.event(part_started(&turn, text_part(id, index)));
    }
    for id in ["b", "d", "c", "a"] {
        let index = u32::from(id.as_bytes()[0] - b'a');
        h.event(part_finished(&turn, finished(text_part(id, index), id)));
    }
    assert_eq!(texts(&messages(&h)[1]), ["a", "b", "c", "d"]);
}

#[test]
fn a_part_that_the_engine_took_back_is_gone() {
    let (mut h, turn) = Harness::running();
    h.event(part_finished(&turn, finished(text_part("a", 0), "wrong")));
    h.event(part_finished(&turn, finished(text_part("b", 1), "right")));
    let removed = |message: &str, part: &str| RunnerEvent::PartRemoved {
        message_id: msg(message),
        part_id: prt(part),
    };
    h.event(removed("1", "a"));
    h.event(removed("unknown", "b"));
    assert_eq!(texts(&messages(&h)[1]), ["right"]);
}

#[test]
fn waiting_prompts_stand_at_the_end_as_edited_and_without_those_taken_back() {
    let (mut h, turn) = Harness::running();
    for id in ["p2", "p3", "p4"] {
        h.prompt(id);
    }
    h.command(Command::EditPrompt {
        prompt_id: prompt_id("p2"),
        text: "edited".parse().unwrap(),
    })
    .unwrap();
    h.command(Command::WithdrawPrompt {
        prompt_id: prompt_id("p3"),
    })
    .unwrap();
    h.event(part_finished(&turn, finished(text_part("a", 0), "answer")));
    let all = messages(&h);
    let seen: Vec<_> = all.iter().flat_map(texts).collect();
    assert_eq!(seen, ["please p1", "answer", "edited", "please p4"]);
    assert!(all[2].turn_id.is_none());
}

#[test]
fn a_part_that_is_being_written_shows_its_text_so_far() {
    let (mut h, turn) = Harness::running();
    h.event(part_finished(&turn, finished(text_part("a", 0), "whole")));
    h.event(part_started(&turn, tool_part("b", 1, ToolStatus::Running)));
    h.delta(delta("b", 0, "line 1\n"));
    assert_eq!(texts(&messages(&h)[1]), ["whole", "line 1\n"]);
    assert!(matches!(
        messages(&h)[1].parts[1].body,
        PartBody::Tool {
            status: ToolStatus::Running,
            ..
        }
    ));
}

#[test]
fn parts_of_a_sub_agent_keep_their_parent() {
    let (mut h, turn) = Harness::running();
    h.event(part_started(&turn, tool_part("task", 0, ToolStatus::Running)));
    let mut nested = text_part("child", 1);
    nested.parent_part_id = Some(prt("task"));
    h.event(part_finished(&turn, finished(nested, "from below")));
    let all = messages(&h);
    assert_eq!(all[1].parts[1].parent_part_id, Some(prt("task")));
    assert_eq!(all[1].parts.len(), 2);
}

#[test]
fn the_transcript_is_the_same_after_evictions_and_repeated_frames() {
    let story = |disturbed: bool| {
        let (mut h, turn) = Harness::running();
        let events = [
            part_started(&turn, text_part("a", 0)),
            part_finished(&turn, finished(text_part("a", 0), "one")),
            part_started(&turn, tool_part("b", 1, ToolStatus::Running)),
            part_finished(&turn, finished(tool_part("b", 1, ToolStatus::Completed), "two")),
            ended(&turn, TurnOutcome::Done),
        ];
        for event in events {
            let at = h.spooled();
            h.numbered(at, event.clone());
            if disturbed {
                h.numbered(at, event);
                h.evict(false);
                let turn = h.turn();
                h.hello(7, true, turn);
            }
        }
        messages(&h)
    };
    assert_eq!(story(true), story(false));
}
