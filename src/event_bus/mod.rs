//! EventBus: one Durable Object per person, named by the user's id. It owns the person's live feed: their tabs and
//! scripts listen by WebSocket (hibernating) or SSE, and hear of every change among their sessions.
//!
//! It also knows to which sessions the person is connected, so that what they may no longer see ends at once ([`access`]);
//! that is all it stores. Its alarm is for API keys that end by themselves while something is open. And it counts what the person's API keys ask ([`rate`]). Each listener has its position in the registry's count of changes; the registry rings
//! (`changed`), the bus fetches what is after the listener that is furthest behind, and gives each what it lacks. So a
//! listener that resumes with a position needs no special care, and a lost ring loses nothing. The registry rings
//! only while somebody listens: the bus subscribes for each newcomer and unsubscribes after the last one.

mod access;
mod listeners;
pub(crate) mod rate;
mod sse;
mod store;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use errand_access::Actor;
use errand_protocol::bus::BusFrame;
use errand_protocol::close::CloseCode;
use errand_protocol::ids::{OrgId, UserId};
use serde::Serialize;
use worker::{
    DurableObject, Env, Request, Response, State, WebSocket, WebSocketIncomingMessage, WebSocketPair,
    WebSocketRequestResponsePair, durable_object, wasm_bindgen,
};

pub use self::access::{Ends, WatchingCommand};
use self::listeners::{Listeners, Position};
use self::rate::{Buckets, SpendCommand};
use crate::config::Config;
use crate::http::error::ApiError;
use crate::platform::sql::DoSql;
use crate::platform::{clock, rpc};
use crate::session_registry::commands::{
    Change, ChangePage, ChangedCommand, ChangesCommand, Listening, SubscribeCommand, Subscribed,
};

/// Listeners of one person at a time: tabs, devices, scripts.
const MAX_LISTENERS: usize = 100;
/// Who finds no place looks again after so many seconds.
const LOOK_AGAIN: u64 = 30;

/// See the module.
#[durable_object]
pub struct EventBus {
    bus: Rc<Bus>,
}

/// What outlives one call: handlers and the work that goes on after their answer share it.
struct Bus {
    state: State,
    env: Env,
    sql: Result<DoSql, ApiError>,
    /// What the person's API keys may still ask.
    buckets: RefCell<Buckets>,
    listeners: Listeners,
    /// Orgs whose changes are being fetched, and whether to fetch once more after that.
    fetching: RefCell<BTreeMap<OrgId, bool>>,
}

impl DurableObject for EventBus {
    fn new(state: State, env: Env) -> Self {
        // It fails only for texts that are too long.
        if let Ok(pair) = WebSocketRequestResponsePair::new("ping", "pong") {
            state.set_websocket_auto_response(&pair);
        }
        let sql = DoSql::new(state.storage());
        let sql = store::migrate(&sql).map(|()| sql).map_err(ApiError::from);
        let bus = Bus {
            state,
            env,
            sql,
            buckets: RefCell::default(),
            listeners: Listeners::default(),
            fetching: RefCell::default(),
        };
        Self { bus: Rc::new(bus) }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let id = rpc::request_id(&request)?;
        match self.answer(&mut request, &id).await {
            Ok(response) => Ok(response),
            Err(error) => error.into_worker_response(&id),
        }
    }

    async fn alarm(&self) -> worker::Result<Response> {
        self.bus.end_expired().await;
        Response::empty()
    }

    async fn websocket_message(&self, socket: WebSocket, _: WebSocketIncomingMessage) -> worker::Result<()> {
        // `ping` is answered by the platform; there is nothing else to say here.
        socket.close(Some(CloseCode::BadFrame.code()), Some("this feed takes no messages"))
    }

    async fn websocket_close(&self, socket: WebSocket, code: usize, _: String, _: bool) -> worker::Result<()> {
        let left = listeners::position_of(&socket);
        // An answer is owed in every case; codes that only describe a lost connection cannot be sent.
        let sendable = u16::try_from(code)
            .ok()
            .filter(|code| !matches!(code, 1005 | 1006 | 1015));
        // The other side may be gone already.
        let _ = socket.close(Some(sendable.unwrap_or(1000)), Some(""));
        if let Some(position) = left {
            self.bus.listener_left(&position.org, Some(&socket)).await;
        }
        Ok(())
    }

