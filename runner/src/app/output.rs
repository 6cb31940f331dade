//! What is told to the control plane: events by way of the spool, texts of open parts beside it.

use std::io;

use errand_protocol::ids::PartId;
use errand_protocol::runner::{RunnerEvent, RunnerFrame};
use errand_protocol::transcript::{Part, PartBody};

use super::App;
use crate::bridge::mapper::Output;
use crate::clock;
use crate::mask::{Masks, Stream};
use crate::snapshot::saver::Wish;
use crate::streams;

impl App {
    pub(super) fn take(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Event(event) => self.report(event),
                Output::Append(part, text) => {
                    let shown = self.masked(&part, |masks, stream| stream.feed(masks, &text));
                    self.streams.append(&part, &shown.unwrap_or(text));
                }
                Output::Set(part, text) => {
                    let shown = self.masked(&part, |masks, stream| stream.set(masks, &text));
                    let written = self.spool.last();
                    let text = shown.unwrap_or(text);
                    self.streams.follow(&part, &text, written, streams::TOOL_EVERY);
                }
                Output::Lost(part) => self.close_part(&part),
            }
        }
    }

    /// What can be shown of an open part's text; `None` when there is nothing to look for.
    fn masked(&mut self, part: &PartId, show: impl FnOnce(&Masks, &mut Stream) -> String) -> Option<String> {
        let masks = self.masks.borrow();
        if masks.is_empty() {
            return None;
        }
        Some(show(&masks, self.masked.entry(part.clone()).or_default()))
    }

    fn close_part(&mut self, part: &PartId) {
        self.streams.close(part);
        self.masked.remove(part);
    }

    pub(super) fn report(&mut self, event: RunnerEvent) {
        if self.leaving() {
            return;
        }
        let event = self.masks.borrow().event(event);
        let mut opened = None;
        if let RunnerEvent::PartStarted { part, .. } = &event
            && self.spool.reported().open_part(&part.id).is_none()
        {
            let every = if matches!(part.body, PartBody::Tool { .. }) {
                streams::TOOL_EVERY
            } else {
                streams::TEXT_EVERY
            };
            opened = part.streaming_text().map(|_| (part.id.clone(), every));
        } else if let RunnerEvent::PartFinished {
            part: Part { id, .. }, ..
        }
        | RunnerEvent::PartRemoved { part_id: id, .. } = &event
        {
            let id = id.clone();
            self.close_part(&id);
        }
        let mut over = None;
        if let RunnerEvent::TurnFinished { turn_id, .. } = &event {
            over = Some(turn_id.clone());
        }
        match self.spool.append(clock::now(), event) {
            Ok(rseq) => {
                if let Some((part, every)) = opened {
                    self.streams.open(part, rseq, every);
                }
                if let Some(turn) = over {
                    self.wish(Wish::Turn(turn));
                }
            }
            Err(error) => self.speechless(&error),
        }
    }

    /// Sends what can be sent. `false` when the connection has no room for more.
    pub(super) fn pump(&mut self) -> io::Result<bool> {
        let Some(out) = self.connection.as_ref().map(|connection| connection.out.clone()) else {
            return Ok(true);
        };
        if !self.link.up() {
            return Ok(true);
        }
        let now = clock::now().millis();
        loop {
            let Ok(permit) = out.try_reserve() else {
                return Ok(out.is_closed());
            };
            if let Some(rseq) = self.link.next_event(self.spool.last()) {
                permit.send(self.spool.frame(rseq)?);
            } else if let Some(delta) = self.streams.next(now, self.link.sent()) {
                permit.send(serde_json::to_string(&RunnerFrame::Delta(delta))?);
            } else if self.streams.flush(now) {
                permit.send(serde_json::to_string(&RunnerFrame::Flush {})?);
            } else {
                return Ok(true);
            }
        }
    }
}
