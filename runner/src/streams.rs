//! The texts of open parts, and when which piece of them is sent.
//!
//! Deltas are pulled: a part that has unsent text becomes due at once after a quiet moment, else an interval after
//! its last frame. What is not sent stays here, so a slow connection makes larger frames, not more memory.
//! The whole text is kept until the part closes, because the SessionAgent may ask for it again.
//! No clock and no I/O: the caller passes `now` in milliseconds.

use std::collections::BTreeMap;

use errand_protocol::ids::PartId;
use errand_protocol::viewer::Delta;

/// Between two frames of a part's text, in milliseconds.
pub const TEXT_EVERY: i64 = 25;
/// Between two frames of a tool's output, in milliseconds.
pub const TOOL_EVERY: i64 = 250;
/// Without deltas for so long, what is unsaved is flushed.
pub const QUIET: i64 = 300;
/// Longest text that is kept of an open part, in bytes: the finished part has no more of it (`cut`).
pub const MAX_OPEN: usize = 1024 * 1024;
/// Longest text of one frame, in bytes.
const MAX_PIECE: usize = 64 * 1024;

#[derive(Debug)]
struct Stream {
    text: String,
    /// Length of `text` in UTF-16 units.
    units: u32,
    /// How much of it was sent: bytes and units.
    sent: (usize, u32),
    saved: u32,
    reset: bool,
    /// It was rewritten: a word of what is saved may be about an earlier text.
    rewritten: bool,
    every: i64,
    last: Option<i64>,
    /// Number of the event that opened it: no delta before that event.
    opened: u64,
}

/// All open parts with streaming text.
#[derive(Debug, Default)]
pub struct Streams {
    parts: BTreeMap<PartId, Stream>,
    last_delta: i64,
    flushed: bool,
}

fn units(text: &str) -> u32 {
    u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX)
}

/// The byte position of a UTF-16 offset; rounded down to a character's begin.
fn byte_at(text: &str, offset: u32) -> (usize, u32) {
    let mut seen = 0;
    for (at, c) in text.char_indices() {
        let next = seen + u32::try_from(c.len_utf16()).unwrap_or(1);
        if next > offset {
            return (at, seen);
        }
        seen = next;
    }
    (text.len(), seen)
}

impl Streams {
    /// A part opened with the event numbered `opened`. Nothing happens when it is open already.
    pub fn open(&mut self, part: PartId, opened: u64, every: i64) {
        self.parts.entry(part).or_insert(Stream {
            text: String::new(),
            units: 0,
            sent: (0, 0),
            saved: 0,
            reset: false,
            rewritten: false,
            every,
            last: None,
            opened,
        });
    }

    /// The whole text of an open part is now this. One that another process opened is followed from here on: the control
    /// plane may have some other text of it, so it gets all of this one. `written`: the last event in the spool.
    pub fn follow(&mut self, part: &PartId, text: &str, written: u64, every: i64) {
        if !self.parts.contains_key(part) {
            self.open(part.clone(), written, every);
            if let Some(stream) = self.parts.get_mut(part) {
                (stream.reset, stream.rewritten) = (true, true);
            }
        }
        self.set(part, text);
    }

    /// Text was added.
    pub fn append(&mut self, part: &PartId, text: &str) {
        if let Some(stream) = self.parts.get_mut(part) {
            stream.grow(text);
        }
    }

    fn set(&mut self, part: &PartId, text: &str) {
        let Some(stream) = self.parts.get_mut(part) else { return };
        let text = text.get(..text.floor_char_boundary(MAX_OPEN)).unwrap_or(text);
        if let Some(more) = text.strip_prefix(stream.text.as_str()) {
            stream.grow(more);
            return;
        }
        text.clone_into(&mut stream.text);
        stream.units = units(text);
        stream.sent = (0, 0);
        stream.saved = 0;
        stream.reset = true;
        stream.rewritten = true;
    }

    /// The part is complete, or its text can no longer be followed.
    pub fn close(&mut self, part: &PartId) {
        self.parts.remove(part);
    }

    /// The text so far.
    pub fn text(&self, part: &PartId) -> Option<&str> {
        self.parts.get(part).map(|stream| stream.text.as_str())
    }

    /// The SessionAgent has saved so much of it. Of a text that was rewritten that is not believed: a new connection gets
    /// all of it again.
    pub fn saved(&mut self, part: &PartId, len: u32) {
        if let Some(stream) = self.parts.get_mut(part).filter(|stream| !stream.rewritten) {
            stream.saved = len.min(stream.units);
        }
    }

