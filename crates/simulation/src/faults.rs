//! The moves of a story, carried out on the world.

use errand_protocol::ids::TurnId;
use errand_protocol::money::{BudgetLevel, BudgetNotice, Micros};
use errand_protocol::runner::{RunnerEvent, RunnerFrame};
use errand_protocol::session::{Place, PromptMode, StartStep};
use errand_protocol::viewer::Command;
use errand_session::Input;

use crate::event::Event;
use crate::host::Boot;
use crate::make::{answer, cause, notice, person, prompt_id};
use crate::net::{Peer, State, Up};
use crate::story::{Act, Cut};
use crate::world::World;

/// When a browser notices that nothing comes any more.
const BROWSER_NOTICES: i64 = 45_000;

impl World {
    /// Makes a move.
    pub fn perform(&mut self, act: Act) {
        match act {
            Act::Attach(which) => {
                let viewer = self.viewer(which);
                self.attach(viewer);
            }
            Act::Detach(which, fresh) => {
                let viewer = self.viewer(which);
                self.detach(viewer, fresh);
            }
            Act::Crash => self.crash(),
            Act::Evict { sockets } => self.evict(sockets),
            Act::DiskFull => self.agent.disk_full = true,
            Act::SlowDisk(by) => self.agent.disk = by,
            Act::Spurious => self.deadline(),
            Act::MakeRoom { even_watched } => self.input(Input::MakeRoom { even_watched }),
            Act::LateAlarm(by) => self.agent.late_alarms = by,
            Act::RegistryDown(by) => self.agent.registry_down_until = self.now + by,
            Act::HostDown(by) => self.host.down_until = self.now + by,
            Act::Calls { count, how } => self.host.trouble.extend(std::iter::repeat_n(how, count as usize)),
            Act::Answered(which) => self.old_answer(which),
            Act::BootFails { taken_over } => self.host.boots.push(Boot::Fails { taken_over }),
            Act::BootHangs => self.host.boots.push(Boot::Hangs),
            Act::SlowBoot(by) => self.host.boots.push(Boot::Slow(by)),
            Act::Budget {
                which,
                used_up,
                reserve,
            } => self.input(Input::Budget {
                notice: notice(which, self.now),
                level: if used_up {
                    BudgetLevel::UsedUp
                } else {
                    BudgetLevel::Soft
                },
                reserve,
            }),
            Act::BudgetRaised { which, removed } => {
                let BudgetNotice { budget, limit, .. } = notice(which, self.now);
                self.input(Input::BudgetRaised {
                    budget,
                    limit: (!removed).then(|| Micros(limit.0 + 1)),
                    by: person(0),
                });
            }
            Act::UploadsFail(count) => self.host.failing_uploads = count,
            Act::Cut(cut) => self.cut(cut, |peer| matches!(peer, Peer::Runner(_) | Peer::Ghost)),
            Act::CutViewer(cut) => self.cut(cut, |peer| matches!(peer, Peer::Viewer(_))),
            Act::Slow { which, by } => {
                let all = self.net.live(|_| true);
                if !all.is_empty() {
                    self.net.slow(all[which as usize % all.len()], by);
                }
            }
            Act::Ghost(which) => self.ghost(which),
            Act::RunnerDies { .. }
            | Act::EngineDies { .. }
            | Act::SandboxDies { .. }
            | Act::MachineDies
            | Act::Stuck { .. } => self.sandbox_trouble(act),
            other => self.person(other),
        }
    }

