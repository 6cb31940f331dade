//! Parts that are being written: previews, gaps, what is saved and how often.

use errand_protocol::event::EventBody;
use errand_protocol::runner::{AgentFrame, RunnerEvent};
use errand_protocol::session::TurnOutcome;
use errand_protocol::transcript::{PartBody, ToolStatus};
use errand_protocol::viewer::{Delta, ServerFrame};

use crate::harness::Harness;
use crate::make::*;

fn open() -> Harness {
    let (mut h, turn) = Harness::running();
    h.event(part_started(&turn, text_part("a", 0)));
    h.sent_to_viewers();
    h.sent_to_runner();
    h
}

fn text(h: &Harness) -> String {
    h.session.open_parts()[0].streaming_text().unwrap().to_owned()
}

fn previews(h: &mut Harness) -> Vec<(u32, String, bool)> {
    let frames = h.sent_to_viewers().into_iter();
    frames
        .filter_map(|frame| match frame {
            ServerFrame::Delta(delta) => Some((delta.offset, delta.text, delta.reset)),
            _ => None,
        })
        .collect()
}

fn resends(h: &mut Harness) -> Vec<u32> {
    let frames = h.sent_to_runner().into_iter();
    frames
        .filter_map(|frame| match frame {
            AgentFrame::Resend { from, .. } => Some(from),
            _ => None,
        })
        .collect()
}

#[test]
fn deltas_reach_viewers_as_they_come_and_are_never_in_the_log() {
    let mut h = open();
    let head = h.session.head_seq();
    h.delta(delta("a", 0, "Hel"));
    h.delta(delta("a", 3, "lo"));
    assert_eq!(
        previews(&mut h),
        [(0, "Hel".to_owned(), false), (3, "lo".to_owned(), false)]
    );
    assert_eq!((h.session.head_seq(), text(&h).as_str()), (head, "Hello"));
}

#[test]
fn what_is_known_already_is_passed_on_only_once() {
    let mut h = open();
    h.delta(delta("a", 0, "Hello"));
    h.delta(delta("a", 0, "Hello"));
    h.delta(delta("a", 2, "llo, you"));
    h.delta(delta("a", 1, "e"));
    assert_eq!(
        previews(&mut h),
        [(0, "Hello".to_owned(), false), (5, ", you".to_owned(), false)]
    );
    assert_eq!(text(&h), "Hello, you");
}

#[test]
fn a_gap_is_asked_for_once_and_filled() {
    let mut h = open();
    h.delta(delta("a", 0, "Hel"));
    h.delta(delta("a", 5, ", you"));
    h.delta(delta("a", 10, "!"));
    assert_eq!(resends(&mut h), [3], "not again for each delta that comes meanwhile");
    assert_eq!(text(&h), "Hel");
    h.delta(delta("a", 3, "lo, you!"));
    assert_eq!(text(&h), "Hello, you!");
    h.delta(delta("a", 20, "x"));
    assert_eq!(resends(&mut h), [11], "a new gap is asked for again");
}

#[test]
fn a_gap_is_asked_for_again_on_a_new_connection() {
    let mut h = open();
    h.delta(delta("a", 5, "x"));
    assert_eq!(resends(&mut h), [0]);
    h.lose_runner();
    h.hello(2, true, h.turn());
    h.delta(delta("a", 6, "y"));
    assert_eq!(resends(&mut h), [0]);
}

#[test]
fn a_rewritten_text_replaces_the_old_one_also_in_the_store() {
    let mut h = open();
    h.delta(delta("a", 0, "old text"));
    h.flush();
    let reset = Delta {
        reset: true,
        ..delta("a", 0, "new")
    };
    h.delta(reset);
    h.flush();
    assert_eq!(previews(&mut h).last(), Some(&(0, "new".to_owned(), true)));
    h.evict(true);
    assert_eq!(text(&h), "new");
}

