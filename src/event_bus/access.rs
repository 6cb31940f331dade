//! What the bus does when its person's access changes: it ends their feeds, and tells every session to which they are
//! connected.

use errand_protocol::ids::SessionId;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use worker::Response;

use super::{Bus, store};
use crate::config::Config;
use crate::http::error::ApiError;
use crate::http::revoke::{AccessChange, AccessChanged};
use crate::platform::{clock, rpc};

/// `watching` → `Vec<AccessChange>`: the person is connected to this session; what changed lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchingCommand {
    /// Which.
    pub session: SessionId,
}

impl Bus {
    pub(super) fn watching(&self, command: &WatchingCommand) -> Result<Response, ApiError> {
        let (sql, now) = (self.sql()?, clock::now());
        store::watch(sql, &command.session, now)?;
        Ok(Response::from_json(&store::lately(sql, now)?)?)
    }

    pub(super) async fn access_changed(&self, change: AccessChange, id: &str) -> Result<Response, ApiError> {
        let (sql, now) = (self.sql()?, clock::now());
        store::note(sql, &change, now)?;
        self.listeners.end(&self.state, |position| match &change {
            AccessChange::Role { org, role } => role.is_none() && position.org == *org,
            AccessChange::Ended(ids) => ids.contains(&position.credential),
        });
        let config = Config::from_env(&self.env)?;
        let command = AccessChanged {
            user: self.user()?,
            changes: vec![change],
        };
        let sessions = store::watching(sql)?;
        let told = sessions.iter().map(|session| tell(&config, session, &command, id));
        for (session, connected) in sessions.iter().zip(join_all(told).await) {
            if !connected? {
                store::unwatch(sql, session, now)?;
            }
        }
        Ok(Response::from_json(&())?)
    }
}

/// Whether the person is still connected there.
async fn tell(config: &Config, session: &SessionId, command: &AccessChanged, id: &str) -> Result<bool, ApiError> {
    rpc::post(&config.session_agent(session)?, "access-changed", command, id).await
}
