//! The store: schema, paging, all or nothing.

use errand_protocol::event::{Event, EventBody};
use errand_protocol::ids::Seq;
use errand_protocol::session::{Prompt, PromptState};
use errand_session::sql::Sql;
use errand_session::{Effect, Session, store};

use crate::db::Db;
use crate::harness::Harness;
use crate::make::*;

fn event(seq: u64) -> Effect {
    Effect::Append(Event {
        seq: Seq(seq),
        at: START,
        body: EventBody::SessionArchived {
            archived: true,
            by: ada(),
        },
    })
}

fn put(id: &str, position: u64, state: PromptState) -> Effect {
    let prompt = Prompt {
        id: prompt_id(id),
        text: "x".parse().unwrap(),
        author: ada(),
        model: None,
        mode: errand_protocol::session::PromptMode::Queue,
        state,
        created_at: START,
    };
    Effect::PutPrompt { prompt, position }
}

fn seqs(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.seq.0).collect()
}

#[test]
fn asking_for_a_session_that_was_never_made_leaves_no_trace() {
    let db = Db::new();
    assert_eq!(store::exists(&db), Ok(false));
    assert_eq!(db.count("SELECT count(*) FROM sqlite_master"), 0);
}

#[test]
fn migrating_twice_is_migrating_once() {
    let db = Db::new();
    store::migrate(&db).unwrap();
    let tables = db.texts("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL");
    store::migrate(&db).unwrap();
    assert_eq!(db.texts("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"), tables);
    assert_eq!(store::exists(&db), Ok(true));
    assert_eq!(store::load(&db, START), Ok(None), "migrated is not created");
}

#[test]
fn a_schema_of_a_newer_or_another_version_is_refused_and_left_alone() {
    for (id, place) in [("0002_future", 1), ("0001_other", 0)] {
        let db = Db::new();
        store::migrate(&db).unwrap();
        let put = "INSERT OR REPLACE INTO migrations (id, place) VALUES (?, ?)";
        if place == 0 {
            db.exec("DELETE FROM migrations", &[]).unwrap();
        }
        db.exec(put, &[id.into(), i64::from(place).into()]).unwrap();
        let before = db.texts("SELECT id FROM migrations");
        assert!(store::migrate(&db).is_err());
        assert_eq!(db.texts("SELECT id FROM migrations"), before);
    }
}

#[test]
fn a_migration_that_fails_in_the_middle_can_be_made_again() {
    for statements in 0..8 {
        let db = Db::new();
        db.fail_after(statements);
        assert!(store::migrate(&db).is_err(), "after {statements}");
        assert_eq!(store::exists(&db), Ok(false), "after {statements}");
        store::migrate(&db).unwrap();
    }
}

#[test]
fn a_new_session_is_there_after_its_effects_were_stored() {
    let db = Db::new();
    store::migrate(&db).unwrap();
    let (session, effects) = Session::create(new_session(), START);
    store::apply(&db, &effects).unwrap();
    let loaded = store::load(&db, START).unwrap().unwrap();
    assert!(session.persisted_eq(&loaded));
    assert_eq!(loaded.summary(), session.summary());
}

#[test]
fn a_session_that_is_not_what_was_stored_is_told_apart() {
    let (h, _) = Harness::running();
    let before = store::load(&h.db, h.now).unwrap().unwrap();
    let mut h = h;
    h.prompt("p2");
    assert!(!h.session.persisted_eq(&before));
}

#[test]
fn pages_of_the_log_are_ascending_and_end_where_the_log_ends() {
    let db = Db::new();
    store::migrate(&db).unwrap();
    let all: Vec<_> = (1..=25).map(event).collect();
    store::apply(&db, &all).unwrap();
    assert_eq!(seqs(&store::events_after(&db, Seq(0), 3).unwrap()), [1, 2, 3]);
    assert_eq!(seqs(&store::events_after(&db, Seq(23), 10).unwrap()), [24, 25]);
    assert!(store::events_after(&db, Seq(25), 10).unwrap().is_empty());
    assert_eq!(seqs(&store::events_before(&db, Seq(26), 3).unwrap()), [23, 24, 25]);
    assert_eq!(seqs(&store::events_before(&db, Seq(3), 10).unwrap()), [1, 2]);
    assert!(store::events_before(&db, Seq(1), 10).unwrap().is_empty());
}

#[test]
fn a_step_that_cannot_be_stored_wholly_is_not_stored_at_all() {
    let effects = [event(2), put("p1", 0, PromptState::Queued), event(3)];
    for statements in 0..3 {
        let db = Db::new();
        store::migrate(&db).unwrap();
        store::apply(&db, &[event(1)]).unwrap();
        db.fail_after(statements);
        assert!(store::apply(&db, &effects).is_err());
        assert_eq!(db.count("SELECT count(*) FROM events"), 1);
        assert_eq!(store::prompt(&db, &prompt_id("p1")), Ok(None));
        store::apply(&db, &effects).unwrap();
        assert_eq!(db.count("SELECT count(*) FROM events"), 3);
    }
}

#[test]
fn an_event_is_never_written_over() {
    let db = Db::new();
    store::migrate(&db).unwrap();
    store::apply(&db, &[event(1)]).unwrap();
    assert!(store::apply(&db, &[event(1)]).is_err());
}

#[test]
fn the_store_itself_refuses_a_second_running_prompt() {
    let db = Db::new();
    store::migrate(&db).unwrap();
    store::apply(&db, &[put("p1", 0, PromptState::Running)]).unwrap();
    assert!(store::apply(&db, &[put("p2", 1, PromptState::Running)]).is_err());
    store::apply(
        &db,
        &[put("p1", 0, PromptState::Done), put("p2", 1, PromptState::Running)],
    )
    .unwrap();
}

#[test]
fn a_damaged_row_is_an_error_and_not_a_crash() {
    let (h, _) = Harness::running();
    h.db.exec("UPDATE core SET body = '{}'", &[]).unwrap();
    assert!(store::load(&h.db, h.now).is_err());
}

#[test]
fn a_long_log_is_folded_whole() {
    let db = Db::new();
    store::migrate(&db).unwrap();
    let all: Vec<_> = (1..=2_500)
        .map(|seq| {
            let Effect::Append(mut event) = event(seq) else {
                panic!("an event")
            };
            event.body = EventBody::MessageStarted {
                turn_id: turn_id("trn_1"),
                message_id: msg(&seq.to_string()),
            };
            Effect::Append(event)
        })
        .collect();
    store::apply(&db, &all).unwrap();
    let (session, _) = Session::create(new_session(), START);
    let transcript = store::fold(&db).unwrap().finish(session.summary(), Seq(2_500), []);
    assert_eq!(transcript.messages.len(), 2_500);
}
