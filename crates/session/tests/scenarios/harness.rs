//! A session with its store, a fake clock and a record of everything that it did.

use errand_protocol::close::CloseCode;
use errand_protocol::event::{Event, EventBody};
use errand_protocol::ids::{CommandId, ConnId, Generation, PromptId, Seq, SnapshotId, TurnId, UserId};
use errand_protocol::runner::{AgentFrame, RunnerEvent, RunnerFrame};
use errand_protocol::sandbox::{SandboxError, SandboxState, SandboxStatus};
use errand_protocol::session::{Cause, Phase, PromptState, Session as Summary};
use errand_protocol::startup::Start;
use errand_protocol::time::Timestamp;
use errand_protocol::viewer::{Command, Delta, ServerFrame};
use errand_session::{Cx, Effect, Input, Rejection, SandboxCall, SandboxLife, Session, Timings, store};

use crate::db::Db;
use crate::invariants;
use crate::make::{START, accepted, ada, conn, new_session, prompt, spool, status};

#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Harness {
    pub(crate) session: Session,
    pub(crate) db: Db,
    pub(crate) now: Timestamp,
    pub(crate) timings: Timings,
    ids: u64,
    /// Frames to the runner since the last [`Harness::to_runner`].
    runner: Vec<AgentFrame>,
    /// Frames to viewers since the last [`Harness::to_viewers`].
    viewers: Vec<ServerFrame>,
    /// `acked` of every welcome.
    pub(crate) welcomes: Vec<u64>,
    /// Which connection was welcomed last.
    pub(crate) welcomed: Option<ConnId>,
    pub(crate) closed: Vec<(ConnId, CloseCode)>,
    /// Calls to the provider without an outcome yet.
    pub(crate) calls: Vec<SandboxCall>,
    /// Summaries sent to the registry.
    pub(crate) indexed: Vec<Summary>,
    /// Whether the registry answers at once.
    pub(crate) registry_answers: bool,
    /// Whether the connected runner pings.
    pub(crate) runner_pings: bool,
    /// Whether anybody looks.
    pub(crate) watched: bool,
    /// Snapshots that were to be removed.
    pub(crate) dropped: Vec<SnapshotId>,
    /// Lives of sandboxes of which the ledger was told.
    pub(crate) booked: Vec<SandboxLife>,
    /// Whether the ledger answers at once.
    pub(crate) ledger_answers: bool,
    /// Starts of which the registry was told.
    pub(crate) samples: Vec<Start>,
    rseq: u64,
    checked: Seq,
}

impl Harness {
    pub(crate) fn new() -> Self {
        Self::with(Timings::default())
    }

    pub(crate) fn with(timings: Timings) -> Self {
        let db = Db::new();
        store::migrate(&db).unwrap();
        let (session, effects) = Session::create(new_session(), START);
        let mut this = Self {
            timings,
            ..Self::of(session, db)
        };
        this.carry_out(effects);
        this
    }

    /// Around a session that is stored already.
    pub(crate) fn of(session: Session, db: Db) -> Self {
        Self {
            session,
            db,
            now: START,
            timings: Timings::default(),
            ids: 0,
            runner: vec![],
            viewers: vec![],
            welcomes: vec![],
            welcomed: None,
            closed: vec![],
            calls: vec![],
            indexed: vec![],
            registry_answers: true,
            runner_pings: true,
            watched: true,
            dropped: vec![],
            booked: vec![],
            ledger_answers: true,
            samples: vec![],
            rseq: 0,
            checked: Seq(0),
        }
    }

