//! The runner's side of a session: who may speak, what is new, and what it means.
//!
//! What must not be lost has a number (`rseq`) in the runner's spool. A number is applied once, in order; the ack
//! goes out after the transaction that stored it, because effects are applied in that order.

use errand_protocol::close::CloseCode;
use errand_protocol::event::EventBody;
use errand_protocol::ids::{ConnId, Generation, SpoolId, TurnId};
use errand_protocol::runner::{AgentFrame, RunnerEvent, RunnerFrame};
use errand_protocol::session::{Cause, StartStep};
use errand_protocol::text::Title;
use errand_protocol::transcript::Part;

use crate::core::{Life, Spool};
use crate::effect::Effect;
use crate::prompts::TurnEnd;
use crate::session::Step;

/// The agent's list holds so many entries at most; the machine's state is rewritten often.
const MAX_TODOS: usize = 100;

/// What a runner says of itself.
struct Hello {
    generation: Generation,
    spool_id: SpoolId,
    last_rseq: u64,
    turn: Option<TurnId>,
    ready: bool,
}

impl Step<'_, '_> {
    /// A frame that is neither a delta nor a flush.
    pub(crate) fn runner_frame(&mut self, conn: &ConnId, frame: RunnerFrame) {
        if let RunnerFrame::Hello {
            protocol,
            generation,
            spool_id,
            last_rseq,
            turn,
            ready,
            version: _,
        } = frame
        {
            if protocol != errand_protocol::PROTOCOL_VERSION {
                return self.refuse(conn, CloseCode::ProtocolMismatch);
            }
            return self.hello(
                conn,
                Hello {
                    generation,
                    spool_id,
                    last_rseq,
                    turn,
                    ready,
                },
            );
        }
        if self.s.live.runner.as_ref() != Some(conn) {
            // It was dropped a moment ago, or not known after a wake-up: it may say hello on a new connection.
            return self.refuse(conn, CloseCode::Silent);
        }
        self.s.live.runner_seen = self.cx.now;
        match frame {
            RunnerFrame::Event { rseq, at: _, body } => self.numbered(rseq, body),
            RunnerFrame::RenewToken {} => {
                let generation = self.s.core.generation;
                self.fx.push(Effect::GrantToken {
                    conn: conn.clone(),
                    generation,
                });
            }
            RunnerFrame::Hello { .. } | RunnerFrame::Delta(_) | RunnerFrame::Flush {} => {}
        }
    }

    fn refuse(&mut self, conn: &ConnId, code: CloseCode) {
        self.fx.push(Effect::CloseRunner {
            conn: conn.clone(),
            code,
        });
    }

    fn hello(&mut self, conn: &ConnId, hello: Hello) {
        let wanted = match self.s.core.life {
            // Between two tries, only one that was thought not to be made.
            Life::Starting { backoff, .. } => !(backoff && self.s.core.made),
            Life::Running { .. } | Life::Reconnecting { .. } => true,
            Life::Terminated => return self.refuse(conn, CloseCode::Terminated),
            Life::Idle | Life::Pausing { .. } | Life::Paused | Life::Error { .. } => false,
        };
        if !wanted || hello.generation != self.s.core.generation {
            return self.refuse(conn, CloseCode::Replaced);
        }
        let same_spool = self
            .s
            .core
            .spool
            .as_ref()
            .is_some_and(|spool| spool.id == hello.spool_id);
        if let Some(old) = self.s.live.runner.clone().filter(|old| old != conn) {
            if !same_spool {
                // Another process with the same token. The first one is alive; this one has no business here.
                return self.refuse(conn, CloseCode::Replaced);
            }
            self.refuse(&old, CloseCode::Silent);
        }
        self.s.live.runner = Some(conn.clone());
        self.s.live.runner_seen = self.cx.now;
        self.s.open.may_ask_again();
        self.sandbox_ran();
        self.forget_looks();
        let known = self.s.core.spool.take().filter(|_| same_spool);
        // A spool that ends before what we stored was cut short: its next number is the one that counts.
        let acked = known.as_ref().map_or(0, |spool| spool.acked).min(hello.last_rseq);
        let known = known.filter(|spool| spool.generation == hello.generation);
        let inherited = known.map_or(hello.last_rseq, |spool| spool.inherited);
        let ours = self.s.core.turn.as_ref().map(|turn| &turn.id);
        let works_on_it = hello.turn.is_some() && hello.turn.as_ref() == ours;
        self.s.core.spool = Some(Spool {
            id: hello.spool_id,
            acked,
            conn: Some(conn.clone()),
            generation: hello.generation,
            inherited,
            no_turn_after: (!works_on_it).then_some(hello.last_rseq),
        });
        self.fx.push(Effect::Welcome {
            conn: conn.clone(),
            generation: self.s.core.generation,
            acked,
        });
        if works_on_it {
            self.turn_accepted();
        } else if let Some(turn_id) = hello.turn {
            self.tell_runner(AgentFrame::Abort { turn_id });
        }
        self.turn_forgotten_if_all_came();
        self.connected(hello.ready);
    }

