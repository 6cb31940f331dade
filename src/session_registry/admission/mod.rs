//! Admission: whether there may be one more session (`admit`). One object decides for an org, so of several requests at
//! once no more get in than the limits allow. Who asks again for the same session is let in again.

pub(super) mod store;

use errand_access::Limits;
use errand_protocol::ids::{SessionId, UserId};
use errand_protocol::time::Timestamp;
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
