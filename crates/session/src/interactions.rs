//! Interactions: opened by the engine, settled exactly once by whoever comes first, by their default after the
//! deadline, or by the end of their turn. The answer is kept until the runner confirms that the engine has it.

use errand_protocol::api::ErrorCode;
use errand_protocol::event::EventBody;
use errand_protocol::ids::{InteractionId, PartId, TurnId};
use errand_protocol::interaction::{Answer, Ask, Interaction, PermissionReply, Resolution};
use errand_protocol::runner::AgentFrame;
use errand_protocol::session::{Cause, Person};
use errand_protocol::startup::Watchdog;

use crate::effect::Rejection;
use crate::session::Step;

/// So many settled interactions are remembered, to refuse late answers clearly.
const REMEMBERED: usize = 64;
/// So many may be open at once; the engine asks for few. One more gets its default answer at once.
const MAX_OPEN: usize = 20;
/// A longer diff, command or list is cut: the tool's part has it all, and the machine's state is rewritten often.
const MAX_ASK_BYTES: usize = 16 * 1024;

impl Step<'_, '_> {
    /// The engine asks.
    pub(crate) fn asked(&mut self, id: InteractionId, turn_id: TurnId, part_id: Option<PartId>, ask: Ask) {
        let core = &self.s.core;
        if core.interactions.contains_key(&id) {
            return;
        }
        if core.settled.contains(&id) {
            // It was settled, but the engine still asks: it has not got the answer. Send it again.
            if let Some(answer) = core.answers.get(&id).cloned() {
                self.tell_runner(AgentFrame::Resolve {
                    interaction_id: id,
                    answer,
                });
            }
            return;
        }
        let opened_at = self.cx.now;
        let unattended = self.cx.timings.unattended.filter(|_| !self.cx.watched);
        let patience = unattended.unwrap_or(self.cx.timings.interaction);
        let deadline = opened_at.plus(patience);
        let interaction = Interaction {
            id: id.clone(),
            turn_id,
            part_id,
            ask: bounded(ask),
            opened_at,
            deadline,
        };
        let default = default_answer(&interaction.ask);
        self.s.core.interactions.insert(id.clone(), interaction.clone());
        if let Some(turn) = &mut self.s.core.turn {
            turn.asked_at.get_or_insert(opened_at);
        }
        self.log(EventBody::InteractionOpened { interaction });
        if self.s.core.interactions.len() > MAX_OPEN {
            self.settle(
                &id,
                Resolution::Expired {
                    answer: default.clone(),
                },
                Some(default),
            );
        }
    }

    /// A person answers.
    pub(crate) fn answer(&mut self, by: Person, id: &InteractionId, answer: Answer) -> Result<(), Rejection> {
        if self.s.budget_ask().is_some_and(|asked| asked.id == *id) {
            return match answer {
                Answer::Extend { limit } => self.extend_budget(by, limit),
                Answer::Permission { .. } | Answer::Question { .. } | Answer::Dismiss {} => Err(Rejection::new(
                    ErrorCode::Invalid,
                    "The answer is of another kind than the question.",
                )),
            };
        }
        let Some(interaction) = self.s.core.interactions.get(id) else {
            return Err(if self.s.core.settled.contains(id) {
                let message = match self.s.core.settled_by.get(id) {
                    Some(name) => format!("{name} has answered this already."),
                    None => "This is settled already: its time was up, or its turn has ended.".to_owned(),
                };
                Rejection::new(ErrorCode::AlreadyResolved, message)
            } else {
                Rejection::new(ErrorCode::NotFound, "There is no such question.")
            });
        };
        check(&interaction.ask, &answer)?;
        self.s.core.settled_by.insert(id.clone(), by.name.clone());
        self.settle(
            id,
            Resolution::Answered {
                answer: answer.clone(),
                by,
            },
            Some(answer),
        );
        Ok(())
    }

    /// Takes the default of those whose time is up.
    pub(crate) fn expire_interactions(&mut self) {
        let now = self.cx.now;
        let late: Vec<(InteractionId, Answer)> = self
            .s
            .core
            .interactions
            .values()
            .filter(|i| i.deadline <= now)
            .map(|i| (i.id.clone(), default_answer(&i.ask)))
            .collect();
        for (id, answer) in late {
            let cause = Cause::new("unanswered", "Nobody answered a question in time.");
            self.verdict(Watchdog::Interaction, cause, "Its default answer was taken.");
            self.settle(&id, Resolution::Expired { answer: answer.clone() }, Some(answer));
        }
    }

    /// Somebody watches from now on: open questions wait as long as they would have with somebody there.
    pub(crate) fn watched(&mut self) {
        let patience = self.cx.timings.interaction;
        for interaction in self.s.core.interactions.values_mut() {
            let full = interaction.opened_at.plus(patience);
            if interaction.deadline < full {
                interaction.deadline = full;
                self.dirty = true;
            }
        }
    }

