//! Steps: one input → the machine → store, frames, alarm, remote calls, in that order.

use std::rc::Rc;
use std::time::Duration;

use errand_protocol::api::ErrorCode;
use errand_protocol::event::EventBody;
use errand_protocol::ids::{CommandId, ConnId, PromptId, Seq, UserId};
use errand_protocol::viewer::ServerFrame;
use errand_session::{Cx, Effect, Input, NewSession, Rejection, Session, store};

use super::Agent;
use crate::http::error::ApiError;
use crate::platform::{clock, ids, sockets};

/// An alarm is never set nearer than this: whatever goes wrong, the object does not spin.
const NEAREST_ALARM_MS: i64 = 20;
/// While a remote call is on its way, look again after this; should the object be evicted meanwhile, the alarm wakes
/// it and the call is made again.
const CALL_GUARD_MS: i64 = 30_000;
/// A session that takes no more prompts has worked on one after so many seconds, as far as one can guess.
const LOOK_AGAIN: u64 = 30;
/// When the database could not be read or written, the object looks again after this.
const AFTER_A_FAILURE: Duration = Duration::from_secs(10);

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        if rejection.code == ErrorCode::RateLimited {
            return Self::limited(rejection.message, LOOK_AGAIN);
        }
        Self::new(rejection.code, rejection.message)
    }
}

impl Agent {
    /// Loads the session if it is not in memory. `false`: it was never created.
    pub(super) fn load(self: &Rc<Self>) -> Result<bool, ApiError> {
        if self.session.borrow().is_some() {
            return Ok(true);
        }
        if !store::exists(&self.sql)? {
            return Ok(false);
        }
        store::migrate(&self.sql)?;
        let Some(session) = store::load(&self.sql, clock::now())? else {
            return Ok(false);
        };
        self.session.replace(Some(session));
        let runner = self.find_runner();
        self.step(Input::Restored { runner })?;
        Ok(true)
    }

    /// Makes the session. Fine when it is there already; then nothing happens.
    pub(super) fn create(self: &Rc<Self>, new: NewSession) -> Result<(), ApiError> {
        store::migrate(&self.sql)?;
        let (session, effects) = Session::create(new, clock::now());
        self.session.replace(Some(session));
        self.carry_out(effects)
    }

    /// One step of a loaded session.
    pub(super) fn step(self: &Rc<Self>, input: Input) -> Result<(), ApiError> {
        let effects = {
            let mut slot = self.session.borrow_mut();
            let session = slot.as_mut().ok_or_else(|| ApiError::not_found("session"))?;
            let now = clock::now();
            let mut body = || ids::mint_body(now);
            let known = |id: &PromptId| store::prompt_as_asked(&self.sql, id).ok().flatten();
            let known_command = |by: &UserId, id: &CommandId| store::command(&self.sql, by, id).unwrap_or_default();
            let mut cx = Cx {
                now,
                timings: &self.timings,
                ids: &mut body,
                known_prompt: &known,
                known_command: &known_command,
                watched: self.is_watched(),
            };
            session.handle(&mut cx, input)?
        };
        self.carry_out(effects)
    }

    /// Like [`Self::step`], for what nobody waits for: an error is logged.
    pub(super) fn step_or_log(self: &Rc<Self>, input: Input) {
        if let Err(error) = self.load().and_then(|_| self.step(input)) {
            log::error!(session = self.state.id().name().unwrap_or_default(); "step: {}", error.source.unwrap_or(error.message));
        }
    }

    fn carry_out(self: &Rc<Self>, mut effects: Vec<Effect>) -> Result<(), ApiError> {
        if self.show_previews(&mut effects) && effects.is_empty() {
            return Ok(()); // The common case; it moves no deadline nearer.
        }
        if let Err(error) = store::apply(&self.sql, &effects) {
            // Memory is ahead of the disk now: forget it; the next step loads what is true.
            self.session.replace(None);
            self.hang_up();
            self.wake_later();
            return Err(error.into());
        }
        let logged = effects.iter().any(|effect| matches!(effect, Effect::Append(_)));
        let leaving = effects.iter().find_map(|effect| {
            let Effect::CloseRunner { conn, .. } = effect else {
                return None;
            };
            Some(conn.clone())
        });
        let shared = |effect: &Effect| matches!(effect, Effect::Append(event) if matches!(event.body, EventBody::SessionShared { .. } | EventBody::SessionUnshared { .. }));
        let shared = effects.iter().any(shared);
        for effect in effects {
            self.deliver(effect, leaving.as_ref());
        }
        if shared {
            self.judge_all();
        }
        if logged {
            self.readers.notify();
            self.events.notify();
        }
        self.set_alarm();
        Ok(())
    }

