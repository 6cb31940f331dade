//! Model calls of this session's sandbox: whether it may make them, and for whom; what becomes of the session when a budget
//! is used up; how long its sandboxes were kept. The calls go through the Worker (`http::llm`) and are booked by the org's
//! ledger, never here.

use std::rc::Rc;

use errand_access::{Action, Actor};
use errand_protocol::api::{ErrorCode, PostAnswer};
use errand_protocol::ids::InteractionId;
use errand_protocol::interaction::{Answer as Said, Ask};
use errand_protocol::money::BudgetNotice;
use errand_protocol::viewer::Command;
use errand_session::fork::store as turns;
use errand_session::{Input, SandboxLife, Session};

use super::Agent;
use super::commands::{BudgetNews, BudgetRaised, LlmAccess, LlmGrant};
use super::reads::json;
use super::routes::Answer;
use super::writes::Write;
use crate::http::allow;
use crate::http::error::ApiError;
use crate::ledger::commands::{ChangeBudgetCommand, ChangedBudget, Payer, SandboxCommand, SessionUsageCommand};
use crate::platform::{clock, ids, rpc};

/// Of so many turns `…/usage` tells what they used.
const MAX_TURNS: usize = 200;

/// Only the sandbox of the current generation, and not after the session has been ended.
pub(super) fn access(agent: &Rc<Agent>, command: &LlmAccess) -> Answer {
    agent.allow_current_sandbox(&command.org, command.generation)?;
    json(&agent.read(grant)?)
}

/// The session hears how a budget stands; the answer is what holds then.
pub(super) fn budget(agent: &Rc<Agent>, news: BudgetNews) -> Answer {
    access(agent, &news.access)?;
    agent.step(Input::Budget {
        notice: news.notice,
        level: news.level,
        reserve: news.reserve,
    })?;
    json(&agent.read(grant)?)
}

/// A budget that stopped this session was raised or removed.
pub(super) fn budget_raised(agent: &Rc<Agent>, command: BudgetRaised) -> Answer {
    let BudgetRaised { org, budget, raise } = command;
    if agent.load()? && agent.read(|session| session.spec().org == org)? {
        agent.step(Input::BudgetRaised {
            budget,
            limit: raise.limit,
            by: raise.by,
        })?;
    }
    json(&())
}

fn grant(session: &Session) -> LlmGrant {
    let turn = session.running_turn();
    LlmGrant {
        payer: Payer {
            turn: turn.map(|(turn, _)| turn.clone()),
            prompt: turn.map(|(_, prompt)| prompt.clone()),
            ..payer(session)
        },
        note: session.writes_note(),
    }
}

fn payer(session: &Session) -> Payer {
    let spec = session.spec();
    Payer {
        user: spec.owner.id.clone(),
        session: spec.id.clone(),
        // However its address was written: a budget holds for the repository.
        repo: spec.repo.as_ref().map(|repo| repo.url.canonical()),
        trigger: spec.trigger.clone(),
        turn: None,
        prompt: None,
    }
}

/// Whether an answer to this interaction is a budget's extension.
pub(super) fn asked_budget(agent: &Agent, id: &str) -> Option<BudgetNotice> {
    let asked = agent.read(|session| session.budget_ask().cloned()).ok()??;
    let Ask::Budget { notice } = asked.ask else { return None };
    (asked.id.as_str() == id).then_some(notice)
}

/// `POST …/interactions/:id`.
pub(super) async fn answer(write: &Write<'_>, id: &str, request_id: &str) -> Answer {
    if write.extends() {
        extend(write, id, request_id).await
    } else {
        write.answer(id)
    }
}

