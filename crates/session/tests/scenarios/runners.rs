//! What the runners and their engines do: dial, read, work, send; and how they fail.

use errand_protocol::ids::SnapshotId;
use errand_protocol::runner::{AgentFrame, RunnerEvent, RunnerFrame};
use errand_protocol::session::{Cause, StartStep, TurnOutcome};
use errand_protocol::transcript::{Part, ToolStatus};
use errand_session::Input;

use crate::make::*;
use crate::world::World;

impl World {
    /// Each runner does one thing: dials, reads what came, works, sends. Whether any did.
    pub(crate) fn runners_act(&mut self) -> bool {
        let mut acted = false;
        for name in self.running() {
            acted |= self.dial(&name) || self.read(&name) || self.send(&name) || self.work(&name);
        }
        acted
    }

    fn dial(&mut self, name: &str) -> bool {
        let number = self.conns + 1;
        let Some(sandbox) = self.sandboxes.get_mut(name).filter(|s| s.conn.is_none()) else {
            return false;
        };
        self.conns = number;
        sandbox.conn = Some(conn(number));
        let frame = RunnerFrame::Hello {
            protocol: errand_protocol::PROTOCOL_VERSION,
            generation: sandbox.generation,
            spool_id: spool(sandbox.files.spool),
            last_rseq: sandbox.files.events.len() as u64,
            turn: sandbox.files.current(),
            ready: sandbox.started == 3,
            version: "1".to_owned(),
        };
        self.step(Input::Runner {
            conn: conn(number),
            frame,
        });
        true
    }

    fn read(&mut self, name: &str) -> bool {
        let Some(sandbox) = self.sandboxes.get_mut(name).filter(|s| s.welcomed) else {
            return false;
        };
        let inbox = std::mem::take(&mut sandbox.inbox);
        let mut did = false;
        for frame in inbox {
            did = true;
            match frame {
                AgentFrame::Run { turn_id, .. } => {
                    if sandbox.files.current().is_some() || sandbox.files.turns.get(&turn_id) == Some(&true) {
                        continue;
                    }
                    if sandbox.files.turns.insert(turn_id.clone(), false).is_none() {
                        *self.begun.entry(turn_id.clone()).or_default() += 1;
                    }
                    sandbox.worked = 0;
                    sandbox.files.write(RunnerEvent::TurnAccepted { turn_id });
                }
                AgentFrame::Steer { turn_id, prompt_id, .. } => {
                    let answer = if sandbox.files.current().as_ref() == Some(&turn_id) {
                        if sandbox.files.steered.insert(prompt_id.clone()) {
                            *self.handed.entry(prompt_id.clone()).or_default() += 1;
                        }
                        RunnerEvent::SteerAccepted { turn_id, prompt_id }
                    } else {
                        let cause = cause("turn_over");
                        RunnerEvent::SteerRefused {
                            turn_id,
                            prompt_id,
                            cause,
                        }
                    };
                    sandbox.files.write(answer);
                }
                AgentFrame::Save {} => {
                    let snapshot_id = SnapshotId::from_body(&sandbox.files.events.len().to_string()).unwrap();
                    sandbox.files.write(RunnerEvent::SnapshotSaved {
                        snapshot_id,
                        turn_id: None,
                        bytes: 1,
                        runtime: errand_protocol::limits::SNAPSHOT_RUNTIME,
                    });
                }
                AgentFrame::Abort { turn_id } if sandbox.files.current().as_ref() == Some(&turn_id) => {
                    sandbox.end(TurnOutcome::Aborted);
                }
                AgentFrame::Resolve { interaction_id, .. } => {
                    sandbox.asked = false;
                    sandbox.files.write(RunnerEvent::InteractionClosed { interaction_id });
                }
                AgentFrame::Resend { part_id, .. } => {
                    if let Some((open, sent)) = &mut sandbox.open
                        && *open == part_id
                    {
                        *sent = 0;
                    }
                }
                _ => {}
            }
        }
        did
    }

