//! The index over a real SQLite.

use errand_protocol::ids::{Generation, SessionId, UserId};
use errand_protocol::session::{Activity, Person, Phase, Session};
use errand_protocol::startup::{Mark, Start, StartOutcome, StartPoint};
use errand_protocol::time::Timestamp;
use errand_session::sql::Sql;

use super::commands::{Change, ListCommand, SampleCommand, Which};
use super::cursor::Cursor;
use super::{starts, store};
use crate::native_sql::NativeSql;

fn index() -> NativeSql {
    let sql = NativeSql::new();
    store::migrate(&sql).unwrap();
    store::migrate(&sql).unwrap();
    sql
}

fn user(name: &str) -> UserId {
    UserId::from_body(name).unwrap()
}

fn session(id: &str, owner: &str, head_seq: u64, at: i64) -> Session {
    Session {
        id: SessionId::from_body(id).unwrap(),
        title: format!("Fix the Übung {id}").parse().unwrap(),
        phase: Phase::Running,
        activity: Activity::Thinking,
        cause: None,
        repo: Some(serde_json::from_value(serde_json::json!({ "url": format!("/srv/{id}") })).unwrap()),
        model: "demo/scripted".parse().unwrap(),
        owner: Person {
            id: user(owner),
            name: owner.to_owned(),
            email: format!("{owner}@x.invalid"),
        },
        created_at: Timestamp::from_millis(1),
        updated_at: Timestamp::from_millis(at),
        head_seq: errand_protocol::ids::Seq(head_seq),
        queue: 0,
        isolation: None,
        archived_at: None,
        forked_from: None,
        pushed: None,
        visibility: errand_protocol::access::Visibility::Private,
        budget: None,
    }
}

fn archived(id: &str, owner: &str, head_seq: u64, at: i64) -> Session {
    Session {
        archived_at: Some(Timestamp::from_millis(at)),
        ..session(id, owner, head_seq, at)
    }
}

fn page(
    sql: &NativeSql,
    owner: &str,
    limit: u32,
    cursor: Option<String>,
    q: Option<&str>,
) -> (Vec<String>, Option<String>) {
    let after = cursor.as_deref().map(|text| Cursor::decode(text).unwrap());
    let command = ListCommand {
        viewer: user(owner),
        which: Which::Mine,
        repo: None,
        limit,
        cursor,
        q: q.map(str::to_owned),
        archived: false,
    };
    let page = store::list(sql, &command, after.as_ref()).unwrap();
    let list: errand_protocol::api::SessionList = serde_json::from_str(&page.into_json()).unwrap();
    (
        list.sessions.iter().map(|s| s.id.as_str()[4..].to_owned()).collect(),
        list.cursor,
    )
}

#[test]
fn an_older_or_repeated_summary_changes_nothing() {
    let sql = index();
    assert!(store::apply(&sql, &session("a", "ada", 5, 50)).unwrap().changed);
    for stale in [
        session("a", "ada", 5, 50),
        session("a", "ada", 4, 60),
        session("a", "ada", 5, 49),
    ] {
        let applied = store::apply(&sql, &stale).unwrap();
        assert!(!applied.changed && applied.rev == 1);
    }
    let newer = store::apply(&sql, &session("a", "ada", 6, 40)).unwrap();
    assert!(newer.changed && newer.rev == 2);
    let mut same_position = session("a", "ada", 6, 40);
    same_position.activity = Activity::Tool;
    assert!(store::apply(&sql, &same_position).unwrap().changed);
}

#[test]
fn pages_cover_all_sessions_once_latest_first() {
    let sql = index();
    // `c` and `d` changed in the same millisecond.
    for (id, at) in [("a", 0), ("b", 1), ("c", 2), ("d", 2), ("e", 3)] {
        store::apply(&sql, &session(id, "ada", 1, at)).unwrap();
    }
    let (first, cursor) = page(&sql, "ada", 2, None, None);
    let (second, cursor) = page(&sql, "ada", 2, cursor, None);
    let (third, end) = page(&sql, "ada", 2, cursor, None);
    assert_eq!([first, second, third].concat(), ["e", "d", "c", "b", "a"]);
    assert_eq!(end, None);
    assert_eq!(page(&sql, "ada", 5, None, None).1, None);
}

