//! Viewers' WebSockets: attaching at a position, commands, presence.

use std::rc::Rc;

use errand_access::{Action, Actor};
use errand_protocol::accounts::AuditEntry;
use errand_protocol::close::CloseCode;
use errand_protocol::ids::{CommandId, ConnId, Seq};
use errand_protocol::interaction::Answer;
use errand_protocol::limits::{FIRST_PAGE, MAX_CLIENT_FRAME_BYTES, MAX_EVENT_PAGE};
use errand_protocol::viewer::{ClientFrame, Command, SEEN, ServerFrame};
use errand_session::{Input, store};
use serde::{Deserialize, Serialize};
use serde_json::json;
use worker::{Request, Response, WebSocket, WebSocketIncomingMessage, WebSocketPair};

use super::{Agent, Peer};
use crate::http::audit::Note;
use crate::http::error::ApiError;
use crate::http::json::parse_json;
use crate::http::{audit, auth};
use crate::platform::{clock, ids, sockets};

/// Events per frame of the page after `hello`: keeps a frame well under the socket's limit.
const EVENTS_PER_FRAME: usize = 100;

/// Somebody stops watching at any moment: who finds no place looks again after so many seconds.
const LOOK_AGAIN: u64 = 30;

/// A viewer, as its socket carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Viewer {
    pub(super) conn: ConnId,
    /// Who looks, and what they were when they came.
    pub(super) actor: Actor,
    /// From where they came, for the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
    /// Their access is over, and the connection lasts until the other end is gone: nothing that comes counts.
    #[serde(default)]
    pub(super) over: bool,
}

impl Agent {
    /// `GET /api/sessions/:id/ws?after=SEQ`. From the snapshot to the registration of the socket nothing awaits, so
    /// that no event falls between.
    pub(super) fn accept_viewer(self: &Rc<Self>, request: &Request, actor: &Actor) -> Result<Response, ApiError> {
        sockets::require_upgrade(request)?;
        if !self.has_room_for(&actor.person) {
            return Err(ApiError::limited(
                "too many people are watching this session",
                LOOK_AGAIN,
            ));
        }
        let after = super::reads::query_seq(request, "after")?;
        if !self.is_watched() {
            self.step(Input::Watched)?;
        }
        self.flush_viewers();
        let head = self.head();
        let events = match after {
            Some(after) if after <= head && head.0 - after.0 <= u64::from(MAX_EVENT_PAGE) => {
                store::events_after(&self.sql, after, MAX_EVENT_PAGE)?
            }
            Some(_) | None => store::events_before(&self.sql, head.next(), FIRST_PAGE)?,
        };
        let first_seq = events.first().map_or_else(|| head.next(), |event| event.seq);
        let pair = WebSocketPair::new()?;
        let viewer = Viewer {
            conn: ids::mint(clock::now()),
            actor: actor.clone(),
            address: request
                .headers()
                .get(auth::ADDRESS)?
                .as_deref()
                .and_then(auth::parse_address),
            over: false,
        };
        let before = self.presence();
        self.viewer_came(&pair.server, viewer)?;
        self.make_known(actor);
        let presence = self.presence();
        sockets::send(
            &pair.server,
            &self.read(|session| session.hello(first_seq, Some(&actor.person.id), presence.clone()))?,
        );
        for page in events.chunks(EVENTS_PER_FRAME) {
            sockets::send(&pair.server, &ServerFrame::Events { events: page.to_vec() });
        }
        if presence != before {
            self.to_viewers(ServerFrame::Presence { presence });
        }
        Ok(Response::from_websocket(pair.client)?)
    }

    pub(super) fn viewer_message(self: &Rc<Self>, ws: &WebSocket, viewer: &Viewer, message: WebSocketIncomingMessage) {
        if viewer.over {
            return;
        }
        let WebSocketIncomingMessage::String(text) = message else {
            return reject(ws, None, ApiError::bad_request("frames are text"));
        };
        if text.len() > MAX_CLIENT_FRAME_BYTES {
            return sockets::close(ws, CloseCode::TooLarge);
        }
        if let Some(position) = text.strip_prefix(SEEN) {
            return match position.parse() {
                Ok(seen) => self.viewer_saw(&viewer.conn, seen),
                Err(_) => reject(ws, None, ApiError::bad_request("seen what?")),
            };
        }
        let frame: ClientFrame = match parse_json(text.as_bytes()) {
            Ok(frame) => frame,
            Err(error) => return reject(ws, readable_id(&text), error),
        };
        let Command::Prompt { model: Some(model), .. } = &frame.command else {
            return self.obey(ws, viewer, frame, Ok(()));
        };
        let (agent, ws, model) = (Rc::clone(self), ws.clone(), model.clone());
        self.state.wait_until(async move {
            let usable = agent.require_usable(&model).await;
            // Their access may have changed meanwhile.
            if let Some(Peer::Viewer(viewer)) = sockets::attachment(&ws)
                && !viewer.over
            {
                agent.obey(&ws, &viewer, frame, usable);
            }
        });
    }

