//! The lives of a SessionAgent: its one alarm, being put out of memory, dying.

use errand_session::Input;

use crate::event::Event;
use crate::make::time;
use crate::net::{ConnNo, State};
use crate::world::World;

/// An alarm is never set nearer than this.
const NEAREST_ALARM: i64 = 20;
/// While a remote call is on its way, look again after this.
const CALL_GUARD: i64 = 30_000;
/// When a step could not be stored, look again after this.
const FAILED_ALARM: i64 = 10_000;

impl World {
    /// The session's next deadline, as the object's alarm. An alarm that is early enough already stays.
    pub fn set_alarm(&mut self) {
        let now = self.now;
        let agent = &mut self.agent;
        let Some(session) = &agent.session else { return };
        let deadline = session.next_deadline(&agent.timings).map(|(at, _)| at.millis());
        let guard = session.awaits_outcome().then_some(now + CALL_GUARD);
        let Some(at) = deadline.into_iter().chain(guard).min() else {
            return;
        };
        let at = at.max(now + NEAREST_ALARM);
        if agent.alarm.is_some_and(|set| set <= at && set > now - 60_000) {
            return;
        }
        agent.alarm = Some(at);
        agent.store.set_alarm(Some(at));
        self.plan_alarm();
    }

    fn plan_alarm(&mut self) {
        if let Some(at) = self.agent.store.alarm() {
            let fires = at.max(self.now) + self.agent.late_alarms;
            self.at(fires, Event::Alarm(at));
        }
    }

    /// The platform's alarm. It is cleared together with what its handler stores.
    pub fn alarm(&mut self, at: i64) {
        if self.agent.store.alarm() != Some(at) {
            return;
        }
        self.begin();
        self.agent.store.set_alarm(None);
        self.agent.alarm = None;
        self.deadline();
    }

    /// The handler of the alarm; harmless at any time.
    pub fn deadline(&mut self) {
        self.load();
        let runner = self
            .agent
            .session
            .as_ref()
            .and_then(|s| s.runner())
            .and_then(|id| self.net.by_id(id));
        let seen = runner.and_then(|conn| self.net.conn(conn).pinged).map(time);
        self.input(Input::Deadline { runner_seen: seen });
    }

    /// A step could not be stored: memory is ahead of the disk and is dropped. The next step loads what is true, and an
    /// alarm sees to it that there is one.
    pub fn forget(&mut self) {
        self.agent.session = None;
        let again = self.now + FAILED_ALARM;
        self.agent.alarm = Some(again);
        self.agent.store.set_alarm(Some(again));
        self.plan_alarm();
    }

    /// The object is put out of memory while nothing happens. Sockets stay open, or not.
    pub fn evict(&mut self, sockets: bool) {
        if let Some(last) = self.agent.store.pending() {
            self.durable(last);
        }
        self.say(|| format!("the agent is evicted, sockets survive: {sockets}"));
        self.agent.session = None;
        self.agent.life += 1;
        self.agent.alarm = None;
        if !sockets {
            self.drop_sockets();
        }
    }

    /// The process of the object dies: what is not durable never happened.
    pub fn crash(&mut self) {
        self.say(|| "the agent crashes".to_owned());
        self.agent.session = None;
        self.agent.life += 1;
        self.agent.alarm = None;
        self.agent.held.clear();
        let store = &self.agent.store;
        if let Some(recorded) = &mut self.agent.recorded {
            recorded.retain(|(number, _)| store.is_durable(*number));
        }
        if self.agent.store.crash() {
            self.recount();
        }
        self.drop_sockets();
        self.plan_alarm();
    }

    fn drop_sockets(&mut self) {
        let all: Vec<ConnNo> = self.net.at_agent().map(|(number, _)| number).collect();
        for conn in all {
            let hears = self.agent.rng.span(1, 5_000) - 1;
            self.net.conn_mut(conn).agent = State::Closed;
            self.net.cut(conn, false);
            self.later(hears, Event::Broken { conn, agent: false });
        }
    }
}