    fn person(&mut self, act: Act) {
        let (viewer, command) = match act {
            Act::Prompt { viewer, steer } => {
                self.counts.prompts += 1;
                let prompt_id = prompt_id(self.counts.prompts);
                let mode = if steer { PromptMode::Steer } else { PromptMode::Queue };
                (viewer, ask(&prompt_id, mode))
            }
            Act::Edit(viewer, which) => {
                let text = format!("edited {which}").parse().unwrap();
                (
                    viewer,
                    Command::EditPrompt {
                        prompt_id: self.some_prompt(which),
                        text,
                    },
                )
            }
            Act::Withdraw(viewer, which) => (
                viewer,
                Command::WithdrawPrompt {
                    prompt_id: self.some_prompt(which),
                },
            ),
            Act::Move { viewer, which, to } => {
                let place = match to % 3 {
                    0 => Place::First,
                    1 => Place::Last,
                    _ => Place::Before(self.some_prompt(to / 3)),
                };
                (
                    viewer,
                    Command::MovePrompt {
                        prompt_id: self.some_prompt(which),
                        to: place,
                    },
                )
            }
            Act::Promote(viewer, which) => (
                viewer,
                Command::PromotePrompt {
                    prompt_id: self.some_prompt(which),
                },
            ),
            Act::Abort { viewer, other } => {
                let turn_id = other.then(|| TurnId::from_body("other").unwrap());
                (viewer, Command::Abort { turn_id })
            }
            Act::Pause(viewer) => (viewer, Command::Pause {}),
            Act::Resume(viewer) => (viewer, Command::Resume {}),
            Act::Archive(viewer) => (viewer, Command::Archive {}),
            Act::Restore(viewer) => (viewer, Command::Restore {}),
            Act::Retry(viewer) => (viewer, Command::Retry {}),
            Act::Rename(viewer, which) => {
                let title = format!("title {}", which % 3).parse().unwrap();
                (viewer, Command::Rename { title })
            }
            Act::Terminate(viewer) => (viewer, Command::Terminate {}),
            Act::Answer { viewer, which } => return self.answer_ask(viewer, which),
            Act::Repeat { viewer, which } => return self.repeat(viewer, which),
            _ => return,
        };
        let viewer = self.viewer(viewer);
        self.command(viewer, command);
    }

    fn answer_ask(&mut self, viewer: u32, which: u32) {
        let number = self.viewer(viewer);
        let asks = &self.viewers[number].asks;
        let known: Vec<_> = asks
            .iter()
            .map(|(id, ask)| (id.clone(), answer(ask, which as usize / 7)))
            .collect();
        if known.is_empty() {
            return;
        }
        let (interaction_id, answer) = known[which as usize % known.len()].clone();
        self.command(number, Command::Answer { interaction_id, answer });
    }

    /// The same command once more, as after a reconnect.
    fn repeat(&mut self, viewer: u32, which: u32) {
        let number = self.viewer(viewer);
        let viewer = &self.viewers[number];
        let all: Vec<_> = viewer.answered.iter().chain(&viewer.unanswered).cloned().collect();
        if !all.is_empty() {
            self.send_command(number, all[which as usize % all.len()].clone());
        }
    }

    fn old_answer(&mut self, which: u32) {
        let old = &self.host.old;
        if !old.is_empty() {
            let (call, status) = old[which as usize % old.len()].clone();
            self.outcome(0, call, Ok(status));
        }
    }

    fn cut(&mut self, cut: Cut, wanted: impl Fn(Peer) -> bool) {
        let all = self.net.live(wanted);
        if all.is_empty() {
            return;
        }
        let conn = all[cut.which as usize % all.len()];
        self.say(|| format!("connection {conn} is cut"));
        self.net.cut(conn, cut.up_arrives);
        // A browser pings by itself, and so notices in time; a runner's link does that too, by its own rules.
        let browser = matches!(self.net.conn(conn).peer, Peer::Viewer(_)).then_some(BROWSER_NOTICES);
        for (hears, agent) in [(cut.agent, true), (cut.peer.or(browser), false)] {
            if let Some(delay) = hears {
                self.later(delay, Event::Broken { conn, agent });
            }
        }
    }

