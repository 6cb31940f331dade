//! Making room: a session waits for a place, and one that has nothing to do gives its own up. Who may be asked, and in
//! which order, is a rule (`errand_session::room`); each session that is asked decides itself, for a prompt may have come
//! to it meanwhile. Those of the org are asked first; where the host has no place left, then those of other orgs.
//!
//! Whom a session waits for is remembered: who asks again is not told to somebody else as long as that one pauses, and two
//! that wait do not wait for the same one. It is only a question: the place itself goes to whoever gets it first.

pub(super) mod store;

use errand_protocol::ids::{Seq, SessionId, UserId};
use errand_protocol::time::Timestamp;
use errand_session::room::{Room, Scarce, whom_to_ask};
use serde::{Deserialize, Serialize};

use super::SessionRegistry;
use crate::config::Config;
use crate::d1;
use crate::http::error::ApiError;
use crate::platform::clock;
use crate::platform::rpc;
use crate::platform::sql::DoSql;
use crate::session_agent::commands::MakeRoom;

/// So many idle sessions are considered at a time.
const CONSIDERED: u32 = 30;
/// A question that takes longer has lost its answer.
const QUESTION_MS: i64 = 60_000;

/// `room` → [`RoomAnswer`]: a session waits for a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomCommand {
    /// Which.
    pub session: SessionId,
    /// Whose.
    pub owner: UserId,
    /// Where its log ends: what the index hears of it from before says nothing about this wait.
    pub head_seq: Seq,
    /// Of what there is too little.
    pub scarce: Scarce,
}

/// Answer of `room`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomAnswer {
    /// A place is about to be free.
    pub coming: bool,
    /// Else: in so long somebody may be asked who cannot be asked now, milliseconds.
    pub again_ms: Option<i64>,
}

const COMING: RoomAnswer = RoomAnswer {
    coming: true,
    again_ms: None,
};

impl SessionRegistry {
    /// Finds a session that gives its place up. One question of the same session at a time.
    pub(super) async fn make_room(&self, sql: &DoSql, command: &RoomCommand, id: &str) -> Result<RoomAnswer, ApiError> {
        let now = clock::now();
        let lasts = |began: &Timestamp| now.since(*began) < QUESTION_MS;
        if self.asking.borrow().get(&command.session).is_some_and(lasts) {
            return Ok(COMING);
        }
        self.asking.borrow_mut().insert(command.session.clone(), now);
        let question = Question {
            registry: self,
            sql,
            command,
            id,
        };
        let answer = question.settle(now).await;
        self.asking.borrow_mut().remove(&command.session);
        answer
    }
}

/// Who was asked for a waiting session's sake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// It gave its place up, or has not answered.
    Session(SessionId),
    /// It did, and rests.
    Rests,
}

/// One session's question for a place.
struct Question<'a> {
    registry: &'a SessionRegistry,
    sql: &'a DoSql,
    command: &'a RoomCommand,
    id: &'a str,
}

impl Question<'_> {
    async fn settle(&self, now: Timestamp) -> Result<RoomAnswer, ApiError> {
        if let Some(asked) = store::asked(self.sql, self.command, now)? {
            let room = match asked {
                Asked::Session(asked) => self.ask(&asked, false).await?,
                Asked::Rests => Room::Resting,
            };
            match room {
                Room::Now | Room::Coming => return Ok(COMING),
                // What it held may be free by now.
                Room::Resting => {
                    store::forget(self.sql, &self.command.session)?;
                    return Ok(COMING);
                }
                Room::Watched | Room::Later { .. } | Room::Busy => {}
            }
        }
        let mut answer = self.ask_all(&store::idle(self.sql, CONSIDERED)?).await?;
        if self.command.scarce == Scarce::Host && !answer.coming {
            let config = Config::of(&self.registry.env)?;
            let others = d1::sessions::idle_elsewhere(&config, &self.registry.org()?, CONSIDERED).await?;
            let elsewhere = self.ask_all(&others).await?;
            let sooner = [answer.again_ms, elsewhere.again_ms].into_iter().flatten().min();
            answer = RoomAnswer {
                coming: elsewhere.coming,
                again_ms: sooner,
            };
        }
        Ok(answer)
    }

    /// Asks until one gives its place up: those that somebody watches after the others.
    async fn ask_all(&self, idle: &[errand_protocol::session::Session]) -> Result<RoomAnswer, ApiError> {
        let RoomCommand {
            session, owner, scarce, ..
        } = self.command;
        let mut watched = Vec::new();
        let mut again_ms: Option<i64> = None;
        for other in whom_to_ask(*scarce, session, owner, idle) {
            match self.ask(&other, false).await? {
                Room::Now | Room::Coming => return Ok(COMING),
                Room::Watched => watched.push(other),
                Room::Later { ms } => again_ms = Some(again_ms.map_or(ms, |sooner| sooner.min(ms))),
                Room::Resting | Room::Busy => {}
            }
        }
        for other in watched {
            if matches!(self.ask(&other, true).await?, Room::Now | Room::Coming) {
                return Ok(COMING);
            }
        }
        Ok(RoomAnswer {
            coming: false,
            again_ms,
        })
    }

    /// Asks one, unless it gives its place to another already; remembers it while it pauses.
    async fn ask(&self, other: &SessionId, even_watched: bool) -> Result<Room, ApiError> {
        if !store::ask(self.sql, self.command, other, clock::now())? {
            return Ok(Room::Busy);
        }
        let config = Config::of(&self.registry.env)?;
        let command = MakeRoom { even_watched };
        let asked = rpc::post(&config.session_agent(other)?, "make-room", &command, self.id).await;
        let room = asked.unwrap_or_else(|error: ApiError| {
            log::warn!(request = self.id; "room: {}", error.source.unwrap_or(error.message));
            Room::Busy
        });
        if !matches!(room, Room::Now | Room::Coming) {
            store::forget(self.sql, &self.command.session)?;
        }
        Ok(room)
    }
}