    async fn websocket_error(&self, _: WebSocket, _: worker::Error) -> worker::Result<()> {
        // The close that follows does the rest.
        Ok(())
    }
}

impl EventBus {
    async fn answer(&self, request: &mut Request, id: &str) -> Result<Response, ApiError> {
        match request.path().as_str() {
            "/changed" => self.changed(rpc::read_command(request).await?),
            "/watching" => self.bus.watching(&rpc::read_command(request).await?).await,
            "/spend" => {
                let SpendCommand { key } = rpc::read_command(request).await?;
                let allowance = self.bus.buckets.borrow_mut().spend(&key, clock::now());
                Ok(Response::from_json(&allowance)?)
            }
            "/access-changed" => self.bus.access_changed(rpc::read_command(request).await?, id).await,
            "/api/events/ws" => self.listen_by_socket(request, id).await,
            "/api/events" => self.listen_by_sse(request, id).await,
            _ => Err(ApiError::not_found("address")),
        }
    }

    /// The registry rings. It is answered at once; fetching goes on after that.
    fn changed(&self, command: ChangedCommand) -> Result<Response, ApiError> {
        let listening = self.bus.listeners.any(&self.bus.state, &command.org, None);
        if listening {
            let bus = Rc::clone(&self.bus);
            self.bus
                .state
                .wait_until(async move { bus.deliver(&command.org).await });
        }
        Ok(Response::from_json(&Listening { listening })?)
    }

    async fn listen_by_socket(&self, request: &Request, id: &str) -> Result<Response, ApiError> {
        let upgrade = request.headers().get("upgrade")?.unwrap_or_default();
        if !upgrade.eq_ignore_ascii_case("websocket") {
            return Err(ApiError::bad_request("this address takes only WebSocket connections"));
        }
        let start = self.bus.start(request, id).await?;
        let pair = WebSocketPair::new()?;
        self.bus.state.accept_web_socket(&pair.server);
        pair.server.serialize_attachment(&start.position)?;
        if let Some(hello) = &start.hello {
            pair.server.send_with_str(hello)?;
        }
        self.bus.deliver(&start.position.org).await;
        Ok(Response::from_websocket(pair.client)?)
    }

    async fn listen_by_sse(&self, request: &Request, id: &str) -> Result<Response, ApiError> {
        let start = self.bus.start(request, id).await?;
        let org = start.position.org.clone();
        let stream = self.bus.listeners.add_stream(start.position, start.hello);
        let bus = Rc::clone(&self.bus);
        let left = org.clone();
        let response = sse::response(stream, move || {
            worker::wasm_bindgen_futures::spawn_local(async move { bus.listener_left(&left, None).await });
        })?;
        self.bus.deliver(&org).await;
        Ok(response)
    }
}

/// Where a newcomer begins, and what it is told first.
struct Start {
    position: Position,
    hello: Option<String>,
}

impl Bus {
    /// Subscribes at the registry and finds the newcomer's position: its own, or the present one with a `hello`. A
    /// position that the registry has not reached yet is not one of ours, and counts as none.
    async fn start(&self, request: &Request, id: &str) -> Result<Start, ApiError> {
        if self.listeners.count(&self.state) >= MAX_LISTENERS {
            let message = format!("at most {MAX_LISTENERS} listeners at a time");
            return Err(ApiError::limited(message, LOOK_AGAIN));
        }
        let actor = request.headers().get(rpc::ACTOR)?.unwrap_or_default();
        let actor: Actor = serde_json::from_str(&actor)?;
        let after = resume_from(request)?;
        self.note_end(Ends::of(&actor).as_ref()).await?;
        let user = actor.person.id;
        let Subscribed { rev } = self
            .ask(&actor.org, "subscribe", &SubscribeCommand { user }, id)
            .await?;
        let resumed = after.filter(|after| *after <= rev);
        let hello = match resumed {
            Some(_) => None,
            None => Some(serde_json::to_string(&BusFrame::Hello { rev })?),
        };
        let position = Position {
            org: actor.org,
            rev: resumed.unwrap_or(rev),
            credential: actor.credential.id(),
        };
        // Nothing awaits from here until the newcomer is among the listeners, which later changes end.
        if self.has_ended(&position)? {
            return Err(ApiError::unauthenticated());
        }
        Ok(Start { position, hello })
    }

