//! Whether one more call may be made.
//!
//! **Never more than one call over the limit**, however many sessions ask at once. Each call that is on its way holds an
//! amount that it cannot exceed ([`crate::price::Tariff::at_most`]), or, when no such amount is known, the whole budget.
//! A call is admitted only while `spent + held < limit`. Why that is enough: let `c` be the last call that was admitted.
//! At that moment everything spent, and everything that the others on their way may still cost, was below the limit; so
//! when all are booked, `spent < limit + cost(c)`. Calls that are admitted after others were booked only start from a
//! sum that is exact. Waiting ends: once nothing is on its way, `held` is 0, and the call is admitted or refused.
//!
//! So far from the limit calls run side by side; near it they go one by one.
//!
//! **The reserve.** The last tenth of a budget ([`reserve`], a dollar at most) is not for work: whoever works is refused
//! from there on, and a session that is told to stop writes its hand-over note with what is left. So the note is part of the
//! budget, and the argument above holds for it as for any call: it is admitted below the limit, or not at all.

use errand_protocol::money::{Budget, Micros};
use errand_protocol::time::Timestamp;

use crate::period;

/// From so many percent of a budget on, people are warned.
const SOFT_PERCENT: u128 = 80;
/// No more than this is kept for hand-over notes.
const MOST_RESERVE: Micros = Micros(1_000_000);

/// What of a budget is kept for hand-over notes.
pub fn reserve(limit: Micros) -> Micros {
    Micros(limit.0 / 10).min(MOST_RESERVE)
}

/// What a call is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Work: stops before the reserve.
    Work,
    /// A hand-over note of a session that was told to stop: may use the reserve.
    Note,
}

/// What calls that are on their way may cost together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// So much at most.
    AtMost(Micros),
    /// Nobody knows.
    Unknown,
}

impl Held {
    /// Nothing is on its way.
    pub const NOTHING: Self = Self::AtMost(Micros(0));
}

/// How a budget stands at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub budget: Budget,
    /// Whose, when it counts each one by itself.
    pub subject: Option<String>,
    /// Booked in this period.
    pub spent: Micros,
    /// What calls on their way hold.
    pub held: Held,
}

impl Standing {
    /// Whether a hand-over note may still be written.
    pub fn has_reserve(&self) -> bool {
        self.spent < self.budget.limit
    }

    fn verdict(&self, purpose: Purpose) -> Verdict {
        let limit = match purpose {
            Purpose::Work => line(self.budget.limit),
            Purpose::Note => self.budget.limit,
        };
        if self.spent >= limit {
            return Verdict::Refused;
        }
        match self.held {
            Held::AtMost(held) if self.spent.plus(held) < limit => Verdict::Admitted,
            Held::AtMost(_) | Held::Unknown => Verdict::Wait,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Admitted,
    Wait,
    Refused,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<'s> {
    /// It may be made.
    Admitted,
    /// Not while others are on their way: what they cost decides.
    Wait(&'s Standing),
    /// Not any more.
    Refused {
        /// The budget that is used up.
        standing: &'s Standing,
        /// When it begins anew; `None`: never.
        until: Option<Timestamp>,
    },
    /// A budget applies, and nobody knows what the model costs.
    NoPrice(&'s Standing),
}

/// Decides about a call to which these budgets apply. `priced`: whether the model has a price.
pub fn admit(standings: &[Standing], priced: bool, purpose: Purpose, now: Timestamp) -> Decision<'_> {
    let Some((worst, verdict)) = standings
        .iter()
        .map(|standing| (standing, standing.verdict(purpose)))
        .max_by_key(|(_, verdict)| *verdict)
    else {
        return Decision::Admitted;
    };
    match verdict {
        Verdict::Refused => Decision::Refused {
            standing: worst,
            until: period::ends(worst.budget.period, now),
        },
        Verdict::Admitted | Verdict::Wait if !priced => Decision::NoPrice(worst),
        Verdict::Wait => Decision::Wait(worst),
        Verdict::Admitted => Decision::Admitted,
    }
}

/// How far a budget has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Most of it is spent.
    Soft,
    /// All of it is, but for the reserve.
    Hard,
}

/// Where work stops.
fn line(limit: Micros) -> Micros {
    limit.minus(reserve(limit))
}

/// The level that a booking reached, when it was not reached before.
pub fn crossed(limit: Micros, before: Micros, after: Micros) -> Option<Level> {
    let (was, is) = (level(limit, before), level(limit, after));
    if is > was { is } else { None }
}

/// The level at which so much of a budget is spent.
pub fn level(limit: Micros, spent: Micros) -> Option<Level> {
    if spent >= line(limit) {
        Some(Level::Hard)
    } else if u128::from(spent.0) * 100 >= u128::from(limit.0) * SOFT_PERCENT {
        Some(Level::Soft)
    } else {
        None
    }
}
