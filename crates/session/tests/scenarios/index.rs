//! The summary in the registry: coalesced, repeated until it arrived, never stale for ever.

use errand_protocol::session::{Activity, Phase};
use errand_protocol::viewer::Command;
use errand_session::Input;

use crate::harness::Harness;
use crate::make::*;

fn rename(h: &mut Harness, title: &str) {
    let title = title.parse().unwrap();
    h.command(Command::Rename { title }).unwrap();
}

fn quiet() -> Harness {
    let mut h = Harness::new();
    h.pass(10_000);
    h.registry_answers = false;
    h.indexed.clear();
    h
}

fn last_title(h: &Harness) -> &str {
    h.indexed.last().unwrap().title.as_str()
}

#[test]
fn a_new_session_is_told_to_the_registry_at_once() {
    let h = Harness::new();
    assert_eq!(h.indexed.len(), 1);
}

#[test]
fn many_changes_make_one_update_a_second_and_the_last_one_counts() {
    let mut h = quiet();
    h.registry_answers = true;
    for number in 0..50 {
        rename(&mut h, &format!("title {number}"));
        h.pass(40);
    }
    h.pass(2_000);
    assert!((2..=4).contains(&h.indexed.len()), "{} updates", h.indexed.len());
    assert_eq!(last_title(&h), "title 49");
}

#[test]
fn nothing_is_told_when_nothing_that_lists_show_has_changed() {
    let (mut h, turn) = Harness::running();
    h.pass(5_000);
    h.indexed.clear();
    h.event(part_started(&turn, text_part("a", 0)));
    h.event(part_finished(&turn, finished(text_part("a", 0), "x")));
    h.pass(5_000);
    assert!(h.indexed.is_empty());
}

#[test]
fn what_did_not_arrive_is_told_again_later_and_later() {
    let mut h = quiet();
    rename(&mut h, "new");
    for wait in [1_000, 2_000, 4_000] {
        h.indexed.clear();
        h.step(Input::Indexed { ok: false }).unwrap();
        h.pass(wait - 1);
        assert!(h.indexed.is_empty());
        h.pass(1);
        assert_eq!(last_title(&h), "new");
    }
}

#[test]
fn a_change_while_an_update_is_on_its_way_is_told_afterwards() {
    let mut h = quiet();
    rename(&mut h, "one");
    rename(&mut h, "two");
    assert_eq!(h.indexed.len(), 1);
    h.step(Input::Indexed { ok: true }).unwrap();
    h.pass(1_000);
    assert_eq!(last_title(&h), "two");
    h.step(Input::Indexed { ok: true }).unwrap();
    h.pass(100_000);
    assert_eq!(h.indexed.len(), 2);
}

#[test]
fn an_update_whose_outcome_is_lost_is_made_again() {
    let mut h = quiet();
    rename(&mut h, "new");
    h.indexed.clear();
    h.evict(false);
    assert!(h.indexed.is_empty(), "at most one a second, also then");
    h.pass(1_000);
    assert_eq!(last_title(&h), "new");
    h.indexed.clear();
    h.pass(60_000);
    assert_eq!(last_title(&h), "new");
}

#[test]
fn viewers_see_every_change_at_once() {
    let mut h = quiet();
    rename(&mut h, "one");
    h.prompt("p1");
    let sessions: Vec<_> = h
        .sent_to_viewers()
        .into_iter()
        .filter_map(|frame| match frame {
            errand_protocol::viewer::ServerFrame::Session { session } => Some((session.phase, session.activity)),
            _ => None,
        })
        .collect();
    assert_eq!(sessions.last(), Some(&(Phase::Starting, Activity::Starting)));
}
