//! SessionRegistry: one Durable Object per org, named by the org's id. It owns the index of the org's sessions (their
//! latest summaries and whom share links brought) and is the single writer of `D1.sessions`.
//!
//! SessionAgents `apply` their summary; out of order and repeated is fine. A change is told to the EventBus of its owner and its guests
//! when that listens, by ringing: the bus fetches what is new, so a lost or late ring loses nothing. D1 is written by
//! the alarm, at most once a second, again with back-off when it fails. It also remembers what starts of sandboxes took
//! ([`starts`]), decides whether there may be one more session ([`admission`]), and finds a place for one that waits
//! ([`room`]).
//!
//! It does not: know who may ask — the Worker does; everybody who reaches an object of this class is one of ours.

pub mod admission;
pub mod commands;
mod cursor;
pub mod room;
pub(crate) mod starts;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use errand_protocol::ids::{OrgId, SessionId, UserId};
use errand_protocol::time::Timestamp;
use futures_util::future::join_all;
use serde::Serialize;
use worker::{DurableObject, Env, Request, Response, State, durable_object, wasm_bindgen};

use self::commands::{
    AtWorkCommand, ChangedCommand, ChangesCommand, ListCommand, Listening, RecentReposCommand, SampleCommand,
    SubscribeCommand, Subscribed, TypicalCommand,
};
use self::cursor::Cursor;
use crate::config::Config;
use crate::d1;
use crate::http::error::ApiError;
use crate::platform::clock;
use crate::platform::rpc::{self, ApplyCommand};
use crate::platform::sql::DoSql;

/// Changes of so long are written to D1 together.
const COALESCE: Duration = Duration::from_secs(1);
/// The longest wait before D1 is tried again.
const MAX_BACKOFF: Duration = Duration::from_mins(1);

/// See the module.
#[durable_object(alarm)]
pub struct SessionRegistry {
    state: State,
    env: Env,
    store: Result<DoSql, ApiError>,
    /// Whose bus is being rung, and whether it must be rung again after that.
    ringing: RefCell<BTreeMap<UserId, bool>>,
    /// For which sessions a place is being looked for, and since when.
    asking: RefCell<BTreeMap<SessionId, Timestamp>>,
}

impl DurableObject for SessionRegistry {
    fn new(state: State, env: Env) -> Self {
        let sql = DoSql::new(state.storage());
        let store = store::migrate(&sql).map(|()| sql).map_err(ApiError::from);
        Self {
            state,
            env,
            store,
            ringing: RefCell::default(),
            asking: RefCell::default(),
        }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let id = rpc::request_id(&request)?;
        match self.answer(&mut request, &id).await {
            Ok(response) => Ok(response),
            Err(error) => error.into_worker_response(&id),
        }
    }

    async fn alarm(&self) -> worker::Result<Response> {
        if let Err(error) = self.project().await {
            log::error!("projection: {}", error.source.unwrap_or(error.message));
        }
        Response::empty()
    }
}

impl SessionRegistry {
    async fn answer(&self, request: &mut Request, id: &str) -> Result<Response, ApiError> {
        let sql = self.store()?;
        match request.path().as_str() {
            "/apply" => {
                let command: ApplyCommand = rpc::read_command(request).await?;
                self.apply(sql, command, id).await
            }
            "/admit" => write(&admission::admit(
                sql,
                &rpc::read_command(request).await?,
                clock::now(),
            )?),
            "/start" => write(&admission::start(sql, &rpc::read_command(request).await?)?),
            "/room" => write(&self.make_room(sql, &rpc::read_command(request).await?, id).await?),
            "/list" => list(sql, &rpc::read_command(request).await?),
            "/recent-repos" => {
                let RecentReposCommand { owner, limit } = rpc::read_command(request).await?;
                write(&store::recent_repos(sql, &owner, limit)?)
            }
            "/sample" => {
                let sample: SampleCommand = rpc::read_command(request).await?;
                if starts::tells(&sample.start) {
                    starts::store::take_in(sql, &sample)?;
                }
                write(&())
            }
            "/typical" => {
                let TypicalCommand { repo, resumed } = rpc::read_command(request).await?;
                write(&starts::typical(&starts::store::last(sql, &repo, resumed)?))
            }
            "/at-work" => {
                let AtWorkCommand { repo } = rpc::read_command(request).await?;
                write(&store::at_work(sql, &repo)?)
            }
            "/changes" => {
                let ChangesCommand { user, after } = rpc::read_command(request).await?;
                write(&store::feed::changes(sql, &user, after)?)
            }
            "/subscribe" => {
                let SubscribeCommand { user } = rpc::read_command(request).await?;
                store::feed::subscribe(sql, &user)?;
                write(&Subscribed { rev: store::rev(sql)? })
            }
            "/unsubscribe" => {
                let SubscribeCommand { user } = rpc::read_command(request).await?;
                store::feed::unsubscribe(sql, &user)?;
                write(&())
            }
            "/health" => write(&store::rev(sql)?),
            _ => Err(ApiError::not_found("command")),
        }
    }

