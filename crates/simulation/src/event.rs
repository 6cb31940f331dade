//! What is to happen in the world, and in which order.

use errand_protocol::ids::{Generation, InteractionId, TurnId};
use errand_protocol::interaction::Answer;
use errand_protocol::sandbox::{SandboxError, SandboxStatus};
use errand_protocol::time::Timestamp;
use errand_session::SandboxCall;

use crate::host::{Boot, Told};
use crate::net::ConnNo;

/// What is to happen.
#[derive(Debug)]
pub enum Event {
    /// Something arrives at the agent.
    Up(ConnNo),
    /// Something arrives at the other end.
    Down(ConnNo),
    /// An end hears that its connection is gone.
    Broken { conn: ConnNo, agent: bool },
    /// A transaction is durable.
    Durable(u64),
    /// The alarm that was set to this time.
    Alarm(i64),
    /// A call arrives at the provider.
    Provider {
        life: u64,
        call: SandboxCall,
        told: Told,
        again: Option<i64>,
    },
    /// Its outcome arrives.
    Outcome {
        life: u64,
        call: SandboxCall,
        outcome: Result<SandboxStatus, SandboxError>,
    },
    /// The registry answers.
    Indexed { life: u64, ok: bool },
    /// The ledger answers.
    Booked {
        life: u64,
        generation: Generation,
        ok: bool,
    },
    /// A sandbox boots.
    Boot(usize, Option<Boot>),
    /// A runner's timer.
    Tick(usize, u64),
    /// A runner's start goes on.
    Start(usize, u64),
    /// A prompt reaches the engine.
    Post(usize, u64, TurnId),
    /// The engine's answer to it.
    Posted(usize, u64, TurnId),
    /// The engine works.
    Work(usize, u64),
    /// It is told to stop.
    Stop(usize, TurnId),
    /// It gets an answer.
    Answer(usize, InteractionId, Answer),
    /// An upload ends.
    Uploaded(usize, u64),
    /// A push of the work ends.
    Pushed(usize, u64, Timestamp),
    /// A runner that was told to end has waited long enough.
    Leave(usize, u64),
    /// A runner's process comes back.
    Respawn(usize),
    /// An engine comes back.
    Reborn(usize, u64, bool),
    /// A viewer dials again.
    Redial(usize),
    /// A viewer gives a dial up.
    Impatient(usize, ConnNo),
    /// The story's next move is due, if it is still this one.
    Move(usize),
    /// People look after the session, once the story is told.
    Care,
}

/// It, and when; of two at the same time the one that was planned first.
pub(crate) struct Due {
    /// When.
    pub at: i64,
    /// Which.
    pub number: u64,
    /// What.
    pub event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
