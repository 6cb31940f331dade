//! What has been reported of the current turn: a fold over the events in the spool.
//!
//! The mapper asks it before it reports anything, so that replaying the engine's messages after a restart reports
//! exactly what is missing. It is rebuilt from the spool, hence never newer or older than what was written.

use std::collections::{BTreeMap, BTreeSet};

use errand_protocol::ids::{InteractionId, MessageId, PartId, TurnId};
use errand_protocol::runner::RunnerEvent;
use errand_protocol::transcript::Part;
use serde::{Deserialize, Serialize};

/// The fold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Reported {
    /// The turn that was accepted and has not finished.
    pub turn: Option<TurnId>,
    /// Its messages: whether each is finished.
    pub messages: BTreeMap<MessageId, bool>,
    /// Its parts.
    pub parts: BTreeMap<PartId, PartMark>,
    /// Interactions that are open.
    pub interactions: BTreeSet<InteractionId>,
    /// The last title.
    pub title: Option<String>,
    /// The last turn that was accepted, whether it goes on or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<TurnId>,
}

/// What was reported of a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartMark {
    /// Its message.
    pub message: MessageId,
    /// Its place there.
    pub index: u32,
    /// The part as last reported, while it is open.
    pub open: Option<Part>,
}

impl Reported {
    /// Takes one event in. Doing so twice changes nothing.
    pub fn apply(&mut self, event: &RunnerEvent) {
        match event {
            RunnerEvent::TurnAccepted { turn_id } => {
                if self.turn.as_ref() != Some(turn_id) {
                    *self = Self {
                        turn: Some(turn_id.clone()),
                        accepted: Some(turn_id.clone()),
                        title: self.title.take(),
                        ..Self::default()
                    };
                }
            }
            RunnerEvent::TurnFinished { turn_id, .. } => {
                if self.turn.as_ref() == Some(turn_id) {
                    *self = Self {
                        accepted: self.accepted.take(),
                        title: self.title.take(),
                        ..Self::default()
                    };
                }
            }
            RunnerEvent::MessageStarted { message_id, .. } => {
                self.messages.entry(message_id.clone()).or_insert(false);
            }
            RunnerEvent::MessageFinished { message_id, .. } => {
                self.messages.insert(message_id.clone(), true);
            }
            RunnerEvent::PartStarted { message_id, part, .. } => self.part_started(message_id, part),
            RunnerEvent::PartFinished { message_id, part, .. } => self.part_closed(&part.id, message_id, part.index),
            RunnerEvent::PartRemoved { message_id, part_id } => {
                let index = self.parts.get(part_id).map_or(0, |mark| mark.index);
                self.part_closed(part_id, message_id, index);
            }
            RunnerEvent::InteractionAsked { interaction_id, .. } => {
                self.interactions.insert(interaction_id.clone());
            }
            RunnerEvent::InteractionClosed { interaction_id } => {
                self.interactions.remove(interaction_id);
            }
            RunnerEvent::Title { title } => self.title = Some(title.clone()),
            RunnerEvent::Step { .. }
            | RunnerEvent::Cloned { .. }
            | RunnerEvent::Ready { .. }
            | RunnerEvent::StartFailed { .. }
            | RunnerEvent::TurnRetrying { .. }
            | RunnerEvent::Todos { .. }
            | RunnerEvent::SteerAccepted { .. }
            | RunnerEvent::SteerRefused { .. }
            | RunnerEvent::SnapshotSaved { .. }
            | RunnerEvent::SnapshotFailed { .. }
            | RunnerEvent::SnapshotRestored { .. }
            | RunnerEvent::PushEnded { .. }
            | RunnerEvent::SetupOutput { .. }
            | RunnerEvent::EgressRefused(_)
            | RunnerEvent::EngineRestarted { .. } => {}
        }
    }

    fn part_started(&mut self, message: &MessageId, part: &Part) {
        let mark = self.parts.entry(part.id.clone()).or_insert_with(|| PartMark {
            message: message.clone(),
            index: part.index,
            open: Some(part.clone()),
        });
        if mark.open.is_some() {
            mark.open = Some(part.clone());
        }
    }

    fn part_closed(&mut self, id: &PartId, message: &MessageId, index: u32) {
        self.parts.insert(
            id.clone(),
            PartMark {
                message: message.clone(),
                index,
                open: None,
            },
        );
    }

    /// The next free place in a message.
    pub fn next_index(&self, message: &MessageId) -> u32 {
        self.parts
            .values()
            .filter(|mark| &mark.message == message)
            .map(|mark| mark.index + 1)
            .max()
            .unwrap_or(0)
    }

    /// The part, while it is open.
    pub fn open_part(&self, id: &PartId) -> Option<&Part> {
        self.parts.get(id).and_then(|mark| mark.open.as_ref())
    }

    /// Ids of all open parts.
    pub fn open_parts(&self) -> Vec<PartId> {
        let open = self.parts.iter().filter(|(_, mark)| mark.open.is_some());
        open.map(|(id, _)| id.clone()).collect()
    }
}