    fn store(&self) -> Result<&DoSql, ApiError> {
        self.store.as_ref().map_err(Clone::clone)
    }

    async fn apply(&self, sql: &DoSql, command: ApplyCommand, id: &str) -> Result<Response, ApiError> {
        let applied = store::apply(sql, &command.session)?;
        if applied.changed && command.session.phase.resting() {
            admission::store::free_slot(sql, &command.session.id, command.session.head_seq)?;
        }
        if applied.changed {
            room::store::heard(sql, &command.session)?;
            let storage = self.state.storage();
            if storage.get_alarm().await?.is_none() {
                storage.set_alarm(COALESCE).await?;
            }
            let mut concerned = store::feed::set_guests(sql, &command.session.id, &command.guests)?;
            concerned.push(command.session.owner.id);
            join_all(concerned.into_iter().map(|user| self.ring(sql, user, id))).await;
        }
        write(&applied)
    }

    /// Tells a person's EventBus that there is something new, when it listens. One ring at a time per person; what
    /// changes meanwhile rings once more.
    async fn ring(&self, sql: &DoSql, user: UserId, id: &str) {
        if let Some(again) = self.ringing.borrow_mut().get_mut(&user) {
            *again = true;
            return;
        }
        loop {
            self.ringing.borrow_mut().insert(user.clone(), false);
            if let Err(error) = self.ring_once(sql, &user, id).await {
                // The next change rings again, and the bus fetches everything that it missed.
                log::warn!(request = id; "ring: {}", error.source.unwrap_or(error.message));
            }
            let again = self.ringing.borrow_mut().remove(&user);
            if again != Some(true) {
                return;
            }
        }
    }

    async fn ring_once(&self, sql: &DoSql, user: &UserId, id: &str) -> Result<(), ApiError> {
        if !store::feed::listens(sql, user)? {
            return Ok(());
        }
        let config = Config::of(&self.env)?;
        let command = ChangedCommand { org: self.org()? };
        let answer: Listening = rpc::post(&config.event_bus(user)?, "changed", &command, id).await?;
        if !answer.listening {
            store::feed::unsubscribe(sql, user)?;
        }
        Ok(())
    }

    /// Writes one batch to D1 and comes back for the next, or later when it fails.
    async fn project(&self) -> Result<(), ApiError> {
        let sql = self.store()?;
        let Some((sessions, upto)) = store::unprojected(sql, d1::sessions::BATCH)? else {
            return Ok(());
        };
        let config = Config::of(&self.env)?;
        let storage = self.state.storage();
        match d1::sessions::upsert(&config, &self.org()?, &sessions).await {
            Ok(()) => {
                store::projected(sql, upto)?;
                if store::unprojected(sql, 1)?.is_some() {
                    storage.set_alarm(COALESCE).await?;
                }
            }
            Err(error) => {
                let failures = store::projection_failed(sql)?;
                log::error!(failures = failures; "D1.sessions: {error}");
                let exponent = u32::try_from(failures.min(6)).unwrap_or(6);
                storage
                    .set_alarm((COALESCE * 2_u32.pow(exponent)).min(MAX_BACKOFF))
                    .await?;
            }
        }
        Ok(())
    }

    fn org(&self) -> Result<OrgId, ApiError> {
        let name = self.state.id().name().unwrap_or_default();
        name.parse()
            .map_err(|_| ApiError::internal(format!("a registry with the name {name:?}")))
    }
}

fn list(sql: &DoSql, command: &ListCommand) -> Result<Response, ApiError> {
    let refused = || ApiError::invalid("cursor", "this cursor is not one that a list returned");
    let after = command
        .cursor
        .as_deref()
        .map(|text| Cursor::decode(text).ok_or_else(refused))
        .transpose()?;
    let page = store::list(sql, command, after.as_ref())?.into_json();
    let response = Response::from_bytes(page.into_bytes())?;
    response.headers().set("content-type", "application/json")?;
    Ok(response)
}

fn write(answer: &impl Serialize) -> Result<Response, ApiError> {
    Ok(Response::from_json(answer)?)
}