    /// Send again from an offset on.
    pub fn resend(&mut self, part: &PartId, from: u32) {
        if let Some(stream) = self.parts.get_mut(part) {
            stream.sent = byte_at(&stream.text, from.min(stream.sent.1));
            stream.last = None;
        }
    }

    /// A new connection: send again all that is not saved.
    pub fn reconnected(&mut self) {
        for stream in self.parts.values_mut() {
            stream.sent = byte_at(&stream.text, stream.saved);
            stream.reset = stream.saved == 0;
            stream.last = None;
        }
    }

    /// The next delta that is due, when its part's opening event (`sent` counts those) has gone out.
    pub fn next(&mut self, now: i64, sent: u64) -> Option<Delta> {
        let (id, stream) = self
            .parts
            .iter_mut()
            .find(|(_, stream)| stream.due(sent).is_some_and(|due| due <= now))?;
        let delta = stream.take(id.clone());
        if stream.sent.0 == stream.text.len() {
            stream.last = Some(now);
        }
        self.last_delta = now;
        self.flushed = false;
        Some(delta)
    }

    /// Whether it is time to ask for saving: a quiet moment, and something is unsaved.
    pub fn flush(&mut self, now: i64) -> bool {
        if self.flush_at().is_none_or(|at| at > now) {
            return false;
        }
        self.flushed = true;
        true
    }

    fn flush_at(&self) -> Option<i64> {
        let unsaved = self.parts.values().any(|stream| stream.sent.1 > stream.saved);
        (unsaved && !self.flushed).then_some(self.last_delta + QUIET)
    }

    /// When something will be due.
    pub fn next_due(&self, sent: u64) -> Option<i64> {
        let deltas = self.parts.values().filter_map(|stream| stream.due(sent)).min();
        match (deltas, self.flush_at()) {
            (Some(delta), Some(flush)) => Some(delta.min(flush)),
            (delta, flush) => delta.or(flush),
        }
    }
}

impl Stream {
    /// What is too much is left to the finished part.
    fn grow(&mut self, more: &str) {
        let room = MAX_OPEN.saturating_sub(self.text.len());
        let more = more.get(..more.floor_char_boundary(room)).unwrap_or_default();
        self.units += units(more);
        self.text.push_str(more);
    }

    fn due(&self, sent: u64) -> Option<i64> {
        let unsent = self.sent.0 < self.text.len();
        (unsent && self.opened <= sent).then(|| self.last.map_or(i64::MIN, |last| last + self.every))
    }

