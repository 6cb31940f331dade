//! The network: connections with an ordered queue in each direction, each with delays of its own, so that frames of
//! one connection keep their order and those of two do not. A connection can be cut: what is on its way is lost, and
//! each end hears of it at its own time, or never.

use std::collections::VecDeque;
use std::rc::Rc;

use errand_protocol::ids::{ConnId, Generation};
use errand_protocol::runner::{AgentFrame, RunnerFrame};
use errand_protocol::viewer::{ClientFrame, ServerFrame};

use crate::make::conn_id;
use crate::rng::Rng;

/// Number of a connection.
pub(crate) type ConnNo = usize;

/// Who is at the other end than the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The runner with this number.
    Runner(usize),
    /// A viewer.
    Viewer(usize),
    /// Nobody: a repeated handshake that no runner knows of.
    Ghost,
}

/// To the agent.
#[derive(Debug, Clone)]
pub enum Up {
    /// The handshake; with `after` of a viewer.
    Open(Option<u64>),
    /// A runner's frame.
    Runner(RunnerFrame),
    /// A viewer's.
    Client(ClientFrame),
    /// The other end closed.
    Close,
}

/// From the agent.
#[derive(Debug, Clone)]
pub enum Down {
    /// The handshake's answer.
    Accepted,
    /// To the runner.
    Agent(AgentFrame),
    /// To a viewer.
    Server(Rc<ServerFrame>),
    /// The agent closed, with this code.
    Close(u16),
}

/// What an end believes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The handshake is on its way.
    Opening,
    /// It can be used.
    Open,
    /// This end closed it; the other may still be sending.
    Closing,
    /// It is over.
    Closed,
}

/// A connection.
#[derive(Debug)]
pub struct Conn {
    /// The other end.
    pub peer: Peer,
    /// As the agent calls it.
    pub id: ConnId,
    /// Of the runner's token.
    pub generation: Generation,
    /// At the agent.
    pub agent: State,
    /// At the other end.
    pub other: State,
    /// The machine has welcomed the runner on it; survives hibernation.
    pub welcomed: bool,
    /// When the agent's side last answered a ping.
    pub pinged: Option<i64>,
    /// Nothing passes any more.
    pub cut: bool,
    up: Lane<Up>,
    down: Lane<Down>,
    rng: Rng,
}

#[derive(Debug)]
struct Lane<T> {
    items: VecDeque<(i64, T)>,
    last: i64,
    delay: i64,
}

impl<T> Lane<T> {
    fn new(delay: i64) -> Self {
        Self {
            items: VecDeque::new(),
            last: 0,
            delay,
        }
    }

    fn push(&mut self, now: i64, rng: &mut Rng, item: T) -> i64 {
        let jitter = rng.between(0, self.delay);
        let at = self.last.max(now + self.delay + jitter);
        self.last = at;
        self.items.push_back((at, item));
        at
    }

    fn pop(&mut self, now: i64) -> Option<T> {
        let due = self.items.front().is_some_and(|(at, _)| *at <= now);
        if due {
            self.items.pop_front().map(|(_, item)| item)
        } else {
            None
        }
    }
}

/// All connections that ever were.
#[derive(Debug, Default)]
pub struct Net {
    conns: Vec<Conn>,
}

impl Net {
    /// A new connection, not heard of by the agent yet.
    pub fn dial(&mut self, seed: u64, peer: Peer, generation: Generation, calm: bool) -> ConnNo {
        let number = self.conns.len();
        let mut rng = Rng::stream(seed, 2, number as u64);
        let slowest = match rng.below(12) {
            _ if calm => 10,
            0 => 3_000,
            1 | 2 => 200,
            _ => 20,
        };
        let delays = (rng.span(1, slowest) - 1, rng.span(1, slowest) - 1);
        self.conns.push(Conn {
            peer,
            id: conn_id(number),
            generation,
            agent: State::Opening,
            other: State::Opening,
            welcomed: false,
            pinged: None,
            cut: false,
            up: Lane::new(delays.0),
            down: Lane::new(delays.1),
            rng,
        });
        number
    }

    /// One of them.
    pub fn conn(&self, number: ConnNo) -> &Conn {
        &self.conns[number]
    }

    /// One of them, to change.
    pub fn conn_mut(&mut self, number: ConnNo) -> &mut Conn {
        &mut self.conns[number]
    }

    /// By the agent's name.
    pub fn by_id(&self, id: &ConnId) -> Option<ConnNo> {
        let number: ConnNo = id.as_str().strip_prefix(ConnId::PREFIX)?.parse().ok()?;
        (number < self.conns.len()).then_some(number)
    }

    /// Numbers of those that the agent has a socket of.
    pub fn at_agent(&self) -> impl Iterator<Item = (ConnNo, &Conn)> {
        let there = |conn: &Conn| matches!(conn.agent, State::Open | State::Closing);
        self.conns.iter().enumerate().filter(move |(_, conn)| there(conn))
    }

    /// Numbers of those whose other end believes in them.
    pub fn live(&self, wanted: impl Fn(Peer) -> bool) -> Vec<ConnNo> {
        let conns = self.conns.iter().enumerate();
        let live =
            conns.filter(|(_, c)| wanted(c.peer) && !c.cut && c.agent != State::Closed && c.other != State::Closed);
        live.map(|(number, _)| number).collect()
    }

    /// Sends to the agent. When it arrives, unless it is lost.
    pub fn up(&mut self, now: i64, number: ConnNo, item: Up) -> Option<i64> {
        let conn = &mut self.conns[number];
        (!conn.cut && conn.other != State::Closed).then(|| conn.up.push(now, &mut conn.rng, item))
    }

    /// Sends from the agent. When it arrives, unless it is lost.
    pub fn down(&mut self, now: i64, number: ConnNo, item: Down) -> Option<i64> {
        let conn = &mut self.conns[number];
        (!conn.cut && conn.agent == State::Open).then(|| conn.down.push(now, &mut conn.rng, item))
    }

    /// What has arrived at the agent.
    pub fn arrived_up(&mut self, now: i64, number: ConnNo) -> Option<Up> {
        self.conns[number].up.pop(now)
    }

    /// What has arrived at the other end.
    pub fn arrived_down(&mut self, now: i64, number: ConnNo) -> Option<Down> {
        let conn = &mut self.conns[number];
        let item = conn.down.pop(now)?;
        (conn.other != State::Closed).then_some(item)
    }

    /// Nothing passes any more; what is on its way is lost, that to the agent perhaps not.
    pub fn cut(&mut self, number: ConnNo, up_arrives: bool) {
        let conn = &mut self.conns[number];
        conn.cut = true;
        conn.down.items.clear();
        if !up_arrives {
            conn.up.items.clear();
        }
    }

    /// Makes a connection slow from now on.
    pub fn slow(&mut self, number: ConnNo, by: i64) {
        let conn = &mut self.conns[number];
        conn.up.delay = by;
        conn.down.delay = by;
    }

    /// All connections are quick from now on.
    pub fn calm(&mut self) {
        for conn in &mut self.conns {
            conn.up.delay = conn.up.delay.min(20);
            conn.down.delay = conn.down.delay.min(20);
        }
    }
}
