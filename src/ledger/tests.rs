//! The books over a real SQLite.

use errand_protocol::ids::Generation;
use errand_protocol::money::{Dimension, Estimate, Micros, Period, Price, Rates, Tokens};
use errand_protocol::session::Person;
use errand_protocol::time::Timestamp;
use errand_session::sql::Sql;
use errand_session::{SandboxLife, TurnSeconds};

use super::books;
use super::commands::{
    Admission, AdmitCommand, CallEnd, ChangeBudgetCommand, EstimateCommand, HistoryCommand, MakeBudgetCommand, Payer,
    RemoveBudgetCommand, SandboxCommand, SettleCommand, Settled, UsageCommand,
};
use super::releases::store as releases;
use super::store;
use crate::native_sql::NativeSql;

const NOW: Timestamp = Timestamp::from_millis(1_795_242_077_308); // 2026-11-21
const HOUR: i64 = 60 * 60 * 1000;

/// Books in which a token of `acme/large` costs a micro-dollar, read or written.
fn ledger() -> NativeSql {
    let sql = NativeSql::new();
    store::migrate(&sql).unwrap();
    store::migrate(&sql).unwrap();
    let rates = Rates {
        input: 1_000_000,
        output: 1_000_000,
        cache_read: None,
        cache_write: None,
        reasoning: None,
    };
    let price = Price {
        model: "acme/large".parse().unwrap(),
        from: Timestamp::from_millis(0),
        rates,
    };
    store::set_prices(&sql, &[price]).unwrap();
    sql
}

fn budget(sql: &NativeSql, id: &str, dimension: Dimension, subject: Option<&str>, limit: u64) {
    let new = serde_json::json!({ "dimension": dimension, "subject": subject, "period": "day", "limit": limit });
    let command = MakeBudgetCommand {
        id: format!("bdg_{id}").parse().unwrap(),
        new: serde_json::from_value(new).unwrap(),
    };
    assert!(books::make_budget(sql, command, NOW).unwrap().made);
}

fn call(id: &str, user: &str, session: &str) -> AdmitCommand {
    AdmitCommand {
        call: format!("cal_{id}").parse().unwrap(),
        payer: Payer {
            user: format!("usr_{user}").parse().unwrap(),
            session: format!("ses_{session}").parse().unwrap(),
            repo: Some("https://example.com/a/b".parse().unwrap()),
            trigger: None,
            turn: Some("trn_1".parse().unwrap()),
            prompt: Some("prm_1".parse().unwrap()),
        },
        model: "acme/large".parse().unwrap(),
        demo: false,
        input_bound: Some(40),
        input_guess: 10,
        output_bound: Some(60),
        note: false,
    }
}

fn used(output: u64) -> Tokens {
    Tokens {
        output,
        ..Tokens::default()
    }
}

fn admit(sql: &NativeSql, id: &str) -> Admission {
    books::admit(sql, &call(id, "a", "1"), NOW).unwrap()
}

fn settle(sql: &NativeSql, id: &str, output: u64) -> Settled {
    let command = SettleCommand {
        call: format!("cal_{id}").parse().unwrap(),
        tokens: used(output),
        estimated: false,
        end: CallEnd::Complete,
    };
    books::settle(sql, &command, NOW.plus(2_500)).unwrap()
}

fn spent(sql: &NativeSql) -> (u64, u64, u64) {
    let sum = store::spending(sql, Dimension::Org, "", "total").unwrap();
    (sum.calls, sum.estimated, sum.cost.0)
}

const YES: Admission = Admission::Admitted { near: None };

#[test]
fn a_call_is_booked_once_however_often_it_is_settled() {
    let sql = ledger();
    assert_eq!(admit(&sql, "1"), YES);
    assert_eq!(admit(&sql, "1"), YES, "the same call again");
    assert_eq!(settle(&sql, "1", 30).cost, Micros(30));
    assert_eq!(settle(&sql, "1", 99).cost, Micros(30), "only the first time counts");
    assert_eq!(settle(&sql, "never-admitted", 99), Settled::default());
    assert_eq!(spent(&sql), (1, 0, 30));
    for (dimension, subject) in [
        (Dimension::User, "usr_a"),
        (Dimension::Session, "ses_1"),
        (Dimension::Repository, "https://example.com/a/b"),
        (Dimension::Model, "acme/large"),
        (Dimension::Turn, "trn_1"),
    ] {
        let sum = store::spending(&sql, dimension, subject, "total").unwrap();
        assert_eq!(sum.cost, Micros(30), "{dimension:?}");
        assert_eq!(sum.tokens, used(30), "{dimension:?}");
    }
    for bucket in ["2026-11", "2026-11-21"] {
        assert_eq!(
            store::spending(&sql, Dimension::User, "usr_a", bucket).unwrap().calls,
            1
        );
    }
}

