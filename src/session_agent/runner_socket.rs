//! The runner's WebSocket: accepting, reading frames, sending frames, tokens.

use std::rc::Rc;

use errand_protocol::close::CloseCode;
use errand_protocol::git::GitSetup;
use errand_protocol::ids::{ConnId, Generation};
use errand_protocol::limits::MAX_RUNNER_FRAME_BYTES;
use errand_protocol::runner::{AgentFrame, RunnerFrame, RunnerSetup, SandboxToken};
use errand_protocol::text::ModelId;
use errand_session::{Input, Spec};
use serde::{Deserialize, Serialize};
use worker::{Request, Response, WebSocket, WebSocketIncomingMessage, WebSocketPair};

use super::{Agent, Peer};
use crate::config::Config;
use crate::http::error::ApiError;
use crate::http::git;
use crate::models::{self, Usable};
use crate::platform::rpc::{self, SandboxCaller};
use crate::platform::{clock, ids, sandbox_token, sockets};

/// Tag of runners' sockets.
const RUNNER: &str = "runner";
/// How long a sandbox token is good for; the runner asks for a new one before it ends.
pub(super) const TOKEN_TTL_MS: i64 = 60 * 60 * 1000;

/// A runner's connection, as its socket carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RunnerPeer {
    /// Which.
    pub(super) conn: ConnId,
    /// Of the token that it dialled with.
    generation: Generation,
    /// Whether the machine has welcomed it.
    welcomed: bool,
}

/// The socket whose messages come often.
pub(super) struct Cached {
    ws: WebSocket,
    conn: ConnId,
    generation: Generation,
}

impl Agent {
    /// `GET /runner/:id`; the Worker has verified the token.
    pub(super) async fn accept_runner(self: &Rc<Self>, request: &Request) -> Result<Response, ApiError> {
        let caller = request.headers().get(rpc::RUNNER)?;
        let caller = caller.ok_or_else(|| ApiError::internal("no sandbox from the Worker"))?;
        let SandboxCaller { org, generation } = serde_json::from_str(&caller)?;
        self.allow_sandbox(&org)?;
        sockets::require_upgrade(request)?;
        // Its welcome tells it of them, and is said without waiting for anything. A runner that comes back has heard of them.
        match self.usable_models().await {
            Ok(usable) => drop(self.models.replace(Some(usable))),
            Err(error) if self.models.borrow().is_none() => return Err(error),
            Err(error) => log::warn!("models: {}", error.source.unwrap_or(error.message)),
        }
        let pair = WebSocketPair::new()?;
        self.state.accept_websocket_with_tags(&pair.server, &[RUNNER]);
        let conn = ids::mint(clock::now());
        let peer = RunnerPeer {
            conn,
            generation,
            welcomed: false,
        };
        pair.server.serialize_attachment(Peer::Runner(peer))?;
        Ok(Response::from_websocket(pair.client)?)
    }

    /// The connection of a socket that is known to be the runner's.
    pub(super) fn cached_runner(&self, ws: &WebSocket) -> Option<ConnId> {
        let cached = self.runner.borrow();
        cached
            .as_ref()
            .filter(|cached| sockets::same(&cached.ws, ws))
            .map(|cached| cached.conn.clone())
    }

    /// From now on [`Self::cached_runner`] knows this socket.
    pub(super) fn remember_runner(&self, ws: &WebSocket, peer: &RunnerPeer) {
        let cached = Cached {
            ws: ws.clone(),
            conn: peer.conn.clone(),
            generation: peer.generation,
        };
        self.runner.replace(Some(cached));
    }

