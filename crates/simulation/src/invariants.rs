//! What must hold after every step, whatever happened, and what must be true in the end. Whatever is not stops the
//! story with a panic; its message begins with the kind of the finding.

use errand_protocol::event::Event;
use errand_protocol::ids::{InteractionId, PartId, PromptId, UserId};
use errand_protocol::interaction::{Answer, Resolution};
use errand_protocol::session::{Phase, PromptState};
use errand_protocol::startup::Watchdog;
use errand_protocol::transcript::Part;
use errand_protocol::viewer::ClientFrame;
use errand_session::{Core, Effect, Session};

use crate::disk::Disk;
use crate::ledger::Ledger;
use crate::make::time;
use crate::net::{ConnNo, State};
use crate::store::Store;
use crate::viewer::Shown;
use crate::world::World;

/// Every so many steps the stored state is read back as a whole, JSON included.
const READ_BACK: u64 = 32;

impl World {
    /// An event is put into the log.
    pub fn logged(&mut self, event: &Event) {
        self.say(|| format!("  log {} {:?}", event.seq.0, event.body));
        if let errand_protocol::event::EventBody::TurnStarted { turn_id, prompt_id } = &event.body {
            self.truth.turns.insert(turn_id.clone(), prompt_id.clone());
        }
        self.ledger.push(event, &self.truth);
    }

    /// The log is shorter than it was: a crash took its end back.
    pub fn recount(&mut self) {
        let mut ledger = Ledger::default();
        for event in self.agent.store.log() {
            ledger.push(event, &self.truth);
        }
        self.ledger = ledger;
    }

    /// After every step.
    pub fn check_step(&mut self, effects: &[Effect]) {
        self.counts.steps += 1;
        self.check_verdicts(effects);
        let saved = effects.iter().any(|effect| matches!(effect, Effect::SaveCore(_)));
        let Some(session) = &self.agent.session else { return };
        if saved {
            self.agent.saved = None;
        } else {
            let same = is_stored(session, &self.agent.store, &mut self.agent.saved);
            assert!(same, "unsaved: the state changed and was not stored");
        }
        let stored = self.agent.store.core_json().unwrap_or_default();
        let core = if self.trace.on() || self.counts.steps.is_multiple_of(READ_BACK) {
            serde_json::from_str::<Core>(stored).unwrap()
        } else {
            session.core().clone()
        };
        let restored = Session::from_stored(self.agent.store.stored(core), time(self.now));
        assert!(
            session.persisted_eq(&restored),
            "restored: what is stored is not what is in memory\n{session:?}\n{restored:?}"
        );
        self.check_patience(session);
        self.check_push(session);
        self.check_turn(session);
    }

    /// In a world that has behaved for most of a turn's time no turn runs until that is up.
    fn check_verdicts(&self, effects: &[Effect]) {
        let late =
            |effect: &&Effect| matches!(effect, Effect::AddVerdict(verdict) if verdict.watchdog == Watchdog::TurnTotal);
        let calm = self
            .calm_for()
            .is_some_and(|time| time > self.agent.timings.turn_total / 2);
        let verdict = effects.iter().find(late).filter(|_| calm);
        assert!(
            verdict.is_none(),
            "stuck: nothing is wrong, and a turn does not end: {verdict:?}"
        );
    }

    /// A command was refused.
    pub fn check_unchanged(&mut self) {
        if let Some(session) = &self.agent.session {
            let same = is_stored(session, &self.agent.store, &mut self.agent.saved);
            assert!(same, "refused: a refused command changed something");
        }
    }

    fn check_patience(&self, session: &Session) {
        let phase = session.core().life.phase();
        let deadline = session.phase_deadline(&self.agent.timings);
        assert_eq!(deadline.is_none(), phase.resting(), "no deadline: {phase:?}");
    }

    fn check_turn(&self, session: &Session) {
        let core = session.core();
        let phase = core.life.phase();
        let turn = core.turn.as_ref().map(|turn| (&turn.id, &turn.prompt_id));
        let booked = self.ledger.turn.as_ref().map(|(turn, prompt)| (turn, prompt));
        assert_eq!(turn, booked, "two turns: state and log disagree about the running turn");
        if phase.resting() || phase == Phase::Pausing {
            assert!(turn.is_none(), "two turns: one is left in {phase:?}");
        }
        if turn.is_none() {
            assert_eq!(self.agent.store.open_count(), 0, "open: a part is open without a turn");
            assert!(core.interactions.is_empty(), "open: a question without a turn");
        }
        if matches!(phase, Phase::Idle | Phase::Paused) {
            assert!(
                self.ledger.queue.is_empty() || session.budget_ask().is_some(),
                "stuck: a prompt waits and nothing moves in {phase:?}"
            );
        }
    }

    /// A runner is welcomed.
    pub fn check_welcome(&self, conn: ConnNo) {
        let Some(session) = &self.agent.session else { return };
        let generation = self.net.conn(conn).generation;
        assert_eq!(
            generation,
            session.generation(),
            "two runners: one of another generation is welcomed"
        );
        let live = self
            .net
            .at_agent()
            .filter(|(other, c)| *other != conn && c.welcomed && c.agent == State::Open);
        for (other, old) in live {
            let same = old.generation == generation || self.agent.closes(other);
            assert!(
                same,
                "two runners: generations {:?} and {generation:?} are welcomed at once",
                old.generation
            );
        }
    }