#[test]
fn a_call_that_nobody_settles_is_booked_as_an_estimate_and_corrected_by_a_late_word() {
    let sql = ledger();
    budget(&sql, "1", Dimension::Org, None, 100);
    admit(&sql, "1");
    let later = NOW.plus(books::LOST_AFTER_MS);
    assert_eq!(books::book_lost(&sql, later.plus(-1)).unwrap(), Some(later));
    store::heard(&sql, &"cal_1".parse().unwrap(), &used(7), NOW.plus(5)).unwrap();
    assert_eq!(books::book_lost(&sql, later).unwrap(), Some(later.plus(5)));
    assert_eq!(books::book_lost(&sql, later.plus(5)).unwrap(), None);
    assert_eq!(spent(&sql), (1, 1, 7), "what was last heard");
    assert_eq!(settle(&sql, "1", 30).cost, Micros(30));
    assert_eq!(spent(&sql), (1, 0, 30), "corrected, not added");
    assert_eq!(settle(&sql, "1", 99).cost, Micros(30));
}

#[test]
fn twenty_sessions_at_once_exceed_a_budget_by_less_than_one_call() {
    let sql = ledger();
    budget(&sql, "1", Dimension::Org, None, 250);
    let mut open: Vec<String> = Vec::new();
    let mut waited = 0;
    for round in 0..40 {
        for session in 0..20 {
            let id = format!("{round}-{session}");
            let command = call(&id, &format!("u{session}"), &format!("s{session}"));
            match books::admit(&sql, &command, NOW).unwrap() {
                Admission::Admitted { .. } => open.push(id),
                Admission::Wait { .. } => waited += 1,
                Admission::Refused { .. } => assert!(spent(&sql).2 >= 225),
                Admission::NoPrice { .. } => panic!("it has a price"),
            }
        }
        // Never more on the way than could be paid for, and one.
        assert!(open.len() <= 3, "{}", open.len());
        for id in open.drain(..) {
            settle(&sql, &id, 33);
        }
    }
    let (calls, _, cost) = spent(&sql);
    assert!((225..225 + 33).contains(&cost), "{cost} by {calls} calls");
    assert!(waited > 0);
}

#[test]
fn a_refusal_names_the_budget_and_when_it_begins_anew() {
    let sql = ledger();
    budget(&sql, "1", Dimension::User, None, 10_000);
    admit(&sql, "1");
    settle(&sql, "1", 10_000);
    let Admission::Refused { why, notice, reserve } = admit(&sql, "2") else {
        panic!("admitted");
    };
    assert_eq!((notice.budget.as_str(), reserve), ("bdg_1", false));
    assert_eq!(notice.until, Some("2026-11-22T00:00:00Z".parse().unwrap()));
    assert!(
        why.starts_with("The budget of each person for a day of $0.01 is used up"),
        "{why}"
    );
    // It is theirs alone, and tomorrow is another day.
    assert_eq!(books::admit(&sql, &call("3", "b", "2"), NOW).unwrap(), YES);
    assert_eq!(
        books::admit(&sql, &call("4", "a", "1"), NOW.plus(24 * HOUR)).unwrap(),
        YES
    );
}