    pub(super) fn runner_message(self: &Rc<Self>, ws: &WebSocket, conn: &ConnId, message: WebSocketIncomingMessage) {
        let WebSocketIncomingMessage::String(text) = message else {
            return sockets::close(ws, CloseCode::BadFrame);
        };
        if text.len() > MAX_RUNNER_FRAME_BYTES {
            return sockets::close(ws, CloseCode::TooLarge);
        }
        let frame = match read_frame(&text) {
            Ok(frame) => frame,
            Err(error) => {
                log::warn!(session = self.state.id().name().unwrap_or_default(); "a runner's frame: {error}");
                return sockets::close(ws, CloseCode::BadFrame);
            }
        };
        if let RunnerFrame::Hello { generation, .. } = &frame
            && self
                .runner
                .borrow()
                .as_ref()
                .is_none_or(|cached| cached.generation != *generation)
        {
            return sockets::close(ws, CloseCode::BadFrame);
        }
        match self.load() {
            Ok(true) => self.step_or_log(Input::Runner {
                conn: conn.clone(),
                frame,
            }),
            Ok(false) => sockets::close(ws, CloseCode::NotFound),
            Err(error) => {
                log::error!("loading: {}", error.source.unwrap_or(error.message));
                sockets::close(ws, CloseCode::Internal);
            }
        }
    }

    pub(super) fn runner_closed(self: &Rc<Self>, peer: &RunnerPeer) {
        self.runner.borrow_mut().take_if(|cached| cached.conn == peer.conn);
        self.step_or_log(Input::RunnerGone {
            conn: peer.conn.clone(),
        });
    }

    /// After the object was woken: the connection that the machine had welcomed, if it is still there.
    pub(super) fn find_runner(&self) -> Option<ConnId> {
        // Others may be left that were replaced and have not closed yet.
        let conn = self.session.borrow().as_ref()?.known_runner()?.clone();
        let (ws, peer) = self.runner_by_conn(&conn).filter(|(_, peer)| peer.welcomed)?;
        self.remember_runner(&ws, &peer);
        Some(conn)
    }

    fn runner_by_conn(&self, conn: &ConnId) -> Option<(WebSocket, RunnerPeer)> {
        self.state
            .get_websockets_with_tag(RUNNER)
            .into_iter()
            .find_map(|ws| match sockets::attachment::<Peer>(&ws) {
                Some(Peer::Runner(peer)) if peer.conn == *conn => Some((ws, peer)),
                Some(_) | None => None,
            })
    }

    /// The welcomed runner's socket.
    pub(super) fn runner_ws(&self) -> Option<WebSocket> {
        let conn = self.session.borrow().as_ref()?.runner()?.clone();
        if let Some(cached) = self.runner.borrow().as_ref().filter(|cached| cached.conn == conn) {
            return Some(cached.ws.clone());
        }
        let (ws, peer) = self.runner_by_conn(&conn)?;
        self.remember_runner(&ws, &peer);
        Some(ws)
    }

    /// Sends a frame to the runner that is connected, or to the one that was until this step.
    pub(super) fn to_runner(&self, frame: &AgentFrame, leaving: Option<&ConnId>) {
        let left = || leaving.and_then(|conn| self.runner_by_conn(conn)).map(|(ws, _)| ws);
        if let Some(ws) = self.runner_ws().or_else(left) {
            sockets::send(&ws, frame);
        }
    }

    pub(super) fn welcome(&self, conn: &ConnId, generation: Generation, acked: u64) {
        let Some((ws, mut peer)) = self.runner_by_conn(conn) else {
            return;
        };
        peer.welcomed = true;
        self.remember_runner(&ws, &peer);
        if ws.serialize_attachment(Peer::Runner(peer)).is_err() {
            return sockets::close(&ws, CloseCode::Internal);
        }
        let (Ok(setup), Ok(token)) = (self.setup(), self.token(generation)) else {
            return sockets::close(&ws, CloseCode::Internal);
        };
        let protocol = errand_protocol::PROTOCOL_VERSION;
        sockets::send(
            &ws,
            &AgentFrame::Welcome {
                protocol,
                acked,
                setup,
                token,
            },
        );
    }

