//! Places for sandboxes: asking the org's registry for one when there is none, and giving this session's own up when
//! another one waits. Whether it has one to give is the machine's to say.

use std::rc::Rc;

use errand_protocol::sandbox::SandboxError;
use errand_session::Input;
use errand_session::room::{Room, Scarce};

use super::Agent;
use super::commands::MakeRoom;
use super::reads::json;
use super::routes::Answer;
use crate::http::error::ApiError;
use crate::platform::{clock, ids, rpc};
use crate::session_registry::room::{RoomAnswer, RoomCommand};

/// When a place is about to be free, the host is asked again after this.
const SOON_MS: i64 = 1_000;

/// Another session waits for a place. Asked, looked at and decided in one stretch: nothing comes between.
pub(super) fn make(agent: &Rc<Agent>, command: &MakeRoom) -> Answer {
    if !agent.load()? {
        return json(&Room::Resting);
    }
    let watched = agent.is_watched() && !command.even_watched;
    let room = agent.read(|session| session.room(clock::now(), &agent.timings, watched))?;
    if room == Room::Now {
        let even_watched = command.even_watched;
        agent.step(Input::MakeRoom { even_watched })?;
    }
    json(&room)
}

impl Agent {
    /// There is no place: somebody who does nothing is asked for theirs. The answer is the error that says how long to
    /// wait; without the registry's answer it stays as it was.
    pub(super) async fn ask_for_room(&self, scarce: Scarce, mut error: SandboxError) -> SandboxError {
        match self.room_answer(scarce).await {
            Ok(RoomAnswer { coming: true, .. }) => {
                let why = error.message.trim_end_matches('.');
                error.message = format!("{why}. An idle session is being paused to make room.");
                error.retry_after_ms = Some(SOON_MS);
            }
            Ok(RoomAnswer { again_ms: Some(ms), .. }) => {
                let usual = error.retry_after_ms.unwrap_or(ms);
                error.retry_after_ms = Some(ms.min(usual).max(SOON_MS));
            }
            Ok(RoomAnswer { again_ms: None, .. }) => {}
            Err(error) => log::warn!("room: {}", error.source.unwrap_or(error.message)),
        }
        error
    }

    async fn room_answer(&self, scarce: Scarce) -> Result<RoomAnswer, ApiError> {
        let (org, command) = self.read(|session| {
            let spec = session.spec();
            let command = RoomCommand {
                session: spec.id.clone(),
                owner: spec.owner.id.clone(),
                head_seq: session.head_seq(),
                scarce,
            };
            (spec.org.clone(), command)
        })?;
        let request_id = ids::request_id(clock::now());
        rpc::post(&self.config()?.registry(&org)?, "room", &command, &request_id).await
    }
}
