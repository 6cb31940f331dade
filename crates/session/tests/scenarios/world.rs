//! Everything around the session: a provider with sandboxes whose files outlive them, runners with spools (see
//! [`crate::runners`]), a network that cuts connections. All of it does what it is told, or fails as it is told to.

use std::collections::{BTreeMap, BTreeSet};

use errand_protocol::close::CloseCode;
use errand_protocol::ids::{ConnId, PromptId, TurnId};
use errand_protocol::sandbox::{SandboxErrorKind, SandboxState, SandboxStatus};
use errand_session::{Input, SandboxCall};

use crate::harness::Harness;
use crate::make::*;
use crate::sandbox::{Files, Sandbox};

pub(crate) struct World {
    pub(crate) h: Harness,
    pub(crate) sandboxes: BTreeMap<String, Sandbox>,
    /// Who took over from whom.
    successors: BTreeMap<String, String>,
    pub(crate) conns: u32,
    spools: u32,
    pub(crate) parts: u32,
    /// How often each turn was begun by an engine; begun again from its own notes does not count.
    pub(crate) begun: BTreeMap<TurnId, u32>,
    /// How often each prompt was handed to an engine within another one's turn.
    pub(crate) handed: BTreeMap<PromptId, u32>,
    /// Files were lost for good, so that a turn may begin again without anybody knowing.
    pub(crate) lost_files: bool,
    /// What a runner had written was lost, so that nobody knows what it had taken in.
    pub(crate) lost_spool: bool,
    /// Outcomes that were delivered before.
    old: Vec<(SandboxCall, SandboxStatus)>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            h: Harness::new(),
            sandboxes: BTreeMap::new(),
            successors: BTreeMap::new(),
            conns: 0,
            spools: 0,
            parts: 0,
            begun: BTreeMap::new(),
            handed: BTreeMap::new(),
            lost_files: false,
            lost_spool: false,
            old: vec![],
        }
    }

    /// Takes along what the last step sent and closed.
    fn settle(&mut self) {
        let frames = self.h.sent_to_runner();
        self.h.sent_to_viewers();
        if let Some(conn) = self.h.welcomed.take() {
            let acked = *self.h.welcomes.last().unwrap();
            if let Some(sandbox) = self.by_conn(&conn) {
                sandbox.welcomed = true;
                sandbox.sent = usize::try_from(acked).unwrap();
            }
        }
        if let Some(conn) = self.h.session.runner().cloned()
            && let Some(sandbox) = self.by_conn(&conn)
        {
            sandbox.inbox.extend(frames);
        }
        for (conn, code) in std::mem::take(&mut self.h.closed) {
            if let Some(sandbox) = self.by_conn(&conn) {
                sandbox.disconnect();
                if code != CloseCode::Silent {
                    sandbox.exit();
                }
            }
        }
    }

    fn by_conn(&mut self, conn: &ConnId) -> Option<&mut Sandbox> {
        self.sandboxes.values_mut().find(|s| s.conn.as_ref() == Some(conn))
    }

    pub(crate) fn step(&mut self, input: Input) {
        // A person's command may be refused; the harness has checked that nothing changed then.
        let _ = self.h.step(input);
        self.settle();
    }

    // The provider.

    fn apply(&mut self, call: &SandboxCall) -> SandboxStatus {
        let name = call.name().to_owned();
        match call {
            SandboxCall::Ensure { generation, resume, .. } if !self.sandboxes.contains_key(&name) => {
                let taken_over = resume.clone().and_then(|from| self.take_over(from, &name));
                let files = match taken_over {
                    Some(sandbox) => sandbox.files,
                    None => self.fresh(),
                };
                self.sandboxes.insert(name.clone(), Sandbox::new(*generation, files));
            }
            SandboxCall::Suspend { .. } => {
                if let Some(sandbox) = self.sandboxes.get_mut(&name) {
                    sandbox.exit();
                }
            }
            SandboxCall::Delete { .. } => {
                self.sandboxes.remove(&name);
            }
            SandboxCall::Ensure { .. } | SandboxCall::Inspect { .. } => {}
        }
        let state = self.sandboxes.get(&name).map_or(SandboxState::Gone, |s| s.state);
        status(&name, state)
    }

    /// The sandbox at the end of the chain that begins at `from`: its files go to `to`.
    fn take_over(&mut self, mut from: String, to: &str) -> Option<Sandbox> {
        while let Some(next) = self.successors.get(&from) {
            from.clone_from(next);
        }
        let last = self.sandboxes.remove(&from)?;
        self.successors.insert(from, to.to_owned());
        Some(last)
    }

    fn fresh(&mut self) -> Files {
        self.spools += 1;
        Files {
            spool: self.spools,
            ..Files::default()
        }
    }

    fn waiting_call(&self, pick: usize) -> Option<SandboxCall> {
        let calls = &self.h.calls;
        (!calls.is_empty()).then(|| calls[pick % calls.len()].clone())
    }

    /// The provider does what it was asked and says so.
    pub(crate) fn provider_answers(&mut self, pick: usize) -> bool {
        let Some(call) = self.waiting_call(pick) else {
            return false;
        };
        let status = self.apply(&call);
        self.old.push((call.clone(), status.clone()));
        self.h.outcome_of(call, Ok(status));
        self.settle();
        true
    }

    /// The provider does what it was asked (or not) and says that something went wrong, or nothing at all.
    pub(crate) fn provider_fails(&mut self, pick: usize, applied: bool, told: Option<SandboxErrorKind>) {
        let Some(call) = self.waiting_call(pick) else { return };
        if applied {
            self.apply(&call);
        }
        match told {
            Some(kind) => self.h.outcome_of(call, Err(error(kind))),
            None => self.h.calls.retain(|c| *c != call),
        }
        self.settle();
    }

    /// The provider accepts a sandbox and then cannot make it; nothing was taken over.
    pub(crate) fn provider_cannot_make(&mut self, pick: usize) {
        let Some(call) = self.waiting_call(pick) else { return };
        let SandboxCall::Ensure { name, generation, .. } = &call else {
            return;
        };
        if !self.sandboxes.contains_key(name) {
            let files = self.fresh();
            let mut sandbox = Sandbox::new(*generation, files);
            sandbox.state = SandboxState::Failed;
            self.sandboxes.insert(name.clone(), sandbox);
        }
        let state = self.sandboxes[name].state;
        let outcome = Ok(status(name, state));
        self.h.outcome_of(call, outcome);
        self.settle();
    }

    /// An outcome arrives a second time, long after.
    pub(crate) fn provider_repeats(&mut self, pick: usize) {
        if self.old.is_empty() {
            return;
        }
        let (call, status) = self.old[pick % self.old.len()].clone();
        let outcome = Ok(status);
        self.step(Input::Sandbox { call, outcome });
    }

    // The network and processes.

    pub(crate) fn pick(&mut self, pick: usize) -> Option<&mut Sandbox> {
        let count = self.running().len();
        let mut alive = self.sandboxes.values_mut().filter(|s| s.state == SandboxState::Running);
        (count > 0).then(|| alive.nth(pick % count))?
    }

    /// Names of sandboxes whose process runs.
    pub(crate) fn running(&self) -> BTreeSet<String> {
        let alive = self.sandboxes.iter().filter(|(_, s)| s.state == SandboxState::Running);
        alive.map(|(name, _)| name.clone()).collect()
    }

    /// A connection ends; whether the session hears of it at once.
    pub(crate) fn cut(&mut self, pick: usize, heard: bool) {
        let Some(conn) = self.pick(pick).and_then(Sandbox::disconnect) else {
            return;
        };
        if heard {
            self.step(Input::RunnerGone { conn });
        }
    }

    /// A sandbox's process dies, perhaps with its disk.
    pub(crate) fn kill(&mut self, pick: usize, files_too: bool) {
        let Some(sandbox) = self.pick(pick) else { return };
        let conn = sandbox.disconnect();
        sandbox.exit();
        if files_too {
            let generation = sandbox.generation;
            self.sandboxes.retain(|_, s| s.generation != generation);
            self.lost_files = true;
        }
        if let Some(conn) = conn {
            self.step(Input::RunnerGone { conn });
        }
    }

    /// The runner process starts again; the engine with it.
    pub(crate) fn restart(&mut self, pick: usize, spool_lost: bool) {
        self.spools += 1;
        let spool = self.spools;
        let Some(sandbox) = self.pick(pick) else { return };
        let conn = sandbox.disconnect();
        sandbox.started = 0;
        sandbox.worked = 0;
        if spool_lost {
            sandbox.files.spool = spool;
            sandbox.files.events.clear();
        }
        self.lost_spool |= spool_lost;
        if let Some(conn) = conn {
            self.step(Input::RunnerGone { conn });
        }
    }

    /// The session's object is forgotten. When sockets survive, the first one that was ever welcomed is taken for
    /// the runner's.
    pub(crate) fn evict(&mut self, pick: usize, sockets_survive: bool) {
        if !sockets_survive {
            for sandbox in self.sandboxes.values_mut() {
                sandbox.disconnect();
            }
        }
        let welcomed: Vec<ConnId> = self
            .sandboxes
            .values()
            .filter(|s| s.welcomed)
            .filter_map(|s| s.conn.clone())
            .collect();
        let runner = welcomed.get(pick % welcomed.len().max(1)).cloned();
        self.h.evict_to(runner);
        self.settle();
    }
}