    /// Once all that the runner had kept is here, a turn that it does not work on has no end to wait for.
    fn turn_forgotten_if_all_came(&mut self) {
        let Some(spool) = &mut self.s.core.spool else { return };
        if spool.no_turn_after.is_some_and(|last| spool.acked >= last) {
            spool.no_turn_after = None;
            self.dirty = true;
            self.turn_forgotten();
        }
    }

    fn turn_accepted(&mut self) {
        if let Some(turn) = &mut self.s.core.turn {
            turn.accepted = true;
            turn.last_event_at = self.cx.now;
            self.dirty = true;
        }
    }

    fn connected(&mut self, ready: bool) {
        match self.s.core.life {
            Life::Starting { .. } if ready => self.ready(),
            Life::Starting {
                step: StartStep::Requested,
                ..
            } => self.start_step(StartStep::Booting),
            Life::Running { .. } | Life::Reconnecting { .. } if ready => {
                self.enter(Life::Running { idle_since: None });
                self.resume_turn();
            }
            // The runner or its engine was started again, and the engine is not up yet.
            Life::Running { .. } | Life::Reconnecting { .. } => self.engine_starts_again(),
            Life::Starting { .. }
            | Life::Idle
            | Life::Pausing { .. }
            | Life::Paused
            | Life::Error { .. }
            | Life::Terminated => {}
        }
        self.resend_answers();
    }

    fn numbered(&mut self, rseq: u64, body: RunnerEvent) {
        let Some(spool) = &mut self.s.core.spool else { return };
        if rseq > spool.acked + 1 {
            // Something between is missing: the runner resends from what `welcome` says.
            self.drop_runner(CloseCode::Silent);
            return self.runner_lost();
        }
        let fresh = rseq == spool.acked + 1;
        if fresh {
            spool.acked = rseq;
            self.dirty = true;
            self.apply(body);
            self.turn_forgotten_if_all_came();
        }
        if let Some(spool) = &self.s.core.spool {
            let rseq = spool.acked;
            self.tell_runner(AgentFrame::Ack { rseq });
        }
    }

    /// Whether the event that is being applied was written by an earlier generation.
    fn inherited(&self) -> bool {
        self.s
            .core
            .spool
            .as_ref()
            .is_some_and(|spool| spool.acked <= spool.inherited)
    }

    fn apply(&mut self, body: RunnerEvent) {
        match body {
            RunnerEvent::Step { .. } | RunnerEvent::Ready { .. } | RunnerEvent::StartFailed { .. }
                if self.inherited() => {}
            RunnerEvent::Step { step } => self.start_step(step),
            RunnerEvent::Cloned { branch, commit } => self.log(EventBody::GitCloned { branch, commit }),
            RunnerEvent::Ready { engine } => self.engine_ready(engine),
            RunnerEvent::StartFailed {
                step: _,
                cause,
                retryable,
            } => self.engine_failed(cause, retryable),
            RunnerEvent::EngineRestarted { cause } => {
                self.log(EventBody::SandboxTrouble {
                    generation: self.s.core.generation,
                    cause,
                });
                if matches!(self.s.core.life, Life::Starting { .. }) && !self.inherited() {
                    self.ready();
                }
            }
            RunnerEvent::Todos { mut todos } => {
                todos.truncate(MAX_TODOS);
                if self.s.core.todos != todos {
                    self.s.core.todos.clone_from(&todos);
                    self.log(EventBody::NoteTodos { todos });
                }
            }
            RunnerEvent::Title { title } => self.suggested_title(&title),
            RunnerEvent::InteractionAsked {
                interaction_id,
                turn_id,
                part_id,
                ask,
            } => {
                if self.touch(&turn_id) {
                    self.asked(interaction_id, turn_id, part_id, ask);
                }
            }
            RunnerEvent::InteractionClosed { interaction_id } => self.closed(&interaction_id),
            RunnerEvent::TurnAccepted { turn_id } => {
                if self.touch(&turn_id) {
                    self.turn_accepted();
                } else {
                    // It has ended here meanwhile.
                    self.tell_runner(AgentFrame::Abort { turn_id });
                }
            }
            RunnerEvent::TurnRetrying {
                turn_id,
                attempt,
                message,
                next_at,
            } => {
                if self.touch(&turn_id) {
                    self.log(EventBody::TurnRetrying {
                        turn_id,
                        attempt,
                        message,
                        next_at,
                    });
                }
            }
            RunnerEvent::TurnFinished {
                turn_id,
                outcome,
                cause,
                usage,
                files,
            } => {
                self.turn_finished(
                    &turn_id,
                    TurnEnd {
                        outcome,
                        cause,
                        usage,
                        files,
                    },
                );
            }
            RunnerEvent::MessageStarted { .. }
            | RunnerEvent::MessageFinished { .. }
            | RunnerEvent::PartStarted { .. }
            | RunnerEvent::PartFinished { .. }
            | RunnerEvent::PartRemoved { .. } => self.transcript(body),
        }
    }

