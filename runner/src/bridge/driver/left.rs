//! The engine comes up (again): what it did without being watched is caught up with, first of all for the turn that an
//! earlier process of this runner was working on.

use errand_protocol::ids::TurnId;
use errand_protocol::time::Timestamp;

use super::{Bridge, Run};
use crate::bridge::mapper::{Ending, Output, Source};
use crate::streams::Streams;

/// A turn that an earlier process was working on: it had reported its beginning, or had noted its prompt and perhaps
/// given it to the engine.
pub(super) struct Left {
    pub(super) turn: TurnId,
    /// It is to be stopped, and has ended so.
    pub(super) stopped: Option<Ending>,
}

impl Left {
    pub(super) const fn new(turn: TurnId) -> Self {
        Self { turn, stopped: None }
    }
}

impl Bridge {
    /// The engine is up: what goes on is followed, what it does not have yet it is given.
    pub(super) fn resume(&mut self, adopted: bool, streams: &Streams, now: Timestamp) -> Vec<Output> {
        let mut out = self.take_up();
        let Some(mapper) = &self.mapper else { return out };
        let accepted = mapper.turn().is_some() && mapper.reported().turn.as_ref() == mapper.turn();
        let stopping = mapper.stopping();
        if accepted || stopping {
            self.posting = None;
            self.read_record(if adopted { Source::Resumed } else { Source::Crashed });
            self.stop_after = stopping.then_some(self.reads);
        } else if let Some(run) = self.posting.clone() {
            // It may have the prompt already: the same ids make a second post harmless.
            out.extend(self.start(run, streams, now));
            return out;
        }
        self.hand_over();
        out.extend(self.start_next(streams, now));
        out
    }

    /// Goes on with the turn that an earlier process left.
    fn take_up(&mut self) -> Vec<Output> {
        let (Some(mapper), Some(Left { turn, stopped })) = (&mut self.mapper, self.left.take()) else {
            return Vec::new();
        };
        let note = self.state.note_of(&turn);
        let prompt = note.as_ref().map(|note| note.message.clone());
        let Some(prompt) = prompt.or_else(|| "msg_0".parse().ok()) else {
            return Vec::new();
        };
        mapper.begin(turn.clone(), prompt);
        if let Some(ending) = stopped {
            mapper.stop(ending);
        }
        if mapper.reported().turn.as_ref() != Some(&turn) {
            self.posting = note.and_then(|note| note.asked).map(|asked| Run {
                turn,
                text: asked.text,
                model: asked.model,
                author: asked.author,
            });
        }
        self.take_up_steers()
    }
}
