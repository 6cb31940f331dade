//! `GET /api/sessions/:id/events` as a stream (SSE). Each reader holds a position, not a buffer: it is told that there
//! is something new, and reads the log page by page at its own speed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use errand_access::Actor;
use errand_protocol::event::Event;
use errand_protocol::ids::Seq;
use errand_session::{Input, store};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::{self, Stream};
use worker::{Delay, Response};

use super::Agent;
use crate::http::error::ApiError;
use crate::platform::signal::{Signal, Waiter};

/// Events per piece of the stream.
const PAGE: u32 = 100;
/// A comment keeps proxies from closing a silent stream.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Those who wait for the log to grow.
#[derive(Default)]
pub(super) struct Listeners(RefCell<Vec<Signal>>);

impl Listeners {
    /// There is something new.
    pub(super) fn notify(&self) {
        self.0.borrow_mut().retain(Signal::raise);
    }

    /// Whether there is anybody.
    pub(super) fn any(&self) -> bool {
        self.0.borrow().iter().any(Signal::has_waiter)
    }

    /// Waits from now on.
    pub(super) fn join(&self) -> Waiter {
        let (signal, waiter) = Signal::new();
        self.0.borrow_mut().push(signal);
        waiter
    }
}

impl Agent {
    /// Whether anybody looks at the session now.
    pub(super) fn is_watched(&self) -> bool {
        self.viewer_count() > 0 || self.readers.any()
    }

    /// A stream of the log's events after `after`, and of what comes.
    pub(super) fn stream_events(self: &Rc<Self>, after: Seq, actor: &Actor) -> Result<Response, ApiError> {
        if !self.is_watched() {
            self.step(Input::Watched)?;
        }
        let waiter = self.readers.join();
        let over = self.stream_begins(actor);
        let pieces = pieces(Rc::clone(self), after, waiter, over).map(|text| Ok::<_, worker::Error>(text.into_bytes()));
        let response = Response::from_stream(pieces)?;
        let headers = response.headers();
        headers.set("content-type", "text/event-stream")?;
        headers.set("cache-control", "no-cache")?;
        Ok(response)
    }
}

fn pieces(agent: Rc<Agent>, after: Seq, waiter: Waiter, over: Rc<Cell<bool>>) -> impl Stream<Item = String> {
    // The first piece is a comment: the reader knows at once that it is connected.
    let first = stream::once(std::future::ready(": connected\n\n".to_owned()));
    first.chain(stream::unfold(
        (agent, after, waiter, over),
        |(agent, after, mut waiter, over)| async move {
            loop {
                if over.get() {
                    return None;
                }
                let page = store::events_after(&agent.sql, after, PAGE).ok()?;
                if let Some(last) = page.last() {
                    let seq = last.seq;
                    let text: String = page.iter().filter_map(line).collect();
                    return Some((text, (agent, seq, waiter, over)));
                }
                if !news_within(&mut waiter, HEARTBEAT).await {
                    return Some((": still here\n\n".to_owned(), (agent, after, waiter, over)));
                }
            }
        },
    ))
}

/// Whether the signal was raised in time.
pub(super) async fn news_within(waiter: &mut Waiter, limit: Duration) -> bool {
    let raised = std::pin::pin!(waiter.raised());
    matches!(select(raised, Delay::from(limit)).await, Either::Left(_))
}

fn line(event: &Event) -> Option<String> {
    let json = serde_json::to_string(event).ok()?;
    Some(format!("id: {}\ndata: {json}\n\n", event.seq.0))
}