/// With `{answer: {type: "extend", limit}}`: the ledger extends the budget, then the session
/// goes on. Who sees the session and may change budgets may do it, whoever's session it is.
async fn extend(write: &Write<'_>, id: &str, request_id: &str) -> Answer {
    let (agent, actor): (&Rc<Agent>, &Actor) = (write.agent, write.actor);
    agent.allow(actor, Action::ReadSession)?;
    allow::in_org(actor, Action::WriteBudgets)?;
    let PostAnswer { answer } = write.required()?;
    let Said::Extend { limit } = answer else {
        return Err(ApiError::invalid("answer", "a budget is answered by extend"));
    };
    let interaction_id = interaction_id_of(id)?;
    let answered = Command::Answer {
        interaction_id,
        answer: Said::Extend { limit },
    };
    // Settled meanwhile, or repeated: the machine says which.
    let Some(notice) = asked_budget(agent, id) else {
        return write.command(answered);
    };
    if limit <= notice.limit {
        let message = format!("the new limit must be higher than {}", notice.limit.dollars());
        return Err(ApiError::invalid("answer.limit", message));
    }
    write.note.borrow_mut().say("limit", limit.dollars());
    crate::http::check_limit(limit)?;
    write.note.borrow_mut().say("budget", &notice.budget);
    let _mine = Extending::begin(agent, &interaction_id_of(id)?, &actor.person.name)?;
    let change = ChangeBudgetCommand {
        id: notice.budget,
        limit,
        by: actor.person.clone(),
        extends: Some(agent.id()?),
    };
    let ledger = agent.config()?.ledger(&actor.org)?;
    let changed: ChangedBudget = rpc::post(&ledger, "change-budget", &change, request_id).await?;
    crate::http::tell_raise(&mut write.note.borrow_mut(), &changed);
    write.command(answered)
}

fn interaction_id_of(id: &str) -> Result<InteractionId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("question"))
}

/// While one extends a budget nobody else does by the same question: who would come second would be refused here, after
/// the ledger had already done it.
struct Extending<'a>(&'a Agent);

impl<'a> Extending<'a> {
    fn begin(agent: &'a Agent, asked: &InteractionId, by: &str) -> Result<Self, ApiError> {
        let mut extending = agent.extending.borrow_mut();
        if let Some((_, other)) = extending.as_ref().filter(|(of, _)| of == asked) {
            let message = format!("{other} is answering this already");
            return Err(ApiError::new(ErrorCode::Conflict, message));
        }
        *extending = Some((asked.clone(), by.to_owned()));
        Ok(Self(agent))
    }
}

impl Drop for Extending<'_> {
    fn drop(&mut self) {
        self.0.extending.replace(None);
    }
}

/// `GET …/usage`.
pub(super) async fn usage(agent: &Rc<Agent>, request_id: &str) -> Answer {
    let ended = turns::ended_turns(&agent.sql)?;
    let running = agent.read(|session| session.running_turn().map(|(turn, _)| turn.clone()))?;
    let first = ended.len().saturating_sub(MAX_TURNS);
    let (org, session) = agent.read(|session| (session.spec().org.clone(), session.spec().id.clone()))?;
    let command = SessionUsageCommand {
        session,
        turns: ended
            .into_iter()
            .skip(first)
            .map(|turn| turn.id)
            .chain(running)
            .collect(),
    };
    rpc::post_raw(&agent.config()?.ledger(&org)?, "session-usage", &command, request_id).await
}

impl Agent {
    /// Tells the ledger how long a sandbox was kept.
    pub(super) fn book(self: &Rc<Self>, life: SandboxLife) {
        let agent = Rc::clone(self);
        self.state.wait_until(async move {
            let generation = life.generation;
            let request_id = ids::request_id(clock::now());
            let told = agent.tell_ledger(life, &request_id).await;
            if let Err(error) = &told {
                log::warn!(request = request_id; "sandbox seconds: {}", error.source.as_ref().unwrap_or(&error.message));
            }
            agent.step_or_log(Input::Booked {
                generation,
                ok: told.is_ok(),
            });
        });
    }

    async fn tell_ledger(&self, life: SandboxLife, request_id: &str) -> Result<(), ApiError> {
        let config = self.config()?;
        let (org, payer) = self.read(|session| (session.spec().org.clone(), payer(session)))?;
        let command = SandboxCommand {
            payer,
            life,
            price: config.sandbox_price,
        };
        rpc::post(&config.ledger(&org)?, "sandbox", &command, request_id).await
    }
}
