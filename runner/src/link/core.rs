//! The link's rules, without I/O: when to dial, what to send on which connection, what an ack or a close means.
//!
//! The events themselves are in the spool; this only knows their numbers. The shell asks [`Link::next_event`]
//! for the number to send next, so that a slow connection holds nothing in memory.

use errand_protocol::PROTOCOL_VERSION;
use errand_protocol::close::CloseCode;
use errand_protocol::ids::{Generation, SpoolId, TurnId};
use errand_protocol::runner::{AgentFrame, RunnerFrame, RunnerSetup, SandboxToken};

/// Between two pings, in milliseconds.
pub const PING_EVERY: i64 = 20_000;
/// Without any frame for so long, the connection is dead.
pub const DEAD_AFTER: i64 = 60_000;
/// An event that is not acked for so long was lost at the agent, which may not know: it is sent again on a new connection.
pub const UNACKED: i64 = 60_000;
/// A dial, up to the `welcome`, may take so long.
pub const GREETING: i64 = 15_000;
/// Between two requests for a fresh token.
const RENEW_EVERY: i64 = 30_000;
const FIRST_DELAY: i64 = 200;
const MAX_DELAY: i64 = 10_000;

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The WebSocket is open.
    Opened,
    /// It could not be opened; the HTTP status when there was an answer.
    Refused(Option<u16>),
    /// A frame came.
    Frame(AgentFrame),
    /// Something came that shows that the other side lives.
    Alive,
    /// A frame came that is not one.
    Garbage,
    /// It closed; the code when one was given.
    Closed(Option<u16>),
    /// Time passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Open a WebSocket, with this token.
    Dial(String),
    /// Send this.
    Send(RunnerFrame),
    /// Send the text `ping`.
    Ping,
    /// The agent greets: deltas of open parts are sent again from what is saved.
    Welcomed(Box<RunnerSetup>),
    /// Events up to here are stored.
    Forget(u64),
    /// For the rest of the runner.
    Deliver(AgentFrame),
    /// Give the connection up.
    Drop,
    /// End the process.
    Exit(Exit),
}

/// Why the process ends. The number is its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Told to, or the work is over.
    Done = 0,
    /// It cannot work at all: its environment, its disk.
    Broken = 1,
    /// A newer runner took over.
    Replaced = 10,
    /// The session is over.
    Terminated = 11,
    /// The token is not accepted.
    Unauthenticated = 12,
    /// There is no such session.
    NotFound = 13,
    /// Another protocol version.
    ProtocolMismatch = 14,
    /// The agent could not read what the runner sent.
    BadFrame = 15,
    /// The disk does not take what must not be lost.
    DiskFull = 16,
}

/// What `hello` says beside the numbers.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// This sandbox's generation.
    pub generation: Generation,
    /// The spool file.
    pub spool: SpoolId,
    /// Number of its last event.
    pub last: u64,
    /// The turn in progress.
    pub turn: Option<TurnId>,
    /// Whether the engine takes prompts.
    pub ready: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting { until: i64 },
    Dialling { since: i64 },
    Greeting { since: i64 },
    Up,
}

/// The link.
#[derive(Debug)]
pub struct Link {
    state: State,
    attempt: u32,
    token: String,
    /// When the token ends and how long it lives in all; unknown for the first one.
    life: Option<(i64, i64)>,
    renewed: Option<i64>,
    /// Number of the last event sent on this connection (or stored).
    sent: u64,
    /// Number of the last event that is stored.
    acked: u64,
    /// Since when no ack has come though one is due.
    unacked: Option<i64>,
    heard: i64,
    pinged: i64,
}

impl Link {
    /// A link that dials at once, with the token of the environment.
    pub const fn new(token: String) -> Self {
        Self {
            state: State::Waiting { until: 0 },
            attempt: 0,
            token,
            life: None,
            renewed: None,
            sent: 0,
            acked: 0,
            unacked: None,
            heard: 0,
            pinged: 0,
        }
    }

    /// Whether frames can be sent.
    pub const fn up(&self) -> bool {
        matches!(self.state, State::Up)
    }

    /// Number of the last event that was sent.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// The token to use now.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The number of the event to send next, when there is one up to `last`. It counts as sent.
    pub fn next_event(&mut self, last: u64) -> Option<u64> {
        if !self.up() || self.sent >= last {
            return None;
        }
        self.sent += 1;
        Some(self.sent)
    }

    /// Takes an input in. `jitter` is in `0..1`.
    pub fn handle(&mut self, input: Input, greeting: &Greeting, now: i64, jitter: f64) -> Vec<Action> {
        match input {
            Input::Opened => self.opened(greeting, now),
            Input::Refused(status) => match status {
                Some(401 | 403) => vec![Action::Exit(Exit::Unauthenticated)],
                Some(404) => vec![Action::Exit(Exit::NotFound)],
                Some(410) => vec![Action::Exit(Exit::Terminated)],
                Some(_) | None => self.again(now, jitter),
            },
            Input::Frame(frame) => {
                self.heard = now;
                self.frame(frame, greeting, now)
            }
            Input::Alive => {
                self.heard = now;
                Vec::new()
            }
            Input::Garbage => {
                tracing::warn!("a frame from the control plane could not be read");
                Vec::new()
            }
            Input::Closed(code) => self.closed(code, now, jitter),
            Input::Tick => self.tick(now, jitter),
        }
    }

