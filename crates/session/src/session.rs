//! The session: routes an input to the module that knows what to do, and collects the effects.
//!
//! Contract: [`Session::handle`] is one step. It changes the session only together with the effects it returns; when
//! it returns a [`Rejection`] nothing has changed. The caller applies the effects before the next step. No clock, no
//! randomness, no I/O: all of that comes in with [`Cx`] and goes out as [`Effect`].

use errand_protocol::close::CloseCode;
use errand_protocol::event::{Event, EventBody};
use errand_protocol::git::Pushed;
use errand_protocol::ids::{ConnId, Generation, PromptId, Seq, TurnId, UserId};
use errand_protocol::runner::AgentFrame;
use errand_protocol::session::{Activity, Cause, Person, Prompt, Session as Summary, TurnInfo};
use errand_protocol::text::Title;
use errand_protocol::transcript::{Part, PartBody, ToolStatus};
use errand_protocol::viewer::ServerFrame;

use crate::core::{Access, Core, Life, Spec, Volatile};
use crate::effect::{Cx, Effect, Input, Rejection};
use crate::open_parts::OpenParts;
use crate::startup::NumberedStart;

/// One session in memory. Equal to what [`crate::store::load`] makes of what was stored, [`Volatile`] aside.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    pub(crate) core: Core,
    /// Waiting prompts in order.
    pub(crate) queue: Vec<Placed>,
    /// The running turn's prompt.
    pub(crate) running: Option<Placed>,
    /// Prompts that were handed to the running turn.
    pub(crate) steered: Vec<Placed>,
    /// The last start.
    pub(crate) start: Option<NumberedStart>,
    pub(crate) open: OpenParts,
    pub(crate) live: Volatile,
}

/// A prompt and its place in the order of all prompts.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// The prompt.
    pub prompt: Prompt,
    /// Its place.
    pub position: u64,
}

impl Session {
    /// What happened → what to do.
    ///
    /// # Errors
    /// A [`Rejection`] when a person's command cannot be carried out; nothing has changed then.
    pub fn handle(&mut self, cx: &mut Cx<'_>, input: Input) -> Result<Vec<Effect>, Rejection> {
        if let Some(effects) = self.quick(cx, &input) {
            return Ok(effects);
        }
        let before = self.glance();
        let mut step = Step {
            s: self,
            cx,
            fx: Vec::new(),
            dirty: false,
        };
        step.route(input)?;
        step.rest_for_budget();
        step.dispatch();
        step.offer_steers();
        step.call_out();
        step.account();
        step.book_out();
        step.publish(&before);
        if step.dirty {
            step.note_indexed();
            let json = step.s.core_json();
            step.fx.push(Effect::SaveCore(json));
        }
        Ok(step.fx)
    }

    /// The summary for lists and pages.
    pub fn summary(&self) -> Summary {
        let core = &self.core;
        Summary {
            id: core.spec.id.clone(),
            title: core.title.clone(),
            phase: core.life.phase(),
            activity: self.activity(),
            cause: self.cause(),
            repo: core.spec.repo.clone(),
            model: core.spec.model.clone(),
            owner: core.spec.owner.clone(),
            created_at: core.spec.created_at,
            updated_at: core.updated_at,
            head_seq: core.head_seq,
            queue: u32::try_from(self.queue.len()).unwrap_or(u32::MAX),
            isolation: core.isolation,
            archived_at: core.archived_at,
            forked_from: core.spec.forked_from.clone(),
            pushed: core.pushed.clone(),
            visibility: core.access.visibility,
            budget: self.budget_level(),
        }
    }

    /// Why it is where it is, when there is something to say.
    pub(crate) fn cause(&self) -> Option<Cause> {
        let cause = self.core.life.cause().cloned();
        cause.or_else(|| self.budget_cause()).or_else(|| self.room_cause())
    }

    /// Who may see it besides its owner.
    pub const fn access(&self) -> &Access {
        &self.core.access
    }

    /// What it is doing, in one word.
    pub fn activity(&self) -> Activity {
        let working = || {
            if !self.core.interactions.is_empty() {
                Activity::AwaitingInput
            } else if self.open.iter().any(|o| tool_runs(&o.part.body)) {
                Activity::Tool
            } else {
                Activity::Thinking
            }
        };
        match &self.core.life {
            Life::Terminated => Activity::Terminated,
            Life::Error { .. } => Activity::Error,
            Life::Starting { .. } => Activity::Starting,
            Life::Running { .. } | Life::Reconnecting { .. } if self.core.turn.is_some() => working(),
            Life::Idle | Life::Paused | Life::Pausing { .. } if self.budget_ask().is_some() => Activity::AwaitingInput,
            Life::Paused | Life::Pausing { .. } if self.queue.is_empty() => Activity::Paused,
            Life::Idle | Life::Running { .. } | Life::Reconnecting { .. } | Life::Paused | Life::Pausing { .. } => {
                if self.queue.is_empty() {
                    Activity::Idle
                } else {
                    Activity::Queued
                }
            }
        }
    }

