//! The runner's side of a session: who may speak, and what is new. What it means is in `runner_events`.
//!
//! What must not be lost has a number (`rseq`) in the runner's spool. A number is applied once, in order; the ack
//! goes out after the transaction that stored it, because effects are applied in that order.

use errand_protocol::close::CloseCode;
use errand_protocol::ids::{ConnId, Generation, SpoolId, TurnId};
use errand_protocol::runner::{AgentFrame, RunnerEvent, RunnerFrame};
use errand_protocol::session::StartStep;

use crate::core::{Life, Spool};
use crate::effect::Effect;
use crate::session::{Session, Step};

/// What a runner says of itself.
struct Hello {
    generation: Generation,
    spool_id: SpoolId,
    last_rseq: u64,
    turn: Option<TurnId>,
    ready: bool,
}

impl Session {
    /// Whether something that the runner had written before its hello is still to come.
    pub(crate) fn replaying(&self) -> bool {
        let spool = self.core.spool.as_ref();
        spool.is_some_and(|spool| spool.acked < spool.written)
    }
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

    /// Whether a hello is older than what is stored of the same spool.
    fn is_stale(&self, hello: &Hello) -> bool {
        let spool = self.s.core.spool.as_ref();
        spool.is_some_and(|spool| spool.id == hello.spool_id && hello.last_rseq < spool.acked)
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
            if self.is_stale(&hello) {
                // It was said before what this runner has written since, on a connection that was slow.
                return self.refuse(conn, CloseCode::Silent);
            }
            self.refuse(&old, CloseCode::Silent);
        }
        self.s.live.runner = Some(conn.clone());
        self.s.live.runner_seen = self.cx.now;
        self.s.live.replayed_at = self.cx.now;
        self.s.open.may_ask_again();
        self.sandbox_ran();
        self.forget_looks();
        let known = self.s.core.spool.take().filter(|_| same_spool);
        let acked = known.as_ref().map_or(0, |spool| spool.acked);
        let cut = Some(hello.last_rseq).filter(|last| *last < acked);
        let known = known.filter(|spool| spool.generation == hello.generation);
        let inherited = known.map_or(hello.last_rseq, |spool| spool.inherited);
        let ours = self.s.core.turn.as_ref().map(|turn| &turn.id);
        let works_on_it = hello.turn.is_some() && hello.turn.as_ref() == ours;
        self.s.core.spool = Some(Spool {
            id: hello.spool_id,
            acked,
            cut,
            conn: Some(conn.clone()),
            generation: hello.generation,
            inherited,
            written: hello.last_rseq,
            // What a spool says that ends too early counts for nothing.
            no_turn_after: (!works_on_it && cut.is_none()).then_some(hello.last_rseq),
        });
        self.fx.push(Effect::Welcome {
            conn: conn.clone(),
            generation: self.s.core.generation,
            acked: cut.unwrap_or(acked),
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

    pub(crate) fn turn_accepted(&mut self) {
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
        self.offer_again();
    }

    fn numbered(&mut self, rseq: u64, body: RunnerEvent) {
        let Some(spool) = &mut self.s.core.spool else { return };
        if let Some(end) = spool.cut.filter(|end| rseq == *end + 1) {
            // It was cut short indeed: its next number is the one that counts.
            spool.acked = end;
        }
        if rseq > spool.acked + 1 {
            // Something between is missing: the runner resends from what `welcome` says.
            self.drop_runner(CloseCode::Silent);
            return self.runner_lost();
        }
        let fresh = rseq == spool.acked + 1;
        if fresh {
            spool.acked = rseq;
            spool.cut = None;
            self.dirty = true;
            self.s.live.replayed_at = self.cx.now;
            self.apply(body);
            self.turn_forgotten_if_all_came();
        }
        if let Some(spool) = &self.s.core.spool {
            let rseq = spool.acked;
            self.tell_runner(AgentFrame::Ack { rseq });
        }
    }
}
