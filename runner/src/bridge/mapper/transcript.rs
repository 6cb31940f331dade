//! The transcript's half of the mapper: messages and parts, and where they stand.

use errand_protocol::ids::{MessageId, PartId, TurnId};
use errand_protocol::runner::RunnerEvent;
use errand_protocol::time::Timestamp;
use serde_json::Value;

use super::turn::Level;
use super::{Child, Known, Mapper, Output, Source};
use crate::bridge::parts::{self, Place};
use crate::cause;
use crate::engine::event::{EngineEvent, MessageInfo, PartInfo};

/// Parts of sub-agents that are held back until it is known which call they belong to.
const MAX_HELD: usize = 512;

impl Mapper {
    pub(super) fn message(&mut self, info: MessageInfo) {
        let Some(turn) = &mut self.turn else { return };
        if info.session == self.root && info.id.as_str() < turn.prompt.as_str() {
            return;
        }
        let assistant = info.role == "assistant";
        let compaction = info.mode.as_deref() == Some("compaction");
        if info.session == self.root && info.id == turn.prompt.as_str() {
            if turn.level == Level::Idle {
                turn.diffs = info.summary.as_ref().and_then(|summary| summary.get("diffs")).cloned();
            }
            self.accept();
        } else if info.session == self.root && assistant {
            self.root_message(&info);
        }
        self.messages.insert(
            info.id,
            Known {
                session: info.session,
                assistant,
                compaction,
            },
        );
    }

    pub(super) fn root_message(&mut self, info: &MessageInfo) {
        self.accept();
        let (Some(turn), Ok(message_id)) = (&mut self.turn, info.id.parse::<MessageId>()) else {
            return;
        };
        let turn_id = turn.id.clone();
        if info.time.completed.is_some() {
            turn.finished(info);
        }
        if !self.reported.messages.contains_key(&message_id) {
            self.emit(RunnerEvent::MessageStarted {
                turn_id: turn_id.clone(),
                message_id: message_id.clone(),
            });
        }
        if info.time.completed.is_some() && self.reported.messages.get(&message_id) == Some(&false) {
            let cause = info.error.as_ref().map(cause::of_engine);
            self.emit(RunnerEvent::MessageFinished {
                turn_id,
                message_id,
                cause,
            });
        }
    }

    /// In which of the root's messages, and under which call, a session's parts are shown.
    pub(super) fn place(&self, info: &PartInfo) -> Option<(MessageId, Option<PartId>)> {
        if info.session == self.root {
            return Some((info.message.parse().ok()?, None));
        }
        let child = self.children.get(&info.session)?;
        Some((child.message.clone(), Some(child.part.clone())))
    }

    pub(super) fn part(&mut self, info: &PartInfo, source: Source, now: Timestamp) {
        let Some(turn) = &mut self.turn else { return };
        let turn_id = turn.id.clone();
        if info.kind == "step-finish" {
            // Sub-agents' steps count too, wherever they are shown.
            if self.messages.contains_key(&info.message) {
                turn.usage.insert(info.id.clone(), parts::usage(info));
            }
            return;
        }
        let Some(known) = self
            .messages
            .get(&info.message)
            .filter(|known| known.session == info.session)
        else {
            return;
        };
        let (assistant, compaction) = (known.assistant, known.compaction);
        let Ok(id) = info.id.parse::<PartId>() else { return };
        if !assistant {
            return;
        }
        let Some((message_id, parent)) = self.place(info) else {
            self.hold(info);
            return;
        };
        let mark = self.reported.parts.get(&id);
        if mark.is_some_and(|mark| mark.open.is_none()) {
            self.adopt_children(info, &message_id, &id, source, now);
            return;
        }
        let place = Place {
            id: id.clone(),
            index: mark.map_or_else(|| self.reported.next_index(&message_id), |mark| mark.index),
            parent,
            started_at: self.reported.open_part(&id).map_or(now, |part| part.started_at),
        };
        if !info.call.is_empty() {
            self.calls.insert(info.call.clone(), id.clone());
        }
        if let Some(seen) = parts::read(info, place, &self.workspace, compaction, now) {
            self.seen(&turn_id, message_id.clone(), info, seen, source);
        }
        self.adopt_children(info, &message_id, &id, source, now);
    }

