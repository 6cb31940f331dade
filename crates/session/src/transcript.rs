//! The transcript: messages and parts, folded from the log.

use std::collections::BTreeMap;

use errand_protocol::event::{Event, EventBody};
use errand_protocol::ids::{MessageId, PartId, PromptId, Seq, TurnId};
use errand_protocol::session::{Prompt, Session as Summary};
use errand_protocol::time::Timestamp;
use errand_protocol::transcript::{Message, Part, PartBody, Role, Transcript};

/// A fold in progress: feed it the log's events in order, then [`Fold::finish`].
#[derive(Debug, Default)]
pub struct Fold {
    prompts: BTreeMap<PromptId, Prompt>,
    order: Vec<PromptId>,
    messages: Vec<Message>,
    places: BTreeMap<MessageId, usize>,
}

impl Fold {
    /// One more event.
    pub fn push(&mut self, event: Event) {
        let at = event.at;
        match event.body {
            EventBody::PromptQueued { prompt } => {
                self.order.push(prompt.id.clone());
                self.prompts.insert(prompt.id.clone(), prompt);
            }
            EventBody::PromptEdited { prompt_id, text } => {
                if let Some(prompt) = self.prompts.get_mut(&prompt_id) {
                    prompt.text = text;
                }
            }
            EventBody::PromptWithdrawn { prompt_id, .. } => {
                self.prompts.remove(&prompt_id);
            }
            EventBody::TurnStarted { turn_id, prompt_id } => {
                if let Some(message) = self
                    .prompts
                    .remove(&prompt_id)
                    .and_then(|p| user_message(p, Some(turn_id)))
                {
                    self.messages.push(message);
                }
            }
            EventBody::PromptSteered { turn_id, prompt_id } => {
                let prompt = self.prompts.remove(&prompt_id);
                self.messages
                    .extend(prompt.and_then(|p| user_message(p, Some(turn_id))));
            }
            EventBody::MessageStarted { turn_id, message_id } => {
                self.message(&turn_id, &message_id, at);
            }
            EventBody::PartStarted {
                turn_id,
                message_id,
                part,
            }
            | EventBody::PartFinished {
                turn_id,
                message_id,
                part,
            } => {
                let message = self.message(&turn_id, &message_id, at);
                place(&mut message.parts, part);
            }
            EventBody::PartRemoved { message_id, part_id } => self.remove(&message_id, &part_id),
            EventBody::SessionCreated { .. }
            | EventBody::SessionTitled { .. }
            | EventBody::SessionPhase { .. }
            | EventBody::SessionArchived { .. }
            | EventBody::SessionJoined { .. }
            | EventBody::SessionShared { .. }
            | EventBody::SessionUnshared { .. }
            | EventBody::SandboxStep { .. }
            | EventBody::SandboxReady { .. }
            | EventBody::SandboxTrouble { .. }
            | EventBody::SandboxEgressRefused { .. }
            | EventBody::SandboxSetupOutput { .. }
            | EventBody::SandboxSnapshot { .. }
            | EventBody::PromptMoved { .. }
            | EventBody::GitCloned { .. }
            | EventBody::TurnAborting { .. }
            | EventBody::TurnRetrying { .. }
            | EventBody::TurnFinished { .. }
            | EventBody::MessageFinished { .. }
            | EventBody::NoteTodos { .. }
            | EventBody::InteractionOpened { .. }
            | EventBody::InteractionResolved { .. } => {}
        }
    }

    /// The transcript; prompts that still wait stand at its end. `open` are the parts that are being written, with
    /// their text so far.
    pub fn finish(mut self, session: Summary, head_seq: Seq, open: impl IntoIterator<Item = Part>) -> Transcript {
        let by_id: BTreeMap<PartId, Part> = open.into_iter().map(|part| (part.id.clone(), part)).collect();
        for part in self.messages.iter_mut().flat_map(|message| &mut message.parts) {
            if let Some(now) = by_id.get(&part.id).filter(|_| part.ended_at.is_none()) {
                part.clone_from(now);
            }
        }
        let waiting = self
            .order
            .iter()
            .filter_map(|id| self.prompts.remove(id))
            .filter_map(|p| user_message(p, None));
        self.messages.extend(waiting);
        Transcript {
            session,
            head_seq,
            messages: self.messages,
        }
    }

    fn message(&mut self, turn_id: &TurnId, id: &MessageId, at: Timestamp) -> &mut Message {
        let place = *self.places.entry(id.clone()).or_insert_with(|| {
            self.messages.push(Message {
                id: id.clone(),
                role: Role::Assistant,
                author: None,
                turn_id: Some(turn_id.clone()),
                created_at: at,
                parts: Vec::new(),
            });
            self.messages.len() - 1
        });
        #[expect(
            clippy::indexing_slicing,
            reason = "places holds indices of messages, which only grows"
        )]
        &mut self.messages[place]
    }

    fn remove(&mut self, message_id: &MessageId, part_id: &PartId) {
        if let Some(message) = self.places.get(message_id).and_then(|at| self.messages.get_mut(*at)) {
            message.parts.retain(|part| part.id != *part_id);
        }
    }
}

/// Puts a part at its place, over an earlier state of it.
fn place(parts: &mut Vec<Part>, part: Part) {
    if let Some(old) = parts.iter_mut().rev().find(|old| old.id == part.id) {
        *old = part;
        return;
    }
    let at = parts
        .iter()
        .rposition(|old| old.index <= part.index)
        .map_or(0, |before| before + 1);
    parts.insert(at, part);
}

fn user_message(prompt: Prompt, turn_id: Option<TurnId>) -> Option<Message> {
    let body = prompt.id.as_str().strip_prefix(PromptId::PREFIX)?;
    let part = Part {
        id: PartId::from_body(body).ok()?,
        index: 0,
        parent_part_id: None,
        started_at: prompt.created_at,
        ended_at: Some(prompt.created_at),
        body: PartBody::Text {
            text: prompt.text.into(),
        },
    };
    Some(Message {
        id: MessageId::from_body(body).ok()?,
        role: Role::User,
        author: Some(prompt.author),
        turn_id,
        created_at: prompt.created_at,
        parts: vec![part],
    })
}
