//! Frames to all viewers: serialised once, sent at once while that is cheap, and in small batches when it is not
//! ([`super::pacer`]). Also who the viewers are, and how far each has read.
//!
//! Flow control (`protocol::viewer`): a viewer that stops reading would otherwise have everything buffered for it. What
//! was sent is counted; every so many bytes all viewers are asked how far they are, and who is too far behind is cut
//! off. It costs an addition per frame, and nothing while nothing is sent: no timer, no wake-up.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use errand_protocol::close::CloseCode;
use errand_protocol::ids::ConnId;
use errand_protocol::limits::{CHECK_EVERY_BYTES, MAX_UNREAD_BYTES, MAX_VIEWERS};
use errand_protocol::session::Person;
use errand_protocol::viewer::ServerFrame;
use worker::{Delay, WebSocket};

use super::pacer::{Pacer, Verdict};
use super::viewer_socket::Viewer;
use super::{Agent, Peer};
use crate::platform::{clock, sockets};

/// Tag of viewers' sockets.
const VIEWER: &str = "viewer";

/// So many connections of one person may be cut off and not gone yet.
const MAX_CUT_OFF: usize = 4;

/// What fan-out remembers between frames. In memory only: after hibernation it begins anew.
#[derive(Default)]
pub(super) struct FanOut {
    /// `None`: not asked of the platform yet.
    readers: RefCell<Option<Vec<Reader>>>,
    stream: Cell<Stream>,
    pacer: RefCell<Pacer>,
    flushing: Cell<bool>,
}

/// A viewer who reads.
struct Reader {
    ws: WebSocket,
    viewer: Viewer,
    /// Up to where it has read, or began to.
    seen: u64,
    /// It was cut off, and the connection lasts: the platform keeps what it did not read until its end is gone.
    cut: bool,
}

/// What was sent to all viewers, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Stream {
    sent: u64,
    asked_at: u64,
}

impl Stream {
    /// So many bytes more. Whether it is time to ask the viewers how far they are.
    fn add(&mut self, bytes: usize) -> bool {
        self.sent += bytes as u64;
        let due = self.sent - self.asked_at >= CHECK_EVERY_BYTES;
        if due {
            self.asked_at = self.sent;
        }
        due
    }

    /// Whether one who has read up to `seen` is too far behind.
    const fn too_far_from(self, seen: u64) -> bool {
        self.sent.saturating_sub(seen) > MAX_UNREAD_BYTES
    }
}

impl Agent {
    fn with_readers<T>(&self, work: impl FnOnce(&mut Vec<Reader>) -> T) -> T {
        let mut slot = self.fan_out.readers.borrow_mut();
        work(slot.get_or_insert_with(|| self.find_readers()))
    }

    /// Those whose sockets survived.
    fn find_readers(&self) -> Vec<Reader> {
        let seen = self.fan_out.stream.get().sent;
        let sockets = self.state.get_websockets_with_tag(VIEWER).into_iter();
        let readers = sockets.filter_map(|ws| match sockets::attachment::<Peer>(&ws) {
            Some(Peer::Viewer(viewer)) => Some(Reader {
                ws,
                viewer,
                seen,
                cut: false,
            }),
            Some(Peer::Runner(_)) | None => None,
        });
        readers.collect()
    }

    /// How many are looking.
    pub(super) fn viewer_count(&self) -> usize {
        self.with_readers(|readers| readers.iter().filter(|reader| !reader.cut).count())
    }

    /// Whether one more of this person's may look: not when too many do, nor when too many of theirs were cut off and
    /// are still connected, for those hold memory.
    pub(super) fn has_room_for(&self, person: &Person) -> bool {
        self.with_readers(|readers| {
            let cut = readers
                .iter()
                .filter(|reader| reader.cut && reader.viewer.actor.person == *person);
            readers.len() < MAX_VIEWERS && cut.count() < MAX_CUT_OFF
        })
    }

    /// Who is looking, each person once.
    pub(super) fn presence(&self) -> Vec<Person> {
        self.with_readers(|readers| {
            let mut people: Vec<Person> = Vec::new();
            for Reader { viewer, .. } in readers.iter().filter(|reader| !reader.cut) {
                if !people.contains(&viewer.actor.person) {
                    people.push(viewer.actor.person.clone());
                }
            }
            people
        })
    }

    /// From now on this socket is a viewer's. What is sent to it alone at the beginning is not counted.
    pub(super) fn viewer_came(&self, ws: &WebSocket, viewer: Viewer) -> worker::Result<()> {
        // Before the platform lists the new one.
        self.with_readers(|_| ());
        self.state.accept_websocket_with_tags(ws, &[VIEWER]);
        ws.serialize_attachment(Peer::Viewer(viewer.clone()))?;
        let (ws, seen) = (ws.clone(), self.fan_out.stream.get().sent);
        self.with_readers(|readers| {
            readers.push(Reader {
                ws,
                viewer,
                seen,
                cut: false,
            });
        });
        Ok(())
    }

