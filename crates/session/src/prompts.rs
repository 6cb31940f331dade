//! Prompts and turns: the queue is ours, one turn runs at a time, and every accepted prompt ends exactly once.

use std::collections::BTreeMap;

use errand_protocol::api::ErrorCode;
use errand_protocol::event::EventBody;
use errand_protocol::ids::{CommandId, PromptId, TurnId};
use errand_protocol::limits::MAX_QUEUE;
use errand_protocol::runner::AgentFrame;
use errand_protocol::session::{
    Activity, Cause, FileChange, Person, Prompt, PromptMode, PromptState, TurnOutcome, Usage,
};
use errand_protocol::startup::Watchdog;
use errand_protocol::text::{ModelId, PromptText};
use errand_protocol::transcript::{Part, PartBody, ToolStatus};
use errand_protocol::viewer::Command;

use crate::core::{Abort, Life, Turn};
use crate::effect::{Effect, Rejection};
use crate::session::{Placed, Step};

/// How a turn ended, with what it left.
pub(crate) struct TurnEnd {
    pub(crate) outcome: TurnOutcome,
    pub(crate) cause: Option<Cause>,
    pub(crate) usage: Usage,
    pub(crate) files: Vec<FileChange>,
}

impl TurnEnd {
    fn without_result(outcome: TurnOutcome, cause: Option<Cause>) -> Self {
        Self {
            outcome,
            cause,
            usage: Usage::default(),
            files: Vec::new(),
        }
    }
}

fn conflict(message: &str) -> Rejection {
    Rejection::new(ErrorCode::Conflict, message)
}

impl Step<'_, '_> {
    /// Carries a person's command out, unless it was carried out before.
    pub(crate) fn command_once(
        &mut self,
        by: Person,
        id: Option<CommandId>,
        command: Command,
    ) -> Result<(), Rejection> {
        let Some(id) = id else { return self.command(by, command) };
        if (self.cx.known_command)(&by.id, &id) {
            return Ok(());
        }
        let who = by.id.clone();
        self.command(by, command)?;
        self.fx.push(Effect::Remember { by: who, id });
        Ok(())
    }

    fn command(&mut self, by: Person, command: Command) -> Result<(), Rejection> {
        let terminated = self.s.core.life == Life::Terminated;
        match command {
            // Ending what has ended is fine, and so is repeating a prompt that was accepted.
            Command::Terminate {} | Command::Abort { .. } if terminated => Ok(()),
            Command::Prompt {
                prompt_id,
                text,
                model,
                mode,
            } => self.prompt(by, prompt_id, text, model, mode),
            Command::Archive {} => self.archive(by),
            Command::Restore {} => {
                self.restore(by);
                Ok(())
            }
            Command::Share { visibility } => {
                if self.s.core.access.visibility != visibility {
                    self.s.core.access.visibility = visibility;
                    self.log(EventBody::SessionShared { visibility, by });
                }
                Ok(())
            }
            _ if terminated => Err(Rejection::new(ErrorCode::Terminated, "This session has been ended.")),
            Command::EditPrompt { prompt_id, text } => self.edit_prompt(&prompt_id, text),
            Command::WithdrawPrompt { prompt_id } => self.withdraw_prompt(&prompt_id, by),
            Command::MovePrompt { prompt_id, to } => self.move_prompt(&prompt_id, to, by),
            Command::PromotePrompt { prompt_id } => self.promote_prompt(&prompt_id, by),
            Command::Abort { turn_id } => {
                let current = self.s.core.turn.as_ref().map(|turn| turn.id.clone());
                if current.is_some() && (turn_id.is_none() || turn_id == current) {
                    self.abort_turn(Some(by), None);
                }
                Ok(())
            }
            Command::Answer { interaction_id, answer } => self.answer(by, &interaction_id, answer),
            Command::Rename { title } => {
                let title = title.into();
                if self.s.core.title != title || !self.s.core.titled_by_person {
                    self.s.core.title = title.clone();
                    self.s.core.titled_by_person = true;
                    self.log(EventBody::SessionTitled { title, by: Some(by) });
                }
                Ok(())
            }
            Command::Retry {} => {
                self.retry();
                Ok(())
            }
            Command::Pause {} => self.pause_now(),
            Command::Resume {} => {
                self.resume(by);
                Ok(())
            }
            Command::Terminate {} => {
                self.terminate(&by);
                Ok(())
            }
        }
    }

