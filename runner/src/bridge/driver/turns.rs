//! A turn from its prompt to its end: starting it, giving the engine the prompt, stopping it, reporting how it ended.

use errand_protocol::ids::{PartId, TurnId};
use errand_protocol::runner::{RunnerEvent, RunnerSetup};
use errand_protocol::session::{FileChange, TurnOutcome, Usage};
use errand_protocol::text::ModelId;
use errand_protocol::time::Timestamp;

use super::{Bridge, Run};
use crate::bridge::calls;
use crate::bridge::mapper::{Ending, Output, Source};
use crate::cause;
use crate::ids;
use crate::state::{StateFile, TurnNote};
use crate::streams::Streams;

impl Bridge {
    /// Runs a turn. The same one again changes nothing.
    pub fn run(&mut self, run: Run, streams: &Streams, now: Timestamp) -> Vec<Output> {
        if self.turn().as_ref() == Some(&run.turn) || self.is_over(&run.turn) {
            return Vec::new();
        }
        self.next = Some(run);
        self.start_next(streams, now)
    }

    /// Whether the turn was given to an engine and has ended since.
    pub(super) fn is_over(&self, turn: &TurnId) -> bool {
        self.state
            .get()
            .turns
            .iter()
            .any(|note| &note.turn == turn && note.over)
    }

    pub(super) fn start_next(&mut self, streams: &Streams, now: Timestamp) -> Vec<Output> {
        if self.engine.is_none() || self.turn().is_some() {
            return Vec::new();
        }
        match self.next.take() {
            Some(run) => self.start(run, streams, now),
            None => Vec::new(),
        }
    }

    pub(super) fn start(&mut self, run: Run, streams: &Streams, now: Timestamp) -> Vec<Output> {
        let (Some(api), Some(mapper)) = (self.engine.clone(), &mut self.mapper) else {
            return Vec::new();
        };
        let (note, known) = match note_of(&self.state, &run.turn, now) {
            Ok(noted) => noted,
            Err(error) => {
                tracing::error!(%error, "the turn could not be noted");
                return Vec::new();
            }
        };
        if mapper.turn() != Some(&run.turn) {
            mapper.begin(run.turn.clone(), note.message.clone());
        }
        self.last_event = now.millis();
        if !offers(&self.setup, &run.model) {
            let cause = cause::model_unknown(run.model.as_str());
            let ending = Ending {
                outcome: TurnOutcome::Failed,
                cause: Some(cause),
            };
            return self.end(ending, Vec::new(), streams, now);
        }
        self.posts += 1;
        self.repeated = known;
        let (config, root, outcomes) = (self.config.clone(), self.root.clone(), self.outcomes.clone());
        calls::post(api, config, root, run.clone(), note, self.posts, outcomes);
        self.posting = Some(run);
        Vec::new()
    }

    /// Stops a turn. Fine when it does not run.
    pub fn abort(&mut self, turn: &TurnId, streams: &Streams, now: Timestamp) -> Vec<Output> {
        let waits = self.next.as_ref().is_some_and(|run| &run.turn == turn);
        if waits {
            self.next = None;
            let finished = RunnerEvent::TurnFinished {
                turn_id: turn.clone(),
                outcome: TurnOutcome::Aborted,
                cause: Some(cause::aborted()),
                usage: Usage::default(),
                files: Vec::new(),
            };
            return vec![
                Output::Event(RunnerEvent::TurnAccepted { turn_id: turn.clone() }),
                Output::Event(finished),
            ];
        }
        let Some(mapper) = self.mapper.as_mut().filter(|mapper| mapper.turn() == Some(turn)) else {
            return Vec::new();
        };
        mapper.abort();
        if self.engine.is_none() {
            let ending = Ending {
                outcome: TurnOutcome::Aborted,
                cause: Some(cause::aborted()),
            };
            return self.end(ending, Vec::new(), streams, now);
        }
        if self.posting.is_none() {
            self.stop_engine();
        }
        Vec::new()
    }

    pub(super) fn stop_engine(&self) {
        if let (Some(api), Some(mapper)) = (self.engine.clone(), &self.mapper) {
            calls::stop(api, self.root.clone(), mapper.child_sessions(), self.outcomes.clone());
        }
    }

    pub(super) fn posted(
        &mut self,
        number: u64,
        result: Result<(), String>,
        streams: &Streams,
        now: Timestamp,
    ) -> Vec<Output> {
        if number != self.posts || self.posting.is_none() {
            return Vec::new();
        }
        let Some(mapper) = &mut self.mapper else {
            return Vec::new();
        };
        match result {
            Ok(()) => {
                self.posting = None;
                let aborting = mapper.aborting();
                let out = mapper.accepted();
                if std::mem::take(&mut self.repeated) {
                    self.read_record(Source::Resumed);
                }
                if aborting {
                    self.stop_engine();
                }
                out
            }
            // It died meanwhile: the next one gets the prompt.
            Err(_) if self.engine.is_none() => Vec::new(),
            Err(detail) => {
                self.posting = None;
                let ending = Ending {
                    outcome: TurnOutcome::Failed,
                    cause: Some(cause::prompt_refused(&detail)),
                };
                self.end(ending, Vec::new(), streams, now)
            }
        }
    }

    pub(super) fn sum_up(&mut self) {
        self.ending_at = None;
        if let (Some(api), Some(mapper)) = (self.engine.clone(), &self.mapper)
            && let (Some(turn), Some(prompt)) = (mapper.turn().cloned(), mapper.prompt().cloned())
        {
            self.summing_up = true;
            let workspace = self.config.workspace.display().to_string();
            calls::changes(api, self.root.clone(), turn, prompt, workspace, self.outcomes.clone());
        }
    }

    pub(super) fn end(
        &mut self,
        ending: Ending,
        files: Vec<FileChange>,
        streams: &Streams,
        now: Timestamp,
    ) -> Vec<Output> {
        let (Some(turn), Some(mapper)) = (self.turn(), &mut self.mapper) else {
            return Vec::new();
        };
        let text_of = |part: &PartId| streams.text(part).map(str::to_owned);
        let mut out = mapper.finish(ending, files, text_of, now);
        self.ending_at = None;
        self.posting = None;
        let over = self.state.update(|state| {
            for note in state.turns.iter_mut().filter(|note| note.turn == turn) {
                note.over = true;
            }
        });
        if let Err(error) = over {
            tracing::error!(%error, "the turn's end could not be noted");
        }
        out.extend(self.start_next(streams, now));
        out
    }
}

fn offers(setup: &RunnerSetup, model: &ModelId) -> bool {
    let (provider, name) = model.split();
    setup
        .providers
        .get(provider)
        .is_some_and(|provider| provider.models.iter().any(|model| model.id == name))
}

/// The ids of a turn's prompt, chosen once and noted before the engine sees them; and whether they were known.
fn note_of(state: &StateFile, turn: &TurnId, now: Timestamp) -> std::io::Result<(TurnNote, bool)> {
    if let Some(note) = state.get().turns.into_iter().find(|note| &note.turn == turn) {
        return Ok((note, true));
    }
    let (message, part) = ids::prompt_ids(now)?;
    let note = TurnNote {
        turn: turn.clone(),
        message,
        part,
        over: false,
    };
    state.update(|state| state.turns.push(note.clone()))?;
    Ok((note, false))
}