    /// A viewer is no longer there.
    pub(super) fn viewer_left(self: &Rc<Self>, conn: &ConnId) {
        self.change_readers(|readers| readers.retain(|reader| reader.viewer.conn != *conn));
    }

    /// A viewer has read up to `seen`.
    pub(super) fn viewer_saw(&self, conn: &ConnId, seen: u64) {
        let seen = seen.min(self.fan_out.stream.get().sent);
        self.with_readers(|readers| {
            if let Some(reader) = readers.iter_mut().find(|reader| reader.viewer.conn == *conn) {
                reader.seen = reader.seen.max(seen);
            }
        });
    }

    /// Changes who reads, and tells the others when somebody is no longer among them.
    fn change_readers(self: &Rc<Self>, change: impl FnOnce(&mut Vec<Reader>)) {
        let before = self.presence();
        self.with_readers(change);
        let presence = self.presence();
        if presence != before {
            self.to_viewers(ServerFrame::Presence { presence });
        }
    }

    /// Sends a frame to all viewers, now or with the next batch.
    pub(super) fn to_viewers(self: &Rc<Self>, frame: ServerFrame) {
        let count = self.viewer_count();
        if count == 0 {
            return;
        }
        let verdict = self
            .fan_out
            .pacer
            .borrow_mut()
            .offer(clock::now().millis(), count, frame);
        match verdict {
            Verdict::Send(frames) => self.send_all(&frames),
            Verdict::Hold { wait_ms } => self.flush_in(wait_ms),
        }
    }

    /// Sends what is held back, so that a frame to a single viewer does not overtake it.
    pub(super) fn flush_viewers(self: &Rc<Self>) {
        let frames = self.fan_out.pacer.borrow_mut().take();
        self.send_all(&frames);
    }

    fn flush_in(self: &Rc<Self>, wait_ms: u64) {
        if self.fan_out.flushing.replace(true) {
            return;
        }
        let agent = Rc::clone(self);
        self.state.wait_until(async move {
            Delay::from(Duration::from_millis(wait_ms)).await;
            agent.fan_out.flushing.set(false);
            agent.flush_viewers();
        });
    }

    fn send_all(self: &Rc<Self>, frames: &[ServerFrame]) {
        for frame in frames {
            if self.send_one(frame) {
                self.check_readers();
            }
        }
    }

    /// Whether it is time to ask how far the viewers are.
    fn send_one(&self, frame: &ServerFrame) -> bool {
        let Some(text) = sockets::to_text(frame) else {
            return false;
        };
        self.with_readers(|readers| {
            let open = readers.iter().filter(|reader| !reader.cut);
            sockets::send_text_to_all(open.map(|reader| &reader.ws), &text);
        });
        let mut stream = self.fan_out.stream.get();
        let due = stream.add(text.len());
        self.fan_out.stream.set(stream);
        due
    }

    /// Asks all viewers how far they are, and cuts off who did not say for too long.
    fn check_readers(self: &Rc<Self>) {
        let stream = self.fan_out.stream.get();
        let late = |reader: &Reader| !reader.cut && stream.too_far_from(reader.seen);
        if self.with_readers(|readers| readers.iter().any(late)) {
            self.change_readers(|readers| {
                for reader in readers.iter_mut().filter(|reader| late(reader)) {
                    log::info!(session = self.state.id().name().unwrap_or_default(); "a viewer reads too slowly and is cut off");
                    sockets::close(&reader.ws, CloseCode::Overloaded);
                    reader.cut = true;
                }
            });
        }
        self.send_one(&ServerFrame::Check { sent: stream.sent });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_are_asked_once_per_so_many_bytes() {
        let mut stream = Stream::default();
        let half = usize::try_from(CHECK_EVERY_BYTES / 2).unwrap();
        let asked: Vec<bool> = (0..5).map(|_| stream.add(half)).collect();
        assert_eq!(asked, [false, true, false, true, false]);
    }

    #[test]
    fn only_who_is_behind_by_more_than_the_limit_is_too_far_away() {
        let mut stream = Stream::default();
        let much = usize::try_from(MAX_UNREAD_BYTES).unwrap() + 10;
        stream.add(much);
        assert!(stream.too_far_from(9));
        assert!(!stream.too_far_from(10));
        assert!(!stream.too_far_from(u64::MAX));
    }
}
