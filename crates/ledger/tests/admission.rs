//! Budgets hold, whatever is asked in whatever order.

use errand_ledger::admission::{Decision, Held, Level, Purpose, Standing, admit, crossed, reserve};
use errand_protocol::money::{Budget, Dimension, Micros, Period};
use errand_protocol::time::Timestamp;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_795_242_077_308);

#[expect(clippy::unwrap_used, reason = "a constant id")]
fn standing(limit: u64, spent: u64, held: Held) -> Standing {
    Standing {
        budget: Budget {
            id: "bdg_1".parse().unwrap(),
            dimension: Dimension::Org,
            subject: None,
            period: Period::Day,
            limit: Micros(limit),
            updated_at: NOW,
        },
        subject: None,
        spent: Micros(spent),
        held,
    }
}

/// A call that a session makes: what it costs, and how much more than that it holds meanwhile; `None`: unknown.
#[derive(Debug, Clone, Copy)]
struct Call {
    cost: u64,
    slack: Option<u64>,
}

impl Call {
    fn held(self) -> Held {
        self.slack
            .map_or(Held::Unknown, |slack| Held::AtMost(Micros(self.cost + slack)))
    }
}

fn sum(open: &[Call]) -> Held {
    open.iter().fold(Held::NOTHING, |sum, call| match (sum, call.held()) {
        (Held::AtMost(sum), Held::AtMost(more)) => Held::AtMost(sum.plus(more)),
        _ => Held::Unknown,
    })
}

fn call() -> impl Strategy<Value = Call> {
    (0_u64..500, prop::option::weighted(0.8, 0_u64..2_000)).prop_map(|(cost, slack)| Call { cost, slack })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Twenty sessions that each make one call after the other; `steps` says whose turn it is and whether an answer
    /// is booked instead of a call begun.
    #[test]
    fn never_more_than_one_call_over_the_limit(
        limit in 1_u64..5_000,
        steps in prop::collection::vec((0_usize..20, call(), prop::bool::weighted(0.2)), 1..300),
    ) {
        let mut open: Vec<Option<Call>> = vec![None; 20];
        let (mut spent, mut dearest) = (0, 0);
        for (session, next, note) in steps {
            let (purpose, line) = if note {
                (Purpose::Note, limit)
            } else {
                (Purpose::Work, limit - reserve(Micros(limit)).0)
            };
            if let Some(call) = open[session].take() {
                spent += call.cost;
                continue;
            }
            let on_their_way: Vec<Call> = open.iter().flatten().copied().collect();
            let standings = [standing(limit, spent, sum(&on_their_way))];
            match admit(&standings, true, purpose, NOW) {
                Decision::Admitted => {
                    open[session] = Some(next);
                    dearest = dearest.max(next.cost);
                }
                Decision::Refused { .. } => prop_assert!(spent >= line),
                Decision::Wait(_) => prop_assert!(!on_their_way.is_empty(), "nobody waits for nothing"),
                Decision::NoPrice(_) => prop_assert!(false),
            }
        }
        spent += open.iter().flatten().map(|call| call.cost).sum::<u64>();
        prop_assert!(spent < limit + dearest.max(1), "{spent} of {limit}, dearest call {dearest}");
    }
}

#[test]
fn without_a_budget_everything_is_admitted() {
    assert_eq!(admit(&[], false, Purpose::Work, NOW), Decision::Admitted);
}

#[test]
fn a_used_up_budget_refuses_until_it_begins_anew() {
    let standings = [standing(10, 9, Held::NOTHING), standing(10, 10, Held::NOTHING)];
    let midnight = "2026-11-22T00:00:00Z".parse().unwrap();
    let refused = Decision::Refused {
        standing: &standings[1],
        until: Some(midnight),
    };
    assert_eq!(admit(&standings, true, Purpose::Work, NOW), refused);
}

#[test]
fn a_budget_of_nothing_refuses_everything() {
    assert!(matches!(
        admit(&[standing(0, 0, Held::NOTHING)], true, Purpose::Note, NOW),
        Decision::Refused { .. }
    ));
}

#[test]
fn one_that_could_cost_more_than_is_left_goes_alone() {
    let held = Held::AtMost(Micros(1));
    assert_eq!(
        admit(&[standing(10, 8, held)], true, Purpose::Note, NOW),
        Decision::Admitted
    );
    assert!(matches!(
        admit(&[standing(10, 9, held)], true, Purpose::Note, NOW),
        Decision::Wait(_)
    ));
    assert!(matches!(
        admit(&[standing(10, 0, Held::Unknown)], true, Purpose::Note, NOW),
        Decision::Wait(_)
    ));
}

#[test]
fn a_model_without_a_price_passes_no_budget() {
    assert!(matches!(
        admit(&[standing(10, 0, Held::NOTHING)], false, Purpose::Work, NOW),
        Decision::NoPrice(_)
    ));
}

#[test]
fn a_level_is_crossed_once() {
    let crossed = |before, after| crossed(Micros(100), Micros(before), Micros(after));
    assert_eq!(crossed(0, 79), None);
    assert_eq!(crossed(79, 80), Some(Level::Soft));
    assert_eq!(crossed(80, 89), None);
    assert_eq!(crossed(89, 90), Some(Level::Hard), "the rest is for the note");
    assert_eq!(crossed(99, 100), None);
    assert_eq!(crossed(10, 200), Some(Level::Hard));
    assert_eq!(crossed(100, 200), None);
}

#[test]
fn the_last_tenth_is_for_the_note() {
    let last = [standing(100, 90, Held::NOTHING)];
    assert!(matches!(
        admit(&last, true, Purpose::Work, NOW),
        Decision::Refused { .. }
    ));
    assert_eq!(admit(&last, true, Purpose::Note, NOW), Decision::Admitted);
    assert!(last[0].has_reserve());
    let over = [standing(100, 100, Held::NOTHING)];
    assert!(matches!(
        admit(&over, true, Purpose::Note, NOW),
        Decision::Refused { .. }
    ));
    assert!(!over[0].has_reserve());
    assert_eq!(reserve(Micros(1_000_000_000)), Micros(1_000_000), "a dollar at most");
}
