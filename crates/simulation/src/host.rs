//! The provider: sandboxes by name, their disks and who took over from whom, snapshots that were uploaded. It does what
//! it is told once, whatever becomes of the answer.
//!
//! Calls about one sandbox are carried out in the order in which they were made, as a host behind one address does.

use std::collections::BTreeMap;

use errand_protocol::ids::{Generation, SnapshotId};
use errand_protocol::sandbox::{SandboxError, SandboxErrorKind, SandboxState, SandboxStatus};
use errand_session::SandboxCall;

use crate::disk::Disk;
use crate::engine::Engine;
use crate::event::Event;
use crate::make::{refusal, status};
use crate::rng::Rng;
use crate::runner::Runner;
use crate::story::Calls;
use crate::uploads::Saved;
use crate::world::World;

/// How long the agent waits for an answer.
const LIMIT: i64 = 10_000;

/// The provider.
#[derive(Debug)]
pub struct Host {
    /// All sandboxes that ever were; their numbers are places here.
    pub sandboxes: Vec<Sandbox>,
    /// What was uploaded and not removed.
    pub snapshots: BTreeMap<SnapshotId, Saved>,
    successors: BTreeMap<String, String>,
    /// When the last call about each sandbox is carried out.
    busy: BTreeMap<String, i64>,
    /// It does not answer until then.
    pub down_until: i64,
    /// What goes wrong with the next calls.
    pub trouble: Vec<Calls>,
    /// What the next boots do.
    pub boots: Vec<Boot>,
    /// So many uploads fail.
    pub failing_uploads: u32,
    /// Outcomes that were delivered.
    pub old: Vec<(SandboxCall, SandboxStatus)>,
    rng: Rng,
}

/// How a sandbox's boot goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boot {
    /// It fails; perhaps only after it has taken over what it was to.
    Fails { taken_over: bool },
    /// It never ends.
    Hangs,
    /// It takes so long.
    Slow(i64),
}

/// A sandbox.
#[derive(Debug)]
pub struct Sandbox {
    /// Its name.
    pub name: String,
    /// Its generation.
    pub generation: Generation,
    /// How it is.
    pub state: SandboxState,
    /// Its disk, unless a successor has it.
    pub disk: Option<Disk>,
    /// The runner's process.
    pub runner: Option<Runner>,
    /// The engine's.
    pub engine: Option<Engine>,
    resume: Option<String>,
}

impl Host {
    /// With no sandbox yet.
    pub fn new(seed: u64) -> Self {
        Self {
            sandboxes: Vec::new(),
            snapshots: BTreeMap::new(),
            successors: BTreeMap::new(),
            busy: BTreeMap::new(),
            down_until: 0,
            trouble: Vec::new(),
            boots: Vec::new(),
            failing_uploads: 0,
            old: Vec::new(),
            rng: Rng::stream(seed, 5, 0),
        }
    }

    /// A sandbox's disk and its engine, when both are there.
    pub fn disk_and_engine(&mut self, at: usize) -> Option<(&mut Disk, &mut Engine)> {
        let sandbox = self.sandboxes.get_mut(at)?;
        Some((sandbox.disk.as_mut()?, sandbox.engine.as_mut()?))
    }

    fn place(&self, name: &str) -> Option<usize> {
        let there = |s: &Sandbox| s.name == name && s.state != SandboxState::Gone;
        self.sandboxes.iter().rposition(there)
    }

    fn status(&self, name: &str) -> SandboxStatus {
        let state = self
            .place(name)
            .map_or(SandboxState::Gone, |at| self.sandboxes[at].state);
        status(name, state)
    }

    /// Those whose processes run or are about to.
    pub fn running(&self) -> impl Iterator<Item = (usize, &Sandbox)> {
        let runs = |s: &Sandbox| matches!(s.state, SandboxState::Creating | SandboxState::Running);
        self.sandboxes.iter().enumerate().filter(move |(_, s)| runs(s))
    }

    /// One of those that have a runner.
    pub fn pick(&self, which: u32) -> Option<usize> {
        let all: Vec<usize> = self
            .running()
            .filter(|(_, s)| s.runner.is_some())
            .map(|(at, _)| at)
            .collect();
        (!all.is_empty()).then(|| all[which as usize % all.len()])
    }
}

impl World {
    /// The agent's call leaves the building.
    pub fn call_provider(&mut self, call: SandboxCall) {
        let life = self.agent.life;
        let (began, gentle) = (self.now, self.calm);
        let host = &mut self.host;
        let trouble = host.trouble.pop().filter(|_| !gentle);
        let way = host.rng.span(1, if gentle { 10 } else { 200 });
        let down = host.down_until > began + way;
        let (acts, says) = match trouble {
            Some(Calls::Refused(kind)) => (false, Some(Some(kind))),
            Some(Calls::DoneAndRefused(kind)) => (true, Some(Some(kind))),
            Some(Calls::DoneAndLost) => (true, None),
            Some(Calls::Lost) => (false, None),
            None if down => (false, None),
            Some(Calls::Late(_) | Calls::Twice(_)) | None => (true, Some(None)),
        };
        let late = if let Some(Calls::Late(by)) = trouble { by } else { 0 };
        let due = (began + way + late).max(host.busy.get(call.name()).map_or(0, |at| at + 1));
        if acts {
            host.busy.insert(call.name().to_owned(), due);
        }
        let again = if let Some(Calls::Twice(after)) = trouble {
            Some(after)
        } else {
            None
        };
        self.say(|| format!("call {call:?}, {trouble:?}"));
        let told = match says {
            Some(kind) => Told::At(due, kind),
            None => Told::Never,
        };
        if acts {
            self.at(
                due,
                Event::Provider {
                    life,
                    call,
                    told,
                    again,
                },
            );
        } else {
            self.provider_answers(life, call, told);
        }
    }