    fn take(&mut self, part_id: PartId) -> Delta {
        let rest = self.text.get(self.sent.0..).unwrap_or_default();
        let cut = if rest.len() > MAX_PIECE {
            rest.floor_char_boundary(MAX_PIECE)
        } else {
            rest.len()
        };
        let text = rest.get(..cut).unwrap_or_default().to_owned();
        let offset = self.sent.1;
        self.sent = (self.sent.0 + text.len(), offset + units(&text));
        let rewritten = std::mem::take(&mut self.reset) && offset == 0;
        Delta {
            part_id,
            offset,
            text,
            reset: rewritten,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(n: u32) -> PartId {
        PartId::from_body(&n.to_string()).unwrap()
    }

    fn one() -> Streams {
        let mut streams = Streams::default();
        streams.open(part(1), 1, TEXT_EVERY);
        streams
    }

    #[test]
    fn the_first_delta_goes_at_once_and_the_next_ones_are_gathered() {
        let mut streams = one();
        streams.append(&part(1), "a");
        assert_eq!(streams.next(100, 0), None, "its part.started has not gone out");
        assert_eq!(streams.next(100, 1).unwrap().text, "a");
        streams.append(&part(1), "b");
        streams.append(&part(1), "c");
        assert_eq!(streams.next(110, 1), None);
        assert_eq!(streams.next_due(1), Some(125));
        let delta = streams.next(125, 1).unwrap();
        assert_eq!((delta.text.as_str(), delta.offset), ("bc", 1));
        streams.append(&part(1), "d");
        assert!(streams.next(500, 1).is_some(), "after a quiet moment at once");
    }

    #[test]
    fn offsets_count_utf16_units_and_a_resend_may_begin_anywhere() {
        let mut streams = one();
        streams.append(&part(1), "aé😀b");
        assert_eq!(streams.next(0, 1).unwrap().text, "aé😀b");
        streams.append(&part(1), "c");
        assert_eq!(streams.next(100, 1).unwrap().offset, 5);
        for (from, offset, text) in [
            (0, 0, "aé😀bc"),
            (2, 2, "😀bc"),
            (3, 2, "😀bc"),
            (4, 4, "bc"),
            (6, 6, ""),
        ] {
            streams.resend(&part(1), from);
            let delta = streams.next(100, 1);
            assert_eq!(
                delta.as_ref().map_or((6, ""), |d| (d.offset, d.text.as_str())),
                (offset, text)
            );
        }
    }

    #[test]
    fn a_rewritten_output_starts_again_with_reset() {
        let mut streams = one();
        streams.set(&part(1), "one\n");
        streams.set(&part(1), "one\ntwo\n");
        assert_eq!(streams.next(0, 1).unwrap().text, "one\ntwo\n");
        streams.set(&part(1), "…\nthree\n");
        let delta = streams.next(1000, 1).unwrap();
        assert!(delta.reset && delta.offset == 0 && delta.text == "…\nthree\n");
        streams.set(&part(1), "…\nthree\nfour\n");
        assert!(!streams.next(2000, 1).unwrap().reset);
    }

    #[test]
    fn a_new_connection_gets_what_was_not_saved() {
        let mut streams = one();
        streams.append(&part(1), "hello world");
        streams.next(0, 1).unwrap();
        streams.saved(&part(1), 5);
        streams.reconnected();
        let delta = streams.next(1, 1).unwrap();
        assert_eq!((delta.offset, delta.text.as_str(), delta.reset), (5, " world", false));
    }

    #[test]
    fn what_is_saved_of_an_earlier_text_does_not_count_for_the_rewritten_one() {
        let mut streams = one();
        streams.set(&part(1), "one");
        streams.next(0, 1).unwrap();
        streams.set(&part(1), "…two");
        streams.saved(&part(1), 3);
        streams.reconnected();
        let delta = streams.next(1, 1).unwrap();
        assert_eq!((delta.offset, delta.text.as_str(), delta.reset), (0, "…two", true));
    }

    #[test]
    fn a_text_that_another_process_began_is_sent_as_a_whole_and_replaces_what_was_sent() {
        let mut streams = Streams::default();
        streams.follow(&part(1), "…two", 4, TOOL_EVERY);
        assert_eq!(streams.next(0, 3), None, "not before what was written about it");
        // What the process before had sent.
        streams.saved(&part(1), 3);
        streams.reconnected();
        let delta = streams.next(1, 4).unwrap();
        assert_eq!((delta.offset, delta.text.as_str(), delta.reset), (0, "…two", true));
        streams.follow(&part(1), "…two three", 4, TOOL_EVERY);
        let delta = streams.next(1_000, 4).unwrap();
        assert_eq!((delta.offset, delta.text.as_str(), delta.reset), (4, " three", false));
    }

    #[test]
    fn a_quiet_moment_flushes_once() {
        let mut streams = one();
        streams.append(&part(1), "x");
        streams.next(0, 1).unwrap();
        assert!(!streams.flush(QUIET - 1));
        assert!(streams.flush(QUIET));
        assert!(!streams.flush(10 * QUIET));
        streams.append(&part(1), "y");
        streams.next(4000, 1).unwrap();
        streams.saved(&part(1), 2);
        assert!(!streams.flush(9000), "everything is saved");
    }

    #[test]
    fn no_more_is_kept_of_an_open_part_than_the_finished_one_can_have() {
        let mut streams = one();
        for _ in 0..40 {
            streams.append(&part(1), &"é".repeat(32 * 1024));
        }
        assert_eq!(streams.text(&part(1)).unwrap().len(), MAX_OPEN);
        streams.set(&part(1), &"x".repeat(3 * MAX_OPEN));
        assert_eq!(streams.text(&part(1)).unwrap().len(), MAX_OPEN);
    }

    #[test]
    fn a_huge_text_goes_in_pieces_that_join() {
        let mut streams = one();
        let text = "é😀".repeat(50_000);
        streams.append(&part(1), &text);
        let mut joined = String::new();
        while let Some(delta) = streams.next(0, 1) {
            assert!(delta.text.len() <= MAX_PIECE);
            assert_eq!(delta.offset, units(&joined));
            joined.push_str(&delta.text);
        }
        assert_eq!(joined, text);
    }
}
