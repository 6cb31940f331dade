//! How long one sandbox may be up, when the session's settings say so: then its turn is stopped, its work is kept, and what
//! still waits gets another sandbox, which continues from there. Counted from when the engine took prompts first, so that a
//! slow start does not eat it up.

use errand_protocol::session::Cause;
use errand_protocol::startup::Watchdog;
use errand_protocol::time::Timestamp;

use crate::session::{Session, Step};

const MINUTE_MS: i64 = 60_000;

impl Session {
    /// When the sandbox that is up has been up for long enough; `None` when it may stay.
    pub(crate) fn lifetime_end(&self) -> Option<Timestamp> {
        let minutes = self.core.spec.sandbox.minutes?;
        let (_, since) = self.core.up_since.filter(|(of, _)| *of == self.core.generation)?;
        Some(since.plus(i64::from(minutes) * MINUTE_MS))
    }
}

impl Step<'_, '_> {
    /// The engine takes prompts; again, when it was started again in the same sandbox.
    pub(crate) fn sandbox_is_up(&mut self) {
        let generation = self.s.core.generation;
        let limited = self.s.core.spec.sandbox.minutes.is_some();
        if limited && self.s.core.up_since.is_none_or(|(of, _)| of != generation) {
            self.s.core.up_since = Some((generation, self.cx.now));
            self.dirty = true;
        }
    }

    /// Whether the sandbox may not begin anything more.
    pub(crate) fn is_past_lifetime(&self) -> bool {
        self.s.lifetime_end().is_some_and(|end| end <= self.cx.now)
    }

    /// Stops what runs, and then the sandbox.
    pub(crate) fn lifetime_is_over(&mut self) {
        let minutes = self.s.core.spec.sandbox.minutes.unwrap_or_default();
        let message = format!("The sandbox was up for {minutes} minutes, which is as long as one may be.");
        let cause = Cause::new("sandbox_lifetime", message);
        if self.s.core.turn.is_some() {
            self.verdict(
                Watchdog::Lifetime,
                cause.clone(),
                "The turn is stopped; its work is kept.",
            );
            self.abort_turn(None, Some(cause));
        } else {
            self.verdict(
                Watchdog::Lifetime,
                cause,
                "It is paused; the next prompt gets another one.",
            );
            self.pause();
        }
    }
}