    fn prompt(
        &mut self,
        by: Person,
        id: PromptId,
        text: PromptText,
        model: Option<ModelId>,
        mode: PromptMode,
    ) -> Result<(), Rejection> {
        if let Some(known) = (self.cx.known_prompt)(&id) {
            // Edited since or not: what counts is what this author submitted with this id.
            let mine = known.author.id == by.id;
            let same = (known.text, known.model, known.mode) == (text, model, mode);
            return match (mine, same) {
                (true, true) => Ok(()),
                (true, false) => Err(conflict("This prompt id stands for another prompt.")),
                (false, _) => Err(conflict("This prompt id is taken.")),
            };
        }
        if self.s.core.life == Life::Terminated {
            return Err(Rejection::new(ErrorCode::Terminated, "This session has been ended."));
        }
        if self.s.queue.len() >= MAX_QUEUE {
            let message = format!("{MAX_QUEUE} prompts wait already; withdraw one or let some run first.");
            return Err(Rejection::new(ErrorCode::RateLimited, message));
        }
        let prompt = Prompt {
            id,
            text,
            author: by.clone(),
            model,
            mode,
            state: PromptState::Queued,
            created_at: self.cx.now,
        };
        self.restore(by);
        self.enqueue(Placed {
            prompt: prompt.clone(),
            position: 0,
        });
        self.log(EventBody::PromptQueued { prompt });
        self.wake();
        Ok(())
    }

    /// Starts the next turn when the runner is ready and none runs.
    pub(crate) fn dispatch(&mut self) {
        let ready = matches!(self.s.core.life, Life::Running { .. }) && self.s.live.runner.is_some();
        if !ready || self.s.core.turn.is_some() || self.s.replaying() {
            return;
        }
        self.note_first();
        let Some(next) = self.s.next_prompt() else {
            if let Life::Running {
                idle_since: idle @ None,
            } = &mut self.s.core.life
            {
                *idle = Some(self.cx.now);
                self.dirty = true;
            }
            return;
        };
        if self.is_past_lifetime() {
            return self.lifetime_is_over();
        }
        let Ok(turn_id) = TurnId::from_body(&(self.cx.ids)()) else {
            return;
        };
        self.forget_warnings();
        let mut placed = self.s.queue.remove(next);
        placed.prompt.state = PromptState::Running;
        let now = self.cx.now;
        self.s.core.turn = Some(Turn {
            id: turn_id.clone(),
            prompt_id: placed.prompt.id.clone(),
            started_at: now,
            dispatched_at: now,
            dispatches: 0,
            accepted: false,
            asked_at: None,
            waited: 0,
            last_event_at: now,
            abort: None,
            offers: BTreeMap::new(),
        });
        self.s.core.life = Life::Running { idle_since: None };
        self.put_prompt(&placed);
        self.log(EventBody::TurnStarted {
            turn_id,
            prompt_id: placed.prompt.id.clone(),
        });
        self.s.running = Some(placed);
        self.send_turn();
    }

    /// Tells the runner (again) what to run.
    pub(crate) fn send_turn(&mut self) {
        let (Some(turn), Some(placed)) = (&mut self.s.core.turn, &self.s.running) else {
            return;
        };
        turn.dispatched_at = self.cx.now;
        turn.dispatches = turn.dispatches.saturating_add(1);
        self.dirty = true;
        let prompt = &placed.prompt;
        let frame = AgentFrame::Run {
            turn_id: turn.id.clone(),
            text: prompt.text.clone(),
            model: prompt.model.clone().unwrap_or_else(|| self.s.core.spec.model.clone()),
            author: self.s.author(),
        };
        self.tell_runner(frame);
    }