    fn send(&mut self, name: &str) -> bool {
        let now = self.h.now;
        let Some(sandbox) = self.sandboxes.get_mut(name).filter(|s| s.welcomed) else {
            return false;
        };
        let Some(body) = sandbox.files.events.get(sandbox.sent).cloned() else {
            return false;
        };
        sandbox.sent += 1;
        let rseq = sandbox.sent as u64;
        let conn = sandbox.conn.clone().unwrap();
        let frame = RunnerFrame::Event { rseq, at: now, body };
        self.step(Input::Runner { conn, frame });
        true
    }

    /// A frame arrives twice, or one is left out.
    pub(crate) fn mangle(&mut self, pick: usize, skip: bool) {
        let Some(sandbox) = self.pick(pick) else { return };
        if skip {
            sandbox.sent += 1;
        } else {
            sandbox.sent = sandbox.sent.saturating_sub(1 + pick % 3);
        }
    }

    /// The engine streams a little of what it writes.
    pub(crate) fn stream(&mut self, pick: usize, text: &str) {
        let Some(sandbox) = self.pick(pick).filter(|s| s.welcomed) else {
            return;
        };
        let (Some((part, offset)), Some(conn)) = (&mut sandbox.open, sandbox.conn.clone()) else {
            return;
        };
        let mut delta = delta("x", *offset, text);
        delta.part_id = part.clone();
        *offset += u32::try_from(text.encode_utf16().count()).unwrap();
        let frame = RunnerFrame::Delta(delta);
        self.step(Input::Runner {
            conn: conn.clone(),
            frame,
        });
        if pick.is_multiple_of(3) {
            let frame = RunnerFrame::Flush {};
            self.step(Input::Runner { conn, frame });
        }
    }

    /// The engine dies in the middle of whatever it does.
    pub(crate) fn crash_engine(&mut self, pick: usize, for_good: bool) {
        let Some(sandbox) = self.pick(pick).filter(|s| s.started == 3) else {
            return;
        };
        sandbox.end(TurnOutcome::Failed);
        let cause = Cause::new("engine_crashed", "The engine crashed.");
        if for_good {
            sandbox.started = 0;
            sandbox.files.write(RunnerEvent::StartFailed {
                step: StartStep::Engine,
                cause,
                retryable: pick.is_multiple_of(2),
            });
        } else {
            sandbox.files.write(RunnerEvent::EngineRestarted { cause });
        }
    }

    /// One step of the start, or of the turn.
    fn work(&mut self, name: &str) -> bool {
        let Some(sandbox) = self.sandboxes.get_mut(name).filter(|s| s.welcomed) else {
            return false;
        };
        if sandbox.started < 3 {
            sandbox.started += 1;
            let event = match sandbox.started {
                1 => RunnerEvent::Step {
                    step: StartStep::Cloning,
                },
                2 => RunnerEvent::Step {
                    step: StartStep::Engine,
                },
                _ => RunnerEvent::Ready { engine: "1".to_owned() },
            };
            sandbox.files.write(event);
            if sandbox.started == 3 {
                sandbox.end(TurnOutcome::Failed); // What ran before was lost with its engine.
            }
            return true;
        }
        let Some(turn) = sandbox.files.current() else {
            return false;
        };
        if sandbox.asked {
            return false; // It waits for a person.
        }
        sandbox.worked += 1;
        match sandbox.worked {
            1 => {
                self.parts += 1;
                let part = text_part(&self.parts.to_string(), 0);
                sandbox.open = Some((part.id.clone(), 0));
                sandbox.files.write(part_started(&turn, part));
            }
            2 => {
                if let Some((id, _)) = sandbox.open.take() {
                    let part = Part {
                        id,
                        ..text_part("x", 0)
                    };
                    sandbox.files.write(part_finished(&turn, finished(part, "whole")));
                }
            }
            3 if self.parts.is_multiple_of(3) => {
                sandbox.asked = true;
                sandbox.files.write(asked(&turn, &self.parts.to_string(), permission()));
            }
            4 => {
                self.parts += 1;
                let part = tool_part(&self.parts.to_string(), 1, ToolStatus::Running);
                sandbox.files.write(part_started(&turn, part));
            }
            5 => sandbox.end(TurnOutcome::Done),
            _ => {}
        }
        true
    }
}
