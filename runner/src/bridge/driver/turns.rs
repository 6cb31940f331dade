//! A turn from its prompt to its end: starting it, giving the engine the prompt, stopping it, reporting how it ended.

use errand_protocol::ids::{PartId, TurnId};
use errand_protocol::runner::{RunnerEvent, RunnerSetup};
use errand_protocol::session::{FileChange, Usage};
use errand_protocol::text::ModelId;
use errand_protocol::time::Timestamp;

use super::{Bridge, Run};
use crate::bridge::calls::{self, Post};
use crate::bridge::mapper::{Ending, Output, Source};
use crate::cause;
use crate::ids;
use crate::state::{Asked, StateFile, TurnNote};
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
        if self.engine.is_none() || self.turn().is_some() || self.stops > 0 {
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
        let mut out = Vec::new();
        let (note, known) = match note_of(&self.state, &run, now) {
            Ok(noted) => noted,
            Err(error) => {
                tracing::error!(%error, "the turn could not be noted");
                return never_begun(run.turn, Ending::failed(cause::not_noted(&error)));
            }
        };
        if mapper.turn() != Some(&run.turn) {
            mapper.begin(run.turn.clone(), note.message.clone());
            // Noted by a runner that was killed before the engine had the turn: they are answered with it.
            out = self.take_up_steers();
        }
        self.last_event = now.millis();
        if !offers(&self.setup, &run.model) {
            let ending = Ending::failed(cause::model_unknown(run.model.as_str()));
            out.extend(self.end(ending, Vec::new(), streams, now));
            return out;
        }
        self.posts += 1;
        self.repeated = known;
        let (config, root, outcomes) = (self.config.clone(), self.root.clone(), self.outcomes.clone());
        let post = Post {
            message: note.message,
            part: note.part,
            model: run.model.clone(),
            text: run.text.clone(),
        };
        calls::post(api, config, root, run.author.clone(), post, self.posts, outcomes);
        self.posting = Some(run);
        out
    }

    /// Stops a turn that is not wanted any more. Fine when it does not run.
    pub fn abort(&mut self, turn: &TurnId) -> Vec<Output> {
        self.stop(turn, Ending::aborted())
    }

    /// Stops a turn, which then has ended so. Fine when it does not run.
    pub fn stop(&mut self, turn: &TurnId, ending: Ending) -> Vec<Output> {
        let waits = self.next.as_ref().is_some_and(|run| &run.turn == turn);
        if waits {
            self.next = None;
            return never_begun(turn.clone(), ending);
        }
        if self.turn().as_ref() != Some(turn) {
            return Vec::new();
        }
        if let Some(mapper) = &mut self.mapper {
            mapper.stop(ending);
        } else if let Some(left) = &mut self.left {
            left.stopped = Some(ending);
        }
        // Without an engine: what it had completed is read first, once it is up (`Bridge::resume`).
        if self.handed_over() {
            self.stop_engine();
        }
        Vec::new()
    }

    pub(super) fn stop_engine(&mut self) {
        if let (Some(api), Some(mapper)) = (self.engine.clone(), &self.mapper) {
            self.stops += 1;
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
                let stopping = mapper.stopping();
                let out = mapper.accepted();
                if std::mem::take(&mut self.repeated) {
                    self.read_record(Source::Resumed);
                }
                if stopping {
                    self.stop_engine();
                } else {
                    self.hand_over();
                }
                out
            }
            // It died meanwhile: the next one gets the prompt.
            Err(_) if self.engine.is_none() => Vec::new(),
            Err(detail) => {
                self.posting = None;
                let ending = Ending::failed(cause::prompt_refused(&detail));
                self.end(ending, Vec::new(), streams, now)
            }
        }
    }

    pub(super) fn sum_up(&mut self) {
        self.ending_at = None;
        if let (Some(api), Some(mapper)) = (self.engine.clone(), &self.mapper)
            && let Some(turn) = mapper.turn().cloned()
        {
            self.summing_up = true;
            let workspace = self.config.workspace.display().to_string();
            let prompts = mapper.prompts();
            calls::changes(api, self.root.clone(), turn, prompts, workspace, self.outcomes.clone());
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
        let last = mapper.reported().messages.keys().next_back().cloned();
        let mut out = mapper.finish(ending, files, text_of, now);
        self.ending_at = None;
        self.posting = None;
        self.steering = None;
        self.handed = None;
        let over = self.state.update(|state| {
            for note in state.turns.iter_mut().filter(|note| note.turn == turn) {
                note.over = true;
                note.asked = None;
                note.last.clone_from(&last);
                note.steers.iter_mut().for_each(|steer| steer.waits = None);
            }
        });
        if let Err(error) = over {
            tracing::error!(%error, "the turn's end could not be noted");
        }
        out.extend(self.start_next(streams, now));
        out
    }
}

pub(super) fn offers(setup: &RunnerSetup, model: &ModelId) -> bool {
    let (model, _) = model.with_effort();
    let (provider, name) = model.split();
    setup
        .providers
        .get(provider)
        .is_some_and(|provider| provider.models.iter().any(|model| model.id == name))
}

/// The whole of a turn that no engine saw.
fn never_begun(turn_id: TurnId, ending: Ending) -> Vec<Output> {
    let accepted = RunnerEvent::TurnAccepted {
        turn_id: turn_id.clone(),
    };
    let finished = RunnerEvent::TurnFinished {
        turn_id,
        outcome: ending.outcome,
        cause: ending.cause,
        usage: Usage::default(),
        files: Vec::new(),
    };
    vec![Output::Event(accepted), Output::Event(finished)]
}

/// The ids of a turn's prompt, chosen once and noted before the engine sees them; and whether they were known.
fn note_of(state: &StateFile, run: &Run, now: Timestamp) -> std::io::Result<(TurnNote, bool)> {
    if let Some(note) = state.note_of(&run.turn) {
        return Ok((note, true));
    }
    let (message, part) = ids::prompt_ids(now)?;
    let note = TurnNote {
        turn: run.turn.clone(),
        message,
        part,
        over: false,
        asked: Some(Asked {
            text: run.text.clone(),
            model: run.model.clone(),
            author: run.author.clone(),
        }),
        last: None,
        steers: Vec::new(),
    };
    state.update(|state| state.turns.push(note.clone()))?;
    Ok((note, false))
}