    fn transcript(&mut self, body: RunnerEvent) {
        match body {
            RunnerEvent::MessageStarted { turn_id, message_id } => {
                self.touch(&turn_id);
                self.log(EventBody::MessageStarted { turn_id, message_id });
            }
            RunnerEvent::MessageFinished {
                turn_id,
                message_id,
                cause,
            } => {
                self.touch(&turn_id);
                self.log(EventBody::MessageFinished {
                    turn_id,
                    message_id,
                    cause,
                });
            }
            RunnerEvent::PartStarted {
                turn_id,
                message_id,
                part,
            } => {
                // A part of a turn that has ended is not opened again: nothing would close it.
                if self.touch(&turn_id) {
                    let part: Part = part.with_streaming_text(String::new());
                    let open = self.s.open.put(turn_id.clone(), message_id.clone(), part.clone());
                    self.fx.push(Effect::PutOpen(open));
                    self.log(EventBody::PartStarted {
                        turn_id,
                        message_id,
                        part,
                    });
                }
            }
            RunnerEvent::PartFinished {
                turn_id,
                message_id,
                part,
            } => {
                self.touch(&turn_id);
                if self.s.open.remove(&part.id).is_some() {
                    self.fx.push(Effect::DropOpen(part.id.clone()));
                }
                self.log(EventBody::PartFinished {
                    turn_id,
                    message_id,
                    part,
                });
            }
            RunnerEvent::PartRemoved { message_id, part_id } => {
                if self.s.open.remove(&part_id).is_some() {
                    self.fx.push(Effect::DropOpen(part_id.clone()));
                }
                self.log(EventBody::PartRemoved { message_id, part_id });
            }
            RunnerEvent::Step { .. }
            | RunnerEvent::Cloned { .. }
            | RunnerEvent::Ready { .. }
            | RunnerEvent::StartFailed { .. }
            | RunnerEvent::TurnAccepted { .. }
            | RunnerEvent::TurnRetrying { .. }
            | RunnerEvent::TurnFinished { .. }
            | RunnerEvent::Todos { .. }
            | RunnerEvent::Title { .. }
            | RunnerEvent::InteractionAsked { .. }
            | RunnerEvent::InteractionClosed { .. }
            | RunnerEvent::EngineRestarted { .. } => {}
        }
    }

    /// Also logged when a hello said so before: the numbered event may come later than that.
    fn engine_ready(&mut self, engine: String) {
        let (generation, isolation) = (self.s.core.generation, self.s.core.isolation);
        self.log(EventBody::SandboxReady {
            generation,
            isolation,
            engine,
        });
        if matches!(self.s.core.life, Life::Starting { .. }) {
            self.ready();
        }
    }

    /// The engine does not come up (again).
    fn engine_failed(&mut self, cause: Cause, retryable: bool) {
        if matches!(self.s.core.life, Life::Running { .. }) {
            self.replace_sandbox(cause);
        } else {
            self.start_failed(cause, retryable);
        }
    }

    /// Notes that the turn is alive. Whether it is the one that runs.
    fn touch(&mut self, turn_id: &TurnId) -> bool {
        match &mut self.s.core.turn {
            Some(turn) if turn.id == *turn_id => {
                turn.last_event_at = self.cx.now;
                turn.accepted = true;
                true
            }
            Some(_) | None => false,
        }
    }

    fn suggested_title(&mut self, title: &str) {
        if self.s.core.titled_by_person {
            return;
        }
        let clean: String = title.chars().filter(|c| !c.is_control()).take(120).collect();
        if let Ok(title) = Title::try_from(clean)
            && title != self.s.core.title
        {
            self.s.core.title = title.clone();
            self.log(EventBody::SessionTitled { title, by: None });
        }
    }
}
