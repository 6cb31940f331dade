//! SessionAgent: the Durable Object that is one session (object name = session id). The shell around
//! [`errand_session::Session`]: it decodes what happens, lets the machine decide, and carries its effects out.
//!
//! Owns: the object's life (loading, waking, the one alarm), sockets of viewers and of the runner, answers to HTTP.
//! Does not: decide anything about a session. No `match` on a phase stands in this folder.
//!
//! **Invariant:** a step (handle, store, deliver) is one synchronous stretch: no await while the session is borrowed,
//! so steps never interleave. Frames are handed to the sockets after the transaction; the platform's output gate holds
//! them back until it is durable.
//!
//! **Invariant:** an id that was never created leaves no trace in storage; that of a fork which was begun and never made
//! leaves none after an hour.

mod access;
pub mod commands;
mod create;
mod drive;
mod fan_out;
mod fork;
mod forked;
mod git;
mod llm;
mod pacer;
mod policy;
mod reads;
mod remote;
mod revocation;
mod room;
mod routes;
mod runner_socket;
mod shares;
mod snapshots;
mod sse;
mod viewer_socket;
mod writes;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use errand_protocol::ids::{InteractionId, SessionId};
use errand_session::{Session, Timings};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::{
    DurableObject, Env, Request, Response, Result, State, WebSocket, WebSocketIncomingMessage, durable_object,
};

use crate::config::Config;
use crate::http::error::ApiError;
use crate::models::Usable;
use crate::platform::signal::Signal;
use crate::platform::sql::DoSql;
use crate::platform::{ids, rpc, sockets};

/// One session's object.
#[durable_object(alarm)]
pub struct SessionAgent {
    agent: Rc<Agent>,
}

/// What the object holds. Everything but `session` is a cache or a handle.
struct Agent {
    state: State,
    config: std::result::Result<Arc<Config>, ApiError>,
    timings: Timings,
    sql: DoSql,
    /// Loaded on first use; dropped when storing failed, so that memory never runs ahead of the disk.
    session: RefCell<Option<Session>>,
    /// When the alarm is set, milliseconds since 1970.
    alarm: Cell<Option<i64>>,
    fan_out: fan_out::FanOut,
    /// What the owner can use, as it was when a runner dialled last.
    models: RefCell<Option<Rc<Usable>>>,
    /// The runner's socket, to recognise its messages without asking the platform each time.
    runner: RefCell<Option<runner_socket::Cached>>,
    /// Who reads the log as a stream.
    readers: sse::Listeners,
    streams: RefCell<Vec<revocation::Stream>>,
    /// Forks that wait for something to be logged.
    events: sse::Listeners,
    /// The question about a budget that somebody is answering right now, and who.
    extending: RefCell<Option<(InteractionId, String)>>,
    /// Who waits for the registry's next answer.
    told: RefCell<Option<Signal>>,
}

impl DurableObject for SessionAgent {
    fn new(state: State, env: Env) -> Self {
        sockets::answer_pings(&state);
        let config = Config::of(&env).map_err(ApiError::from);
        let timings = config
            .as_ref()
            .ok()
            .and_then(|config| config.timings.clone())
            .and_then(|json| serde_json::from_value(json).ok())
            .unwrap_or_default();
        let sql = DoSql::new(state.storage());
        let agent = Agent {
            state,
            config,
            timings,
            sql,
            session: RefCell::new(None),
            alarm: Cell::new(None),
            fan_out: fan_out::FanOut::default(),
            models: RefCell::new(None),
            runner: RefCell::new(None),
            readers: sse::Listeners::default(),
            streams: RefCell::default(),
            events: sse::Listeners::default(),
            extending: RefCell::new(None),
            told: RefCell::new(None),
        };
        Self { agent: Rc::new(agent) }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        let request_id = request
            .headers()
            .get(rpc::REQUEST_ID)?
            .unwrap_or_else(|| ids::request_id(crate::platform::clock::now()));
        match routes::serve(&self.agent, request).await {
            Ok(response) => Ok(response),
            Err(error) => error.into_worker_response(&request_id),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        self.agent.alarm_fired();
        Response::empty()
    }
}

/// What the platform calls for sockets. Not the trait's asynchronous functions: a step is synchronous, and a promise,
/// a task and a turn of the microtask queue per message cost as much as the step itself.
#[wasm_bindgen]
impl SessionAgent {
    /// A message.
    #[wasm_bindgen(js_name = webSocketMessage)]
    pub fn on_message(&self, ws: worker::web_sys::WebSocket, message: &JsValue) {
        let message = message.as_string().map_or_else(
            || WebSocketIncomingMessage::Binary(worker::js_sys::Uint8Array::new(message).to_vec()),
            WebSocketIncomingMessage::String,
        );
        self.agent.message(&ws.into(), message);
    }

    /// The other end closed, or is gone.
    #[wasm_bindgen(js_name = webSocketClose)]
    pub fn on_close(&self, ws: worker::web_sys::WebSocket, code: usize, reason: &str) {
        let ws = ws.into();
        self.agent.closed(&ws);
        sockets::finish_close(&ws, code, reason);
    }

    /// The connection broke.
    #[wasm_bindgen(js_name = webSocketError)]
    pub fn on_error(&self, ws: worker::web_sys::WebSocket) {
        self.agent.closed(&ws.into());
    }
}

impl Agent {
    fn config(&self) -> std::result::Result<&Config, ApiError> {
        self.config.as_deref().map_err(Clone::clone)
    }

    /// The object's name is the session's id.
    fn id(&self) -> std::result::Result<SessionId, ApiError> {
        let name = self.state.id().name().unwrap_or_default();
        name.parse().map_err(|_| ApiError::not_found("session"))
    }

    /// One message of either kind of socket.
    fn message(self: &Rc<Self>, ws: &WebSocket, message: WebSocketIncomingMessage) {
        if let Some(conn) = self.cached_runner(ws) {
            return self.runner_message(ws, &conn, message);
        }
        match sockets::attachment::<Peer>(ws) {
            Some(Peer::Runner(peer)) => {
                self.remember_runner(ws, &peer);
                self.runner_message(ws, &peer.conn, message);
            }
            Some(Peer::Viewer(viewer)) => self.viewer_message(ws, &viewer, message),
            None => sockets::close(ws, errand_protocol::close::CloseCode::Internal),
        }
    }

    fn closed(self: &Rc<Self>, ws: &WebSocket) {
        match sockets::attachment::<Peer>(ws) {
            Some(Peer::Runner(peer)) => self.runner_closed(&peer),
            Some(Peer::Viewer(viewer)) => self.viewer_left(&viewer.conn),
            None => {}
        }
    }
}

/// What a socket carries through hibernation.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
enum Peer {
    Runner(runner_socket::RunnerPeer),
    Viewer(viewer_socket::Viewer),
}
