//! Telling what is open that somebody's access has changed. A role is read at each request; sockets and streams live
//! longer than a request, so whoever changes a role or ends a credential tells the person's EventBus, which knows where
//! they are connected. It is told after the database knows, and answers when every connection was judged anew.

use errand_access::CredentialId;
use errand_protocol::access::Role;
use errand_protocol::ids::{OrgId, UserId};
use serde::{Deserialize, Serialize};

use super::RequestId;
use super::error::ApiError;
use crate::config::Config;
use crate::platform::rpc;

/// What changed for one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AccessChange {
    /// What they are in an org now; [`None`] when they are no member any more.
    Role {
        /// Which org.
        org: OrgId,
        /// What they are there.
        role: Option<Role>,
    },
    /// Sign-ins and API keys that are over.
    Ended(Vec<CredentialId>),
}

/// `access-changed` to a SessionAgent → `bool`: whether the person is still connected there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccessChanged {
    /// Whose access.
    pub(crate) user: UserId,
    /// What changed.
    pub(crate) changes: Vec<AccessChange>,
}

/// Closes what the person may no longer see, wherever it is open.
///
/// # Errors
/// When their EventBus cannot be reached: the change itself stands, the caller may repeat it.
pub(super) async fn tell(
    config: &Config,
    user: &UserId,
    change: &AccessChange,
    id: &RequestId,
) -> Result<(), ApiError> {
    rpc::post(&config.event_bus(user)?, "access-changed", change, &id.0).await
}

/// Somebody is a member from now on. Had they been removed a moment ago, what they open would be closed for that otherwise.
///
/// # Errors
/// When their EventBus cannot be reached.
pub(super) async fn tell_joined(
    config: &Config,
    user: &UserId,
    org: &OrgId,
    role: Role,
    id: &RequestId,
) -> Result<(), ApiError> {
    let (org, role) = (org.clone(), Some(role));
    tell(config, user, &AccessChange::Role { org, role }, id).await
}