#[test]
fn a_raised_limit_lets_calls_pass_again() {
    let sql = ledger();
    budget(&sql, "1", Dimension::Session, Some("ses_1"), 10);
    admit(&sql, "1");
    settle(&sql, "1", 10);
    assert!(matches!(admit(&sql, "2"), Admission::Refused { .. }));
    let command = ChangeBudgetCommand {
        id: "bdg_1".parse().unwrap(),
        limit: Micros(20),
        by: ada(),
        extends: None,
    };
    books::change_budget(&sql, &command, NOW).unwrap();
    assert_eq!(admit(&sql, "2"), YES);
    let lower = |extends| ChangeBudgetCommand {
        limit: Micros(5),
        extends,
        ..command.clone()
    };
    let session = "ses_1".parse().ok();
    assert_eq!(
        books::change_budget(&sql, &lower(session), NOW).unwrap().budget.limit,
        Micros(20)
    );
    assert_eq!(
        books::change_budget(&sql, &lower(None), NOW).unwrap().budget.limit,
        Micros(5)
    );
}

#[test]
fn sessions_that_a_budget_stopped_have_to_hear_when_it_is_raised_or_removed() {
    let sql = ledger();
    budget(&sql, "1", Dimension::Org, None, 100);
    let heard = || {
        let waiting = releases::waiting(&sql, 9).unwrap().into_iter();
        waiting
            .map(|release| (release.session.to_string(), release.raise.limit))
            .collect::<Vec<_>>()
    };
    // The first one uses it up, the second is refused.
    assert_eq!(books::admit(&sql, &call("1", "a", "1"), NOW).unwrap(), YES);
    settle(&sql, "1", 100);
    assert!(matches!(
        books::admit(&sql, &call("2", "a", "2"), NOW).unwrap(),
        Admission::Refused { .. }
    ));
    let change = |limit, extends: Option<&str>| ChangeBudgetCommand {
        id: "bdg_1".parse().unwrap(),
        limit: Micros(limit),
        by: ada(),
        extends: extends.map(|id| id.parse().unwrap()),
    };
    let lowered = books::change_budget(&sql, &change(90, None), NOW).unwrap();
    assert_eq!((lowered.was, lowered.budget.limit), (Micros(100), Micros(90)));
    books::change_budget(&sql, &change(90, None), NOW).unwrap();
    assert_eq!(heard(), [], "less, and the same");
    books::change_budget(&sql, &change(200, Some("ses_1")), NOW).unwrap();
    assert_eq!(heard(), [("ses_2".to_owned(), Some(Micros(200)))]);
    let remove = RemoveBudgetCommand {
        id: "bdg_1".parse().unwrap(),
        by: ada(),
    };
    assert_eq!(books::remove_budget(&sql, &remove).unwrap().unwrap().limit, Micros(200));
    assert_eq!(books::remove_budget(&sql, &remove).unwrap(), None);
    assert_eq!(heard(), [("ses_2".to_owned(), None)]);
}

fn ada() -> Person {
    Person {
        id: "usr_1".parse().unwrap(),
        name: "Ada".to_owned(),
        email: "ada@example.com".to_owned(),
    }
}

#[test]
fn levels_are_reported_by_the_booking_that_reached_them() {
    let sql = ledger();
    budget(&sql, "1", Dimension::Org, None, 100);
    let levels = |settled: Settled| -> Vec<bool> { settled.crossed.iter().map(|crossing| crossing.hard).collect() };
    for (id, output, expected) in [
        ("1", 50, vec![]),
        ("2", 30, vec![false]),
        ("3", 5, vec![]),
        ("4", 60, vec![true]),
    ] {
        admit(&sql, id);
        assert_eq!(levels(settle(&sql, id, output)), expected, "{id}");
    }
}

#[test]
fn a_model_without_a_price_passes_no_budget_and_without_one_is_booked_by_tokens() {
    let sql = ledger();
    let unknown = AdmitCommand {
        model: "acme/new".parse().unwrap(),
        ..call("1", "a", "1")
    };
    assert_eq!(books::admit(&sql, &unknown, NOW).unwrap(), YES);
    assert_eq!(settle(&sql, "1", 30).cost, Micros(0));
    budget(&sql, "1", Dimension::Org, None, 100);
    let again = AdmitCommand {
        call: "cal_2".parse().unwrap(),
        ..unknown.clone()
    };
    let refused = books::admit(&sql, &again, NOW).unwrap();
    assert!(
        matches!(&refused, Admission::NoPrice { why, .. } if why.contains("acme/new")),
        "{refused:?}"
    );
    let demo = AdmitCommand { demo: true, ..again };
    assert_eq!(books::admit(&sql, &demo, NOW).unwrap(), YES);
}

