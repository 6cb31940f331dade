//! Model calls of this session's sandbox: whether it may make them, and for whom. The calls go through the Worker
//! (`http::llm`) and are booked by the org's ledger, never here.

use std::rc::Rc;

use super::Agent;
use super::commands::LlmAccess;
use super::reads::json;
use super::routes::Answer;
use crate::ledger::commands::Payer;

/// Only the sandbox of the current generation, and not after the session has been ended.
pub(super) fn access(agent: &Rc<Agent>, command: &LlmAccess) -> Answer {
    agent.allow_current_sandbox(&command.org, command.generation)?;
    let payer = agent.read(|session| {
        let (spec, turn) = (session.spec(), session.running_turn());
        Payer {
            user: spec.owner.id.clone(),
            session: spec.id.clone(),
            repo: spec.repo.as_ref().map(|repo| repo.url.clone()),
            turn: turn.map(|(turn, _)| turn.clone()),
            prompt: turn.map(|(_, prompt)| prompt.clone()),
        }
    })?;
    json(&payer)
}
