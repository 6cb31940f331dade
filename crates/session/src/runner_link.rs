//! The runner's side of a session: who may speak, what is new, and what it means.
//!
//! What must not be lost has a number (`rseq`) in the runner's spool. A number is applied once, in order; the ack
//! goes out after the transaction that stored it, because effects are applied in that order.

use errand_protocol::close::CloseCode;
use errand_protocol::event::EventBody;
use errand_protocol::ids::{ConnId, Generation, SpoolId, TurnId};
use errand_protocol::runner::{AgentFrame, RunnerEvent, RunnerFrame};
use errand_protocol::session::StartStep;
use errand_protocol::text::Title;
use errand_protocol::transcript::Part;

use crate::core::{Life, Spool};
use crate::effect::Effect;
use crate::prompts::TurnEnd;
use crate::session::Step;

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
            return self.refuse(conn, CloseCode::BadFrame);
        }
        self.s.live.runner_seen = self.cx.now;
        match frame {
            RunnerFrame::Event { rseq, at: _, body } => self.numbered(conn, rseq, body),
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
            Life::Starting { backoff, .. } => !backoff,
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
        self.dirty = true;
        let stored = self
            .s
            .core
            .spool
            .take()
            .filter(|_| same_spool)
            .map_or(0, |spool| spool.acked);
        // A spool that ends before what we stored was cut short: its next number is the one that counts.
        let acked = stored.min(hello.last_rseq);
        self.s.core.spool = Some(Spool {
            id: hello.spool_id,
            acked,
        });
        self.fx.push(Effect::Welcome {
            conn: conn.clone(),
            generation: self.s.core.generation,
            acked,
        });
        self.connected(hello.turn.as_ref(), hello.ready);
    }

    fn connected(&mut self, turn: Option<&TurnId>, ready: bool) {
        let now = self.cx.now;
        match self.s.core.life {
            Life::Starting { .. } if ready => self.ready(),
            Life::Starting {
                step: StartStep::Requested,
                ..
            } => self.start_step(StartStep::Booting),
            Life::Running { .. } | Life::Reconnecting { .. } if ready => {
                self.enter(Life::Running { idle_since: None });
                let same = self
                    .s
                    .core
                    .turn
                    .as_ref()
                    .is_some_and(|t| Some(&t.id) == turn && t.accepted);
                if !same || self.s.core.turn.as_ref().is_some_and(|t| t.abort.is_some()) {
                    self.resume_turn();
                }
            }
            Life::Running { .. } | Life::Reconnecting { .. } => {
                // The runner was started again and its engine is not up yet.
                let deadline = now.plus(self.cx.timings.start_step);
                let step = StartStep::Engine;
                self.enter(Life::Starting {
                    step,
                    attempt: 1,
                    deadline,
                    backoff: false,
                    cause: None,
                });
            }
            Life::Starting { .. }
            | Life::Idle
            | Life::Pausing { .. }
            | Life::Paused
            | Life::Error { .. }
            | Life::Terminated => {}
        }
        self.resend_answers();
    }

    fn numbered(&mut self, conn: &ConnId, rseq: u64, body: RunnerEvent) {
        let Some(spool) = &mut self.s.core.spool else { return };
        if rseq > spool.acked + 1 {
            // Something between is missing: the runner resends from what `welcome` says.
            self.s.live.runner = None;
            self.refuse(conn, CloseCode::Silent);
            return self.runner_lost();
        }
        let fresh = rseq == spool.acked + 1;
        if fresh {
            spool.acked = rseq;
            self.dirty = true;
            self.apply(body);
        }
        if let Some(spool) = &self.s.core.spool {
            let rseq = spool.acked;
            self.tell_runner(AgentFrame::Ack { rseq });
        }
    }

    fn apply(&mut self, body: RunnerEvent) {
        match body {
            RunnerEvent::Step { step } => self.start_step(step),
            RunnerEvent::Cloned { branch, commit } => self.log(EventBody::GitCloned { branch, commit }),
            RunnerEvent::Ready { engine } => self.engine_ready(engine),
            RunnerEvent::StartFailed {
                step: _,
                cause,
                retryable,
            } => self.start_failed(cause, retryable),
            RunnerEvent::EngineRestarted { cause } => {
                self.log(EventBody::SandboxTrouble {
                    generation: self.s.core.generation,
                    cause,
                });
            }
            RunnerEvent::Todos { todos } => {
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
                if self.touch(&turn_id)
                    && let Some(turn) = &mut self.s.core.turn
                {
                    turn.accepted = true;
                    turn.dispatches = 0;
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

    fn engine_ready(&mut self, engine: String) {
        if matches!(self.s.core.life, Life::Starting { .. }) {
            let (generation, isolation) = (self.s.core.generation, self.s.core.isolation);
            self.log(EventBody::SandboxReady {
                generation,
                isolation,
                engine,
            });
            self.ready();
        }
    }

    /// Notes that the turn is alive. Whether it is the one that runs.
    fn touch(&mut self, turn_id: &TurnId) -> bool {
        match &mut self.s.core.turn {
            Some(turn) if turn.id == *turn_id => {
                turn.last_event_at = self.cx.now;
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
