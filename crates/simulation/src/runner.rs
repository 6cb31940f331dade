//! The runner's process: a shell around the real link core ([`errand_runner::link::core`]) and the real streams, as
//! `runner/src/app.rs` is one. What it tells the agent is in [`crate::report`].

use errand_protocol::ids::{SnapshotId, TurnId};
use errand_protocol::runner::{AgentFrame, RunnerEvent, RunnerFrame};
use errand_protocol::session::StartStep;
use errand_runner::link::core::{Action, Greeting, Input, Link};
use errand_runner::streams::Streams;

use crate::disk::Disk;
use crate::event::Event;
use crate::make::time;
use crate::net::{ConnNo, Down, Peer, State, Up};
use crate::rng::Rng;
use crate::world::World;

/// A runner's process.
#[derive(Debug)]
pub struct Runner {
    /// Which of all processes that ever ran.
    pub number: u64,
    /// The real link.
    pub link: Link,
    /// The connection that it uses.
    pub conn: Option<ConnNo>,
    /// The real streams.
    pub streams: Streams,
    /// What is left to do before the engine is up; `None` before the first welcome.
    pub start: Option<Vec<Start>>,
    /// The engine is up.
    pub ready: bool,
    /// A turn that waits for the engine or for the turn before it.
    pub next: Option<(TurnId, String)>,
    /// The turn whose prompt is on its way to the engine.
    pub posting: Option<(TurnId, String)>,
    /// The turn that is to be stopped once the engine is up.
    pub stopping: Option<TurnId>,
    /// The snapshot to begin with on an empty disk.
    pub source: Option<SnapshotId>,
    /// A snapshot is being uploaded.
    pub uploading: bool,
    /// It ends once that is done.
    pub leaving: bool,
    tick: i64,
    /// Its own chance.
    pub rng: Rng,
}

/// A step of the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The workspace is made.
    Clone,
    /// The engine starts.
    Engine,
    /// The engine answers.
    Ready,
}

impl World {
    /// A runner's process begins in a sandbox, perhaps beside an engine that still runs.
    pub fn start_runner(&mut self, at: usize) {
        self.counts.runners += 1;
        let number = self.counts.runners;
        let disk = self.host.sandboxes[at].disk.as_ref();
        let unreported = disk.and_then(Disk::unreported).cloned();
        self.host.sandboxes[at].runner = Some(Runner {
            number,
            link: Link::new(String::new()),
            conn: None,
            streams: Streams::default(),
            start: None,
            ready: false,
            next: None,
            posting: unreported,
            stopping: None,
            source: None,
            uploading: false,
            leaving: false,
            tick: i64::MAX,
            rng: Rng::stream(self.seed, 4, number),
        });
        self.say(|| format!("runner {number} starts in sandbox {at}"));
        self.plan_tick(at);
    }

    /// The runner's process ends; its connection with it, which the agent hears of sooner or later.
    pub fn stop_runner(&mut self, at: usize) {
        let Some(runner) = self.host.sandboxes[at].runner.take() else {
            return;
        };
        self.say(|| format!("runner {} ends", runner.number));
        if let Some(conn) = runner.conn {
            self.hang_up(conn);
        }
    }

    /// The other end closes: what it has sent arrives first.
    pub fn hang_up(&mut self, conn: ConnNo) {
        self.send_up(conn, Up::Close);
        self.net.conn_mut(conn).other = State::Closed;
    }

    /// The number of the runner in a sandbox.
    pub fn runner_number(&self, at: usize) -> Option<u64> {
        self.host.sandboxes[at].runner.as_ref().map(|runner| runner.number)
    }

    fn plan_tick(&mut self, at: usize) {
        let Some(runner) = &mut self.host.sandboxes[at].runner else {
            return;
        };
        let mut next = runner.link.next_tick();
        if runner.link.up()
            && let Some(due) = runner.streams.next_due(runner.link.sent())
        {
            next = next.min(due);
        }
        let next = next.max(self.now);
        if next < runner.tick || runner.tick <= self.now {
            runner.tick = next;
            let number = runner.number;
            self.at(next, Event::Tick(at, number));
        }
    }

