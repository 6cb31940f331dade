//! What a runner's numbered events mean: for the start, for the turn, for the transcript.

use errand_protocol::egress::{EgressRefusal, MAX_HOST_BYTES};
use errand_protocol::event::EventBody;
use errand_protocol::ids::TurnId;
use errand_protocol::limits::MAX_SETUP_PIECE_BYTES;
use errand_protocol::runner::{AgentFrame, RunnerEvent};
use errand_protocol::session::Cause;
use errand_protocol::text::Title;
use errand_protocol::transcript::Part;

use crate::core::Life;
use crate::effect::Effect;
use crate::prompts::TurnEnd;
use crate::session::Step;

/// The agent's list holds so many entries at most; the machine's state is rewritten often.
const MAX_TODOS: usize = 100;

impl Step<'_, '_> {
    /// Whether the event that is being applied was written by an earlier generation.
    fn inherited(&self) -> bool {
        self.s
            .core
            .spool
            .as_ref()
            .is_some_and(|spool| spool.acked <= spool.inherited)
    }

    /// Applies an event that was not applied before.
    pub(crate) fn apply(&mut self, body: RunnerEvent) {
        match body {
            RunnerEvent::SnapshotSaved {
                snapshot_id,
                turn_id,
                bytes,
                runtime,
            } => self.snapshot_saved(snapshot_id, turn_id, bytes, runtime),
            RunnerEvent::SnapshotFailed { cause } => self.snapshot_failed(cause),
            // The session is over; only the last save still counts.
            _ if self.s.core.life == Life::Terminated => {}
            RunnerEvent::PushEnded { stop, outcome } => self.push_ended(stop, outcome),
            RunnerEvent::SnapshotRestored { snapshot_id, loss } => self.snapshot_restored(&snapshot_id, loss),
            RunnerEvent::SteerAccepted { turn_id, prompt_id } => {
                self.touch(&turn_id);
                self.steer_accepted(turn_id, prompt_id);
            }
            RunnerEvent::SteerRefused { turn_id, prompt_id, .. } => self.steer_refused(&turn_id, &prompt_id),
            RunnerEvent::Step { .. } | RunnerEvent::Ready { .. } | RunnerEvent::StartFailed { .. }
                if self.inherited() => {}
            RunnerEvent::Step { step } => self.start_step(step),
            RunnerEvent::Cloned { branch, commit } => self.log(EventBody::GitCloned { branch, commit }),
            RunnerEvent::SetupOutput { text } => self.setup_output(text),
            RunnerEvent::EgressRefused(refusal) => self.egress_refused(refusal),
            RunnerEvent::Ready { engine } => self.engine_ready(engine),
            RunnerEvent::StartFailed {
                step: _,
                cause,
                retryable,
            } => self.engine_failed(cause, retryable),
            RunnerEvent::EngineRestarted { cause } => self.engine_restarted(cause),
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
                    if let Some(turn) = &mut self.s.core.turn {
                        // It may be silent until then.
                        turn.last_event_at = self.cx.now.max(next_at);
                    }
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

    fn engine_restarted(&mut self, cause: Cause) {
        self.log(EventBody::SandboxTrouble {
            generation: self.s.core.generation,
            cause,
        });
        if matches!(self.s.core.life, Life::Starting { .. }) && !self.inherited() {
            self.ready();
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
                    self.first_output(&part.body);
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
            | RunnerEvent::SteerAccepted { .. }
            | RunnerEvent::SteerRefused { .. }
            | RunnerEvent::SnapshotSaved { .. }
            | RunnerEvent::SnapshotFailed { .. }
            | RunnerEvent::SnapshotRestored { .. }
            | RunnerEvent::PushEnded { .. }
            | RunnerEvent::SetupOutput { .. }
            | RunnerEvent::EgressRefused(_)
            | RunnerEvent::EngineRestarted { .. } => {}
        }
    }

    /// Pieces have a limit; a runner that is not what it should be might not keep to it.
    fn setup_output(&mut self, mut text: String) {
        text.truncate(text.floor_char_boundary(MAX_SETUP_PIECE_BYTES));
        let generation = self.s.core.generation;
        self.log(EventBody::SandboxSetupOutput { generation, text });
    }

    /// The host of a sandbox tells names within their limit; a runner that is not what it should be might not.
    fn egress_refused(&mut self, refusal: EgressRefusal) {
        let EgressRefusal { host, port, reason } = refusal;
        if (1..=MAX_HOST_BYTES).contains(&host.len()) && !host.contains(char::is_control) {
            self.log(EventBody::SandboxEgressRefused { host, port, reason });
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
        if let Some(title) = Title::cleaned(title)
            && title != self.s.core.title
        {
            self.s.core.title = title.clone();
            self.log(EventBody::SessionTitled { title, by: None });
        }
    }
}