    /// One step, stored and checked. A rejected one must have changed nothing.
    pub(crate) fn step(&mut self, input: Input) -> Result<(), Rejection> {
        let before = self.session.clone();
        let result = {
            let (ids, db) = (&mut self.ids, &self.db);
            let mut mint = || {
                *ids += 1;
                format!("{ids:026}")
            };
            let mut cx = Cx {
                now: self.now,
                timings: &self.timings,
                ids: &mut mint,
                known_prompt: &|id: &PromptId| store::prompt_as_asked(db, id).unwrap(),
                known_command: &|by: &UserId, id: &CommandId| store::command(db, by, id).unwrap(),
                watched: self.watched,
            };
            self.session.handle(&mut cx, input)
        };
        match result {
            Ok(effects) => {
                self.carry_out(effects);
                Ok(())
            }
            Err(rejection) => {
                assert_eq!(self.session, before, "a rejected command changed something");
                Err(rejection)
            }
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        store::apply(&self.db, &effects).unwrap();
        let mut told = false;
        let mut booked = None;
        for effect in effects {
            match effect {
                Effect::Runner(frame) => self.runner.push(frame),
                Effect::Viewers(frame) => self.viewers.push(frame),
                Effect::Welcome {
                    acked,
                    generation,
                    conn,
                } => {
                    self.welcomed = Some(conn);
                    assert_eq!(generation, self.session.generation());
                    self.welcomes.push(acked);
                }
                Effect::CloseRunner { conn, code } => self.closed.push((conn, code)),
                Effect::Sandbox(call) => self.calls.push(call),
                Effect::Index(summary) => {
                    self.indexed.push(*summary);
                    told = true;
                }
                Effect::GrantToken { .. } => {}
                Effect::Book(life) => {
                    booked = Some(life.generation);
                    self.booked.push(life);
                }
                Effect::Sample(start) => self.samples.push(start),
                Effect::DropSnapshot(id) => self.dropped.push(id),
                durable => assert!(durable.is_durable()),
            }
        }
        self.checked = invariants::check(&self.session, &self.db, &self.timings, self.checked);
        if told && self.registry_answers {
            self.step(Input::Indexed { ok: true }).unwrap();
        }
        if let Some(generation) = booked.filter(|_| self.ledger_answers) {
            self.step(Input::Booked { generation, ok: true }).unwrap();
        }
    }

    // What people do.

    pub(crate) fn command(&mut self, command: Command) -> Result<(), Rejection> {
        self.step(Input::Command {
            by: ada(),
            id: None,
            command,
        })
    }

    pub(crate) fn prompt(&mut self, id: &str) {
        self.command(prompt(id)).unwrap();
    }

    // What the runner does.

    pub(crate) fn frame(&mut self, number: u32, frame: RunnerFrame) {
        let conn = conn(number);
        self.step(Input::Runner { conn, frame }).unwrap();
    }

    /// A hello with everything in its usual place.
    pub(crate) fn hello_frame(&self, ready: bool, turn: Option<TurnId>) -> RunnerFrame {
        RunnerFrame::Hello {
            protocol: errand_protocol::PROTOCOL_VERSION,
            generation: self.session.generation(),
            spool_id: spool(self.session.generation().0),
            last_rseq: self.rseq,
            turn,
            ready,
            version: "1".to_owned(),
        }
    }

    pub(crate) fn hello(&mut self, number: u32, ready: bool, turn: Option<TurnId>) {
        let frame = self.hello_frame(ready, turn);
        self.frame(number, frame);
    }

    /// An event in the runner's spool, sent on the connection that is welcome now.
    pub(crate) fn event(&mut self, body: RunnerEvent) {
        self.rseq += 1;
        let rseq = self.rseq;
        self.numbered(rseq, body);
    }

    pub(crate) fn numbered(&mut self, rseq: u64, body: RunnerEvent) {
        let conn = self.session.runner().expect("a runner is connected").clone();
        let at = self.now;
        let frame = RunnerFrame::Event { rseq, at, body };
        self.step(Input::Runner { conn, frame }).unwrap();
    }

    /// An event that the runner wrote while it had no connection.
    pub(crate) fn spooled(&mut self) -> u64 {
        self.rseq += 1;
        self.rseq
    }

    pub(crate) fn delta(&mut self, delta: Delta) {
        let conn = self.session.runner().expect("a runner is connected").clone();
        let frame = RunnerFrame::Delta(delta);
        self.step(Input::Runner { conn, frame }).unwrap();
    }

    pub(crate) fn flush(&mut self) {
        let conn = self.session.runner().expect("a runner is connected").clone();
        let frame = RunnerFrame::Flush {};
        self.step(Input::Runner { conn, frame }).unwrap();
    }

    pub(crate) fn lose_runner(&mut self) {
        let conn = self.session.runner().expect("a runner is connected").clone();
        self.step(Input::RunnerGone { conn }).unwrap();
    }

    // What the provider does.

    /// The one call that waits for an outcome.
    pub(crate) fn call(&self) -> SandboxCall {
        assert_eq!(self.calls.len(), 1, "{:?}", self.calls);
        self.calls[0].clone()
    }

    pub(crate) fn outcome(&mut self, outcome: Result<SandboxStatus, SandboxError>) {
        let call = self.call();
        self.outcome_of(call, outcome);
    }

    pub(crate) fn outcome_of(&mut self, call: SandboxCall, outcome: Result<SandboxStatus, SandboxError>) {
        self.calls.retain(|c| *c != call);
        self.step(Input::Sandbox { call, outcome }).unwrap();
    }

    pub(crate) fn outcome_is(&mut self, state: SandboxState) {
        let name = self.call().name().to_owned();
        self.outcome(Ok(status(&name, state)));
    }

    /// The provider stops and removes what it was asked to.
    pub(crate) fn clean_up(&mut self) {
        for call in self.calls.clone() {
            if let SandboxCall::Suspend { name } | SandboxCall::Delete { name } = &call {
                let gone = status(name, SandboxState::Gone);
                self.outcome_of(call, Ok(gone));
            }
        }
    }

    // What time does.

    /// Goes to the next deadline and says which it was.
    pub(crate) fn next(&mut self) -> &'static str {
        let (at, what) = self.session.next_deadline(&self.timings).expect("there is a deadline");
        self.now = self.now.max(at);
        self.tick();
        what
    }