#[test]
fn a_call_belongs_to_the_day_on_which_it_began() {
    let sql = ledger();
    let evening = "2026-11-21T23:59:59Z".parse().unwrap();
    books::admit(&sql, &call("1", "a", "1"), evening).unwrap();
    settle(&sql, "1", 5);
    let history = |days| {
        let command = HistoryCommand {
            dimension: Dimension::User,
            subject: "usr_a".to_owned(),
            days,
        };
        let days = books::history(&sql, &command, evening.plus(HOUR)).unwrap().days;
        days.iter()
            .map(|day| (day.subject.clone(), day.spending.cost.0))
            .collect::<Vec<_>>()
    };
    assert_eq!(history(2), [("2026-11-21".to_owned(), 5)]);
    assert_eq!(history(1), []);
}

#[test]
fn a_member_sees_their_own_and_the_orgs_sum_and_an_admin_sees_who_spent_what() {
    let sql = ledger();
    budget(&sql, "1", Dimension::User, None, 1_000);
    budget(&sql, "2", Dimension::User, Some("usr_b"), 1_000);
    budget(&sql, "3", Dimension::Org, None, 1_000);
    for (id, user, output) in [("1", "a", 5), ("2", "b", 7)] {
        books::admit(&sql, &call(id, user, user), NOW).unwrap();
        settle(&sql, id, output);
    }
    let report = |user: &str, all| {
        let user = format!("usr_{user}").parse().unwrap();
        books::usage(&sql, &UsageCommand { user, all }, NOW).unwrap()
    };
    let member = report("a", false);
    assert_eq!((member.own.cost, member.org.cost), (Micros(5), Micros(12)));
    assert!(member.by.is_empty());
    let spent: Vec<_> = member
        .budgets
        .iter()
        .map(|state| (state.budget.id.as_str(), state.spent.0))
        .collect();
    assert_eq!(
        spent,
        [("bdg_1", 5), ("bdg_3", 12)],
        "another person's budget is not theirs to see"
    );
    let admin = report("a", true);
    let users: Vec<_> = admin.by[&Dimension::User]
        .iter()
        .map(|of| (of.subject.as_str(), of.spending.cost.0))
        .collect();
    assert_eq!(users, [("usr_b", 7), ("usr_a", 5)]);
}

#[test]
fn the_same_budget_again_is_the_same_and_another_under_its_id_a_conflict() {
    let sql = ledger();
    budget(&sql, "1", Dimension::Org, None, 100);
    let make = |period: Period| {
        let new = serde_json::json!({ "dimension": "org", "period": period, "limit": 100 });
        let command = MakeBudgetCommand {
            id: "bdg_1".parse().unwrap(),
            new: serde_json::from_value(new).unwrap(),
        };
        books::make_budget(&sql, command, NOW).map(|made| made.made)
    };
    assert_eq!(make(Period::Day), Ok(false));
    assert!(make(Period::Month).is_err());
    store::remove_budget(&sql, &"bdg_1".parse().unwrap()).unwrap();
    assert_eq!(make(Period::Month), Ok(true));
}

#[test]
fn sums_are_those_of_the_calls() {
    let sql = ledger();
    for n in 0..50_u64 {
        let id = n.to_string();
        books::admit(&sql, &call(&id, &format!("u{}", n % 3), &format!("s{}", n % 7)), NOW).unwrap();
        if n % 5 != 0 {
            settle(&sql, &id, n);
        }
    }
    books::book_lost(&sql, NOW.plus(books::LOST_AFTER_MS)).unwrap();
    let rows = sql
        .exec(
            "SELECT count(*), sum(estimated), sum(cost) FROM calls WHERE state <> 'open'",
            &[],
        )
        .unwrap();
    let count = |index| errand_session::sql::int(&rows[0], index).unwrap().unsigned_abs();
    assert_eq!(spent(&sql), (count(0), count(1), count(2)));
}