    pub(super) fn seen(
        &mut self,
        turn_id: &TurnId,
        message_id: MessageId,
        info: &PartInfo,
        seen: parts::Seen,
        source: Source,
    ) {
        let (turn_id, mut part, id) = (turn_id.clone(), seen.part.clone(), seen.part.id.clone());
        let prose = matches!(info.kind.as_str(), "text" | "reasoning");
        if seen.done {
            self.prose.remove(&id);
            if self.stopping() {
                parts::stopped_command(&mut part);
            }
            if prose && info.text.is_empty() {
                self.remove(id.as_str());
            } else {
                self.emit(RunnerEvent::PartFinished {
                    turn_id,
                    message_id,
                    part,
                });
            }
            return;
        }
        if prose {
            self.prose.insert(id.clone(), info.session.clone());
        }
        if self.reported.open_part(&id) != Some(&part) {
            self.emit(RunnerEvent::PartStarted {
                turn_id,
                message_id,
                part,
            });
        }
        if prose && source == Source::Resumed {
            self.out.push(Output::Lost(id.clone()));
        }
        if let Some(output) = seen.output {
            self.out.push(Output::Set(id, output));
        }
    }

    /// A sub-agent call names its session: from now on that session's parts have a place.
    pub(super) fn adopt_children(
        &mut self,
        info: &PartInfo,
        message: &MessageId,
        part: &PartId,
        source: Source,
        now: Timestamp,
    ) {
        let session = info
            .state
            .as_ref()
            .and_then(|state| state.metadata.get("sessionId"))
            .and_then(Value::as_str);
        let Some(session) = session.filter(|_| info.tool == "task") else {
            return;
        };
        if self.children.contains_key(session) {
            return;
        }
        self.parents.insert(session.to_owned(), info.session.clone());
        let child = Child {
            message: message.clone(),
            part: part.clone(),
        };
        self.children.insert(session.to_owned(), child);
        for event in std::mem::take(&mut self.held) {
            self.take(event, source, now);
        }
    }

    pub(super) fn hold(&mut self, info: &PartInfo) {
        if self.in_tree(&info.session) && self.held.len() < MAX_HELD {
            self.held.push_back(EngineEvent::Part(Box::new(info.clone())));
        }
    }

    /// The engine begins the answer anew: what it had begun in `session` is void.
    pub(super) fn discard_prose(&mut self, session: &str) {
        let void: Vec<_> = self
            .prose
            .iter()
            .filter(|(_, of)| *of == session)
            .map(|(id, _)| id.clone())
            .collect();
        for part_id in void {
            self.prose.remove(&part_id);
            self.remove(part_id.as_str());
        }
    }

    pub(super) fn remove(&mut self, part: &str) {
        let Ok(part_id) = part.parse::<PartId>() else { return };
        self.prose.remove(&part_id);
        if let Some(mark) = self.reported.parts.get(&part_id) {
            let message_id = mark.message.clone();
            self.emit(RunnerEvent::PartRemoved { message_id, part_id });
        }
    }

    pub(super) fn interrupt(&mut self, turn_id: &TurnId, id: &PartId, text: Option<&str>, now: Timestamp) {
        let Some((message_id, part)) = self
            .reported
            .parts
            .get(id)
            .and_then(|mark| Some((mark.message.clone(), mark.open.clone()?)))
        else {
            return;
        };
        let part = parts::interrupted(part, text, now);
        let empty = self.prose.contains_key(id) && part.streaming_text().is_some_and(str::is_empty);
        if empty {
            self.emit(RunnerEvent::PartRemoved {
                message_id,
                part_id: id.clone(),
            });
        } else {
            self.emit(RunnerEvent::PartFinished {
                turn_id: turn_id.clone(),
                message_id,
                part,
            });
        }
    }
}