    pub(crate) fn tick(&mut self) {
        let runner_seen = (self.runner_pings && self.session.runner().is_some()).then_some(self.now);
        self.step(Input::Deadline { runner_seen }).unwrap();
    }

    /// Lets time pass; what is due on the way happens.
    pub(crate) fn pass(&mut self, ms: i64) {
        let end = self.now.plus(ms);
        for _ in 0..10_000 {
            match self.session.next_deadline(&self.timings) {
                Some((at, _)) if at <= end => {
                    self.now = self.now.max(at);
                    self.tick();
                }
                _ => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("the alarm spins");
    }

    /// The object is forgotten and loaded again, with or without its runner's socket.
    pub(crate) fn evict(&mut self, socket_survives: bool) {
        let runner = self.session.runner().cloned().filter(|_| socket_survives);
        self.evict_to(runner);
    }

    /// The object is forgotten and loaded again; this is the runner's socket now.
    pub(crate) fn evict_to(&mut self, runner: Option<ConnId>) {
        self.calls.clear();
        self.session = store::load(&self.db, self.now).unwrap().unwrap();
        self.step(Input::Restored { runner }).unwrap();
    }

    // Ways to somewhere.

    /// A prompt is accepted, the sandbox made, the runner there, its engine starting.
    pub(crate) fn booted(&mut self) {
        self.prompt("p1");
        self.outcome_is(SandboxState::Creating);
        self.rseq = 0;
        self.hello(self.session.generation().0, false, None);
    }

    /// The engine of the current sandbox gets ready.
    pub(crate) fn engine_ready(&mut self) {
        self.event(RunnerEvent::Ready {
            engine: "1.18.33".to_owned(),
        });
    }

    /// A new sandbox, as asked for by the one waiting call, up to its engine's readiness.
    pub(crate) fn bring_up(&mut self) {
        assert!(matches!(self.call(), SandboxCall::Ensure { .. }));
        self.outcome_is(SandboxState::Running);
        self.rseq = 0;
        self.hello(self.session.generation().0, false, None);
        self.engine_ready();
    }

    /// Prompt `p1` runs and was accepted by the runner.
    pub(crate) fn running() -> (Self, TurnId) {
        let mut this = Self::new();
        this.booted();
        this.engine_ready();
        let turn = this.turn().expect("the prompt is dispatched");
        this.event(accepted(&turn));
        this.sent_to_runner();
        this.sent_to_viewers();
        (this, turn)
    }

    /// The connected runner says that it has saved all that there is.
    pub(crate) fn saved(&mut self, snapshot: &str) {
        self.event(RunnerEvent::SnapshotSaved {
            snapshot_id: SnapshotId::from_body(snapshot).unwrap(),
            turn_id: None,
            bytes: 1,
            runtime: errand_protocol::limits::SNAPSHOT_RUNTIME,
        });
    }

    /// The sandbox is up and there is nothing to do.
    pub(crate) fn idle() -> Self {
        let (mut this, turn) = Self::running();
        this.event(crate::make::ended(&turn, errand_protocol::session::TurnOutcome::Done));
        assert_eq!(this.turn(), None);
        this.sent_to_runner();
        this.sent_to_viewers();
        this
    }

    // What can be seen.

    pub(crate) fn phase(&self) -> Phase {
        self.session.summary().phase
    }

    pub(crate) fn cause(&self) -> Cause {
        self.session.summary().cause.expect("there is a cause")
    }

    pub(crate) fn generation(&self) -> u32 {
        let Generation(generation) = self.session.generation();
        generation
    }

    pub(crate) fn turn(&self) -> Option<TurnId> {
        match self.session.hello(Seq(1), None, vec![]) {
            ServerFrame::Hello { turn, .. } => turn.map(|turn| turn.id),
            _ => None,
        }
    }

    pub(crate) fn sent_to_runner(&mut self) -> Vec<AgentFrame> {
        std::mem::take(&mut self.runner)
    }

    pub(crate) fn sent_to_viewers(&mut self) -> Vec<ServerFrame> {
        std::mem::take(&mut self.viewers)
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        store::events_after(&self.db, Seq(0), 100_000).unwrap()
    }

    pub(crate) fn last_event(&self) -> EventBody {
        self.events().pop().unwrap().body
    }

    pub(crate) fn state_of(&self, prompt: &str) -> PromptState {
        store::prompt(&self.db, &crate::make::prompt_id(prompt))
            .unwrap()
            .unwrap()
            .state
    }

    /// Turns that the runner was told to run, since the last look.
    pub(crate) fn told_to_run(&mut self) -> Vec<TurnId> {
        let frames = self.sent_to_runner().into_iter();
        frames
            .filter_map(|frame| match frame {
                AgentFrame::Run { turn_id, .. } => Some(turn_id),
                _ => None,
            })
            .collect()
    }
}
