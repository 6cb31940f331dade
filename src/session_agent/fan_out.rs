//! Frames to all viewers: serialised once, sent at once while that is cheap, and in small batches when it is not
//! ([`super::pacer`]).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use errand_protocol::viewer::ServerFrame;
use worker::{Delay, WebSocket};

use super::pacer::{Pacer, Verdict};
use super::{Agent, Peer};
use crate::platform::{clock, sockets};

/// Tag of viewers' sockets.
pub(super) const VIEWER: &str = "viewer";

/// What fan-out remembers between frames.
#[derive(Default)]
pub(super) struct FanOut {
    /// The viewers' sockets; `None` after one came or went.
    viewers: RefCell<Option<Rc<Vec<WebSocket>>>>,
    pacer: RefCell<Pacer>,
    flushing: Cell<bool>,
}

impl Agent {
    /// The viewers' sockets now.
    pub(super) fn viewers(&self) -> Rc<Vec<WebSocket>> {
        let mut slot = self.fan_out.viewers.borrow_mut();
        Rc::clone(slot.get_or_insert_with(|| Rc::new(self.state.get_websockets_with_tag(VIEWER))))
    }

    /// A viewer came or went.
    pub(super) fn viewers_changed(&self) {
        self.fan_out.viewers.replace(None);
    }

    /// Who is looking, each person once.
    pub(super) fn presence(&self, without: Option<&WebSocket>) -> Vec<errand_protocol::session::Person> {
        let mut people = Vec::new();
        for ws in self
            .viewers()
            .iter()
            .filter(|ws| !without.is_some_and(|gone| sockets::same(gone, ws)))
        {
            if let Some(Peer::Viewer(viewer)) = sockets::attachment::<Peer>(ws)
                && !people.contains(&viewer.person)
            {
                people.push(viewer.person);
            }
        }
        people
    }

    /// Sends a frame to all viewers, now or with the next batch.
    pub(super) fn to_viewers(self: &Rc<Self>, frame: ServerFrame) {
        let viewers = self.viewers();
        if viewers.is_empty() {
            return;
        }
        let verdict = self
            .fan_out
            .pacer
            .borrow_mut()
            .offer(clock::now().millis(), viewers.len(), frame);
        match verdict {
            Verdict::Send(frames) => send_all(&viewers, &frames),
            Verdict::Hold { wait_ms } => self.flush_in(wait_ms),
        }
    }

    /// Sends what is held back, so that a frame to a single viewer does not overtake it.
    pub(super) fn flush_viewers(&self) {
        let frames = self.fan_out.pacer.borrow_mut().take();
        if !frames.is_empty() {
            send_all(&self.viewers(), &frames);
        }
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
}

fn send_all(viewers: &[WebSocket], frames: &[ServerFrame]) {
    for frame in frames {
        if let Some(text) = sockets::to_text(frame) {
            sockets::send_text_to_all(viewers, &text);
        }
    }
}
