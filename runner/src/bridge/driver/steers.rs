//! Further prompts for the running turn. The engine takes one in at its next model step, and its answer names the
//! newest prompt that it heard; if it had just gone idle, the prompt starts it again and the turn goes on.
//!
//! A prompt is noted with the engine ids chosen for it, then reported as accepted, then posted; one after the other,
//! because the engine orders prompts by arrival. So a killed runner posts what it had accepted, and nothing twice.

use errand_protocol::ids::{PromptId, TurnId};
use errand_protocol::runner::RunnerEvent;
use errand_protocol::session::Cause;
use errand_protocol::text::{ModelId, PromptText};
use errand_protocol::time::Timestamp;

use super::Bridge;
use super::turns::offers;
use crate::bridge::calls::{self, Post};
use crate::bridge::mapper::{Ending, Output};
use crate::cause;
use crate::ids;
use crate::state::{SteerNote, SteerText};
use crate::streams::Streams;

/// A prompt for the running turn.
#[derive(Debug, Clone)]
pub struct Steer {
    /// Which turn.
    pub turn: TurnId,
    /// Which prompt.
    pub prompt: PromptId,
    /// What is asked.
    pub text: PromptText,
    /// Of which model.
    pub model: ModelId,
}

/// The further prompt that was handed over last.
pub(super) struct Handed {
    post: Post,
    /// The engine had to be told twice.
    reminded: bool,
}

impl Steer {
    /// It is not taken in.
    pub fn refused(self, cause: Cause) -> RunnerEvent {
        RunnerEvent::SteerRefused {
            turn_id: self.turn,
            prompt_id: self.prompt,
            cause,
        }
    }

    fn accepted(self) -> RunnerEvent {
        RunnerEvent::SteerAccepted {
            turn_id: self.turn,
            prompt_id: self.prompt,
        }
    }
}

impl Bridge {
    /// Takes a prompt in for the running turn, or says why not. The same one again is answered again.
    pub fn steer(&mut self, steer: Steer, now: Timestamp) -> Vec<Output> {
        let known = self
            .state
            .note_of(&steer.turn)
            .is_some_and(|note| note.steers.iter().any(|noted| noted.prompt == steer.prompt));
        if known {
            return vec![Output::Event(steer.accepted())];
        }
        let stopping = self.mapper.as_ref().is_some_and(super::Mapper::stopping);
        if self.engine.is_none() || stopping || self.turn().as_ref() != Some(&steer.turn) {
            return vec![Output::Event(steer.refused(cause::not_running()))];
        }
        if !offers(&self.setup, &steer.model) {
            let cause = cause::model_unknown(steer.model.as_str());
            return vec![Output::Event(steer.refused(cause))];
        }
        if let Err(error) = self.note_steer(&steer, now) {
            tracing::error!(%error, "a prompt could not be noted");
            return vec![Output::Event(steer.refused(cause::not_noted(&error)))];
        }
        // A turn whose changes are being summed up goes on.
        self.ending_at = None;
        self.hand_over();
        vec![Output::Event(steer.accepted())]
    }

    fn note_steer(&mut self, steer: &Steer, now: Timestamp) -> std::io::Result<()> {
        let newest = self.mapper.as_ref().and_then(|mapper| mapper.prompts().pop());
        let mut at = now.millis();
        let (message, part) = loop {
            let (message, part) = ids::prompt_ids(Timestamp::from_millis(at))?;
            // Ids tell which of the turn's prompts is the newest.
            if newest.as_ref().is_none_or(|newest| *newest < message) {
                break (message, part);
            }
            at += 1;
        };
        let note = SteerNote {
            prompt: steer.prompt.clone(),
            message: message.clone(),
            part,
            waits: Some(SteerText {
                text: steer.text.clone(),
                model: steer.model.clone(),
            }),
        };
        self.state.update(|state| {
            if let Some(turn) = state.turns.iter_mut().find(|turn| turn.turn == steer.turn) {
                turn.steers.push(note);
            }
        })?;
        if let Some(mapper) = &mut self.mapper {
            mapper.steer(message);
        }
        Ok(())
    }

    /// After a restart of the runner: the running turn has to answer what was taken in for it. That is said again for
    /// what the engine does not have yet: the runner may have been killed before it could say so.
    pub(super) fn take_up_steers(&mut self) -> Vec<Output> {
        let Some(note) = self.turn().and_then(|turn| self.state.note_of(&turn)) else {
            return Vec::new();
        };
        let mut out = Vec::new();
        for steer in note.steers {
            if let Some(mapper) = &mut self.mapper {
                mapper.steer(steer.message);
            }
            if steer.waits.is_some() {
                out.push(Output::Event(RunnerEvent::SteerAccepted {
                    turn_id: note.turn.clone(),
                    prompt_id: steer.prompt,
                }));
            }
        }
        out
    }

    /// Gives the engine the next prompt that waits for it.
    pub(super) fn hand_over(&mut self) {
        let stopping = self.mapper.as_ref().is_none_or(super::Mapper::stopping);
        if !self.handed_over() || stopping {
            return;
        }
        let Some(note) = self.turn().and_then(|turn| self.state.note_of(&turn)) else {
            return;
        };
        let waiting = note.steers.into_iter().find_map(|steer| {
            let SteerText { text, model } = steer.waits?;
            Some(Post {
                message: steer.message,
                part: steer.part,
                model,
                text,
            })
        });
        if let (Some(post), Some(api)) = (waiting, self.engine.clone()) {
            self.posts += 1;
            self.steering = Some(self.posts);
            self.handed = Some(Handed {
                post: post.clone(),
                reminded: false,
            });
            calls::steer(api, self.root.clone(), post, self.posts, self.outcomes.clone());
        }
    }

    /// The engine went idle without hearing the last prompt, as it does when a person refuses a permission. Given it
    /// once more it starts again: the ids make it the same prompt.
    pub(super) fn remind(&mut self) -> bool {
        let (Some(handed), Some(api)) = (&mut self.handed, self.engine.clone()) else {
            return false;
        };
        if std::mem::replace(&mut handed.reminded, true) {
            return false;
        }
        let post = handed.post.clone();
        self.posts += 1;
        self.steering = Some(self.posts);
        calls::steer(api, self.root.clone(), post, self.posts, self.outcomes.clone());
        true
    }

    /// The engine has a further prompt, or does not take it.
    pub(super) fn steered(
        &mut self,
        number: u64,
        result: Result<(), String>,
        streams: &Streams,
        now: Timestamp,
    ) -> Vec<Output> {
        if self.steering != Some(number) {
            return Vec::new();
        }
        self.steering = None;
        let (Some(turn), Some(mapper)) = (self.turn(), &mut self.mapper) else {
            return Vec::new();
        };
        match result {
            Ok(()) => {
                let message = self.handed.as_ref().map(|handed| handed.post.message.clone());
                let noted = self.state.update(|state| {
                    let notes = state.turns.iter_mut().filter(|note| note.turn == turn);
                    for steer in notes.flat_map(|note| &mut note.steers) {
                        if Some(&steer.message) == message.as_ref() {
                            steer.waits = None;
                        }
                    }
                });
                if let Err(error) = noted {
                    tracing::error!(%error, "a handed over prompt could not be noted");
                }
                if mapper.idle() {
                    mapper.stirred();
                }
            }
            Err(detail) => mapper.stop(Ending::failed(cause::prompt_refused(&detail))),
        }
        if mapper.stopping() {
            self.stop_engine();
        } else {
            self.hand_over();
        }
        self.look_for_the_end(streams, now)
    }
}
