//! The end of a story: the world behaves from here on, people answer and try again, and everything must come to rest
//! within its deadlines. Then one more prompt must be done, which also drains whatever a paused sandbox still had to
//! tell.

use errand_protocol::session::{Phase, PromptMode, PromptState};
use errand_protocol::viewer::Command;

use crate::event::Event;
use crate::faults::ask;
use crate::make::{answer, prompt_id};
use crate::world::World;

/// Between two looks.
const EVERY: i64 = 5_000;
/// Longest from the last fault to rest.
const PATIENCE: i64 = 5 * 3_600_000;
/// A deadline may be overdue so long, while nothing is wrong.
const SLACK: i64 = 70_000;
/// A person tries again so often.
const RETRIES: u32 = 5;

/// How far it has come.
#[derive(Debug, Default)]
pub struct Care {
    stage: Stage,
    since: i64,
    retries: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Told,
    Calming,
    LastPrompt,
    GoingIdle,
}

impl World {
    /// For how long the world has behaved.
    pub fn calm_for(&self) -> Option<i64> {
        self.calm.then(|| self.now - self.care.since)
    }

    /// People look after the session.
    pub fn take_care(&mut self) {
        if self.care.stage == Stage::Told {
            self.calm_down();
        }
        self.load();
        assert!(
            self.now - self.care.since < PATIENCE,
            "stuck: it does not come to rest: {}",
            self.situation()
        );
        self.check_overdue();
        if self.settled() {
            self.next_stage();
        } else {
            self.help();
        }
        if !self.over {
            self.later(EVERY, Event::Care);
        }
    }

    fn calm_down(&mut self) {
        self.say(|| "CALM from here on".to_owned());
        self.calm = true;
        self.care.stage = Stage::Calming;
        self.care.since = self.now;
        self.net.calm();
        self.host.down_until = 0;
        self.host.trouble.clear();
        self.host.boots.clear();
        self.host.failing_uploads = 0;
        self.agent.disk = self.agent.disk.min(5);
        self.agent.disk_full = false;
        self.agent.late_alarms = 0;
        self.agent.registry_down_until = 0;
        for at in 0..self.host.sandboxes.len() {
            if let Some(engine) = &mut self.host.sandboxes[at].engine {
                engine.deaf = false;
                if std::mem::take(&mut engine.stuck) {
                    let number = engine.number;
                    self.plan_work(at, number);
                }
            }
        }
        let first = self.viewer(0);
        self.attach(first);
        for viewer in 0..self.viewers.len() {
            if !self.viewers[viewer].unanswered.is_empty() {
                self.attach(viewer);
            }
        }
    }

    fn phase(&self) -> Phase {
        self.agent
            .session
            .as_ref()
            .map_or(Phase::Idle, |session| session.core().life.phase())
    }

    fn situation(&self) -> String {
        let summary = self.agent.session.as_ref().map(errand_session::Session::summary);
        format!("{summary:?}\n{}", self.agent.store.core_json().unwrap_or_default())
    }

    fn check_overdue(&self) {
        let Some(session) = &self.agent.session else { return };
        let phase = session.phase_deadline(&self.agent.timings);
        let overdue = phase.is_some_and(|at| at.millis() + SLACK < self.now);
        assert!(
            !overdue || self.now - self.care.since < 2 * SLACK,
            "overdue: {}",
            self.situation()
        );
    }

    /// Whether nothing is left to do.
    fn settled(&self) -> bool {
        let Some(session) = &self.agent.session else {
            return false;
        };
        let core = session.core();
        let phase = core.life.phase();
        let rests = phase.resting() || phase == Phase::Running;
        let idle = core.turn.is_none() && (self.ledger.queue.is_empty() || phase == Phase::Error);
        let last = session.head_seq().0;
        let mut wanting = self.viewers.iter().filter(|viewer| viewer.wants);
        let heard = wanting.all(|viewer| viewer.last == last && viewer.unanswered.is_empty());
        rests && idle && heard && core.calls.is_empty() && self.agent.quiet() && self.drained(phase)
    }

    /// Whether the sandbox that is used has told everything.
    fn drained(&self, phase: Phase) -> bool {
        if phase != Phase::Running {
            return true;
        }
        let connected = self
            .agent
            .session
            .as_ref()
            .is_some_and(|session| session.runner().is_some());
        let mut spools = self.host.running().filter_map(|(_, sandbox)| sandbox.disk.as_ref());
        connected && spools.all(|disk| disk.spool.base() == disk.spool.last())
    }

    /// What people do for a session that waits for them.
    fn help(&mut self) {
        if self.phase() == Phase::Error {
            return self.try_again();
        }
        if self.viewers[0].unanswered.is_empty()
            && let Some((id, ask)) = self.viewers[0].asks.iter().next()
        {
            let (interaction_id, answer) = (id.clone(), answer(ask, 2));
            self.command(0, Command::Answer { interaction_id, answer });
        }
    }

    fn try_again(&mut self) {
        if self.viewers[0].unanswered.is_empty() && self.care.retries < RETRIES {
            self.care.retries += 1;
            self.command(0, Command::Retry {});
        }
    }

    fn next_stage(&mut self) {
        let phase = self.phase();
        match self.care.stage {
            _ if phase == Phase::Terminated => self.end(),
            // An error that a person can do something about is no end.
            _ if phase == Phase::Error && self.care.retries < RETRIES => self.try_again(),
            _ if phase == Phase::Error => panic!("stuck: it fails again and again: {}", self.situation()),
            Stage::Told | Stage::Calming => {
                self.care.stage = Stage::LastPrompt;
                self.counts.prompts += 1;
                let id = prompt_id(self.counts.prompts);
                self.command(0, ask(&id, PromptMode::Queue));
            }
            Stage::LastPrompt => {
                let id = prompt_id(self.counts.prompts);
                let Some(entry) = self.ledger.prompts.get(&id) else {
                    return;
                };
                let ended = matches!(
                    entry.state,
                    PromptState::Done | PromptState::Failed | PromptState::Aborted
                );
                assert!(ended, "stuck: the last prompt never ran: {:?}", entry.state);
                self.audit();
                if self.seed.is_multiple_of(4) {
                    self.care.stage = Stage::GoingIdle;
                } else {
                    self.end();
                }
            }
            Stage::GoingIdle if phase == Phase::Running => {}
            Stage::GoingIdle => self.end(),
        }
    }

    fn end(&mut self) {
        self.audit();
        self.over = true;
    }
}