    /// Does what is not durable. A runner whose connection the step ends is `leaving`: it still gets what comes before.
    fn deliver(self: &Rc<Self>, effect: Effect, leaving: Option<&ConnId>) {
        match effect {
            Effect::Append(_)
            | Effect::PutPrompt { .. }
            | Effect::KeepAsked { .. }
            | Effect::SaveCore(_)
            | Effect::PutOpen(_)
            | Effect::SaveText { .. }
            | Effect::ResetText(_)
            | Effect::DropOpen(_)
            | Effect::Remember { .. }
            | Effect::PutStart(_)
            | Effect::AddVerdict(_) => {}
            Effect::Viewers(frame) => self.to_viewers(frame),
            Effect::Runner(frame) => self.to_runner(&frame, leaving),
            Effect::Welcome {
                conn,
                generation,
                acked,
            } => self.welcome(&conn, generation, acked),
            Effect::GrantToken { conn, generation } => self.grant_token(&conn, generation),
            Effect::CloseRunner { conn, code } => self.close_runner(&conn, code),
            Effect::Sandbox(call) => self.call_provider(call),
            Effect::Index(session) => self.call_registry(*session),
            Effect::Book(life) => self.book(life),
            Effect::Sample(start) => self.tell_sample(start),
            Effect::DropSnapshot(id) => self.drop_snapshot(&id),
        }
    }

    /// Deltas go out before the step is stored: they are previews, and the output gate would hold them back until the
    /// disk has confirmed the save that comes with one of them. Whether there were any.
    fn show_previews(self: &Rc<Self>, effects: &mut Vec<Effect>) -> bool {
        let preview = |effect: &mut Effect| matches!(effect, Effect::Viewers(ServerFrame::Delta(_)));
        let mut any = false;
        for effect in effects.extract_if(.., preview) {
            if let Effect::Viewers(frame) = effect {
                self.to_viewers(frame);
                any = true;
            }
        }
        any
    }

    /// The session's next deadline, as the object's alarm. An alarm that is early enough already stays.
    fn set_alarm(self: &Rc<Self>) {
        let now = clock::now().millis();
        let wanted = {
            let slot = self.session.borrow();
            let Some(session) = slot.as_ref() else { return };
            let deadline = session.next_deadline(&self.timings).map(|(at, _)| at.millis());
            let guard = session.awaits_outcome().then_some(now + CALL_GUARD_MS);
            deadline.into_iter().chain(guard).min()
        };
        let Some(at) = wanted else { return };
        let at = at.max(now + NEAREST_ALARM_MS);
        if self.alarm.get().is_some_and(|set| set <= at && set > now - 60_000) {
            return;
        }
        self.alarm.set(Some(at));
        let agent = Rc::clone(self);
        let offset = Duration::from_millis(u64::try_from(at - now).unwrap_or_default());
        self.state.wait_until(async move {
            if let Err(error) = agent.state.storage().set_alarm(offset).await {
                agent.alarm.set(None);
                log::error!("alarm: {error}");
            }
        });
    }

    pub(super) fn alarm_fired(self: &Rc<Self>) {
        self.alarm.set(None);
        match self.load() {
            Ok(true) => {
                let runner_seen = self.runner_last_ping();
                self.step_or_log(Input::Deadline { runner_seen });
            }
            Ok(false) => self.forget_unmade_fork(),
            Err(error) => {
                log::error!("alarm: {}", error.source.unwrap_or(error.message));
                // Not an error of the handler: the platform would retry six times and then never again.
                self.wake_later();
            }
        }
    }

    /// The database failed, and nobody knows which deadline is next: look again in a while.
    fn wake_later(self: &Rc<Self>) {
        self.alarm.set(None);
        let agent = Rc::clone(self);
        self.state.wait_until(async move {
            let again = agent.state.storage().set_alarm(AFTER_A_FAILURE).await;
            if let Err(error) = again {
                log::error!("alarm: {error}");
            }
        });
    }

    /// Reads from the loaded session.
    pub(super) fn read<T>(&self, f: impl FnOnce(&Session) -> T) -> Result<T, ApiError> {
        self.session
            .borrow()
            .as_ref()
            .map(f)
            .ok_or_else(|| ApiError::not_found("session"))
    }

    /// Position of the log's last event.
    pub(super) fn head(&self) -> Seq {
        self.session
            .borrow()
            .as_ref()
            .map(Session::head_seq)
            .unwrap_or_default()
    }

    /// The runner's last sign that did not wake the object.
    fn runner_last_ping(&self) -> Option<errand_protocol::time::Timestamp> {
        let ws = self.runner_ws()?;
        sockets::last_ping(&self.state, &ws)
    }
}