    /// Carries a command out, unless there is something against it already, and answers it.
    fn obey(self: &Rc<Self>, ws: &WebSocket, viewer: &Viewer, frame: ClientFrame, so_far: Result<(), ApiError>) {
        let kind = frame.command.kind();
        let allowed = self.allow(&viewer.actor, Action::of_command(&frame.command));
        let mut note = Note::default();
        self.tell(&frame.command, &mut note);
        let allowed = allowed.and_then(|()| extends_no_budget(&frame.command)).and(so_far);
        let outcome = allowed.and_then(|()| {
            self.step(Input::Command {
                by: viewer.actor.person.clone(),
                id: Some(frame.id.clone()),
                command: frame.command,
            })
        });
        self.audit(viewer, (kind, note), &frame.id, outcome.as_ref().err());
        // The answer stands behind everything that the command made happen.
        self.flush_viewers();
        match outcome {
            Ok(()) => sockets::send(ws, &ServerFrame::Ack { id: frame.id }),
            Err(error) => reject(ws, Some(frame.id), error),
        }
    }
}

impl Agent {
    /// What was commanded over a WebSocket is in the org's audit log like what was asked by HTTP; in place of a request's
    /// reference stands the command's id.
    fn audit(
        self: &Rc<Self>,
        viewer: &Viewer,
        (kind, note): (&str, Note),
        command: &CommandId,
        refusal: Option<&ApiError>,
    ) {
        let (Ok(session), now) = (self.id(), clock::now()) else {
            return;
        };
        let actor = &viewer.actor;
        let entry = AuditEntry {
            id: ids::mint_body(now),
            at: now,
            user_id: Some(actor.person.id.clone()),
            user_name: actor.person.name.clone(),
            credential: actor.credential.id().as_str().to_owned(),
            action: format!("COMMAND {kind}"),
            target: session.to_string(),
            details: note.details,
            outcome: refusal.map_or_else(|| "ok".to_owned(), |error| error.code.status().to_string()),
            address: viewer.address.clone(),
            request_id: command.to_string(),
        };
        let (agent, org) = (Rc::clone(self), actor.org.clone());
        self.state.wait_until(async move {
            if let Ok(config) = agent.config() {
                audit::write(config, &org, &entry).await;
            }
        });
    }
}

impl Agent {
    /// What a command changes to what, for the audit log; what people write to the agent is the session's. The session has
    /// been loaded: of one that is not there nothing is told.
    pub(super) fn tell(&self, command: &Command, note: &mut Note) {
        match command {
            Command::Rename { title } => {
                if let Ok(before) = self.read(|session| session.summary().title) {
                    note.change("title", before, title);
                }
            }
            Command::Share { visibility } => {
                if let Ok(before) = self.read(|session| session.access().visibility) {
                    note.fields(&json!({ "visibility": before }), &json!({ "visibility": visibility }));
                }
            }
            Command::Prompt { .. }
            | Command::EditPrompt { .. }
            | Command::WithdrawPrompt { .. }
            | Command::MovePrompt { .. }
            | Command::PromotePrompt { .. }
            | Command::Abort { .. }
            | Command::Answer { .. }
            | Command::Retry {}
            | Command::Pause {}
            | Command::Resume {}
            | Command::Archive {}
            | Command::Restore {}
            | Command::Terminate {} => {}
        }
    }
}

/// A budget is extended in the ledger first, which a frame cannot wait for.
fn extends_no_budget(command: &Command) -> Result<(), ApiError> {
    let extends = matches!(
        command,
        Command::Answer {
            answer: Answer::Extend { .. },
            ..
        }
    );
    if extends {
        return Err(ApiError::bad_request("a budget is extended by POST …/interactions/:id"));
    }
    Ok(())
}

fn reject(ws: &WebSocket, id: Option<CommandId>, error: ApiError) {
    if let Some(source) = &error.source {
        log::error!("command: {source}");
    }
    sockets::send(
        ws,
        &ServerFrame::Reject {
            id,
            code: error.code,
            message: error.message,
        },
    );
}

/// The id of a frame that is not readable as a whole.
fn readable_id(text: &str) -> Option<CommandId> {
    #[derive(Deserialize)]
    struct OnlyId {
        id: CommandId,
    }
    serde_json::from_str::<OnlyId>(text).ok().map(|frame| frame.id)
}

const MAX_SEQ: u64 = (1 << 53) - 1;

/// A position in the log, from a query.
pub(super) fn parse_seq(text: &str, name: &str) -> Result<Seq, ApiError> {
    // No log is longer than what a number of JavaScript, and so a parameter of SQL, can say.
    text.parse()
        .map(|seq: u64| Seq(seq.min(MAX_SEQ)))
        .map_err(|_| ApiError::invalid(name, format!("{name} must be a position in the log")))
}