#[test]
fn offsets_count_as_javascript_does() {
    let mut h = open();
    h.delta(delta("a", 0, "a😀"));
    h.delta(delta("a", 3, "é😀"));
    h.delta(delta("a", 3, "é😀b"));
    h.delta(delta("a", 2, "?é"));
    assert_eq!(text(&h), "a😀é😀b");
    h.flush();
    assert!(
        h.sent_to_runner()
            .iter()
            .any(|f| matches!(f, AgentFrame::Saved { len: 7, .. }))
    );
    h.evict(true);
    h.delta(delta("a", 7, "c"));
    assert_eq!(text(&h), "a😀é😀bc");
}

#[test]
fn an_overlap_that_cuts_a_character_in_two_adds_nothing_wrong() {
    let mut h = open();
    h.delta(delta("a", 0, "ab"));
    h.delta(delta("a", 1, "😀c"));
    assert_eq!(text(&h), "ab");
    h.delta(delta("a", 4, "c"));
    assert_eq!(resends(&mut h), [2]);
}

#[test]
fn a_thousand_deltas_cost_a_handful_of_rows() {
    let mut h = open();
    h.db.writes.set(0);
    for number in 0..1_000 {
        h.now = h.now.plus(5);
        h.delta(delta("a", number * 4, "word"));
    }
    h.flush();
    let rows = h.db.writes.get();
    assert!((10..=30).contains(&rows), "{rows} rows");
    h.evict(true);
    assert_eq!(text(&h).len(), 4_000);
}

#[test]
fn only_what_is_saved_is_acked_and_a_restart_asks_for_the_rest() {
    let mut h = open();
    h.now = h.now.plus(500);
    h.delta(delta("a", 0, "saved"));
    assert!(
        h.sent_to_runner()
            .iter()
            .any(|f| matches!(f, AgentFrame::Saved { len: 5, .. }))
    );
    h.delta(delta("a", 5, " shown"));
    assert!(h.sent_to_runner().is_empty());
    h.evict(true);
    assert_eq!(text(&h), "saved");
    h.delta(delta("a", 11, " more"));
    assert_eq!(resends(&mut h), [5]);
}

#[test]
fn several_parts_keep_their_order_and_their_texts() {
    let (mut h, turn) = Harness::running();
    h.event(part_started(&turn, text_part("a", 0)));
    h.event(part_started(&turn, tool_part("b", 1, ToolStatus::Pending)));
    h.delta(delta("a", 0, "text"));
    h.delta(delta("b", 0, "output"));
    h.flush();
    h.event(part_started(&turn, tool_part("b", 1, ToolStatus::Running)));
    h.evict(true);
    let parts = h.session.open_parts();
    assert_eq!(parts[0].streaming_text(), Some("text"));
    assert_eq!(parts[1].streaming_text(), Some("output"), "moving on keeps the text");
    assert!(matches!(
        parts[1].body,
        PartBody::Tool {
            status: ToolStatus::Running,
            ..
        }
    ));
}

#[test]
fn a_part_that_is_finished_or_taken_back_leaves_nothing_behind() {
    let (mut h, turn) = Harness::running();
    for id in ["a", "b"] {
        h.event(part_started(&turn, text_part(id, 0)));
        h.delta(delta(id, 0, "text"));
    }
    h.flush();
    h.event(part_finished(&turn, finished(text_part("a", 0), "text, whole")));
    h.event(RunnerEvent::PartRemoved {
        message_id: msg("1"),
        part_id: prt("b"),
    });
    assert_eq!(h.db.count("SELECT count(*) FROM open_text"), 0);
    assert_eq!(h.db.count("SELECT count(*) FROM open_parts"), 0);
    h.sent_to_viewers();
    h.delta(delta("a", 4, "late"));
    assert!(previews(&mut h).is_empty());
}

#[test]
fn a_text_without_end_stops_growing_here_and_fits_a_row_when_it_is_interrupted() {
    let mut h = open();
    let turn = h.turn().unwrap();
    let piece = "\u{1}".repeat(100_000);
    for number in 0..10 {
        h.delta(delta("a", number * 100_000, &piece));
        h.flush();
    }
    assert_eq!(text(&h).len(), 256 * 1024);
    h.event(ended(&turn, TurnOutcome::Aborted));
    let kept = h.events().into_iter().any(|event| match event.body {
        EventBody::PartFinished { part, .. } => part.streaming_text().unwrap().len() == 256 * 1024,
        _ => false,
    });
    assert!(kept);
}