    /// A timer of the runner's.
    pub fn tick(&mut self, at: usize, number: u64) {
        let now = self.now;
        let Some(runner) = &mut self.host.sandboxes[at].runner else {
            return;
        };
        if runner.number != number || runner.tick > now {
            return;
        }
        runner.tick = i64::MAX;
        if runner.link.next_tick() <= now {
            self.link(at, Input::Tick);
        }
        self.pump(at);
    }

    /// Feeds the link and does what it says.
    fn link(&mut self, at: usize, input: Input) {
        let now = self.now;
        let sandbox = &mut self.host.sandboxes[at];
        let (Some(runner), Some(disk)) = (&mut sandbox.runner, &sandbox.disk) else {
            return;
        };
        let greeting = Greeting {
            generation: sandbox.generation,
            spool: disk.spool.id.clone(),
            last: disk.spool.last(),
            turn: working_on(disk),
            ready: runner.ready,
        };
        #[expect(clippy::cast_precision_loss, reason = "a rough fraction")]
        let jitter = runner.rng.below(1000) as f64 / 1000.0;
        let actions = runner.link.handle(input, &greeting, now, jitter);
        for action in actions {
            self.act(at, action);
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        let sandbox = &mut self.host.sandboxes[at];
        let generation = sandbox.generation;
        let (Some(runner), Some(disk)) = (&mut sandbox.runner, &mut sandbox.disk) else {
            return;
        };
        match action {
            Action::Dial(_) => {
                let old = runner.conn.take();
                let conn = self.net.dial(self.seed, Peer::Runner(at), generation, self.calm);
                runner.conn = Some(conn);
                if let Some(old) = old {
                    self.hang_up(old);
                }
                self.send_up(conn, Up::Open(None));
            }
            Action::Send(frame) => self.runner_sends(at, frame),
            Action::Ping => self.ping(at),
            Action::Welcomed(setup) => {
                runner.streams.reconnected();
                if runner.start.is_none() {
                    runner.start = Some(vec![Start::Ready, Start::Engine, Start::Clone]);
                    runner.source = setup.snapshot.map(|snapshot| snapshot.id);
                    let number = runner.number;
                    self.later(0, Event::Start(at, number));
                }
            }
            Action::Forget(acked) => disk.spool.forget(acked),
            Action::Deliver(frame) => self.told(at, frame),
            Action::Drop => {
                if let Some(conn) = runner.conn.take() {
                    self.hang_up(conn);
                }
            }
            Action::Exit(exit) => {
                self.say(|| format!("the runner in sandbox {at} exits: {exit:?}"));
                self.sandbox_ends(at);
            }
        }
    }

    /// A ping is answered by the platform without waking the agent.
    fn ping(&mut self, at: usize) {
        let now = self.now;
        let Some(conn) = self.host.sandboxes[at].runner.as_ref().and_then(|runner| runner.conn) else {
            return;
        };
        let conn = self.net.conn_mut(conn);
        if !conn.cut && conn.agent == State::Open {
            conn.pinged = Some(now);
            self.link(at, Input::Alive);
        }
    }

    fn runner_sends(&mut self, at: usize, frame: RunnerFrame) {
        if let Some(conn) = self.host.sandboxes[at].runner.as_ref().and_then(|runner| runner.conn) {
            self.send_up(conn, Up::Runner(frame));
        }
    }

    /// Something arrived at a runner.
    pub fn at_runner(&mut self, at: usize, conn: ConnNo, item: Down) {
        if self.host.sandboxes[at]
            .runner
            .as_ref()
            .is_none_or(|runner| runner.conn != Some(conn))
        {
            return;
        }
        match item {
            Down::Accepted => {
                self.net.conn_mut(conn).other = State::Open;
                self.link(at, Input::Opened);
            }
            Down::Agent(frame) => self.link(at, Input::Frame(frame)),
            Down::Close(code) => self.runner_closed(at, conn, Some(code)),
            Down::Server(_) => {}
        }
        self.pump(at);
    }

    /// A runner hears that its connection is over.
    pub fn runner_closed(&mut self, at: usize, conn: ConnNo, code: Option<u16>) {
        if self.host.sandboxes[at]
            .runner
            .as_ref()
            .is_none_or(|runner| runner.conn != Some(conn))
        {
            return;
        }
        self.send_up(conn, Up::Close);
        self.net.conn_mut(conn).other = State::Closed;
        self.link(at, Input::Closed(code));
        self.plan_tick(at);
    }

    /// Sends what can be sent.
    pub fn pump(&mut self, at: usize) {
        let now = self.now;
        loop {
            let sandbox = &mut self.host.sandboxes[at];
            let (Some(runner), Some(disk)) = (&mut sandbox.runner, &mut sandbox.disk) else {
                return;
            };
            if runner.conn.is_none() || !runner.link.up() {
                break;
            }
            let frame = if let Some(rseq) = runner.link.next_event(disk.spool.last()) {
                let body = disk.spool.event(rseq).clone();
                RunnerFrame::Event {
                    rseq,
                    at: time(now),
                    body,
                }
            } else if let Some(delta) = runner.streams.next(now, runner.link.sent()) {
                RunnerFrame::Delta(delta)
            } else if runner.streams.flush(now) {
                RunnerFrame::Flush {}
            } else {
                break;
            };
            self.runner_sends(at, frame);
        }
        self.plan_tick(at);
    }

    /// The start goes on.
    pub fn start_step(&mut self, at: usize, number: u64) {
        let Some(runner) = &mut self.host.sandboxes[at].runner else {
            return;
        };
        if runner.number != number {
            return;
        }
        let Some(step) = runner.start.as_mut().and_then(Vec::pop) else {
            return;
        };
        let delay = if runner.rng.one_in(15) {
            runner.rng.span(100, 90_000)
        } else {
            runner.rng.span(1, 900)
        };
        match step {
            Start::Clone => {
                self.report(
                    at,
                    RunnerEvent::Step {
                        step: StartStep::Cloning,
                    },
                );
                self.make_workspace(at);
            }
            Start::Engine => self.report(
                at,
                RunnerEvent::Step {
                    step: StartStep::Engine,
                },
            ),
            Start::Ready => {
                let adopted = self.host.sandboxes[at].engine.is_some();
                self.engine_up(at, adopted, None);
            }
        }
        self.pump(at);
        self.later(delay, Event::Start(at, number));
    }

    /// What the agent tells the runner.
    fn told(&mut self, at: usize, frame: AgentFrame) {
        let Some(runner) = &mut self.host.sandboxes[at].runner else {
            return;
        };
        match frame {
            AgentFrame::Saved { part_id, len } => runner.streams.saved(&part_id, len),
            AgentFrame::Resend { part_id, from } => runner.streams.resend(&part_id, from),
            AgentFrame::Run { turn_id, text, .. } => self.told_run(at, turn_id, text.into()),
            AgentFrame::Steer {
                turn_id,
                prompt_id,
                text,
                ..
            } => {
                self.told_steer(at, &turn_id, &prompt_id, &String::from(text));
            }
            AgentFrame::Abort { turn_id } => self.told_abort(at, &turn_id),
            AgentFrame::Resolve { interaction_id, answer } => {
                let delay = runner.rng.span(1, 300);
                self.later(delay, Event::Answer(at, interaction_id, answer));
            }
            AgentFrame::Save {} => self.upload(at, true),
            AgentFrame::Push { stop, .. } => self.told_push(at, stop),
            AgentFrame::Shutdown {} => {
                runner.leaving = true;
                self.upload(at, true);
                let number = self.runner_number(at).unwrap_or(0);
                self.later(15_000, Event::Leave(at, number));
                self.leave_if_saved(at);
            }
            AgentFrame::Welcome { .. } | AgentFrame::Ack { .. } | AgentFrame::Token { .. } => {}
        }
    }

    /// The process that was told to end does so, once it has saved what there is.
    pub fn leave_if_saved(&mut self, at: usize) {
        let Some(runner) = &self.host.sandboxes[at].runner else {
            return;
        };
        if runner.leaving && !runner.uploading {
            self.sandbox_ends(at);
        }
    }
}

/// The turn that goes on: the one that was reported, or the one that the engine may have been given unreported.
pub(crate) fn working_on(disk: &Disk) -> Option<TurnId> {
    let unreported = || disk.unreported().map(|(turn, _)| turn);
    disk.spool.reported.turn.as_ref().or_else(unreported).cloned()
}