    pub(super) fn grant_token(&self, conn: &ConnId, generation: Generation) {
        if let (Some((ws, _)), Ok(token)) = (self.runner_by_conn(conn), self.token(generation)) {
            sockets::send(&ws, &AgentFrame::Token { token });
        }
    }

    pub(super) fn close_runner(&self, conn: &ConnId, code: CloseCode) {
        self.runner.borrow_mut().take_if(|cached| cached.conn == *conn);
        if let Some((ws, _)) = self.runner_by_conn(conn) {
            sockets::close(&ws, code);
        }
    }

    /// What came from the runner could not be stored. On a new connection it sends all of it again; on this one it would
    /// only wait for an ack.
    pub(super) fn hang_up(&self) {
        self.runner.take();
        for ws in self.state.get_websockets_with_tag(RUNNER) {
            if let Some(Peer::Runner(mut peer)) = sockets::attachment::<Peer>(&ws) {
                // What still comes on it is nobody's.
                peer.welcomed = false;
                let _ = ws.serialize_attachment(Peer::Runner(peer));
            }
            sockets::close(&ws, CloseCode::Internal);
        }
    }

    pub(super) fn token(&self, generation: Generation) -> Result<SandboxToken, ApiError> {
        let config: &Config = self.config()?;
        self.read(|session| {
            let spec = session.spec();
            let now = clock::now();
            sandbox_token::mint_sandbox_token(config, &spec.id, &spec.org, generation, now, TOKEN_TTL_MS)
        })
    }

    /// What the session's owner can use.
    pub(super) async fn usable_models(&self) -> Result<Rc<Usable>, ApiError> {
        let (org, owner) = self.read(|session| (session.spec().org.clone(), session.spec().owner.id.clone()))?;
        models::usable(self.config()?, &org, &owner).await
    }

    /// The session must be able to use this model.
    pub(super) async fn require_usable(&self, model: &ModelId) -> Result<(), ApiError> {
        self.usable_models().await?.open(self.config()?, model).map(drop)
    }

    fn setup(&self) -> Result<RunnerSetup, ApiError> {
        let config = self.config()?;
        let usable = self.models.borrow().clone();
        let usable = usable.ok_or_else(|| ApiError::internal("a runner was welcomed that did not dial"))?;
        self.read(|session| {
            let spec = session.spec();
            RunnerSetup {
                session_id: spec.id.clone(),
                repo: spec.repo.clone(),
                model: spec.model.clone(),
                providers: usable.setups(config, &spec.model),
                author: spec.author(),
                git: Some(git_setup(config, spec)),
                title: session.chosen_title().map(ToString::to_string),
                permissions: config.permissions.clone(),
                snapshot: session.snapshot_source(),
            }
        })
    }
}

/// The committer is the app; the repository is reached through the git proxy when that knows its host.
fn git_setup(config: &Config, spec: &Spec) -> GitSetup {
    let proxy = spec.repo.as_ref();
    GitSetup {
        committer: config.committer.clone(),
        co_author: spec.co_author,
        proxy: proxy.and_then(|repo| git::proxy_of(config, &spec.id, &repo.url)),
    }
}

/// A frame. Nearly all of them are deltas: those are read without looking for the type first, which would cost a copy
/// of everything.
fn read_frame(text: &str) -> serde_json::Result<RunnerFrame> {
    if text.starts_with(r#"{"type":"delta","#) {
        return serde_json::from_str(text).map(RunnerFrame::Delta);
    }
    serde_json::from_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_reads_what_the_long_way_reads() {
        let delta = r#"{"type":"delta","partId":"prt_1","offset":3,"text":"a\nb"}"#;
        assert_eq!(read_frame(delta).unwrap(), serde_json::from_str(delta).unwrap());
        assert_eq!(read_frame(r#"{"type":"flush"}"#).unwrap(), RunnerFrame::Flush {});
        assert!(read_frame(r#"{"type":"delta","partId":7}"#).is_err());
    }
}
