//! The mapper's part about what only a person can settle.

use errand_protocol::ids::InteractionId;
use errand_protocol::interaction::Ask;
use errand_protocol::runner::RunnerEvent;

use super::{Mapper, Output};
use crate::engine::event::AskingTool;

impl Mapper {
    /// After a gap: interactions that the engine no longer waits for.
    pub fn only_waiting_for(&mut self, requests: &[String]) -> Vec<Output> {
        let waiting: Vec<_> = requests.iter().filter_map(|request| interaction_id(request)).collect();
        for interaction_id in self.reported.interactions.clone() {
            if !waiting.contains(&interaction_id) {
                self.emit(RunnerEvent::InteractionClosed { interaction_id });
            }
        }
        std::mem::take(&mut self.out)
    }

    pub(super) fn asked(&mut self, request: &str, session: &str, tool: Option<&AskingTool>, ask: Ask) {
        let Some(turn_id) = self.turn().cloned().filter(|_| self.in_tree(session)) else {
            return;
        };
        let Some(interaction_id) = interaction_id(request) else {
            return;
        };
        if self.reported.interactions.contains(&interaction_id) {
            return;
        }
        let part_id = tool.and_then(|tool| self.calls.get(&tool.call).cloned());
        self.emit(RunnerEvent::InteractionAsked {
            interaction_id,
            turn_id,
            part_id,
            ask,
        });
    }
}

/// The interaction of an engine's request: the same request is always the same interaction.
pub fn interaction_id(request: &str) -> Option<InteractionId> {
    let (_, body) = request.split_once('_')?;
    InteractionId::from_body(body).ok()
}
