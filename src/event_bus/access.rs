//! What the bus does when its person's access changes: it ends their feeds, and tells every session to which they are
//! connected. Credentials that end by themselves end by the bus's alarm, its only use of it.

use std::time::Duration;

use errand_access::{Actor, CredentialId};
use errand_protocol::ids::SessionId;
use errand_protocol::time::Timestamp;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use worker::Response;

use super::listeners::Position;
use super::{Bus, store};
use crate::config::Config;
use crate::d1::auth_sessions;
use crate::http::error::ApiError;
use crate::http::revoke::{AccessChange, AccessChanged};
use crate::platform::{clock, ids, rpc};

/// `watching` → `Vec<AccessChange>`: the person is connected to this session; what changed lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchingCommand {
    /// Which.
    pub session: SessionId,
    /// With what, when that ends by itself.
    #[serde(default)]
    pub ends: Option<Ends>,
}

/// A credential that ends by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    /// Which.
    pub credential: CredentialId,
    /// When.
    pub at: Timestamp,
}

impl Ends {
    /// When this actor's credential ends, if it does.
    pub fn of(actor: &Actor) -> Option<Self> {
        let at = actor.credential.expires_at()?;
        Some(Self {
            credential: actor.credential.id(),
            at,
        })
    }
}

/// Should it not be possible to tell that a credential has ended, it is tried again after this.
const AGAIN: Duration = Duration::from_secs(10);

impl Bus {
    pub(super) async fn watching(&self, command: &WatchingCommand) -> Result<Response, ApiError> {
        let (sql, now) = (self.sql()?, clock::now());
        store::watch(sql, &command.session, now)?;
        self.note_end(command.ends.as_ref()).await?;
        Ok(Response::from_json(&store::lately(sql, now)?)?)
    }

    /// Something is open with a credential that ends by itself: sees to it that it ends with it.
    pub(super) async fn note_end(&self, ends: Option<&Ends>) -> Result<(), ApiError> {
        if let Some(Ends { credential, at }) = ends {
            store::expires(self.sql()?, credential, *at)?;
            self.wake_for_next_end().await?;
        }
        Ok(())
    }

    async fn wake_for_next_end(&self) -> Result<(), ApiError> {
        if let Some(at) = store::next_expiry(self.sql()?)? {
            let wait = u64::try_from(at.since(clock::now())).unwrap_or_default();
            self.state.storage().set_alarm(Duration::from_millis(wait)).await?;
        }
        Ok(())
    }

    /// The time of some credentials has come.
    pub(super) async fn end_expired(&self) {
        if let Err(error) = self.tell_expired().await {
            log::error!("expired credentials: {}", error.source.unwrap_or(error.message));
            if let Err(error) = self.state.storage().set_alarm(AGAIN).await {
                log::error!("alarm: {error}");
            }
        }
    }

    /// A sign-in that was used again lasts longer than it did when something was opened with it.
    async fn tell_expired(&self) -> Result<(), ApiError> {
        let (sql, now) = (self.sql()?, clock::now());
        let mut ended = store::expired(sql, now)?;
        if ended.iter().any(|id| matches!(id, CredentialId::SignIn(_))) {
            let config = Config::of(&self.env)?;
            for (id, at) in auth_sessions::lasting(&config, &self.user()?, now).await? {
                let id = CredentialId::SignIn(id);
                if ended.contains(&id) {
                    store::expires(sql, &id, at)?;
                    ended.retain(|other| *other != id);
                }
            }
        }
        if !ended.is_empty() {
            let request_id = ids::request_id(now);
            self.access_changed(AccessChange::Ended(ended), &request_id).await?;
            store::forget_expired(sql, now)?;
        }
        self.wake_for_next_end().await
    }

    /// Whether a newcomer's access ended while they were on their way.
    pub(super) fn has_ended(&self, position: &Position) -> Result<bool, ApiError> {
        let changes = store::lately(self.sql()?, clock::now())?;
        Ok(changes.iter().any(|change| concerns(change, position)))
    }

    pub(super) async fn access_changed(&self, change: AccessChange, id: &str) -> Result<Response, ApiError> {
        let (sql, now) = (self.sql()?, clock::now());
        store::note(sql, &change, now)?;
        self.listeners.end(&self.state, |position| concerns(&change, position));
        let config = Config::of(&self.env)?;
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

/// Whether a feed at this position is over by the change.
fn concerns(change: &AccessChange, position: &Position) -> bool {
    match change {
        AccessChange::Role { org, role } => role.is_none() && position.org == *org,
        AccessChange::Ended(ids) => ids.contains(&position.credential),
    }
}

/// Whether the person is still connected there.
async fn tell(config: &Config, session: &SessionId, command: &AccessChanged, id: &str) -> Result<bool, ApiError> {
    rpc::post(&config.session_agent(session)?, "access-changed", command, id).await
}
