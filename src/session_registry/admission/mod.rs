//! Admission: whether there may be one more session (`admit`), and whether one may go to work (`start`). One object decides
//! for an org, so of several requests at once no more get in than the limits allow. Who asks again for the same session is
//! let in again.
//!
//! A session that is let in to work has a slot until the index hears that it rests. Only those with a slot count against
//! one that wants to start: of two that wait, neither keeps the other waiting.
//!
//! One whose sandbox has nothing to do does not count against one that is to be made: it gives its place up when that one
//! goes to work ([`super::room`]).

pub(super) mod store;

use errand_access::{Limits, Usage};
use errand_protocol::ids::{Seq, SessionId, UserId};
use errand_protocol::time::Timestamp;
use errand_session::room::Scarce;
use errand_session::sql::{Sql, SqlError};
use serde::{Deserialize, Serialize};

/// `admit` → [`Admission`]: somebody is about to make a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdmitCommand {
    /// Which.
    pub session: SessionId,
    /// Who.
    pub owner: UserId,
    /// What is allowed, as the settings say.
    pub limits: Limits,
}

/// Answer of `admit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admission {
    /// It may be made.
    Granted,
    /// Not now: why, and what it waits for.
    Refused(String),
}

/// `start` → [`Start`]: a session wants a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartCommand {
    /// Which.
    pub session: SessionId,
    /// Whose.
    pub owner: UserId,
    /// Where its log ends: what the index hears of it from before says nothing about this start.
    pub head_seq: Seq,
    /// What is allowed, as the settings say.
    pub limits: Limits,
}

/// Answer of `start`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// It may go to work.
    Granted,
    /// Not now.
    Refused {
        /// Why, and what it waits for.
        reason: String,
        /// Whose limit it is.
        scarce: Scarce,
    },
}

/// Decides, and gives the session a slot when it is let in.
///
/// # Errors
/// When the database fails.
pub(super) fn start(sql: &impl Sql, command: &StartCommand) -> Result<Start, SqlError> {
    sql.transaction(|| {
        let (of_person, of_org) = store::others_at_work(sql, &command.session, &command.owner)?;
        let usage = Usage {
            person_concurrent: of_person,
            org_concurrent: of_org,
            ..Usage::default()
        };
        let limits = Limits {
            person_daily: None,
            org_daily: None,
            ..command.limits
        };
        if let Some(reason) = limits.refusal(usage) {
            let own = limits.person_concurrent.is_some_and(|limit| of_person >= limit);
            let scarce = if own { Scarce::Person } else { Scarce::Org };
            return Ok(Start::Refused { reason, scarce });
        }
        store::take_slot(sql, &command.session, &command.owner, command.head_seq)?;
        Ok(Start::Granted)
    })
}

/// Decides, and counts the session when it is let in.
///
/// # Errors
/// When the database fails.
pub(super) fn admit(sql: &impl Sql, command: &AdmitCommand, now: Timestamp) -> Result<Admission, SqlError> {
    sql.transaction(|| {
        if store::is_admitted(sql, &command.session, &command.owner)? {
            return Ok(Admission::Granted);
        }
        let usage = store::usage(sql, &command.owner, now)?;
        if let Some(reason) = command.limits.refusal(usage) {
            return Ok(Admission::Refused(reason));
        }
        store::note(sql, &command.session, &command.owner, now)?;
        Ok(Admission::Granted)
    })
}