#[test]
fn a_person_sees_only_their_own() {
    let sql = index();
    store::apply(&sql, &session("a", "ada", 1, 1)).unwrap();
    store::apply(&sql, &session("b", "bob", 1, 2)).unwrap();
    assert_eq!(page(&sql, "ada", 10, None, None).0, ["a"]);
    assert_eq!(store::feed::changes(&sql, &user("ada"), 0).unwrap().changes.len(), 1);
    assert_eq!(store::recent_repos(&sql, &user("ada"), 10).unwrap().len(), 1);
}

#[test]
fn a_guest_has_a_session_in_list_and_feed_until_it_is_no_longer_shared_with_them() {
    let sql = index();
    let [ada, bob, eve] = ["ada", "bob", "eve"].map(user);
    let told = |name: &UserId, after| -> Vec<(u64, bool)> {
        let page = store::feed::changes(&sql, name, after).unwrap();
        let there = |change| matches!(change, Change::Session(_));
        page.changes
            .into_iter()
            .map(|(rev, change)| (rev, there(change)))
            .collect()
    };
    let change = |head_seq: u64, guests: &[&UserId]| {
        let session = session("a", "ada", head_seq, 1);
        let guests: Vec<UserId> = guests.iter().copied().cloned().collect();
        assert!(store::apply(&sql, &session).unwrap().changed);
        store::feed::set_guests(&sql, &session.id, &guests).unwrap()
    };
    assert_eq!(change(1, &[]), []);
    assert_eq!(page(&sql, "bob", 10, None, None).0.len(), 0);
    // Its owner is no guest.
    assert_eq!(change(2, &[&ada, &bob]), std::slice::from_ref(&bob));
    assert_eq!(page(&sql, "bob", 10, None, None).0, ["a"]);
    assert_eq!((told(&bob, 0), told(&eve, 0)), (vec![(2, true)], vec![]));
    assert_eq!(change(3, &[&bob, &eve]), [bob.clone(), eve.clone()]);
    // Both are told that he is one no more; after that he hears nothing of it.
    assert_eq!(change(4, &[&eve]), [bob.clone(), eve.clone()]);
    assert_eq!(change(5, &[&eve]), std::slice::from_ref(&eve));
    assert_eq!(
        (told(&bob, 2), told(&eve, 2), told(&ada, 2)),
        (vec![(4, false)], vec![(5, true)], vec![(5, true)])
    );
    assert_eq!(page(&sql, "bob", 10, None, None).0.len(), 0);
    assert_eq!(change(6, &[&bob, &eve]).len(), 2);
    assert_eq!(told(&bob, 2), [(6, true)], "and is one again");
}

#[test]
fn a_search_ignores_case_in_any_script_and_takes_wildcards_literally() {
    let sql = index();
    store::apply(&sql, &session("a", "ada", 1, 1)).unwrap();
    assert_eq!(page(&sql, "ada", 10, None, Some("üBUNG")).0.len(), 1);
    assert_eq!(page(&sql, "ada", 10, None, Some("%")).0.len(), 0);
    assert_eq!(page(&sql, "ada", 10, None, Some("other")).0.len(), 0);
}

#[test]
fn a_reader_of_all_change_pages_has_the_latest_of_every_session() {
    let sql = index();
    for n in 0..250 {
        store::apply(&sql, &session(&format!("s{}", n % 120), "ada", n, 1)).unwrap();
    }
    store::apply(&sql, &session("other", "bob", 1, 1)).unwrap();
    let (mut after, mut latest) = (0, std::collections::BTreeMap::new());
    loop {
        let page = store::feed::changes(&sql, &user("ada"), after).unwrap();
        assert!(page.changes.iter().all(|(rev, _)| *rev > after));
        latest.extend(page.changes.into_iter().map(|(_, change)| match change {
            Change::Session(session) => (session.id.clone(), session.head_seq.0),
            Change::Removed(id) => panic!("{id} is removed"),
        }));
        after = page.upto;
        if !page.more {
            break;
        }
    }
    assert_eq!(after, store::rev(&sql).unwrap());
    assert_eq!(latest.len(), 120);
    assert!(latest.values().all(|head| *head >= 130));
}

