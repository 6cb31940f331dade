//! The SessionAgent: the shell around the real machine, as `src/session_agent` is one. A step is stored, then told;
//! what it tells is held back until its transaction is durable (the platform's output gate), but previews are told
//! before. Memory can be lost at any time; what was not durable then never happened.

use std::collections::VecDeque;
use std::rc::Rc;

use errand_protocol::close::CloseCode;
use errand_protocol::ids::{CommandId, ConnId, PromptId, SnapshotId, UserId};
use errand_protocol::runner::AgentFrame;
use errand_protocol::viewer::ServerFrame;
use errand_session::{Core, Cx, Effect, Input, Rejection, SandboxCall, SandboxLife, Session, Timings};

use crate::event::Event;
use crate::make::{new_session, setup, time, token};
use crate::net::{ConnNo, Down, Peer, State};
use crate::rng::Rng;
use crate::store::Store;
use crate::world::World;

/// The agent.
#[derive(Debug)]
pub struct Agent {
    /// In memory, or not.
    pub session: Option<Session>,
    /// The storage.
    pub store: Store,
    /// What the stored state says, once it was compared: as long as nothing is stored it needs no reading.
    pub saved: Option<Core>,
    /// Counts the lives of the object's memory, from 1.
    pub life: u64,
    /// How long states may last.
    pub timings: Timings,
    /// When the alarm is set, as far as memory knows.
    pub alarm: Option<i64>,
    /// What waits for a transaction to become durable.
    pub held: VecDeque<(u64, Held)>,
    /// A transaction takes up to so long to become durable.
    pub disk: i64,
    /// The next transaction fails.
    pub disk_full: bool,
    /// The next alarms come so late.
    pub late_alarms: i64,
    /// The registry does not answer until then.
    pub registry_down_until: i64,
    /// The transactions that were not taken back, with their effects, when somebody wants to know.
    pub recorded: Option<Vec<(u64, Vec<Effect>)>>,
    ids: u64,
    /// Its own chance.
    pub rng: Rng,
}

/// What is to leave the object.
#[derive(Debug)]
pub enum Held {
    Frame(ConnNo, Down),
    Call(SandboxCall),
    Index,
    Book(SandboxLife),
    Drop(SnapshotId),
}

impl Agent {
    /// Before the session was created.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::stream(seed, 6, 0);
        let mut timings = Timings {
            interaction: 1_200_000,
            ..Timings::default()
        };
        if rng.one_in(3) {
            timings.unattended = Some(60_000);
        }
        if rng.one_in(3) {
            timings.turn_total = 600_000;
            timings.turn_silence = 120_000;
        }
        if rng.one_in(3) {
            timings.idle = 30_000;
        }
        // From a stream of its own: everything else stays what it was.
        if Rng::stream(seed, 9, 0).one_in(2) {
            timings.make_room = 0;
        }
        let disk = if rng.one_in(3) { 0 } else { rng.span(1, 40) };
        Self {
            session: None,
            store: Store::default(),
            saved: None,
            life: 1,
            timings,
            alarm: None,
            held: VecDeque::new(),
            disk,
            disk_full: false,
            late_alarms: 0,
            registry_down_until: 0,
            recorded: None,
            ids: 0,
            rng,
        }
    }

    /// Whether the close of a connection waits to leave.
    pub fn closes(&self, conn: ConnNo) -> bool {
        let close = |held: &Held| matches!(held, Held::Frame(other, Down::Close(_)) if *other == conn);
        self.held.iter().any(|(_, held)| close(held))
    }

    /// Whether nothing waits to leave.
    pub fn quiet(&self) -> bool {
        self.held.is_empty()
    }
}

impl World {
    /// Makes the session.
    pub fn create_session(&mut self) {
        let (session, effects) = Session::create(new_session(), time(self.now));
        self.agent.session = Some(session);
        self.carry_out(effects);
        // Whoever made it was told so, hence it is durable.
        if let Some(last) = self.agent.store.pending() {
            self.durable(last);
        }
    }

    /// Loads the session if it is not in memory.
    pub fn load(&mut self) {
        if self.agent.session.is_some() {
            return;
        }
        let Some(json) = self.agent.store.core_json() else {
            return;
        };
        let core: Core = serde_json::from_str(json).unwrap();
        self.agent.saved = Some(core.clone());
        let stored = self.agent.store.stored(core);
        self.agent.session = Some(Session::from_stored(stored, time(self.now)));
        let runner = self.find_runner();
        self.say(|| format!("the agent wakes up, with runner {runner:?}"));
        let _ = self.step(Input::Restored { runner });
    }

