//! What the engine's record says that the spool does not.

use errand_protocol::ids::{PartId, TurnId};
use errand_protocol::runner::RunnerEvent;

use crate::disk::{Disk, PartState, TurnRecord};

/// Parts that the engine completed and that were not reported.
pub(crate) fn unread(disk: &Disk, turn: &TurnId) -> Vec<PartId> {
    let record = disk.record.turns.get(turn);
    let parts = record
        .into_iter()
        .flat_map(|record| &record.messages)
        .flat_map(|message| &message.parts);
    let reported = |id: &PartId| {
        disk.spool
            .reported
            .parts
            .get(id)
            .is_some_and(|mark| mark.open.is_none())
    };
    let ids = parts.map(|part| part.part.id.clone());
    ids.filter(|id| !reported(id)).collect()
}

/// What the record says that was not reported.
pub(crate) fn news(disk: &Disk, turn: &TurnId, record: &TurnRecord) -> Vec<RunnerEvent> {
    let reported = &disk.spool.reported;
    let mut out = Vec::new();
    for message in &record.messages {
        let known = reported.messages.get(&message.id);
        if known.is_none() {
            out.push(RunnerEvent::MessageStarted {
                turn_id: turn.clone(),
                message_id: message.id.clone(),
            });
        }
        for part in &message.parts {
            let id = &part.part.id;
            let mark = reported.parts.get(id);
            let open = mark.and_then(|mark| mark.open.as_ref());
            let (turn_id, message_id) = (turn.clone(), message.id.clone());
            let whole = part.part.clone();
            match part.state {
                PartState::Open if mark.is_none() || open.is_some_and(|open| *open != part.part) => {
                    out.push(RunnerEvent::PartStarted {
                        turn_id,
                        message_id,
                        part: whole,
                    });
                }
                PartState::Done if mark.is_none() || open.is_some() => {
                    out.push(RunnerEvent::PartFinished {
                        turn_id,
                        message_id,
                        part: whole,
                    });
                }
                PartState::Gone if open.is_some() => {
                    out.push(RunnerEvent::PartRemoved {
                        message_id,
                        part_id: id.clone(),
                    });
                }
                PartState::Open | PartState::Done | PartState::Gone => {}
            }
        }
        if message.done && known != Some(&true) {
            out.push(RunnerEvent::MessageFinished {
                turn_id: turn.clone(),
                message_id: message.id.clone(),
                cause: None,
            });
        }
    }
    for ask in &record.asks {
        let interaction_id = ask.id.clone();
        match (ask.open, reported.interactions.contains(&ask.id)) {
            (true, false) => out.push(RunnerEvent::InteractionAsked {
                interaction_id,
                turn_id: turn.clone(),
                part_id: None,
                ask: ask.ask.clone(),
            }),
            (false, true) => out.push(RunnerEvent::InteractionClosed { interaction_id }),
            (true, true) | (false, false) => {}
        }
    }
    out
}