#[test]
fn the_projection_gets_every_change_once_and_again_after_a_new_one() {
    let sql = index();
    store::apply(&sql, &session("a", "ada", 1, 1)).unwrap();
    store::apply(&sql, &session("b", "ada", 1, 2)).unwrap();
    let (first, upto) = store::unprojected(&sql, 1).unwrap().unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!(store::projection_failed(&sql).unwrap(), 1);
    assert_eq!(store::projection_failed(&sql).unwrap(), 2);
    store::projected(&sql, upto).unwrap();
    assert_eq!(store::projection_failed(&sql).unwrap(), 1);
    let (second, upto) = store::unprojected(&sql, 10).unwrap().unwrap();
    assert_eq!(second.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["ses_b"]);
    store::projected(&sql, upto).unwrap();
    assert_eq!(store::unprojected(&sql, 10).unwrap(), None);
    store::apply(&sql, &session("a", "ada", 2, 3)).unwrap();
    assert!(store::unprojected(&sql, 10).unwrap().is_some());
}

#[test]
fn repositories_come_once_each_latest_use_first() {
    let sql = index();
    store::apply(&sql, &session("old", "ada", 1, 1)).unwrap();
    store::apply(&sql, &session("new", "ada", 1, 3)).unwrap();
    let mut again = session("third", "ada", 1, 5);
    again.repo = session("old", "ada", 1, 1).repo;
    store::apply(&sql, &again).unwrap();
    let mut without = session("none", "ada", 1, 9);
    without.repo = None;
    store::apply(&sql, &without).unwrap();
    let names: Vec<_> = store::recent_repos(&sql, &user("ada"), 10)
        .unwrap()
        .into_iter()
        .map(|r| r.name)
        .collect();
    assert_eq!(names, ["old", "new"]);
}

#[test]
fn a_subscription_can_be_made_and_dropped_twice() {
    let sql = index();
    let ada = user("ada");
    assert!(!store::feed::listens(&sql, &ada).unwrap());
    for _ in 0..2 {
        store::feed::subscribe(&sql, &ada).unwrap();
        assert!(store::feed::listens(&sql, &ada).unwrap());
    }
    for _ in 0..2 {
        store::feed::unsubscribe(&sql, &ada).unwrap();
        assert!(!store::feed::listens(&sql, &ada).unwrap());
    }
}

#[test]
fn what_is_put_away_is_listed_apart_and_comes_back() {
    let sql = index();
    let put_away = || {
        let command = ListCommand {
            viewer: user("ada"),
            which: Which::Mine,
            repo: None,
            limit: 10,
            cursor: None,
            q: Some("übung".to_owned()),
            archived: true,
        };
        store::list(&sql, &command, None).unwrap().sessions.len()
    };
    store::apply(&sql, &session("a", "ada", 1, 1)).unwrap();
    store::apply(&sql, &session("b", "ada", 1, 2)).unwrap();
    store::apply(&sql, &archived("a", "ada", 2, 3)).unwrap();
    assert_eq!(page(&sql, "ada", 10, None, None).0, ["b"]);
    assert_eq!(put_away(), 1);
    store::apply(&sql, &session("a", "ada", 3, 4)).unwrap();
    assert_eq!(page(&sql, "ada", 10, None, None).0, ["a", "b"]);
    assert_eq!(put_away(), 0);
}

#[test]
fn putting_a_session_away_is_no_use_of_its_repository() {
    let sql = index();
    store::apply(&sql, &session("away", "ada", 1, 1)).unwrap();
    store::apply(&sql, &session("used", "ada", 1, 2)).unwrap();
    store::apply(&sql, &archived("away", "ada", 2, 9)).unwrap();
    let repos = store::recent_repos(&sql, &user("ada"), 10).unwrap();
    assert_eq!(
        repos.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(),
        ["used", "away"]
    );
}