    fn opened(&mut self, greeting: &Greeting, now: i64) -> Vec<Action> {
        self.state = State::Greeting { since: now };
        self.heard = now;
        self.pinged = now;
        vec![Action::Send(RunnerFrame::Hello {
            protocol: PROTOCOL_VERSION,
            generation: greeting.generation,
            spool_id: greeting.spool.clone(),
            last_rseq: greeting.last,
            turn: greeting.turn.clone(),
            ready: greeting.ready,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })]
    }

    fn frame(&mut self, frame: AgentFrame, greeting: &Greeting, now: i64) -> Vec<Action> {
        match frame {
            AgentFrame::Welcome {
                protocol,
                acked,
                setup,
                token,
            } => {
                if protocol != PROTOCOL_VERSION {
                    return vec![Action::Drop, Action::Exit(Exit::ProtocolMismatch)];
                }
                let acked = acked.min(greeting.last);
                self.state = State::Up;
                self.attempt = 0;
                self.sent = acked;
                (self.acked, self.unacked) = (acked, None);
                self.take_token(token, now);
                vec![Action::Forget(acked), Action::Welcomed(Box::new(setup))]
            }
            AgentFrame::Ack { rseq } => {
                let acked = rseq.min(self.sent);
                if acked > self.acked {
                    (self.acked, self.unacked) = (acked, None);
                }
                vec![Action::Forget(acked)]
            }
            AgentFrame::Token { token } => {
                self.take_token(token, now);
                Vec::new()
            }
            other @ (AgentFrame::Saved { .. }
            | AgentFrame::Resend { .. }
            | AgentFrame::Run { .. }
            | AgentFrame::Steer { .. }
            | AgentFrame::Save {}
            | AgentFrame::Push { .. }
            | AgentFrame::Abort { .. }
            | AgentFrame::Resolve { .. }
            | AgentFrame::Shutdown {}) => vec![Action::Deliver(other)],
        }
    }

    fn take_token(&mut self, token: SandboxToken, now: i64) {
        let end = token.expires_at.millis();
        self.token = token.token;
        self.life = Some((end, end.saturating_sub(now)));
        self.renewed = None;
    }

    fn closed(&mut self, code: Option<u16>, now: i64, jitter: f64) -> Vec<Action> {
        match code.and_then(|code| CloseCode::try_from(code).ok()) {
            Some(CloseCode::Normal) => vec![Action::Exit(Exit::Done)],
            Some(CloseCode::Replaced) => vec![Action::Exit(Exit::Replaced)],
            Some(CloseCode::Terminated) => vec![Action::Exit(Exit::Terminated)],
            Some(CloseCode::Unauthenticated) => vec![Action::Exit(Exit::Unauthenticated)],
            Some(CloseCode::NotFound) => vec![Action::Exit(Exit::NotFound)],
            Some(CloseCode::ProtocolMismatch) => vec![Action::Exit(Exit::ProtocolMismatch)],
            Some(CloseCode::BadFrame | CloseCode::TooLarge) => vec![Action::Exit(Exit::BadFrame)],
            Some(CloseCode::Silent | CloseCode::Overloaded | CloseCode::Internal) | None => self.again(now, jitter),
        }
    }

    fn again(&mut self, now: i64, jitter: f64) -> Vec<Action> {
        let delay = (FIRST_DELAY << self.attempt.min(10)).min(MAX_DELAY);
        self.attempt += 1;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "at most ten seconds"
        )]
        let delay = (delay as f64 * (0.5 + jitter / 2.0)) as i64;
        self.state = State::Waiting { until: now + delay };
        vec![Action::Drop]
    }

    fn tick(&mut self, now: i64, jitter: f64) -> Vec<Action> {
        match self.state {
            State::Waiting { until } if until <= now => {
                self.state = State::Dialling { since: now };
                vec![Action::Dial(self.token.clone())]
            }
            State::Waiting { .. } => Vec::new(),
            State::Dialling { since } | State::Greeting { since } => {
                if now - since >= GREETING {
                    self.again(now, jitter)
                } else {
                    Vec::new()
                }
            }
            State::Up => {
                if now - self.heard >= DEAD_AFTER || self.ack_overdue(now) {
                    return self.again(now, jitter);
                }
                let mut actions = Vec::new();
                if now - self.pinged >= PING_EVERY {
                    self.pinged = now;
                    actions.push(Action::Ping);
                }
                if self.renew_at().is_some_and(|at| at <= now) {
                    self.renewed = Some(now);
                    actions.push(Action::Send(RunnerFrame::RenewToken {}));
                }
                actions
            }
        }
    }

    /// Looked at with every tick, so as not to need the time of every event.
    fn ack_overdue(&mut self, now: i64) -> bool {
        self.sent > self.acked && now - *self.unacked.get_or_insert(now) >= UNACKED
    }

    fn renew_at(&self) -> Option<i64> {
        let (end, life) = self.life?;
        let early = end - life / 4;
        Some(self.renewed.map_or(early, |asked| asked + RENEW_EVERY))
    }

    /// When a `Tick` is due.
    pub fn next_tick(&self) -> i64 {
        match self.state {
            State::Waiting { until } => until,
            State::Dialling { since } | State::Greeting { since } => since + GREETING,
            State::Up => {
                let ping = (self.pinged + PING_EVERY).min(self.heard + DEAD_AFTER);
                let ack = self.unacked.map_or(ping, |since| ping.min(since + UNACKED));
                self.renew_at().map_or(ack, |renew| renew.min(ack))
            }
        }
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
