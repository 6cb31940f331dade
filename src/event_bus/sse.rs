//! A feed as Server-Sent Events: each frame with its position as the event's id, and a comment now and then so that
//! nothing in between takes the connection for dead.

use std::time::Duration;

use futures_channel::mpsc::Receiver;
use futures_util::future::{Either, select};
use futures_util::{StreamExt, stream};
use worker::{Delay, Response, ResponseBuilder};

use super::listeners::Framed;

const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Calls something when it is dropped: when the reader goes away.
struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call();
        }
    }
}

/// The response that sends `frames` as they come. `left` is called when the reader is gone.
pub(super) fn response(frames: Receiver<Framed>, left: impl FnOnce() + 'static) -> worker::Result<Response> {
    // The receiver comes first: it must be gone before `left` looks who still listens.
    let reader = (frames, OnDrop(Some(left)));
    let events = stream::unfold(reader, |mut reader| async move {
        let next = match select(reader.0.next(), Delay::from(KEEP_ALIVE)).await {
            Either::Left((Some(frame), _)) => event(&frame),
            Either::Left((None, _)) => return None,
            Either::Right(((), _)) => ": alive\n\n".to_owned(),
        };
        Some((Ok::<_, worker::Error>(next.into_bytes()), reader))
    });
    ResponseBuilder::new()
        .with_header("content-type", "text/event-stream")?
        .with_header("cache-control", "no-cache")?
        .from_stream(events)
}

/// JSON has no line breaks, so one `data` line holds a frame.
fn event((rev, json): &Framed) -> String {
    match rev {
        Some(rev) => format!("id: {rev}\ndata: {json}\n\n"),
        None => format!("data: {json}\n\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_event_with_its_position() {
        assert_eq!(event(&(Some(7), "{}".to_owned())), "id: 7\ndata: {}\n\n");
    }
}