    /// The runner has not answered: tell it again, which is harmless. A runner that never takes a prompt is as good as
    /// lost; one that has begun the turn and only says nothing may be in the middle of a long command.
    pub(crate) fn ask_runner_again(&mut self) {
        let Some(turn) = &self.s.core.turn else { return };
        if turn.accepted {
            if self.stalled(turn) {
                let cause = Cause::new(
                    "turn_stalled",
                    "The agent did nothing any more, though it was waiting for nobody, and was stopped.",
                );
                self.verdict(Watchdog::TurnSilence, cause.clone(), "The turn is stopped.");
                return self.abort_turn(None, Some(cause));
            }
            let cause = Cause::new("turn_silent", "Nothing was heard of the turn for a while.");
            self.verdict(
                Watchdog::TurnSilence,
                cause,
                "The runner was asked whether it still works on it.",
            );
            return self.send_turn();
        }
        if turn.dispatches < self.cx.timings.accept_attempts {
            let cause = Cause::new("prompt_not_taken", "The runner did not take the prompt in time.");
            self.verdict(Watchdog::Accept, cause, "It was handed over again.");
            return self.send_turn();
        }
        let cause = Cause::new(
            "runner_unresponsive",
            "The sandbox took no prompt and is being replaced.",
        );
        self.verdict(Watchdog::Accept, cause.clone(), "The sandbox is replaced.");
        self.replace_sandbox(cause);
    }

    /// Asked before and still silent, with no tool at work: no model is waited for that long (its proxy's limit is that of
    /// one silence), so the engine hangs.
    fn stalled(&self, turn: &Turn) -> bool {
        let sign = turn.last_event_at.max(self.s.live.delta_at);
        turn.dispatched_at > sign && self.s.activity() == Activity::Thinking
    }

    /// Asks the runner to stop the turn.
    pub(crate) fn abort_turn(&mut self, by: Option<Person>, cause: Option<Cause>) {
        let Some(turn) = &mut self.s.core.turn else { return };
        if turn.abort.is_some() {
            return;
        }
        turn.abort = Some(Abort {
            sent_at: self.cx.now,
            tries: 1,
            cause,
        });
        let turn_id = turn.id.clone();
        let begun = turn.accepted || !matches!(self.s.core.life, Life::Starting { .. });
        self.log(EventBody::TurnAborting {
            turn_id: turn_id.clone(),
            by,
        });
        if begun {
            self.tell_runner(AgentFrame::Abort { turn_id });
        } else {
            // Its sandbox is not even up: nobody has to be asked to stop it.
            self.lose_turn(stopped(false));
        }
    }

    pub(crate) fn abort_again(&mut self) {
        let Some(turn) = &mut self.s.core.turn else { return };
        let Some(abort) = &mut turn.abort else { return };
        self.dirty = true;
        if abort.tries >= 2 {
            let cause = Cause::new(
                "abort_unanswered",
                "The agent could not be stopped; its sandbox is being replaced.",
            );
            self.verdict(Watchdog::Abort, cause.clone(), "The sandbox is replaced.");
            return self.replace_sandbox(cause);
        }
        abort.tries += 1;
        abort.sent_at = self.cx.now;
        let turn_id = turn.id.clone();
        let cause = Cause::new("abort_slow", "The agent did not stop in time.");
        self.verdict(Watchdog::Abort, cause, "It was told to stop again.");
        self.tell_runner(AgentFrame::Abort { turn_id });
    }

    /// The runner that has just connected (or has now sent all that it kept) does not work on the turn that it had
    /// begun, and did not say how it ended.
    pub(crate) fn turn_forgotten(&mut self) {
        if self
            .s
            .core
            .turn
            .as_ref()
            .is_some_and(|t| t.accepted || t.abort.is_some())
        {
            self.lose_turn(Cause::new(
                "turn_lost",
                "The runner was started again and lost this turn. Files that it had changed are kept.",
            ));
        }
    }