    /// The socket that the machine knows the runner by, if it is still there; else another one that was welcomed once.
    fn find_runner(&mut self) -> Option<ConnId> {
        let known = self.agent.session.as_ref().and_then(Session::known_runner);
        let all: Vec<&ConnId> = self
            .net
            .at_agent()
            .filter(|(_, c)| c.welcomed)
            .map(|(_, c)| &c.id)
            .collect();
        let same = all.iter().find(|id| Some(**id) == known);
        same.or_else(|| all.first()).map(|id| (*id).clone())
    }

    /// Something happened: one step, which nobody waits for.
    pub fn input(&mut self, input: Input) {
        let _ = self.try_input(input);
    }

    /// The same for somebody who waits. `None`: it could not be stored.
    pub fn try_input(&mut self, input: Input) -> Option<Result<(), Rejection>> {
        self.load();
        let result = self.step(input);
        self.stepped();
        result
    }

    fn step(&mut self, input: Input) -> Option<Result<(), Rejection>> {
        self.say(|| format!("step {input:?}"));
        let watched = self
            .net
            .at_agent()
            .any(|(_, conn)| matches!(conn.peer, Peer::Viewer(_)));
        let repeated = self.is_repeated(&input);
        let agent = &mut self.agent;
        let session = agent.session.as_mut()?;
        let (ids, store) = (&mut agent.ids, &agent.store);
        let mut mint = || {
            *ids += 1;
            // Not those of people and engines.
            format!("a{ids}")
        };
        let mut cx = Cx {
            now: time(self.now),
            timings: &agent.timings,
            ids: &mut mint,
            known_prompt: &|id: &PromptId| store.prompt_as_asked(id),
            known_command: &|by: &UserId, id: &CommandId| store.knows(by, id),
            watched,
        };
        match session.handle(&mut cx, input) {
            Ok(effects) => {
                if repeated {
                    let changed = effects.iter().find(|effect| effect.is_durable() && !benign(effect));
                    assert!(
                        changed.is_none(),
                        "repeated: a command that was carried out did something again: {changed:?}"
                    );
                }
                self.carry_out(effects).then_some(Ok(()))
            }
            Err(rejection) => {
                self.check_unchanged();
                Some(Err(rejection))
            }
        }
    }

    fn is_repeated(&self, input: &Input) -> bool {
        match input {
            Input::Command { by, id: Some(id), .. } => self.agent.store.knows(&by.id, id),
            _ => false,
        }
    }

    /// Carries effects out as the real shell does. Whether they could be stored.
    fn carry_out(&mut self, mut effects: Vec<Effect>) -> bool {
        let preview = |effect: &mut Effect| matches!(effect, Effect::Viewers(ServerFrame::Delta(_)));
        for effect in effects.extract_if(.., preview) {
            if let Effect::Viewers(frame) = effect {
                self.to_viewers(frame);
            }
        }
        if effects.iter().any(Effect::is_durable) {
            if std::mem::take(&mut self.agent.disk_full) {
                self.say(|| "the transaction fails".to_owned());
                let known = self.agent.session.as_ref().and_then(Session::known_runner);
                let runner = known.and_then(|id| self.net.by_id(id));
                self.forget();
                if let Some(conn) = runner {
                    self.net.conn_mut(conn).welcomed = false;
                    self.hold(Held::Frame(conn, Down::Close(CloseCode::Internal.code())));
                }
                return false;
            }
            let number = self.begin();
            if let Some(recorded) = &mut self.agent.recorded {
                recorded.push((number, effects.clone()));
            }
            for effect in &effects {
                if let Effect::Append(event) = effect {
                    self.logged(event);
                }
                self.agent.store.apply(effect);
            }
        }
        self.check_step(&effects);
        for effect in effects {
            self.effect(effect);
        }
        self.set_alarm();
        true
    }

    /// Begins a transaction and knows when it will be durable.
    pub fn begin(&mut self) -> u64 {
        let number = self.agent.store.begin();
        let took = self.agent.disk;
        if took > 0 {
            let delay = self.agent.rng.between(0, took);
            self.later(delay, Event::Durable(number));
        }
        number
    }

