//! Budgets hold, whatever is asked in whatever order.

use errand_ledger::admission::{Decision, Held, Level, Standing, admit, crossed};
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
        steps in prop::collection::vec((0_usize..20, call()), 1..300),
    ) {
        let mut open: Vec<Option<Call>> = vec![None; 20];
        let (mut spent, mut dearest) = (0, 0);
        for (session, next) in steps {
            if let Some(call) = open[session].take() {
                spent += call.cost;
                continue;
            }
            let on_their_way: Vec<Call> = open.iter().flatten().copied().collect();
            let standings = [standing(limit, spent, sum(&on_their_way))];
            match admit(&standings, true, NOW) {
                Decision::Admitted => {
                    open[session] = Some(next);
                    dearest = dearest.max(next.cost);
                }
                Decision::Refused { .. } => prop_assert!(spent >= limit),
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
    assert_eq!(admit(&[], false, NOW), Decision::Admitted);
}

#[test]
fn a_used_up_budget_refuses_until_it_begins_anew() {
    let standings = [standing(10, 9, Held::NOTHING), standing(10, 10, Held::NOTHING)];
    let midnight = "2026-11-22T00:00:00Z".parse().unwrap();
    let refused = Decision::Refused {
        standing: &standings[1],
        until: Some(midnight),
    };
    assert_eq!(admit(&standings, true, NOW), refused);
}

#[test]
fn a_budget_of_nothing_refuses_everything() {
    assert!(matches!(
        admit(&[standing(0, 0, Held::NOTHING)], true, NOW),
        Decision::Refused { .. }
    ));
}

#[test]
fn one_that_could_cost_more_than_is_left_goes_alone() {
    let held = Held::AtMost(Micros(1));
    assert_eq!(admit(&[standing(10, 8, held)], true, NOW), Decision::Admitted);
    assert!(matches!(admit(&[standing(10, 9, held)], true, NOW), Decision::Wait(_)));
    assert!(matches!(
        admit(&[standing(10, 0, Held::Unknown)], true, NOW),
        Decision::Wait(_)
    ));
}

#[test]
fn a_model_without_a_price_passes_no_budget() {
    assert!(matches!(
        admit(&[standing(10, 0, Held::NOTHING)], false, NOW),
        Decision::NoPrice(_)
    ));
}

#[test]
fn a_level_is_crossed_once() {
    let crossed = |before, after| crossed(Micros(100), Micros(before), Micros(after));
    assert_eq!(crossed(0, 79), None);
    assert_eq!(crossed(79, 80), Some(Level::Soft));
    assert_eq!(crossed(80, 99), None);
    assert_eq!(crossed(99, 100), Some(Level::Hard));
    assert_eq!(crossed(10, 200), Some(Level::Hard));
    assert_eq!(crossed(100, 200), None);
}