    /// A runner's handshake and hello arrive a second time, on a connection that it does not know of.
    fn ghost(&mut self, which: u32) {
        let Some(at) = self.host.pick(which) else { return };
        let sandbox = &self.host.sandboxes[at];
        let (Some(disk), Some(runner)) = (&sandbox.disk, &sandbox.runner) else {
            return;
        };
        let (generation, ready) = (sandbox.generation, runner.ready);
        let frame = RunnerFrame::Hello {
            protocol: errand_protocol::PROTOCOL_VERSION,
            generation,
            spool_id: disk.spool.id.clone(),
            last_rseq: disk.spool.last(),
            turn: crate::runner::working_on(disk),
            ready,
            version: String::new(),
        };
        let conn = self.net.dial(self.seed, Peer::Ghost, generation, self.calm);
        self.send_up(conn, Up::Open(None));
        self.send_up(conn, Up::Runner(frame));
        if which.is_multiple_of(2) {
            self.send_up(conn, Up::Close);
            self.net.conn_mut(conn).other = State::Closed;
        }
    }

    fn sandbox_trouble(&mut self, act: Act) {
        match act {
            Act::RunnerDies {
                which,
                comes_back,
                engine_too,
            } => {
                let Some(at) = self.host.pick(which) else { return };
                if comes_back {
                    self.stop_runner(at);
                    if engine_too {
                        self.engine_dies(at);
                    }
                    self.later(i64::from(which % 3_000), Event::Respawn(at));
                } else {
                    self.sandbox_ends(at);
                }
            }
            Act::EngineDies { which, for_good } => {
                let Some(at) = self.host.pick(which) else { return };
                if self.host.sandboxes[at].engine.is_none() {
                    return;
                }
                self.engine_dies(at);
                if let Some(runner) = &mut self.host.sandboxes[at].runner {
                    runner.ready = false;
                    let number = runner.number;
                    self.later(i64::from(which % 4_000), Event::Reborn(at, number, for_good));
                }
            }
            Act::SandboxDies { which, files_too } => {
                let all: Vec<usize> = self.host.running().map(|(at, _)| at).collect();
                let with_disk = self.host.sandboxes.iter().rposition(|s| s.disk.is_some());
                let at = if all.is_empty() {
                    with_disk
                } else {
                    Some(all[which as usize % all.len()])
                };
                match at {
                    Some(at) if files_too => self.sandbox_lost(at),
                    Some(at) => self.sandbox_ends(at),
                    None => {}
                }
            }
            Act::MachineDies => {
                let all: Vec<usize> = self.host.running().map(|(at, _)| at).collect();
                for at in all {
                    self.sandbox_ends(at);
                }
            }
            Act::Stuck { which, abort_too } => {
                let Some(at) = self.host.pick(which) else { return };
                if let Some(engine) = &mut self.host.sandboxes[at].engine {
                    engine.stuck = true;
                    engine.deaf = abort_too;
                }
            }
            _ => {}
        }
    }

    /// A runner's process comes back, unless its sandbox has ended.
    pub fn respawn(&mut self, at: usize) {
        let sandbox = &self.host.sandboxes[at];
        if sandbox.state == errand_protocol::sandbox::SandboxState::Running && sandbox.runner.is_none() {
            self.start_runner(at);
        }
    }

    /// The engine is started again after it died, or cannot be.
    pub fn reborn(&mut self, at: usize, number: u64, for_good: bool) {
        if self.runner_number(at) != Some(number) || self.host.sandboxes[at].engine.is_some() {
            return;
        }
        let cause = cause("engine_crashed");
        if for_good {
            self.engine_gone(at);
            self.report(
                at,
                RunnerEvent::StartFailed {
                    step: StartStep::Engine,
                    cause,
                    retryable: number.is_multiple_of(2),
                },
            );
            self.pump(at);
        } else {
            self.engine_up(at, false, Some(cause));
        }
    }
}

/// A prompt.
pub(crate) fn ask(prompt_id: &errand_protocol::ids::PromptId, mode: PromptMode) -> Command {
    Command::Prompt {
        prompt_id: prompt_id.clone(),
        text: format!("please {prompt_id}").parse().unwrap(),
        model: None,
        mode,
    }
}
