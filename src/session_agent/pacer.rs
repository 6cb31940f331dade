//! When frames go out: at once while frames × viewers per second are few, in batches of at most [`BATCH_MS`] when they
//! are many. Within a batch, consecutive deltas of one part become one frame. Pure: the time comes in.
//!
//! Why: sending costs about 8 µs of CPU per viewer and frame, whatever the frame's size (`performance.md`).

use errand_protocol::viewer::{Delta, ServerFrame};

/// Sends per window above which frames are held back.
const CHEAP_SENDS: usize = 600;
/// Length of the window, milliseconds.
const WINDOW_MS: i64 = 100;
/// Longest time a frame is held back, milliseconds.
pub(super) const BATCH_MS: u64 = 8;

/// What to do with the frame that was offered.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Send these, in order.
    Send(Vec<ServerFrame>),
    /// It is held back: take everything after this time.
    Hold {
        /// Milliseconds.
        wait_ms: u64,
    },
}

/// Counts sends and holds frames back.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    window: i64,
    sends: usize,
    busy: bool,
    held: Vec<ServerFrame>,
}

impl Pacer {
    /// One more frame for `viewers` viewers.
    pub(super) fn offer(&mut self, now_ms: i64, viewers: usize, frame: ServerFrame) -> Verdict {
        if now_ms - self.window >= WINDOW_MS {
            // Busy is judged by the last whole window, so that a rate near the limit does not flap within one.
            self.busy = self.sends > CHEAP_SENDS && now_ms - self.window < 2 * WINDOW_MS;
            self.window = now_ms;
            self.sends = 0;
        }
        self.sends += viewers;
        let deltas = matches!(frame, ServerFrame::Delta(_));
        if deltas && (self.busy || self.sends > CHEAP_SENDS || !self.held.is_empty()) {
            self.hold(frame);
            return Verdict::Hold { wait_ms: BATCH_MS };
        }
        // Everything but deltas is rare and goes out at once, behind what is held.
        let mut frames = self.take();
        frames.push(frame);
        Verdict::Send(frames)
    }

    /// Everything that is held back.
    pub(super) fn take(&mut self) -> Vec<ServerFrame> {
        std::mem::take(&mut self.held)
    }

    fn hold(&mut self, frame: ServerFrame) {
        if let (ServerFrame::Delta(next), Some(ServerFrame::Delta(last))) = (&frame, self.held.last_mut())
            && joins(last, next)
        {
            last.text.push_str(&next.text);
            return;
        }
        self.held.push(frame);
    }
}

/// Whether `next` continues `last`. The machine passes on only what follows directly, so the part alone decides,
/// except where the text was rewritten.
fn joins(last: &Delta, next: &Delta) -> bool {
    last.part_id == next.part_id && !next.reset
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(part: &str, offset: u32, text: &str) -> ServerFrame {
        ServerFrame::Delta(Delta {
            part_id: part.parse().unwrap(),
            offset,
            text: text.to_owned(),
            reset: false,
        })
    }

    #[test]
    fn few_frames_go_out_at_once() {
        let mut pacer = Pacer::default();
        for ms in 0..50 {
            let frame = delta("prt_1", 0, "a");
            assert_eq!(pacer.offer(ms * 20, 10, frame.clone()), Verdict::Send(vec![frame]));
        }
    }

    #[test]
    fn many_deltas_of_a_part_become_one_frame() {
        let mut pacer = Pacer::default();
        let mut held = 0;
        for offset in 0..1000_u32 {
            if let Verdict::Hold { .. } = pacer.offer(5, 100, delta("prt_1", offset, "a")) {
                held += 1;
            }
        }
        let frames = pacer.take();
        assert_eq!(frames, vec![delta("prt_1", 1000 - held, &"a".repeat(held as usize))]);
        assert!(held > 990, "{held}");
    }

    #[test]
    fn other_frames_push_out_what_is_held_and_keep_the_order() {
        let mut pacer = Pacer::default();
        for _ in 0..700 {
            let _ = pacer.offer(5, 1, delta("prt_1", 0, "a"));
        }
        let presence = ServerFrame::Presence { presence: vec![] };
        let Verdict::Send(frames) = pacer.offer(6, 1, presence.clone()) else {
            panic!("held")
        };
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[1], presence);
        assert!(pacer.take().is_empty());
    }
}
