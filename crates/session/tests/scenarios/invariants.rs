//! What must hold after every step, whatever happened.

use errand_protocol::ids::Seq;
use errand_protocol::session::Phase;
use errand_session::{Session, Timings, store};

use crate::db::Db;

/// Checks everything; the log only from `checked` on. Returns how far the log is checked now.
pub(crate) fn check(session: &Session, db: &Db, timings: &Timings, checked: Seq) -> Seq {
    stored(session, db);
    patience(session, timings);
    turn(session, db);
    log(session, db, checked)
}

/// Restoring gives back what was persisted.
fn stored(session: &Session, db: &Db) {
    let loaded = store::load(db, session.summary().updated_at).unwrap().unwrap();
    assert!(
        session.persisted_eq(&loaded),
        "stored and restored differ:\n{session:#?}\n{loaded:#?}"
    );
    let core = db.core().to_string();
    for secret in ["token", "secret", "password", "Bearer"] {
        assert!(!core.contains(secret), "the stored state mentions {secret}");
    }
    assert!(core.len() < 500_000, "the machine's state is {} bytes", core.len());
}

/// A phase that is not a resting one has a deadline, a resting one has none.
fn patience(session: &Session, timings: &Timings) {
    let phase = session.summary().phase;
    assert_eq!(
        session.phase_deadline(timings).is_none(),
        phase.resting(),
        "deadline of {phase:?}"
    );
    if !phase.resting() {
        assert!(session.next_deadline(timings).is_some());
    }
}

fn turn(session: &Session, db: &Db) {
    let core = db.core();
    let running = db.texts("SELECT id FROM prompts WHERE state = 'running'");
    assert!(running.len() <= 1, "two prompts run: {running:?}");
    let turn = core["turn"]["promptId"].as_str();
    assert_eq!(
        running.first().map(String::as_str),
        turn,
        "the running prompt is the turn's"
    );
    let phase = session.summary().phase;
    if phase.resting() || phase == Phase::Pausing {
        assert!(turn.is_none(), "a turn is left in {phase:?}");
    }
    if turn.is_none() {
        assert!(
            core["interactions"].as_object().unwrap().is_empty(),
            "asks without a turn"
        );
        assert_eq!(db.count("SELECT count(*) FROM open_parts"), 0, "a part is left open");
    }
    if matches!(phase, Phase::Idle | Phase::Paused) && session.budget_ask().is_none() {
        assert_eq!(session.summary().queue, 0, "a prompt waits and nothing moves");
    }
}

/// Positions are contiguous and no event is stored but not counted.
fn log(session: &Session, db: &Db, checked: Seq) -> Seq {
    let head = session.head_seq();
    let fresh = store::events_after(db, checked, 100_000).unwrap();
    let expected = (checked.0 + 1..=head.0).map(Seq);
    assert!(fresh.iter().map(|event| event.seq).eq(expected), "the log has a gap");
    head
}