    /// The provider carries a call out.
    pub fn provider(&mut self, life: u64, call: SandboxCall, told: Told, again: Option<i64>) {
        let name = call.name().to_owned();
        match &call {
            SandboxCall::Ensure { generation, resume, .. } => {
                if self.host.place(&name).is_none() {
                    self.create(&name, *generation, resume.clone());
                }
            }
            SandboxCall::Suspend { .. } => {
                if let Some(at) = self.host.place(&name) {
                    self.sandbox_ends(at);
                }
            }
            SandboxCall::Delete { .. } => {
                if let Some(at) = self.host.place(&name) {
                    self.sandbox_ends(at);
                    self.host.sandboxes[at].state = SandboxState::Gone;
                    if let Some(disk) = self.host.sandboxes[at].disk.take() {
                        self.disk_removed(&disk);
                    }
                }
            }
            SandboxCall::Inspect { .. } => {}
        }
        if let Some(after) = again {
            let outcome = Ok(self.host.status(&name));
            let call = call.clone();
            self.later(after, Event::Outcome { life: 0, call, outcome });
        }
        self.provider_answers(life, call, told);
    }

    fn provider_answers(&mut self, life: u64, call: SandboxCall, told: Told) {
        let now = self.now;
        let back = self.host.rng.span(1, if self.calm { 10 } else { 300 });
        let silence = || Err(refusal(SandboxErrorKind::Transient));
        let (at, outcome) = match told {
            Told::Never => (now + LIMIT, silence()),
            Told::At(at, None) => (at + back, Ok(self.host.status(call.name()))),
            Told::At(at, Some(kind)) => (at + back, Err(refusal(kind))),
        };
        if let Ok(status) = &outcome {
            self.host.old.push((call.clone(), status.clone()));
        }
        self.at(at, Event::Outcome { life, call, outcome });
    }

    /// An outcome arrives at the agent. One that belongs to a life of it that is over reaches nobody, but for `life` 0.
    pub fn outcome(&mut self, life: u64, call: SandboxCall, outcome: Result<SandboxStatus, SandboxError>) {
        if life == 0 || life == self.agent.life {
            self.input(errand_session::Input::Sandbox { call, outcome });
        }
    }

    fn create(&mut self, name: &str, generation: Generation, resume: Option<String>) {
        self.check_created(name);
        let boot = self.host.boots.pop().filter(|_| !self.calm);
        let slowest = if self.host.rng.one_in(8) && !self.calm {
            20_000
        } else {
            1_500
        };
        let delay = match boot {
            Some(Boot::Slow(by)) => by,
            Some(Boot::Hangs | Boot::Fails { .. }) | None => self.host.rng.span(1, slowest),
        };
        let at = self.host.sandboxes.len();
        self.host.sandboxes.push(Sandbox {
            name: name.to_owned(),
            generation,
            state: SandboxState::Creating,
            disk: None,
            runner: None,
            engine: None,
            resume,
        });
        if boot != Some(Boot::Hangs) {
            self.later(delay, Event::Boot(at, boot));
        }
    }

    /// A sandbox boots: it takes over what it is to, and its runner starts.
    pub fn boot(&mut self, at: usize, boot: Option<Boot>) {
        if self.host.sandboxes[at].state != SandboxState::Creating {
            return;
        }
        if boot == Some(Boot::Fails { taken_over: false }) {
            self.host.sandboxes[at].state = SandboxState::Failed;
            return;
        }
        let taken = self.take_over(at);
        let disk = taken.unwrap_or_else(|| self.new_disk());
        let sandbox = &mut self.host.sandboxes[at];
        sandbox.disk = Some(disk);
        if boot == Some(Boot::Fails { taken_over: true }) {
            sandbox.state = SandboxState::Failed;
            return;
        }
        sandbox.state = SandboxState::Running;
        self.start_runner(at);
    }

    fn new_disk(&mut self) -> Disk {
        self.counts.disks += 1;
        Disk::new(self.counts.disks)
    }

    /// The disk of the sandbox at the end of the chain.
    fn take_over(&mut self, to: usize) -> Option<Disk> {
        let mut from = self.host.sandboxes[to].resume.clone()?;
        while let Some(next) = self.host.successors.get(&from) {
            from.clone_from(next);
        }
        let name = self.host.sandboxes[to].name.clone();
        let source = self.host.place(&from)?;
        self.sandbox_ends(source);
        let disk = self.host.sandboxes[source].disk.take()?;
        self.host.successors.insert(from, name);
        Some(disk)
    }

    /// All processes of a sandbox end.
    pub fn sandbox_ends(&mut self, at: usize) {
        let sandbox = &mut self.host.sandboxes[at];
        if matches!(sandbox.state, SandboxState::Creating | SandboxState::Running) {
            sandbox.state = SandboxState::Exited;
            self.stop_runner(at);
            self.engine_dies(at);
        }
    }

    /// A sandbox is lost, with its files.
    pub fn sandbox_lost(&mut self, at: usize) {
        self.sandbox_ends(at);
        self.host.sandboxes[at].state = SandboxState::Gone;
        self.truth.vanished.insert(self.host.sandboxes[at].name.clone());
        if let Some(disk) = self.host.sandboxes[at].disk.take() {
            self.say(|| format!("disk {} is lost for good", disk.number));
            self.truth.lost.insert(disk.number);
        }
    }
}

/// What the provider will say of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// At this time: how it is, or that something went wrong.
    At(i64, Option<SandboxErrorKind>),
    /// Nothing.
    Never,
}