    /// An engine gets a prompt.
    pub fn check_handed(&self, prompt: &PromptId, text: &str) {
        let before = self.truth.handings(prompt);
        assert_eq!(before, 0, "run twice: an engine has had {prompt} already");
        let Some(entry) = self.ledger.prompts.get(prompt) else {
            panic!("invented: nobody asked {prompt}");
        };
        assert_ne!(
            entry.state,
            PromptState::Withdrawn,
            "run: {prompt} was taken back before"
        );
        assert_eq!(
            entry.text, text,
            "stale: {prompt} is run with another text than the log has"
        );
    }

    /// An engine gets an answer.
    pub fn check_answer(&self, id: &InteractionId, answer: &Answer) {
        let booked = match self.ledger.asks.get(id) {
            Some(Some(Resolution::Answered { answer, .. } | Resolution::Expired { answer })) => Some(answer),
            _ => None,
        };
        assert_eq!(
            booked,
            Some(answer),
            "answered: the engine hears another answer to {id} than the log has"
        );
    }

    /// The provider makes a sandbox.
    pub fn check_created(&self, name: &str) {
        let before = self.host.sandboxes.iter().any(|sandbox| sandbox.name == name);
        assert!(
            !before || self.truth.vanished.contains(name),
            "made twice: {name} was removed before"
        );
    }

    /// The provider removes a sandbox with its disk because it was told to.
    pub fn disk_removed(&mut self, disk: &Disk) {
        let over = self
            .agent
            .session
            .as_ref()
            .is_some_and(|s| s.core().life.phase() == Phase::Terminated);
        let stored = self.agent.store.core_json().unwrap_or_default();
        let over = over || stored.contains("\"phase\":\"terminated\"");
        assert!(
            over || disk.record.turns.is_empty(),
            "lost work: a sandbox that was worked in is removed"
        );
        self.truth.lost.insert(disk.number);
    }

    /// A viewer hears that its command was carried out.
    pub fn check_acked(&self, by: &UserId, frame: &ClientFrame) {
        let known = self.agent.store.knows(by, &frame.id);
        assert!(known, "lost: {} was acked and is not known", frame.id);
    }

    /// A viewer sees an event.
    pub fn check_event(&self, event: &Event) {
        let stored = self.agent.store.event(event.seq);
        assert!(
            stored.is_some_and(|stored| **stored == *event),
            "taken back: a viewer sees what is not in the log: {event:?}"
        );
    }

    /// A viewer sees this of an open part.
    pub fn check_said(&self, id: &PartId, text: &str) {
        let real = self.truth.parts.get(id);
        assert!(
            real.is_some_and(|real| real.said(text)),
            "garbled: a viewer sees {text:?} of {id}, of {real:?}"
        );
    }

    /// A viewer sees a part's end.
    pub fn check_final(&self, _shown: Option<Shown>, part: &Part) {
        let real = self.truth.parts.get(&part.id);
        assert!(real.is_some(), "invented: the engine has no {}", part.id);
    }

    /// Now that all is over.
    pub fn audit(&self) {
        let Some(session) = &self.agent.session else { return };
        let phase = session.core().life.phase();
        for id in &self.truth.accepted {
            assert!(
                self.ledger.prompts.contains_key(id),
                "lost: {id} was accepted, and the log has none"
            );
        }
        for (id, entry) in &self.ledger.prompts {
            let handed = self.truth.handed.get(id).map_or(0, Vec::len);
            match entry.state {
                PromptState::Done => assert!(handed > 0, "lost: {id} is done, and no engine ever had it"),
                PromptState::Withdrawn => assert_eq!(self.truth.handings(id), 0, "run: {id} was taken back"),
                PromptState::Failed | PromptState::Aborted => {}
                PromptState::Queued | PromptState::Running | PromptState::Steered => {
                    assert_eq!(phase, Phase::Error, "stuck: {id} never ends ({:?})", entry.state);
                }
            }
        }
        if phase != Phase::Terminated {
            self.audit_parts();
        }
        self.audit_viewers(session);
        self.audit_sandboxes(session, phase);
    }

    /// Everything that engines completed is in the transcript, as they have it.
    fn audit_parts(&self) {
        for (id, real) in &self.truth.parts {
            if real.unread || self.truth.lost.contains(&real.disk) {
                continue;
            }
            if let Some(done) = &real.done {
                let logged = self.ledger.ended.get(id);
                assert_eq!(logged, Some(done), "transcript: the engine completed {id}");
            }
        }
    }

    fn audit_viewers(&self, session: &Session) {
        for viewer in self.viewers.iter().filter(|viewer| viewer.wants) {
            assert_eq!(
                viewer.last,
                session.head_seq().0,
                "behind: a viewer has not got everything"
            );
            assert!(
                viewer.open.is_empty(),
                "transcript: a viewer still sees open parts {:?}",
                viewer.open
            );
        }
    }

    fn audit_sandboxes(&self, session: &Session, phase: Phase) {
        let current = format!("sbx-{}-{}", session.spec().id, session.generation().0);
        for (_, sandbox) in self.host.running() {
            let wanted = phase == Phase::Running && sandbox.name == current;
            assert!(wanted, "orphan: {} runs in {phase:?}", sandbox.name);
        }
    }
}

/// Whether the state is the stored one. `known` is what was found to be stored before.
fn is_stored(session: &Session, store: &Store, known: &mut Option<Core>) -> bool {
    if let Some(known) = known {
        return known == session.core();
    }
    let same = serde_json::to_string(session.core()).ok().as_deref() == store.core_json();
    *known = Some(session.core().clone());
    same
}
