//! Snapshots of this session's work in R2: who may read and write them, and removing those that are no longer needed.
//! The bytes go between the sandbox or the person and R2 through the Worker (`http::snapshots`), never through here.

use std::rc::Rc;

use errand_access::Action;
use errand_protocol::api::ErrorCode;
use errand_protocol::ids::SnapshotId;
use errand_session::Session;

use super::Agent;
use super::commands::{LastSnapshot, SnapshotAccess, SnapshotRef};
use super::reads::json;
use super::routes::Answer;
use crate::http::error::ApiError;
use crate::platform::blobs;

/// The sandbox of the current generation has access, also for its last save after the session has been ended.
pub(super) fn access(agent: &Rc<Agent>, command: &SnapshotAccess) -> Answer {
    agent.allow_sandbox(&command.org)?;
    if agent.read(Session::generation)? != command.generation {
        return Err(ApiError::new(
            ErrorCode::Conflict,
            "another sandbox has taken this session over",
        ));
    }
    json(&())
}

/// The last one, for a person.
pub(super) fn last(agent: &Rc<Agent>, command: &LastSnapshot) -> Answer {
    agent.allow(&command.actor, Action::DownloadWork)?;
    let id = agent.read(|session| session.snapshot().map(|snapshot| snapshot.id.clone()))?;
    json(&SnapshotRef {
        id: id.ok_or_else(|| ApiError::not_found("snapshot yet"))?,
    })
}

impl Agent {
    /// Removes a snapshot in the background. One that cannot be removed is left behind.
    pub(super) fn drop_snapshot(self: &Rc<Self>, id: &SnapshotId) {
        let Ok(key) = self.snapshot_key(id) else { return };
        let agent = Rc::clone(self);
        self.state.wait_until(async move {
            if let Err(error) = agent.remove(&key).await {
                log::error!("{key}: {}", error.source.unwrap_or(error.message));
            }
        });
    }

    async fn remove(&self, key: &str) -> Result<(), ApiError> {
        Ok(self.config()?.files()?.delete(key).await?)
    }

    /// Where a snapshot of this session is.
    pub(super) fn snapshot_key(&self, id: &SnapshotId) -> Result<String, ApiError> {
        self.read(|session| {
            let spec = session.spec();
            blobs::snapshot_key(&spec.org, &spec.id, id)
        })
    }
}