    /// The machine's own state, as [`Effect::SaveCore`] stores it.
    pub const fn core(&self) -> &Core {
        &self.core
    }

    /// What it was created with.
    pub fn spec(&self) -> &Spec {
        &self.core.spec
    }

    /// The title that a person chose, if one did.
    pub fn chosen_title(&self) -> Option<&Title> {
        self.core.titled_by_person.then_some(&self.core.title)
    }

    /// Position of the log's last event.
    pub fn head_seq(&self) -> Seq {
        self.core.head_seq
    }

    /// The turn that runs, and its prompt.
    pub fn running_turn(&self) -> Option<(&TurnId, &PromptId)> {
        self.core.turn.as_ref().map(|turn| (&turn.id, &turn.prompt_id))
    }

    /// Whether it has been ended for good.
    pub fn is_over(&self) -> bool {
        self.core.life == Life::Terminated
    }

    /// The current sandbox's generation.
    pub fn generation(&self) -> Generation {
        self.core.generation
    }

    /// A waiting or running prompt.
    pub fn live_prompt(&self, id: &PromptId) -> Option<&Prompt> {
        self.queue
            .iter()
            .chain(self.running.iter())
            .chain(self.steered.iter())
            .map(|placed| &placed.prompt)
            .find(|prompt| prompt.id == *id)
    }

    /// The first frame for a viewer whose events begin at `first_seq`; `viewer` is who looks.
    pub fn hello(&self, first_seq: Seq, viewer: Option<&UserId>, presence: Vec<Person>) -> ServerFrame {
        ServerFrame::Hello {
            protocol: errand_protocol::PROTOCOL_VERSION,
            session: self.summary(),
            head_seq: self.core.head_seq,
            first_seq,
            open_parts: self.open.iter().map(crate::open_parts::Open::snapshot).collect(),
            queue: self.queue.iter().map(|placed| placed.prompt.clone()).collect(),
            turn: self.turn_info(),
            interactions: self
                .core
                .interactions
                .values()
                .chain(self.budget_ask())
                .cloned()
                .collect(),
            todos: self.core.todos.clone(),
            presence,
            guest: viewer.and_then(|viewer| self.core.access.guests().get(viewer).copied()),
        }
    }

    /// The runner's connection, when one has said hello.
    pub fn runner(&self) -> Option<&ConnId> {
        self.live.runner.as_ref()
    }

    /// The connection that the runner's last stored hello came on: after a wake-up, the one to look for among the sockets
    /// that survived. Others may be left that were replaced and have not closed yet.
    pub fn known_runner(&self) -> Option<&ConnId> {
        self.core.spool.as_ref()?.conn.as_ref()
    }

    /// Whether `stored` is what [`crate::store::load`] must give back for this session: all but what lives in memory
    /// only (connections, calls that are on their way, text of open parts that is not saved yet).
    pub fn persisted_eq(&self, stored: &Self) -> bool {
        self.core == stored.core
            && self.queue == stored.queue
            && self.running == stored.running
            && self.steered == stored.steered
            && self.start == stored.start
            && self.open.persisted_eq(&stored.open)
    }

    /// Whether a remote call is on its way: should memory be lost now, it has to be made again soon.
    pub fn awaits_outcome(&self) -> bool {
        self.live.indexing.is_some() || self.live.booking.is_some() || !self.live.in_flight.is_empty()
    }

    /// The parts that are being written, with their text so far.
    pub fn open_parts(&self) -> Vec<Part> {
        self.open.iter().map(|open| open.snapshot().part).collect()
    }

    fn turn_info(&self) -> Option<TurnInfo> {
        let turn = self.core.turn.as_ref()?;
        Some(TurnInfo {
            id: turn.id.clone(),
            prompt_id: turn.prompt_id.clone(),
            started_at: turn.started_at,
            aborting: turn.abort.is_some(),
            interaction: self.core.interactions.keys().next().cloned(),
        })
    }

    pub(crate) fn core_json(&self) -> String {
        // Every stored step comes here: room for a usual core, so that it need not grow.
        let mut json = Vec::with_capacity(2_048);
        // `Core` holds only strings, numbers and maps with string keys, which serde_json cannot refuse.
        let _ = serde_json::to_writer(&mut json, &self.core);
        String::from_utf8(json).unwrap_or_default()
    }
}

