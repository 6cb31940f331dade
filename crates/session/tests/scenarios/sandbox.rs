//! A sandbox as the stand-in provider keeps it: its files, and the process in it.

use std::collections::{BTreeMap, BTreeSet};

use errand_protocol::ids::{ConnId, Generation, PartId, PromptId, TurnId};
use errand_protocol::runner::{AgentFrame, RunnerEvent};
use errand_protocol::sandbox::SandboxState;
use errand_protocol::session::TurnOutcome;

use crate::make::ended;

/// What is on a sandbox's disk; a successor takes it over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    pub(crate) spool: u32,
    pub(crate) events: Vec<RunnerEvent>,
    /// Turns that were begun, and whether they are over.
    pub(crate) turns: BTreeMap<TurnId, bool>,
    /// Prompts that were taken in for one of them.
    pub(crate) steered: BTreeSet<PromptId>,
}

impl Files {
    pub(crate) fn write(&mut self, event: RunnerEvent) {
        self.events.push(event);
    }

    /// The turn that was accepted and has not ended, as the spool tells.
    pub(crate) fn current(&self) -> Option<TurnId> {
        let mut current = None;
        for event in &self.events {
            match event {
                RunnerEvent::TurnAccepted { turn_id } => current = Some(turn_id.clone()),
                RunnerEvent::TurnFinished { turn_id, .. } if current.as_ref() == Some(turn_id) => current = None,
                _ => {}
            }
        }
        current
    }
}

/// A sandbox and the process in it.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) generation: Generation,
    pub(crate) state: SandboxState,
    pub(crate) files: Files,
    pub(crate) conn: Option<ConnId>,
    pub(crate) welcomed: bool,
    /// Events sent on this connection.
    pub(crate) sent: usize,
    pub(crate) inbox: Vec<AgentFrame>,
    /// Steps of the start that are done.
    pub(crate) started: u32,
    /// Steps of the turn that are done.
    pub(crate) worked: u32,
    pub(crate) open: Option<(PartId, u32)>,
    pub(crate) asked: bool,
}

impl Sandbox {
    pub(crate) fn new(generation: Generation, files: Files) -> Self {
        Self {
            generation,
            state: SandboxState::Running,
            files,
            conn: None,
            welcomed: false,
            sent: 0,
            inbox: vec![],
            started: 0,
            worked: 0,
            open: None,
            asked: false,
        }
    }

    pub(crate) fn disconnect(&mut self) -> Option<ConnId> {
        self.welcomed = false;
        self.inbox.clear();
        self.conn.take()
    }

    pub(crate) fn exit(&mut self) {
        self.disconnect();
        self.state = SandboxState::Exited;
    }

    pub(crate) fn end(&mut self, outcome: TurnOutcome) {
        self.asked = false;
        self.open = None;
        if let Some(turn) = self.files.current() {
            self.files.turns.insert(turn.clone(), true);
            self.files.write(ended(&turn, outcome));
        }
    }
}
