//! Who listens to a feed, and how far each has got: sockets keep their position in their attachment, so that it
//! survives hibernation; streams keep theirs in memory, as an open stream keeps the object there.
//!
//! Buffers are bounded: a stream that takes nothing off its buffer is ended, and resumes from its position; a socket
//! that cannot be sent to is left to its own close.

use std::cell::RefCell;

use errand_access::CredentialId;
use errand_protocol::close::CloseCode;
use errand_protocol::ids::OrgId;
use futures_channel::mpsc::{Receiver, Sender, channel};
use serde::{Deserialize, Serialize};
use worker::{State, WebSocket};

/// Frames that wait for a slow stream, at most.
const BUFFER: usize = 256;

/// How far a listener has got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// In which org's count.
    pub(super) org: OrgId,
    /// The last change that it has.
    pub(super) rev: u64,
    /// What it was opened with.
    pub(super) credential: CredentialId,
}

/// A frame for a stream: its position, when it has one, and its JSON.
pub(super) type Framed = (Option<u64>, String);

struct Stream {
    position: Position,
    frames: Sender<Framed>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Listeners {
    streams: RefCell<Vec<Stream>>,
}

impl Listeners {
    /// Adds a stream, with its first frame.
    pub(super) fn add_stream(&self, position: Position, hello: Option<String>) -> Receiver<Framed> {
        let (mut frames, receiver) = channel(BUFFER);
        if let Some(hello) = hello {
            // The buffer is empty.
            let _ = frames.try_send((Some(position.rev), hello));
        }
        self.streams.borrow_mut().push(Stream { position, frames });
        receiver
    }

    /// How many there are.
    pub(super) fn count(&self, state: &State) -> usize {
        self.drop_closed();
        state.get_websockets().len() + self.streams.borrow().len()
    }

    /// Whether anybody but the socket that is `closing` listens to this org.
    pub(super) fn any(&self, state: &State, org: &OrgId, closing: Option<&WebSocket>) -> bool {
        self.drop_closed();
        self.streams.borrow().iter().any(|stream| stream.position.org == *org)
            || sockets(state, org).any(|(socket, _)| Some(&socket) != closing)
    }

    /// The lowest position among the org's listeners.
    pub(super) fn furthest_behind(&self, state: &State, org: &OrgId) -> Option<u64> {
        self.drop_closed();
        let streams = self.streams.borrow();
        let of_streams = streams
            .iter()
            .map(|stream| &stream.position)
            .filter(|at| at.org == *org)
            .map(|at| at.rev);
        of_streams.chain(sockets(state, org).map(|(_, at)| at.rev)).min()
    }

    /// Gives each of the org's listeners what it lacks of `frames`, which reach up to `upto`.
    pub(super) fn send(&self, state: &State, org: &OrgId, frames: &[(u64, String)], upto: u64) {
        self.streams
            .borrow_mut()
            .retain_mut(|stream| stream.position.org != *org || stream.send(frames, upto));
        for (socket, mut position) in sockets(state, org) {
            let lacks = frames.iter().filter(|(rev, _)| *rev > position.rev);
            if lacks
                .map(|(_, frame)| socket.send_with_str(frame))
                .all(|sent| sent.is_ok())
                && upto > position.rev
            {
                position.rev = upto;
                // A position of two short fields always fits.
                let _ = socket.serialize_attachment(&position);
            }
        }
    }

    /// Ends those for whom `over` holds.
    pub(super) fn end(&self, state: &State, over: impl Fn(&Position) -> bool) {
        self.streams.borrow_mut().retain(|stream| !over(&stream.position));
        for socket in state.get_websockets() {
            // One from before credentials were noted cannot be told apart: it dials again.
            if position_of(&socket).is_none_or(|position| over(&position)) {
                // It may be closed already.
                let _ = socket.close(Some(CloseCode::Unauthenticated.code()), Some("access changed"));
            }
        }
    }

    fn drop_closed(&self) {
        self.streams.borrow_mut().retain(|stream| !stream.frames.is_closed());
    }
}

/// The position of a socket.
pub(super) fn position_of(socket: &WebSocket) -> Option<Position> {
    socket.deserialize_attachment().ok().flatten()
}

/// The sockets of an org, with their positions.
fn sockets(state: &State, org: &OrgId) -> impl Iterator<Item = (WebSocket, Position)> {
    state.get_websockets().into_iter().filter_map(|socket| {
        let position = position_of(&socket)?;
        (position.org == *org).then_some((socket, position))
    })
}

impl Stream {
    /// Whether it took them all.
    fn send(&mut self, frames: &[(u64, String)], upto: u64) -> bool {
        for (rev, frame) in frames.iter().filter(|(rev, _)| *rev > self.position.rev) {
            if self.frames.try_send((Some(*rev), frame.clone())).is_err() {
                return false;
            }
        }
        self.position.rev = self.position.rev.max(upto);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(range: std::ops::RangeInclusive<u64>) -> Vec<(u64, String)> {
        range.map(|rev| (rev, format!("frame {rev}"))).collect()
    }

    fn stream_at(rev: u64) -> (Stream, Receiver<Framed>) {
        let (frames, receiver) = channel(BUFFER);
        let position = Position {
            org: "org_1".parse().unwrap(),
            rev,
            credential: CredentialId::SignIn("sgn_1".parse().unwrap()),
        };
        (Stream { position, frames }, receiver)
    }

    #[test]
    fn a_stream_gets_what_it_lacks_once() {
        let (mut stream, mut receiver) = stream_at(3);
        assert!(stream.send(&frames(1..=5), 9));
        assert!(stream.send(&frames(1..=9), 9));
        let got: Vec<_> = std::iter::from_fn(|| receiver.try_recv().ok())
            .map(|(rev, _)| rev)
            .collect();
        assert_eq!(got, [Some(4), Some(5)]);
    }

    #[test]
    fn a_stream_that_takes_nothing_is_ended() {
        let (mut stream, _receiver) = stream_at(0);
        assert!(!stream.send(&frames(1..=10_000), 10_000));
    }
}