#[test]
fn an_index_of_the_first_version_keeps_its_rows() {
    let sql = NativeSql::new();
    store::migrate_to_first(&sql).unwrap();
    let summary = serde_json::to_string(&session("old", "ada", 1, 1)).unwrap();
    let insert = "INSERT INTO sessions (id, owner, rev, head_seq, updated_at, title_folded, repo_url, summary)
                  VALUES ('ses_old', 'usr_ada', 1, 1, 1, 'fix', '/srv/old', ?)";
    sql.exec(insert, &[summary.as_str().into()]).unwrap();
    store::migrate(&sql).unwrap();
    assert_eq!(page(&sql, "ada", 10, None, None).0, ["old"]);
}

#[test]
fn a_list_has_what_its_reader_may_see_and_only_of_the_repository_that_is_asked_for() {
    use errand_protocol::access::Visibility;
    let sql = index();
    let shared = |id: &str, owner: &str, at, visibility| Session {
        visibility,
        ..session(id, owner, 1, at)
    };
    store::apply(&sql, &shared("own", "ada", 1, Visibility::Private)).unwrap();
    store::apply(&sql, &shared("org", "bob", 2, Visibility::Org)).unwrap();
    store::apply(&sql, &shared("link", "bob", 3, Visibility::Link)).unwrap();
    store::apply(&sql, &shared("secret", "bob", 4, Visibility::Private)).unwrap();
    let list = |which, repo: Option<&str>| {
        let command = ListCommand {
            viewer: user("ada"),
            which,
            repo: repo.map(|url| url.parse().unwrap()),
            limit: 10,
            cursor: None,
            q: None,
            archived: false,
        };
        let page = store::list(&sql, &command, None).unwrap().into_json();
        let list: errand_protocol::api::SessionList = serde_json::from_str(&page).unwrap();
        list.sessions
            .iter()
            .map(|s| s.id.as_str()[4..].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(list(Which::Mine, None), ["own"]);
    assert_eq!(list(Which::Shared, None), ["org", "own"]);
    assert_eq!(list(Which::Everybodys, None), ["secret", "link", "org", "own"]);
    assert_eq!(list(Which::Everybodys, Some("/srv/org")), ["org"]);
    assert_eq!(list(Which::Mine, Some("/srv/org")), [""; 0]);
    let mut taken_back = shared("org", "bob", 9, Visibility::Private);
    taken_back.head_seq = errand_protocol::ids::Seq(2);
    store::apply(&sql, &taken_back).unwrap();
    assert_eq!(list(Which::Shared, None), ["own"]);
}

#[test]
fn no_more_sessions_work_at_once_than_the_limits_allow_and_waiting_ones_do_not_block_each_other() {
    use super::admission::store::free_slot;
    use super::admission::{Start, StartCommand, start};
    use errand_access::Limits;
    use errand_protocol::ids::Seq;
    let sql = index();
    let limits = Limits {
        person_concurrent: Some(1),
        person_daily: Some(0),
        org_concurrent: Some(2),
        org_daily: Some(0),
    };
    let ask = |id: &str, owner: &str, head| {
        let command = StartCommand {
            session: SessionId::from_body(id).unwrap(),
            owner: user(owner),
            head_seq: Seq(head),
            limits,
        };
        start(&sql, &command).unwrap() == Start::Granted
    };
    let rests = |id: &str, head| free_slot(&sql, &SessionId::from_body(id).unwrap(), Seq(head)).unwrap();
    assert!(ask("a", "ada", 5) && ask("a", "ada", 6), "again is the same");
    assert!(
        !ask("b", "ada", 1) && !ask("c", "ada", 1),
        "each person has one at a time"
    );
    rests("a", 6);
    assert!(!ask("b", "ada", 2), "news from before it started is no news");
    rests("a", 7);
    assert!(ask("b", "ada", 3), "who waited did not count");
    assert!(!ask("c", "ada", 2));
    assert!(ask("d", "bob", 1));
    assert!(!ask("e", "eve", 1), "the org has two at a time");
    rests("nobody", 99);
    rests("d", 2);
    assert!(ask("e", "eve", 1));
}

#[test]
fn no_more_sessions_get_in_than_the_limits_allow() {
    use super::admission::{Admission, AdmitCommand, admit};
    use errand_access::Limits;
    let sql = index();
    let limits = |person_concurrent, person_daily, org_concurrent| Limits {
        person_concurrent,
        person_daily,
        org_concurrent,
        org_daily: None,
    };
    let ask = |id: &str, owner: &str, limits, at| {
        let command = AdmitCommand {
            session: SessionId::from_body(id).unwrap(),
            owner: user(owner),
            limits,
        };
        admit(&sql, &command, Timestamp::from_millis(at)).unwrap() == Admission::Granted
    };
    let two_at_once = limits(Some(2), None, None);
    assert!(ask("a", "ada", two_at_once, 1) && ask("b", "ada", two_at_once, 2));
    assert!(!ask("c", "ada", two_at_once, 3), "those that are being made count");
    assert!(ask("a", "ada", two_at_once, 3), "asking again for the same is fine");
    assert!(
        !ask("a", "bob", limits(Some(0), None, None), 3),
        "the same id of somebody else is not the same"
    );
    assert!(ask("d", "bob", two_at_once, 3), "each person has their own");
    assert!(!ask("e", "eve", limits(None, None, Some(3)), 4), "the org has its own");
    // `a` works, `b` rests, `d` was never made.
    store::apply(&sql, &session("a", "ada", 1, 5)).unwrap();
    let resting = Session {
        phase: Phase::Paused,
        ..session("b", "ada", 1, 6)
    };
    store::apply(&sql, &resting).unwrap();
    assert!(ask("f", "ada", two_at_once, 7));
    assert!(!ask("g", "ada", two_at_once, 8));
    let minute = 60_000;
    assert!(
        ask("h", "eve", limits(None, None, Some(2)), 2 * minute),
        "what was never made is forgotten"
    );
    let day = 24 * 60 * minute;
    assert!(
        !ask("i", "ada", limits(None, Some(3), None), day),
        "three were made today"
    );
    assert!(
        ask("i", "ada", limits(None, Some(3), None), day + 3),
        "the oldest is over"
    );
}

fn sample(session: &str, generation: u32, repo: &str, resumed: bool, ready: i64) -> SampleCommand {
    let mark = |point, at| Mark {
        point,
        at: Timestamp::from_millis(at),
    };
    SampleCommand {
        session: SessionId::from_body(session).unwrap(),
        repo: repo.to_owned(),
        start: Start {
            generation: Generation(generation),
            attempt: 1,
            resumed,
            marks: vec![mark(StartPoint::Queued, 0), mark(StartPoint::Ready, ready)],
            outcome: StartOutcome::Ready,
            cause: None,
            ended_at: None,
        },
    }
}

#[test]
fn starts_are_remembered_by_repository_and_kind_once_each_and_only_the_last() {
    let sql = index();
    let typical = |repo, resumed| starts::typical(&starts::store::last(&sql, repo, resumed).unwrap());
    assert_eq!(typical("/srv/a", false), None);
    for n in 0..250 {
        starts::store::take_in(&sql, &sample("a", n, "/srv/a", false, i64::from(n))).unwrap();
    }
    starts::store::take_in(&sql, &sample("b", 1, "/srv/a", true, 7)).unwrap();
    starts::store::take_in(&sql, &sample("c", 1, "", false, 9)).unwrap();
    starts::store::take_in(&sql, &sample("c", 1, "", false, 11)).unwrap();
    let fresh = typical("/srv/a", false).unwrap();
    assert_eq!((fresh.samples, fresh.ready_p50, fresh.ready_p95), (200, 149, 239));
    assert_eq!(typical("/srv/a", true).unwrap().ready_p50, 7);
    let empty = typical("", false).unwrap();
    assert_eq!((empty.samples, empty.ready_p50), (1, 11));
}

#[test]
fn who_has_a_sandbox_and_nothing_to_do_is_found_and_keeps_nobody_from_making_a_session() {
    use super::admission::{Admission, AdmitCommand, admit};
    use errand_access::Limits;
    let sql = index();
    let idle = |id: &str, at| Session {
        activity: Activity::Idle,
        ..session(id, "ada", 1, at)
    };
    let names = |limit| -> Vec<String> {
        let found = super::room::store::idle(&sql, limit).unwrap();
        found.iter().map(|s| s.id.as_str()[4..].to_owned()).collect()
    };
    let make = |id: &str| {
        let command = AdmitCommand {
            session: SessionId::from_body(id).unwrap(),
            owner: user("ada"),
            limits: Limits {
                person_concurrent: Some(2),
                person_daily: None,
                org_concurrent: None,
                org_daily: None,
            },
        };
        admit(&sql, &command, Timestamp::from_millis(1)).unwrap() == Admission::Granted
    };
    store::apply(&sql, &idle("late", 9)).unwrap();
    store::apply(&sql, &idle("early", 2)).unwrap();
    store::apply(&sql, &session("works", "ada", 1, 1)).unwrap();
    store::apply(&sql, &archived("away", "ada", 1, 1)).unwrap();
    assert_eq!(
        (names(9), names(1)),
        (vec!["early".to_owned(), "late".to_owned()], vec!["early".to_owned()])
    );
    assert!(make("new"), "only one of them works");
    assert!(!make("newer"));
}

#[test]
fn a_waiting_session_has_one_that_was_asked_for_its_sake_and_no_two_have_the_same() {
    use super::room::{Asked, RoomCommand, store};
    use errand_session::room::Scarce;
    let sql = index();
    let id = |name: &str| SessionId::from_body(name).unwrap();
    let waits = |name: &str, scarce| RoomCommand {
        session: id(name),
        owner: user("ada"),
        head_seq: errand_protocol::ids::Seq(3),
        scarce,
    };
    let (first, second) = (waits("w1", Scarce::Host), waits("w2", Scarce::Host));
    let ask =
        |who: &RoomCommand, other: &str, at| store::ask(&sql, who, &id(other), Timestamp::from_millis(at)).unwrap();
    let asked = |who: &RoomCommand, at| store::asked(&sql, who, Timestamp::from_millis(at)).unwrap();
    assert_eq!(asked(&first, 0), None);
    assert!(ask(&first, "a", 0) && ask(&first, "a", 100_000), "again is the same");
    assert_eq!(asked(&first, 100_000), Some(Asked::Session(id("a"))));
    assert!(!ask(&second, "a", 100_000) && ask(&second, "b", 100_000));
    let of_person = waits("w1", Scarce::Person);
    assert_eq!(asked(&of_person, 100_000), None, "that was asked for another reason");
    assert_eq!(asked(&first, 150_000), None, "asking again makes it last no longer");
    assert!(ask(&second, "a", 150_000), "so long nobody pauses");
    store::forget(&sql, &id("w2")).unwrap();
    assert_eq!(asked(&second, 150_000), None);
}

#[test]
fn who_was_asked_is_forgotten_when_it_rests_or_nobody_waits() {
    use super::room::{Asked, RoomCommand, store};
    use errand_session::room::Scarce;
    let sql = index();
    let id = |name: &str| SessionId::from_body(name).unwrap();
    let waits = |name: &str| RoomCommand {
        session: id(name),
        owner: user("ada"),
        head_seq: errand_protocol::ids::Seq(3),
        scarce: Scarce::Host,
    };
    let now = Timestamp::from_millis(0);
    let asked = |who: &str| store::asked(&sql, &waits(who), now).unwrap();
    let hears = |name: &str, phase, head| {
        let session = Session {
            phase,
            ..session(name, "ada", head, 1)
        };
        store::heard(&sql, &session).unwrap();
    };
    assert!(store::ask(&sql, &waits("w1"), &id("a"), now).unwrap());
    hears("w1", Phase::Idle, 3);
    hears("w1", Phase::Resuming, 4);
    hears("a", Phase::Pausing, 9);
    assert_eq!(
        asked("w1"),
        Some(Asked::Session(id("a"))),
        "it waits, and the other pauses"
    );
    hears("a", Phase::Paused, 10);
    assert_eq!(asked("w1"), Some(Asked::Rests));
    assert!(
        store::ask(&sql, &waits("w2"), &id("a"), now).unwrap(),
        "who came back may be asked again"
    );
    hears("w2", Phase::Running, 4);
    assert_eq!(asked("w2"), None, "it has what it waited for");
}
