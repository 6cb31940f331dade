//! The world: its clock, what is to happen when, and the way from one to the other.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use errand_session::Input;

use crate::agent::Agent;
use crate::event::{Due, Event};
use crate::host::Host;
use crate::ledger::Ledger;
use crate::make::START;
use crate::net::{ConnNo, Down, Net, Peer, State, Up};
use crate::story::{Story, Wait};
use crate::trace::Trace;
use crate::truth::Truth;
use crate::viewer::Viewer;

/// A story that does not come to its end after so many events goes round in a circle.
const MAX_EVENTS: u64 = 60_000;

/// How many of each there were.
#[derive(Debug, Default)]
pub struct Counts {
    /// Steps of the session.
    pub steps: u64,
    /// Events in spools.
    pub writes: u64,
    /// Engines.
    pub engines: u64,
    /// Runners.
    pub runners: u64,
    /// Disks.
    pub disks: u32,
    /// Parts and messages and questions.
    pub parts: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Commands.
    pub commands: u64,
    /// Prompts.
    pub prompts: u64,
    events: u64,
}

/// Everything.
pub struct World {
    /// Of all streams of chance.
    pub seed: u64,
    /// The present, milliseconds since 1970.
    pub now: i64,
    /// Nothing goes wrong any more.
    pub calm: bool,
    /// It is over.
    pub over: bool,
    /// Connections.
    pub net: Net,
    /// The session.
    pub agent: Agent,
    /// The provider.
    pub host: Host,
    /// Who looks.
    pub viewers: Vec<Viewer>,
    /// What really happened.
    pub truth: Truth,
    /// What the log says.
    pub ledger: Ledger,
    /// How many of each.
    pub counts: Counts,
    /// What is told of it.
    pub trace: Trace,
    /// How far people's care has come.
    pub care: crate::calm::Care,
    story: Story,
    made: usize,
    /// The next move is made after this step or write.
    trigger: Option<(bool, u64)>,
    queue: BinaryHeap<Reverse<Due>>,
    numbers: u64,
}

impl World {
    /// Where a story begins.
    pub fn new(story: Story, trace: Trace) -> Self {
        let seed = story.seed;
        Self {
            seed,
            now: START,
            calm: false,
            over: false,
            net: Net::default(),
            agent: Agent::new(seed),
            host: Host::new(seed),
            viewers: Vec::new(),
            truth: Truth::default(),
            ledger: Ledger::default(),
            counts: Counts::default(),
            trace,
            care: crate::calm::Care::default(),
            story,
            made: 0,
            trigger: None,
            queue: BinaryHeap::new(),
            numbers: 0,
        }
    }

    /// Lives the story to its end. Panics at the first thing that must not be.
    pub fn live(&mut self) {
        self.create_session();
        self.flush();
        self.plan_move();
        while !self.over {
            let Some(Reverse(due)) = self.queue.pop() else { break };
            self.now = self.now.max(due.at);
            self.counts.events += 1;
            assert!(self.counts.events < MAX_EVENTS, "endless: it goes round in a circle");
            self.happen(due.event);
            while self.triggered() {
                self.make_move();
            }
        }
        assert!(self.over, "endless: nothing is to happen any more, and it is not over");
    }

    /// Says something in the trace.
    pub fn say(&mut self, line: impl FnOnce() -> String) {
        self.trace.say(self.now, line);
    }

    /// Something is to happen at a time.
    pub fn at(&mut self, at: i64, event: Event) {
        self.numbers += 1;
        self.queue.push(Reverse(Due {
            at: at.max(self.now),
            number: self.numbers,
            event,
        }));
    }

    /// Something is to happen after a while.
    pub fn later(&mut self, delay: i64, event: Event) {
        self.at(self.now + delay, event);
    }

    fn triggered(&self) -> bool {
        self.trigger.is_some_and(|(writes, count)| {
            let have = if writes { self.counts.writes } else { self.counts.steps };
            have >= count
        })
    }

    /// A runner wrote an event.
    pub fn wrote(&mut self) {
        self.counts.writes += 1;
    }

    fn plan_move(&mut self) {
        self.trigger = None;
        let Some(next) = self.story.moves.get(self.made) else {
            self.later(5_000, Event::Care);
            return;
        };
        let latest = match next.wait {
            Wait::Time(delay) => delay,
            Wait::Steps(count) => {
                self.trigger = Some((false, self.counts.steps + u64::from(count)));
                4_000
            }
            Wait::Writes(count) => {
                self.trigger = Some((true, self.counts.writes + u64::from(count)));
                6_000
            }
        };
        self.later(latest, Event::Move(self.made));
    }

    fn make_move(&mut self) {
        let Some(next) = self.story.moves.get(self.made).copied() else {
            return;
        };
        self.made += 1;
        self.say(|| format!("MOVE {:?}", next.act));
        self.perform(next.act);
        self.flush();
        self.plan_move();
    }

