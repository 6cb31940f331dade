//! Making room: places for sandboxes are few, and idle sandboxes hold some of them. When a session waits for a place, one
//! that has nothing to do is paused. Whom to ask is a rule over the index ([`whom_to_ask`]); whoever is asked decides
//! ([`Session::room`]), because only the session itself knows what it does at that moment.

use errand_protocol::api::ErrorCode;
use errand_protocol::ids::{SessionId, UserId};
use errand_protocol::session::{Activity, Cause, Phase, Session as Summary};
use errand_protocol::startup::Watchdog;
use errand_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::core::Life;
use crate::effect::Rejection;
use crate::session::{Session, Step};
use crate::timings::Timings;

/// Of what there is too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scarce {
    /// The person has as many sessions at work as they may.
    Person,
    /// The org has.
    Org,
    /// The host has no place left, whoever holds them.
    Host,
}

/// What a session says when it is asked for its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "room", rename_all = "snake_case")]
pub enum Room {
    /// It can be paused now.
    Now,
    /// It is being paused.
    Coming,
    /// It could be paused, but somebody watches it.
    Watched,
    /// It has nothing to do, but not for long enough.
    Later {
        /// In so long it has been, milliseconds.
        ms: i64,
    },
    /// It holds no place.
    Resting,
    /// It works, or is about to.
    Busy,
}

/// Those who may be asked for their place, in the order in which they are: who has had nothing to do for longest comes
/// first. Where a person has too many sessions at work, only their own; else anybody's.
pub fn whom_to_ask(scarce: Scarce, waiting: &SessionId, owner: &UserId, index: &[Summary]) -> Vec<SessionId> {
    let may = |other: &&Summary| {
        let theirs = match scarce {
            Scarce::Person => other.owner.id == *owner,
            Scarce::Org | Scarce::Host => true,
        };
        theirs && other.id != *waiting && seems_idle(other)
    };
    let mut idle: Vec<&Summary> = index.iter().filter(may).collect();
    idle.sort_by(|a, b| (a.updated_at, &a.id).cmp(&(b.updated_at, &b.id)));
    idle.into_iter().map(|other| other.id.clone()).collect()
}

/// Whether it may be waiting for a place, as far as the index knows.
pub fn seems_to_wait(session: &Summary) -> bool {
    matches!(session.phase, Phase::Starting | Phase::Resuming)
}

/// Whether it holds a place for nothing, as far as the index knows.
fn seems_idle(session: &Summary) -> bool {
    session.phase == Phase::Running && session.activity == Activity::Idle && session.queue == 0
}

impl Session {
    /// What it says when it is asked for its place; `watched`: somebody watches, and that counts.
    pub fn room(&self, now: Timestamp, timings: &Timings, watched: bool) -> Room {
        let wanted = self.wants_sandbox() || !self.queue.is_empty() || !self.core.interactions.is_empty();
        match &self.core.life {
            Life::Running {
                idle_since: Some(since),
            } if !wanted && self.live.runner.is_some() && !self.replaying() => {
                let left = since.plus(timings.make_room).since(now);
                if left > 0 {
                    Room::Later { ms: left }
                } else if watched {
                    Room::Watched
                } else {
                    Room::Now
                }
            }
            Life::Pausing { wanted: false, .. } if !wanted => Room::Coming,
            Life::Idle | Life::Paused | Life::Error { .. } | Life::Terminated => Room::Resting,
            Life::Starting { .. } | Life::Running { .. } | Life::Reconnecting { .. } | Life::Pausing { .. } => {
                Room::Busy
            }
        }
    }

    /// Why it rests, when it was paused for another one's sake.
    pub(crate) fn room_cause(&self) -> Option<Cause> {
        let message = "Paused to make room for another session; it goes on at the next prompt.";
        self.core.made_room.map(|_| Cause::new("made_room", message))
    }
}

impl Step<'_, '_> {
    /// Another session waits for a place.
    pub(crate) fn make_room(&mut self, even_watched: bool) -> Result<(), Rejection> {
        let watched = self.cx.watched && !even_watched;
        if self.s.room(self.cx.now, self.cx.timings, watched) != Room::Now {
            return Err(Rejection::new(ErrorCode::Conflict, "It has no place to give."));
        }
        let cause = Cause::new(
            "made_room",
            "Another session waits for a place, and this one had nothing to do.",
        );
        self.verdict(Watchdog::Idle, cause, "It is paused; the next prompt wakes it.");
        self.stops_because("room");
        self.s.core.made_room = Some(self.cx.now);
        self.pause();
        Ok(())
    }
}
