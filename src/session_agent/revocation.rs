//! Connections whose people's access changes: each is judged anew, and closed when its person may no longer look. Who
//! connects is made known to their EventBus, which tells of changes; one that cannot be made known is closed, for nobody
//! could end it later.

use std::cell::Cell;
use std::rc::{Rc, Weak};

use errand_access::{Action, Actor};
use errand_protocol::close::CloseCode;
use errand_protocol::ids::UserId;
use worker::Response;

use super::Agent;
use super::access::may;
use super::routes::Answer;
use crate::event_bus::{Ends, WatchingCommand};
use crate::http::error::ApiError;
use crate::http::revoke::{AccessChange, AccessChanged};
use crate::platform::rpc;

/// A stream of events, and whose it is.
pub(super) struct Stream {
    actor: Actor,
    over: Weak<Cell<bool>>,
}

impl Agent {
    /// From now on this person's EventBus tells us when their access changes.
    pub(super) fn make_known(self: &Rc<Self>, actor: &Actor) {
        let (agent, user) = (Rc::clone(self), actor.person.id.clone());
        let ends = Ends::of(actor);
        self.state.wait_until(async move {
            match agent.ask_bus(&user, ends).await {
                Ok(changes) => agent.judge_anew(&user, &changes),
                Err(error) => {
                    log::error!("watching: {}", error.source.unwrap_or(error.message));
                    agent.revise(|actor| (actor.person.id == user).then_some(Err(CloseCode::Internal)));
                }
            }
        });
    }

    async fn ask_bus(&self, user: &UserId, ends: Option<Ends>) -> Result<Vec<AccessChange>, ApiError> {
        let session = self.id()?;
        let bus = self.config()?.event_bus(user)?;
        rpc::post(&bus, "watching", &WatchingCommand { session, ends }, "watching").await
    }

    /// `access-changed` from an EventBus.
    pub(super) fn access_changed(self: &Rc<Self>, command: &AccessChanged) -> Answer {
        if !self.load()? {
            return Ok(Response::from_json(&false)?);
        }
        self.judge_anew(&command.user, &command.changes);
        let connected =
            self.presence().iter().any(|person| person.id == command.user) || self.streams_to(&command.user);
        Ok(Response::from_json(&connected)?)
    }

    fn judge_anew(self: &Rc<Self>, user: &UserId, changes: &[AccessChange]) {
        self.revise(|actor| {
            let mut now = actor.clone();
            for change in changes.iter().filter(|_| actor.person.id == *user) {
                match change {
                    AccessChange::Ended(ids) if ids.contains(&actor.credential.id()) => {
                        return Some(Err(CloseCode::Unauthenticated));
                    }
                    AccessChange::Role { org, role } if *org == actor.org => match role {
                        Some(role) => now.role = *role,
                        None => return Some(Err(CloseCode::NotFound)),
                    },
                    AccessChange::Ended(_) | AccessChange::Role { .. } => {}
                }
            }
            self.verdict(actor, now)
        });
    }

    /// Judges everybody after the session itself has changed: whom it is shared with.
    pub(super) fn judge_all(self: &Rc<Self>) {
        self.revise(|actor| self.verdict(actor, actor.clone()));
    }

    fn verdict(&self, before: &Actor, now: Actor) -> Option<Result<Actor, CloseCode>> {
        let may_look = self.read(|session| may(session, (&now).into(), Action::ReadSession).is_ok());
        match may_look {
            Ok(true) if now == *before => None,
            Ok(true) => Some(Ok(now)),
            Ok(false) | Err(_) => Some(Err(CloseCode::NotFound)),
        }
    }

    /// Gives connections another actor, or ends them.
    fn revise(self: &Rc<Self>, judge: impl Fn(&Actor) -> Option<Result<Actor, CloseCode>>) {
        self.revise_readers(&judge);
        let mut ended = false;
        self.streams.borrow_mut().retain_mut(|stream| {
            let Some(over) = stream.over.upgrade() else {
                return false;
            };
            match judge(&stream.actor) {
                None => {}
                Some(Ok(actor)) => stream.actor = actor,
                Some(Err(_)) => {
                    over.set(true);
                    ended = true;
                }
            }
            !over.get()
        });
        if ended {
            self.readers.notify();
        }
    }

    /// Whether this person reads a stream.
    fn streams_to(&self, user: &UserId) -> bool {
        let streams = self.streams.borrow();
        streams
            .iter()
            .any(|stream| stream.actor.person.id == *user && stream.over.strong_count() > 0)
    }

    /// A stream begins; the flag says when it is over.
    pub(super) fn stream_begins(self: &Rc<Self>, actor: &Actor) -> Rc<Cell<bool>> {
        let over = Rc::new(Cell::new(false));
        let mut streams = self.streams.borrow_mut();
        streams.retain(|stream| stream.over.strong_count() > 0);
        streams.push(Stream {
            actor: actor.clone(),
            over: Rc::downgrade(&over),
        });
        drop(streams);
        self.make_known(actor);
        over
    }
}