fn tool_runs(body: &PartBody) -> bool {
    match body {
        PartBody::Tool { status, .. } | PartBody::Subtask { status, .. } => *status == ToolStatus::Running,
        PartBody::Text { .. } | PartBody::Reasoning { .. } | PartBody::File { .. } | PartBody::Patch { .. } => false,
    }
}

/// One step of the machine: the session, its surroundings and the effects so far.
pub(crate) struct Step<'a, 'b> {
    pub(crate) s: &'a mut Session,
    pub(crate) cx: &'a mut Cx<'b>,
    pub(crate) fx: Vec<Effect>,
    /// Whether the core must be stored.
    pub(crate) dirty: bool,
}

impl Step<'_, '_> {
    fn route(&mut self, input: Input) -> Result<(), Rejection> {
        match input {
            Input::Command { by, id, command } => self.command_once(by, id, command)?,
            Input::Watched => self.watched(),
            Input::Joined { by, role } => self.joined(by, role),
            Input::Pushed(pushed) => self.pushed(pushed),
            Input::Unshared { by, left } => self.unshared(by, left),
            Input::SaveWanted => self.tell_runner(AgentFrame::Save {}),
            Input::MakeRoom { even_watched } => self.make_room(even_watched)?,
            Input::Runner { conn, frame } => self.runner_frame(&conn, frame),
            Input::RunnerGone { conn } => self.runner_gone(&conn),
            Input::Sandbox { call, outcome } => self.sandbox_outcome(&call, outcome),
            Input::Budget { notice, level, reserve } => self.budget_heard(notice, level, reserve),
            Input::BudgetRaised { budget, limit, by } => self.budget_raised(&budget, limit, by),
            Input::Booked { generation, ok } => self.booked(generation, ok),
            Input::Indexed { ok } => self.indexed(ok),
            Input::Deadline { runner_seen } => self.deadline(runner_seen),
            Input::Restored { runner } => self.restored(runner),
        }
        Ok(())
    }

    /// The object was woken from storage: a runner whose socket did not survive is lost.
    fn restored(&mut self, runner: Option<ConnId>) {
        self.s.live.runner_seen = self.cx.now;
        let known = self.s.core.spool.as_ref().and_then(|spool| spool.conn.clone());
        if runner.is_some() && runner == known {
            self.s.live.runner = runner;
            return;
        }
        if let Some(conn) = runner {
            // Its hello was not stored, or it was to be closed: it has to say hello (again).
            let code = CloseCode::Silent;
            self.fx.push(Effect::CloseRunner { conn, code });
        }
        self.runner_lost();
    }

    /// Work reached the repository. The same again says nothing new.
    pub(crate) fn pushed(&mut self, pushed: Pushed) {
        if self.s.core.pushed.as_ref() != Some(&pushed) {
            let Pushed { branch, commit } = pushed.clone();
            self.s.core.pushed = Some(pushed);
            self.log(EventBody::GitPushed { branch, commit });
        }
    }

    /// Appends to the log and tells the viewers.
    pub(crate) fn log(&mut self, body: EventBody) {
        let seq = self.s.core.head_seq.next();
        self.s.core.head_seq = seq;
        self.s.core.updated_at = self.cx.now;
        self.dirty = true;
        let event = Event {
            seq,
            at: self.cx.now,
            body,
        };
        self.fx.push(Effect::Append(event.clone()));
        self.fx.push(Effect::Viewers(ServerFrame::Event { event }));
    }

    /// Stores a prompt as it stands.
    pub(crate) fn put_prompt(&mut self, placed: &Placed) {
        self.fx.push(Effect::PutPrompt {
            prompt: placed.prompt.clone(),
            position: placed.position,
        });
    }

    pub(crate) fn tell_runner(&mut self, frame: AgentFrame) {
        self.fx.push(Effect::Runner(frame));
    }

    /// Moves to another life and logs it.
    pub(crate) fn enter(&mut self, life: Life) {
        let before = (self.s.core.life.phase(), self.s.core.life.cause().cloned());
        if !matches!(life, Life::Pausing { .. } | Life::Paused) {
            self.s.core.made_room = None;
        }
        self.s.core.life = life;
        let (phase, cause) = (self.s.core.life.phase(), self.s.core.life.cause().cloned());
        let same = before == (phase, cause);
        let cause = self.s.cause();
        self.dirty = true;
        if !same {
            self.log(EventBody::SessionPhase { phase, cause });
        }
    }
}