    /// The engine no longer waits.
    pub(crate) fn closed(&mut self, id: &InteractionId) {
        self.dirty = true;
        self.s.core.answers.remove(id);
        if self.s.core.interactions.contains_key(id) {
            self.settle(id, Resolution::Cancelled {}, None);
        }
    }

    /// The turn is over: nobody waits for an answer any more.
    pub(crate) fn cancel_interactions(&mut self) {
        let open: Vec<InteractionId> = self.s.core.interactions.keys().cloned().collect();
        for id in open {
            self.settle(&id, Resolution::Cancelled {}, None);
        }
        self.s.core.answers.clear();
    }

    /// What a runner that has just connected must hear again.
    pub(crate) fn resend_answers(&mut self) {
        let answers = self.s.core.answers.clone();
        for (interaction_id, answer) in answers {
            self.tell_runner(AgentFrame::Resolve { interaction_id, answer });
        }
    }

    fn settle(&mut self, id: &InteractionId, resolution: Resolution, answer: Option<Answer>) {
        self.s.core.interactions.remove(id);
        self.remember_settled(id);
        // The turn was waiting for a person, not silent.
        let nobody_is_asked = self.s.core.interactions.is_empty();
        if let Some(turn) = &mut self.s.core.turn {
            turn.last_event_at = self.cx.now;
            if nobody_is_asked && let Some(since) = turn.asked_at.take() {
                turn.waited = turn.waited.saturating_add(self.cx.now.since(since).max(0));
            }
        }
        self.log(EventBody::InteractionResolved {
            interaction_id: id.clone(),
            resolution,
        });
        if let Some(answer) = answer {
            self.s.core.answers.insert(id.clone(), answer.clone());
            self.tell_runner(AgentFrame::Resolve {
                interaction_id: id.clone(),
                answer,
            });
        }
    }
}

impl Step<'_, '_> {
    /// A late answer to it gets a clear refusal.
    pub(crate) fn remember_settled(&mut self, id: &InteractionId) {
        self.s.core.settled.push(id.clone());
        let surplus = self.s.core.settled.len().saturating_sub(REMEMBERED);
        for forgotten in self.s.core.settled.drain(..surplus) {
            self.s.core.settled_by.remove(&forgotten);
        }
    }
}

fn default_answer(ask: &Ask) -> Answer {
    match ask {
        Ask::Permission { .. } => Answer::Permission {
            reply: PermissionReply::Reject,
            message: Some("Nobody answered in time; go on without it if you can.".to_owned()),
        },
        Ask::Question { .. } | Ask::Budget { .. } => Answer::Dismiss {},
    }
}

/// The question at a size that can be stored with the machine's state.
fn bounded(mut ask: Ask) -> Ask {
    match &mut ask {
        Ask::Permission {
            permission,
            patterns,
            command,
            path,
            diff,
            always,
        } => {
            for text in [command, path, diff].into_iter().flatten().chain([permission]) {
                cut(text, MAX_ASK_BYTES);
            }
            for list in [patterns, always] {
                list.truncate(50);
                for text in list {
                    cut(text, MAX_ASK_BYTES / 50);
                }
            }
        }
        Ask::Question { questions } => {
            questions.truncate(20);
            for question in questions {
                cut(&mut question.header, 200);
                cut(&mut question.question, MAX_ASK_BYTES / 20);
            }
        }
        Ask::Budget { .. } => {}
    }
    ask
}

fn cut(text: &mut String, max: usize) {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
        text.push('…');
    }
}

fn check(ask: &Ask, answer: &Answer) -> Result<(), Rejection> {
    let invalid = |message: &str| Err(Rejection::new(ErrorCode::Invalid, message));
    match (ask, answer) {
        (Ask::Permission { .. }, Answer::Permission { message, .. }) => {
            if message.as_ref().is_some_and(|m| m.len() > 10_000) {
                invalid("The message is too long.")
            } else {
                Ok(())
            }
        }
        (Ask::Question { questions }, Answer::Question { answers }) => {
            if answers.len() != questions.len() {
                return invalid("Every question needs an answer.");
            }
            let too_many = questions
                .iter()
                .zip(answers)
                .any(|(q, a)| a.is_empty() || !q.multiple && a.len() > 1);
            let too_long = answers.iter().flatten().any(|text| text.len() > 10_000);
            let unknown = questions.iter().zip(answers).any(|(q, a)| {
                !q.custom
                    && a.iter()
                        .any(|text| q.options.iter().all(|option| option.label != *text))
            });
            if too_many || too_long || unknown {
                invalid("The answers do not fit the questions.")
            } else {
                Ok(())
            }
        }
        (Ask::Question { .. }, Answer::Dismiss {}) => Ok(()),
        (Ask::Permission { .. }, Answer::Question { .. } | Answer::Dismiss {} | Answer::Extend { .. })
        | (Ask::Question { .. }, Answer::Permission { .. } | Answer::Extend { .. })
        | (Ask::Budget { .. }, _) => invalid("The answer is of another kind than the question."),
    }
}