#[test]
fn the_reserve_is_for_a_note_and_who_comes_near_is_told() {
    let sql = ledger();
    budget(&sql, "1", Dimension::User, None, 100);
    admit(&sql, "1");
    settle(&sql, "1", 85);
    let Admission::Admitted { near: Some(near) } = admit(&sql, "2") else {
        panic!("not told");
    };
    assert_eq!((near.spent, near.limit), (Micros(85), Micros(100)));
    settle(&sql, "2", 6);
    assert!(matches!(admit(&sql, "3"), Admission::Refused { reserve: true, .. }));
    let mut note = call("3", "a", "1");
    note.note = true;
    assert!(matches!(
        books::admit(&sql, &note, NOW).unwrap(),
        Admission::Admitted { .. }
    ));
    settle(&sql, "3", 9);
    note.call = "cal_4".parse().unwrap();
    assert!(matches!(
        books::admit(&sql, &note, NOW).unwrap(),
        Admission::Refused { reserve: false, .. }
    ));
}

fn sandbox(generation: u32, reason: &str, ms: i64) -> SandboxCommand {
    SandboxCommand {
        payer: Payer {
            turn: None,
            prompt: None,
            ..call("1", "a", "1").payer
        },
        life: SandboxLife {
            generation: Generation(generation),
            since: NOW,
            until: NOW.plus(ms),
            reason: reason.to_owned(),
            turns: vec![TurnSeconds {
                turn: "trn_1".parse().unwrap(),
                seconds: 3,
            }],
        },
        price: Micros(7),
    }
}

#[test]
fn a_sandbox_is_booked_once_with_its_seconds_and_its_reason() {
    let sql = ledger();
    for _ in 0..2 {
        books::book_sandbox(&sql, &sandbox(1, "idle", 9_001)).unwrap();
    }
    books::book_sandbox(&sql, &sandbox(2, "idle", -5)).unwrap();
    books::book_sandbox(&sql, &sandbox(3, "budget", 1_000)).unwrap();
    for (dimension, subject) in [
        (Dimension::Org, ""),
        (Dimension::Session, "ses_1"),
        (Dimension::User, "usr_a"),
    ] {
        let sum = store::spending(&sql, dimension, subject, "total").unwrap();
        assert_eq!(
            (sum.sandbox_seconds, sum.cost, sum.calls),
            (11, Micros(77), 0),
            "{dimension:?}"
        );
    }
    let turn = store::spending(&sql, Dimension::Turn, "trn_1", "total").unwrap();
    assert_eq!((turn.sandbox_seconds, turn.cost), (9, Micros(0)));
    let command = UsageCommand {
        user: "usr_a".parse().unwrap(),
        all: true,
    };
    let stops = books::usage(&sql, &command, NOW).unwrap().stops;
    let stops: Vec<_> = stops
        .iter()
        .map(|stop| (stop.reason.as_str(), stop.count, stop.seconds))
        .collect();
    assert_eq!(stops, [("idle", 2, 10), ("budget", 1, 1)]);
}

#[test]
fn an_estimate_is_of_turns_on_the_same_repository() {
    let sql = ledger();
    for (id, cost) in [("1", 10), ("2", 30), ("3", 90)] {
        let mut command = call(id, "a", "1");
        command.payer.turn = Some(format!("trn_{id}").parse().unwrap());
        books::admit(&sql, &command, NOW).unwrap();
        settle(&sql, id, cost);
    }
    let ask = |repo: Option<&str>, model: Option<&str>| {
        let command = EstimateCommand {
            repo: repo.map(|repo| repo.parse().unwrap()),
            model: model.map(|model| model.parse().unwrap()),
        };
        books::estimate(&sql, &command, NOW.plus(HOUR)).unwrap()
    };
    let found = ask(Some("https://example.com/a/b"), Some("acme/large"));
    assert_eq!(
        (found.turns, found.cost_p50, found.cost_p95),
        (3, Some(Micros(30)), Some(Micros(90)))
    );
    assert_eq!((found.seconds_p50, found.seconds_p95), (Some(3), Some(3)));
    assert_eq!(ask(Some("https://example.com/a/b"), None).turns, 3);
    assert_eq!(
        ask(Some("https://example.com/a/b"), Some("acme/small")),
        Estimate::default()
    );
    assert_eq!(ask(None, None).turns, 0, "the empty workspace is another one");
}
