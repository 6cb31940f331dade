//! How long sandboxes are kept, and why they are stopped: each life of one is told to the ledger once it is over, again
//! and again until the ledger has it. Booking the same life twice is harmless there.

use errand_protocol::ids::{Generation, TurnId};
use errand_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::core::Life;
use crate::deadlines::backoff;
use crate::effect::Effect;
use crate::session::{Session, Step};
use crate::timings::Timings;

/// So many turns of one life are told.
const MAX_TURNS: usize = 200;
/// So many lives wait for the ledger; then the oldest is given up.
const MAX_WAITING: usize = 50;

/// The sandbox that is kept now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Which.
    pub generation: Generation,
    /// Since when.
    pub since: Timestamp,
    /// Turns that ended in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<TurnSeconds>,
    /// Why it is going to be stopped, when that was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How long a turn took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnSeconds {
    /// Which.
    pub turn: TurnId,
    /// So long.
    pub seconds: u64,
}

/// The life of a sandbox that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxLife {
    /// Which.
    pub generation: Generation,
    /// Since when it was known to be there.
    pub since: Timestamp,
    /// Until when the session kept it.
    pub until: Timestamp,
    /// Why it was stopped: `idle`, `room`, `lifetime`, `paused`, `archived`, `budget`, `ended`, `replaced`, or the code of a failure.
    pub reason: String,
    /// Turns that ended in it.
    pub turns: Vec<TurnSeconds>,
}

/// A life that the ledger does not have yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unbooked {
    /// It.
    pub life: SandboxLife,
    /// When it is told (again).
    pub due: Timestamp,
    /// How often that failed.
    pub failures: u32,
}

impl Session {
    pub(crate) fn booking_deadline(&self, timings: &Timings) -> Option<Timestamp> {
        let first = self.core.unbooked.first()?;
        let lost = self.live.booking.map(|(_, since)| since.plus(timings.call_timeout));
        Some(lost.map_or(first.due, |lost| lost.max(first.due)))
    }
}

impl Step<'_, '_> {
    /// Why the sandbox is about to be stopped.
    pub(crate) fn stops_because(&mut self, why: &str) {
        if let Some(kept) = &mut self.s.core.kept {
            kept.why = Some(why.to_owned());
            self.dirty = true;
        }
    }

    /// A turn ended in the sandbox.
    pub(crate) fn count_turn(&mut self, turn: &TurnId, started_at: Timestamp) {
        let seconds = u64::try_from(self.cx.now.since(started_at))
            .unwrap_or_default()
            .div_ceil(1000);
        if let Some(kept) = self.s.core.kept.as_mut().filter(|kept| kept.turns.len() < MAX_TURNS) {
            kept.turns.push(TurnSeconds {
                turn: turn.clone(),
                seconds,
            });
        }
    }

    /// Notes a sandbox that is there from now on, and one that is not kept any more. After every step.
    pub(crate) fn account(&mut self) {
        let core = &self.s.core;
        let left = |kept: &Kept| kept.generation != core.generation || !holds(&core.life);
        if core.kept.as_ref().is_some_and(left) {
            self.sandbox_left();
        }
        let core = &mut self.s.core;
        if core.kept.is_none() && core.made && holds(&core.life) && core.generation > core.counted {
            core.counted = core.generation;
            core.kept = Some(Kept {
                generation: core.generation,
                since: self.cx.now,
                turns: Vec::new(),
                why: None,
            });
            self.dirty = true;
        }
    }

    fn sandbox_left(&mut self) {
        let Some(kept) = self.s.core.kept.take() else { return };
        let reason = self.why_left(&kept);
        let life = SandboxLife {
            generation: kept.generation,
            since: kept.since,
            until: self.cx.now.max(kept.since),
            reason,
            turns: kept.turns,
        };
        let unbooked = &mut self.s.core.unbooked;
        unbooked.push(Unbooked {
            life,
            due: self.cx.now,
            failures: 0,
        });
        if unbooked.len() > MAX_WAITING {
            unbooked.remove(0);
        }
        self.dirty = true;
    }

    fn why_left(&self, kept: &Kept) -> String {
        let core = &self.s.core;
        let why = match &core.life {
            Life::Terminated => "ended",
            Life::Error { cause } | Life::Starting { cause: Some(cause), .. } => cause.code.as_str(),
            Life::Idle | Life::Paused if core.budget.is_some() => "budget",
            Life::Idle | Life::Paused if core.archived_at.is_some() => "archived",
            Life::Idle | Life::Paused => kept.why.as_deref().unwrap_or("paused"),
            Life::Starting { .. } | Life::Running { .. } | Life::Reconnecting { .. } | Life::Pausing { .. } => {
                "replaced"
            }
        };
        why.to_owned()
    }

    /// Tells the ledger, one life after the other.
    pub(crate) fn book_out(&mut self) {
        let now = self.cx.now;
        if self.s.booking_deadline(self.cx.timings).is_some_and(|at| at <= now)
            && let Some(first) = self.s.core.unbooked.first()
        {
            self.s.live.booking = Some((first.life.generation, now));
            self.fx.push(Effect::Book(first.life.clone()));
        }
    }

    /// The ledger has it, or did not answer.
    pub(crate) fn booked(&mut self, generation: Generation, ok: bool) {
        if self
            .s
            .live
            .booking
            .is_some_and(|(on_its_way, _)| on_its_way == generation)
        {
            self.s.live.booking = None;
        }
        let unbooked = &mut self.s.core.unbooked;
        let Some(at) = unbooked
            .iter()
            .position(|waiting| waiting.life.generation == generation)
        else {
            return;
        };
        self.dirty = true;
        if ok {
            unbooked.remove(at);
        } else if let Some(waiting) = unbooked.get_mut(at) {
            waiting.failures = waiting.failures.saturating_add(1);
            waiting.due = self
                .cx
                .now
                .plus(backoff(self.cx.timings.call_backoff, waiting.failures));
        }
    }
}

/// Whether a session in this life keeps a sandbox.
const fn holds(life: &Life) -> bool {
    match life {
        Life::Starting { backoff, .. } => !*backoff,
        Life::Running { .. } | Life::Reconnecting { .. } | Life::Pausing { .. } => true,
        Life::Idle | Life::Paused | Life::Error { .. } | Life::Terminated => false,
    }
}