    /// What is durable at once leaves the agent.
    pub fn flush(&mut self) {
        if self.agent.disk == 0
            && let Some(last) = self.agent.store.pending()
        {
            self.durable(last);
        }
    }

    /// Sends to the agent.
    pub fn send_up(&mut self, conn: ConnNo, item: Up) {
        if let Some(at) = self.net.up(self.now, conn, item) {
            self.at(at, Event::Up(conn));
        }
    }

    /// Sends from the agent. A close is the last thing that it sends.
    pub fn send_down(&mut self, conn: ConnNo, item: Down) {
        let closes = matches!(item, Down::Close(_));
        if let Some(at) = self.net.down(self.now, conn, item) {
            self.at(at, Event::Down(conn));
        }
        let end = self.net.conn_mut(conn);
        if closes && end.agent == State::Open {
            end.agent = State::Closing;
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Up(conn) => self.arrive_up(conn),
            Event::Down(conn) => self.arrive_down(conn),
            Event::Broken { conn, agent } => self.broken(conn, agent),
            Event::Durable(number) => self.durable(number),
            Event::Alarm(at) => self.alarm(at),
            Event::Provider {
                life,
                call,
                told,
                again,
            } => self.provider(life, call, told, again),
            Event::Outcome { life, call, outcome } => self.outcome(life, call, outcome),
            Event::Indexed { life, ok } => {
                if life == self.agent.life {
                    self.input(Input::Indexed { ok });
                }
            }
            Event::Booked { life, generation, ok } => {
                if life == self.agent.life {
                    self.input(Input::Booked { generation, ok });
                }
            }
            Event::Boot(at, boot) => self.boot(at, boot),
            Event::Tick(at, number) => self.tick(at, number),
            Event::Start(at, number) => self.start_step(at, number),
            Event::Post(at, number, turn) => self.posted(at, number, &turn),
            Event::Posted(at, number, turn) => self.post_answered(at, number, &turn),
            Event::Work(at, number) => self.work(at, number),
            Event::Stop(at, turn) => self.engine_stops(at, &turn),
            Event::Answer(at, id, answer) => self.answered(at, &id, answer),
            Event::Uploaded(at, number) => self.uploaded(at, number),
            Event::Pushed(at, number, stop) => self.push_ended(at, number, stop),
            Event::Leave(at, number) => {
                if self.runner_number(at) == Some(number) {
                    self.sandbox_ends(at);
                }
            }
            Event::Respawn(at) => self.respawn(at),
            Event::Reborn(at, number, for_good) => self.reborn(at, number, for_good),
            Event::Redial(number) => self.redial(number),
            Event::Impatient(number, conn) => self.impatient(number, conn),
            Event::Move(number) => {
                if number == self.made {
                    self.make_move();
                }
            }
            Event::Care => self.take_care(),
        }
        self.flush();
    }

    fn arrive_up(&mut self, number: ConnNo) {
        let Some(item) = self.net.arrived_up(self.now, number) else {
            return;
        };
        let conn = self.net.conn(number);
        let (peer, id, state) = (conn.peer, conn.id.clone(), conn.agent);
        match item {
            Up::Open(after) => {
                if state == State::Opening {
                    match peer {
                        Peer::Viewer(_) => self.accept_viewer(number, after),
                        Peer::Runner(_) | Peer::Ghost => self.accept(number),
                    }
                }
            }
            _ if state == State::Closed || state == State::Opening => {}
            Up::Runner(frame) => self.input(Input::Runner { conn: id, frame }),
            Up::Client(frame) => {
                if let Peer::Viewer(viewer) = peer {
                    self.viewer_commands(number, viewer, frame);
                }
            }
            Up::Close => self.closed_at_agent(number),
        }
    }

    fn closed_at_agent(&mut self, number: ConnNo) {
        let conn = self.net.conn_mut(number);
        if std::mem::replace(&mut conn.agent, State::Closed) == State::Closed {
            return;
        }
        let (peer, id) = (conn.peer, conn.id.clone());
        if !matches!(peer, Peer::Viewer(_)) {
            self.input(Input::RunnerGone { conn: id });
        }
    }

    fn arrive_down(&mut self, number: ConnNo) {
        let Some(item) = self.net.arrived_down(self.now, number) else {
            return;
        };
        match self.net.conn(number).peer {
            Peer::Runner(at) => self.at_runner(at, number, item),
            Peer::Viewer(viewer) => self.at_viewer(viewer, number, &item),
            Peer::Ghost => {}
        }
    }

    /// An end hears that its connection is gone.
    fn broken(&mut self, number: ConnNo, agent: bool) {
        if agent {
            return self.closed_at_agent(number);
        }
        match self.net.conn(number).peer {
            Peer::Runner(at) => self.runner_closed(at, number, None),
            Peer::Viewer(viewer) => self.viewer_closed(viewer, number),
            Peer::Ghost => {}
        }
    }
}