    /// Brings every listener of the org up to date. Runs once at a time per org; what is asked meanwhile runs after.
    async fn deliver(&self, org: &OrgId) {
        if let Some(again) = self.fetching.borrow_mut().get_mut(org) {
            *again = true;
            return;
        }
        loop {
            self.fetching.borrow_mut().insert(org.clone(), false);
            if let Err(error) = self.deliver_once(org).await {
                // Listeners keep their positions: the next ring makes up for it.
                log::warn!("feed: {}", error.source.unwrap_or(error.message));
            }
            if self.fetching.borrow_mut().remove(org) != Some(true) {
                return;
            }
        }
    }

    async fn deliver_once(&self, org: &OrgId) -> Result<(), ApiError> {
        let user = self.user()?;
        while let Some(after) = self.listeners.furthest_behind(&self.state, org) {
            let command = ChangesCommand {
                user: user.clone(),
                after,
            };
            let page: ChangePage = self.ask(org, "changes", &command, "feed").await?;
            let more = page.more;
            let upto = page.upto;
            let frames = frames(page)?;
            self.listeners.send(&self.state, org, &frames, upto);
            if !more {
                break;
            }
        }
        Ok(())
    }

    /// After the last listener of an org: no more rings. Should somebody have come meanwhile, they are subscribed again.
    async fn listener_left(&self, org: &OrgId, closing: Option<&WebSocket>) {
        if self.listeners.any(&self.state, org, closing) {
            return;
        }
        if let Err(error) = self.unsubscribe(org, closing).await {
            // The registry's next ring is answered with "nobody listens", which ends it too.
            log::warn!("unsubscribe: {}", error.source.unwrap_or(error.message));
        }
    }

    async fn unsubscribe(&self, org: &OrgId, closing: Option<&WebSocket>) -> Result<(), ApiError> {
        let command = SubscribeCommand { user: self.user()? };
        let () = self.ask(org, "unsubscribe", &command, "feed").await?;
        if self.listeners.any(&self.state, org, closing) {
            let _: Subscribed = self.ask(org, "subscribe", &command, "feed").await?;
            self.deliver(org).await;
        }
        Ok(())
    }

    async fn ask<B: Serialize, R: serde::de::DeserializeOwned>(
        &self,
        org: &OrgId,
        command: &str,
        body: &B,
        id: &str,
    ) -> Result<R, ApiError> {
        let config = Config::of(&self.env)?;
        rpc::post(&config.registry(org)?, command, body, id).await
    }

    fn sql(&self) -> Result<&DoSql, ApiError> {
        self.sql.as_ref().map_err(Clone::clone)
    }

    fn user(&self) -> Result<UserId, ApiError> {
        let name = self.state.id().name().unwrap_or_default();
        name.parse()
            .map_err(|_| ApiError::internal(format!("a bus with the name {name:?}")))
    }
}

/// `?after=` or `Last-Event-ID`, when it is a position; the latter wins, as a browser sends it when it reconnects to
/// the same address.
fn resume_from(request: &Request) -> Result<Option<u64>, ApiError> {
    let header = request.headers().get("last-event-id")?.filter(|id| !id.is_empty());
    let query = request
        .url()?
        .query_pairs()
        .find(|(name, _)| name == "after")
        .map(|(_, value)| value.into_owned());
    match header.or(query) {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(position) => Ok(Some(position)),
            Err(_) => Err(ApiError::bad_request("after must be a whole number")),
        },
    }
}

fn frames(page: ChangePage) -> Result<Vec<(u64, String)>, ApiError> {
    page.changes
        .into_iter()
        .map(|(rev, change)| {
            let frame = match change {
                Change::Session(session) => BusFrame::Session { rev, session: *session },
                Change::Removed(session_id) => BusFrame::Removed { rev, session_id },
            };
            Ok((rev, serde_json::to_string(&frame)?))
        })
        .collect()
}