    /// The runner says that the turn ended. A turn that is not the running one has ended before.
    pub(crate) fn turn_finished(&mut self, turn_id: &TurnId, mut end: TurnEnd) {
        let Some(turn) = self.s.core.turn.as_ref().filter(|turn| turn.id == *turn_id) else {
            return;
        };
        match &turn.abort {
            Some(Abort { cause: Some(cause), .. }) => {
                end.outcome = TurnOutcome::Failed;
                end.cause = Some(cause.clone());
            }
            // A runner that came back has forgotten that it stopped the engine: to it the engine broke the turn off.
            Some(Abort { cause: None, .. }) if end.outcome == TurnOutcome::Failed => {
                end.outcome = TurnOutcome::Aborted;
                end.cause = Some(stopped(turn.accepted));
            }
            Some(Abort { cause: None, .. }) | None => {}
        }
        self.finish_turn(end);
    }

    /// The turn cannot go on because its sandbox is gone.
    pub(crate) fn lose_turn(&mut self, cause: Cause) {
        let Some(turn) = &self.s.core.turn else { return };
        let end = match &turn.abort {
            Some(Abort { cause: None, .. }) => {
                TurnEnd::without_result(TurnOutcome::Aborted, Some(stopped(turn.accepted)))
            }
            Some(Abort { cause, .. }) => TurnEnd::without_result(TurnOutcome::Failed, cause.clone()),
            None => TurnEnd::without_result(TurnOutcome::Failed, Some(cause)),
        };
        let turn_id = turn.id.clone();
        self.note_lost_with(&turn_id);
        self.finish_turn(end);
    }

    fn finish_turn(&mut self, mut end: TurnEnd) {
        let Some(turn) = self.s.core.turn.take() else { return };
        self.count_turn(&turn.id, turn.started_at);
        self.cancel_interactions();
        self.close_open_parts();
        self.s.core.first_turn = false;
        let steered = std::mem::take(&mut self.s.steered);
        let ending: Vec<Placed> = self.s.running.take().into_iter().chain(steered).collect();
        let ids: Vec<PromptId> = ending.iter().map(|placed| placed.prompt.id.clone()).collect();
        if let Some(cause) = self.budget_ends_turn(&ids, end.outcome) {
            end.cause = Some(cause);
        }
        for mut placed in ending {
            placed.prompt.state = match end.outcome {
                TurnOutcome::Done => PromptState::Done,
                TurnOutcome::Failed => PromptState::Failed,
                TurnOutcome::Aborted => PromptState::Aborted,
            };
            self.put_prompt(&placed);
        }
        self.log(EventBody::TurnFinished {
            turn_id: turn.id,
            prompt_id: turn.prompt_id,
            outcome: end.outcome,
            cause: end.cause,
            usage: end.usage,
            files: end.files,
        });
    }

    /// Nothing stays "running" in the transcript: what is still open is closed with what is known of it.
    pub(crate) fn close_open_parts(&mut self) {
        for open in self.s.open.drain() {
            self.fx.push(Effect::DropOpen(open.part.id.clone()));
            let part = interrupted(open.part.with_streaming_text(open.text), self.cx.now);
            self.log(EventBody::PartFinished {
                turn_id: open.turn_id,
                message_id: open.message_id,
                part,
            });
        }
    }
}

/// Why a turn ended that a person stopped, when the engine cannot say so itself.
fn stopped(begun: bool) -> Cause {
    let when = if begun {
        "was finished. What was done until then is kept"
    } else {
        "began"
    };
    Cause::new("aborted", format!("The turn was stopped before it {when}."))
}

fn interrupted(mut part: Part, now: errand_protocol::time::Timestamp) -> Part {
    part.ended_at = Some(now);
    match &mut part.body {
        PartBody::Tool { status, error, .. } | PartBody::Subtask { status, error, .. } => {
            *status = ToolStatus::Error;
            error.get_or_insert_with(|| "Interrupted.".to_owned());
        }
        PartBody::Text { .. } | PartBody::Reasoning { .. } | PartBody::File { .. } | PartBody::Patch { .. } => {}
    }
    part
}