    /// What is durable at once is, and what waits for nothing leaves.
    fn stepped(&mut self) {
        if self.agent.disk == 0
            && let Some(last) = self.agent.store.pending()
        {
            self.durable(last);
        }
    }

    /// A transaction is durable, and all before it.
    pub fn durable(&mut self, number: u64) {
        self.agent.store.settle(number);
        while self
            .agent
            .held
            .front()
            .is_some_and(|(tx, _)| self.agent.store.is_durable(*tx))
        {
            if let Some((_, held)) = self.agent.held.pop_front() {
                self.leave(held);
            }
        }
    }

    fn hold(&mut self, held: Held) {
        match self.agent.store.pending() {
            Some(tx) => self.agent.held.push_back((tx, held)),
            None => self.leave(held),
        }
    }

    fn leave(&mut self, held: Held) {
        match held {
            Held::Frame(conn, frame) => self.send_down(conn, frame),
            Held::Call(call) => self.call_provider(call),
            Held::Index => {
                let ok = self.agent.registry_down_until <= self.now;
                let (life, delay) = (self.agent.life, if ok { 5 } else { 3_000 });
                self.later(delay, Event::Indexed { life, ok });
            }
            Held::Book(life) => {
                self.truth.booked(&life);
                let generation = life.generation;
                let ok = self.agent.registry_down_until <= self.now;
                let (life, delay) = (self.agent.life, if ok { 5 } else { 3_000 });
                self.later(delay, Event::Booked { life, generation, ok });
            }
            Held::Drop(id) => drop(self.host.snapshots.remove(&id)),
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Viewers(frame) => self.to_viewers(frame),
            Effect::Runner(frame) => {
                let conn = self
                    .agent
                    .session
                    .as_ref()
                    .and_then(|s| s.runner())
                    .and_then(|id| self.net.by_id(id));
                if let Some(conn) = conn {
                    self.hold(Held::Frame(conn, Down::Agent(frame)));
                }
            }
            Effect::Welcome { conn, acked, .. } => self.welcome(&conn, acked),
            Effect::GrantToken { conn, .. } => {
                if let Some(conn) = self.net.by_id(&conn) {
                    let token = token(self.now);
                    self.hold(Held::Frame(conn, Down::Agent(AgentFrame::Token { token })));
                }
            }
            Effect::CloseRunner { conn, code } => {
                if let Some(conn) = self.net.by_id(&conn) {
                    self.hold(Held::Frame(conn, Down::Close(code.code())));
                }
            }
            Effect::Sandbox(call) => self.hold(Held::Call(call)),
            Effect::Index(_) => self.hold(Held::Index),
            Effect::Book(life) => self.hold(Held::Book(life)),
            Effect::DropSnapshot(id) => self.hold(Held::Drop(id)),
            _ => {}
        }
    }

    fn welcome(&mut self, id: &ConnId, acked: u64) {
        let Some(conn) = self.net.by_id(id) else { return };
        self.net.conn_mut(conn).welcomed = true;
        self.check_welcome(conn);
        let source = self.agent.session.as_ref().and_then(Session::snapshot_source);
        let frame = AgentFrame::Welcome {
            protocol: errand_protocol::PROTOCOL_VERSION,
            acked,
            setup: setup(source),
            token: token(self.now),
        };
        self.hold(Held::Frame(conn, Down::Agent(frame)));
    }

    /// To all viewers, in order with everything else that leaves.
    pub fn to_viewers(&mut self, frame: ServerFrame) {
        let frame = Rc::new(frame);
        let viewers = self
            .net
            .at_agent()
            .filter(|(_, conn)| matches!(conn.peer, Peer::Viewer(_)));
        let viewers: Vec<ConnNo> = viewers.map(|(number, _)| number).collect();
        for conn in viewers {
            self.hold(Held::Frame(conn, Down::Server(Rc::clone(&frame))));
        }
    }

    /// To one of them.
    pub fn to_viewer(&mut self, conn: ConnNo, frame: ServerFrame) {
        self.hold(Held::Frame(conn, Down::Server(Rc::new(frame))));
    }

    /// The handshake's answer.
    pub fn accept(&mut self, conn: ConnNo) {
        self.net.conn_mut(conn).agent = State::Open;
        self.hold(Held::Frame(conn, Down::Accepted));
    }
}

/// Storing that the registry knows something is no change that a command made.
fn benign(effect: &Effect) -> bool {
    matches!(effect, Effect::SaveCore(_) | Effect::AddVerdict(_))
}
