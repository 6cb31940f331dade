//! Parts that are being written: their text so far, how much of it is stored, and what the runner must send again.
//!
//! Deltas are previews, never log rows. They go to the viewers at once; their text is stored a few times a second,
//! one row per save and part with only the new piece, and what is stored is told to the runner (`saved`), which keeps
//! the rest. So whatever a viewer has seen can be shown again after any crash. Offsets count UTF-16 code units.

use errand_protocol::ids::{MessageId, PartId, TurnId};
use errand_protocol::runner::{AgentFrame, RunnerFrame};
use errand_protocol::transcript::Part;
use errand_protocol::viewer::{Delta, OpenPart, ServerFrame};

use crate::effect::{Cx, Effect, Input};
use crate::session::Session;

/// One open part.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Open {
    /// Its turn.
    pub(crate) turn_id: TurnId,
    /// Its message.
    pub(crate) message_id: MessageId,
    /// The part without its streaming text.
    pub(crate) part: Part,
    /// The streaming text so far.
    pub(crate) text: String,
    /// Length of `text` in UTF-16 code units.
    pub(crate) len: u32,
    /// How much of it is stored, in UTF-16 code units.
    pub(crate) saved: u32,
    /// The same in bytes.
    pub(crate) saved_bytes: usize,
    /// The runner was asked to send again from `len` on; asked once, not for every delta that comes meanwhile.
    pub(crate) asked: bool,
}

/// A longer text is not previewed further; the finished part has it all. (An interrupted part is logged with what is
/// here, and must fit one row of the log even when every byte has to be escaped.)
const MAX_OPEN_BYTES: usize = errand_protocol::limits::MAX_PART_FIELD_BYTES;

impl Open {
    /// The part with its text so far.
    pub(crate) fn snapshot(&self) -> OpenPart {
        OpenPart {
            turn_id: self.turn_id.clone(),
            message_id: self.message_id.clone(),
            part: self.part.clone().with_streaming_text(self.text.clone()),
        }
    }

    /// The part without its text, as it is stored.
    pub(crate) fn shell(&self) -> OpenPart {
        OpenPart {
            turn_id: self.turn_id.clone(),
            message_id: self.message_id.clone(),
            part: self.part.clone(),
        }
    }
}

/// All open parts, in the order in which they began.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct OpenParts(Vec<Open>);

impl OpenParts {
    /// From what was stored: the parts, and for each its text.
    pub(crate) fn restore(stored: impl IntoIterator<Item = (OpenPart, String)>) -> Self {
        Self(
            stored
                .into_iter()
                .map(|(open, text)| {
                    let len = utf16_len(&text);
                    Open {
                        turn_id: open.turn_id,
                        message_id: open.message_id,
                        part: open.part,
                        saved: len,
                        saved_bytes: text.len(),
                        len,
                        text,
                        asked: false,
                    }
                })
                .collect(),
        )
    }

    /// In order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Open> {
        self.0.iter()
    }

    /// A part began, or moved on; its text stays.
    pub(crate) fn put(&mut self, turn_id: TurnId, message_id: MessageId, part: Part) -> OpenPart {
        let part = part.with_streaming_text(String::new());
        if let Some(open) = self.0.iter_mut().find(|o| o.part.id == part.id) {
            open.part = part;
            return open.shell();
        }
        let open = Open {
            turn_id,
            message_id,
            part,
            text: String::new(),
            len: 0,
            saved: 0,
            saved_bytes: 0,
            asked: false,
        };
        let shell = open.shell();
        self.0.push(open);
        shell
    }

    /// A part is no longer open.
    pub(crate) fn remove(&mut self, id: &PartId) -> Option<Open> {
        let at = self.0.iter().position(|o| o.part.id == *id)?;
        Some(self.0.remove(at))
    }

    /// Takes all open parts out.
    pub(crate) fn drain(&mut self) -> Vec<Open> {
        std::mem::take(&mut self.0)
    }

    /// There is a new connection: what was asked for on the old one may not come.
    pub(crate) fn may_ask_again(&mut self) {
        for open in &mut self.0 {
            open.asked = false;
        }
    }

    /// Whether `stored` is what these would be after a restart: the same parts, each with the text that is saved.
    pub(crate) fn persisted_eq(&self, stored: &Self) -> bool {
        self.0.len() == stored.0.len()
            && self.0.iter().zip(&stored.0).all(|(here, there)| {
                here.shell() == there.shell()
                    && here.saved == there.len
                    && here.text.get(..here.saved_bytes) == Some(&there.text)
            })
    }

    fn get_mut(&mut self, id: &PartId) -> Option<&mut Open> {
        // The part that streams is nearly always the last one.
        self.0.iter_mut().rev().find(|o| o.part.id == *id)
    }
}

impl Session {
    /// Deltas and flushes, which touch nothing but open parts and must cost nothing else. `None` for other inputs.
    pub(crate) fn quick(&mut self, cx: &Cx<'_>, input: &Input) -> Option<Vec<Effect>> {
        let Input::Runner { conn, frame } = input else {
            return None;
        };
        if self.live.runner.as_ref() != Some(conn) {
            return None;
        }
        let (mut fx, save) = match frame {
            RunnerFrame::Delta(delta) => (
                self.delta(delta),
                cx.now.since(self.live.saved_at) >= cx.timings.save_interval,
            ),
            RunnerFrame::Flush {} => (Vec::new(), true),
            RunnerFrame::Hello { .. } | RunnerFrame::Event { .. } | RunnerFrame::RenewToken {} => return None,
        };
        self.live.runner_seen = cx.now;
        self.live.delta_at = cx.now;
        if save {
            self.save_texts(cx, &mut fx);
        }
        Some(fx)
    }

    fn delta(&mut self, delta: &Delta) -> Vec<Effect> {
        let Some(open) = self.open.get_mut(&delta.part_id) else {
            return Vec::new(); // Finished meanwhile: the final part has it all.
        };
        if delta.reset {
            open.asked = false;
            open.text.clear();
            (open.len, open.saved, open.saved_bytes) = (0, 0, 0);
            let mut fx = vec![Effect::ResetText(delta.part_id.clone())];
            fx.extend(append(open, delta));
            return fx;
        }
        if open.text.len() >= MAX_OPEN_BYTES {
            return Vec::new();
        }
        if delta.offset > open.len {
            if std::mem::replace(&mut open.asked, true) {
                return Vec::new();
            }
            return vec![Effect::Runner(AgentFrame::Resend {
                part_id: delta.part_id.clone(),
                from: open.len,
            })];
        }
        append(open, delta)
    }

    fn save_texts(&mut self, cx: &Cx<'_>, fx: &mut Vec<Effect>) {
        self.live.saved_at = cx.now;
        for open in &mut self.open.0 {
            let Some(piece) = open.text.get(open.saved_bytes..).filter(|piece| !piece.is_empty()) else {
                continue;
            };
            let part_id = open.part.id.clone();
            fx.push(Effect::SaveText {
                part_id: part_id.clone(),
                offset: open.saved,
                text: piece.to_owned(),
            });
            fx.push(Effect::Runner(AgentFrame::Saved { part_id, len: open.len }));
            open.saved = open.len;
            open.saved_bytes = open.text.len();
        }
    }
}

/// Appends what is new of `delta` and passes exactly that on.
fn append(open: &mut Open, delta: &Delta) -> Vec<Effect> {
    let fresh = skip_utf16(&delta.text, open.len.saturating_sub(delta.offset)).unwrap_or_default();
    let room = MAX_OPEN_BYTES.saturating_sub(open.text.len());
    let fresh = fresh.get(..fresh.floor_char_boundary(room)).unwrap_or_default();
    if fresh.is_empty() && !delta.reset {
        return Vec::new();
    }
    let passed = Delta {
        part_id: delta.part_id.clone(),
        offset: open.len,
        text: fresh.to_owned(),
        reset: delta.reset,
    };
    open.asked = false;
    open.text.push_str(fresh);
    open.len += utf16_len(fresh);
    vec![Effect::Viewers(ServerFrame::Delta(passed))]
}

/// Length in UTF-16 code units.
pub(crate) fn utf16_len(text: &str) -> u32 {
    u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX)
}

/// `text` without its first `units` UTF-16 code units; `None` when it is shorter or the cut is inside a character.
fn skip_utf16(text: &str, units: u32) -> Option<&str> {
    if units == 0 {
        return Some(text);
    }
    let mut seen = 0;
    for (at, c) in text.char_indices() {
        if seen == units {
            return text.get(at..);
        }
        seen += u32::try_from(c.len_utf16()).unwrap_or(2);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipping_counts_as_javascript_does() {
        assert_eq!(skip_utf16("a😀b", 1), Some("😀b"));
        assert_eq!(skip_utf16("a😀b", 3), Some("b"));
        assert_eq!(skip_utf16("a😀b", 2), None);
        assert_eq!(skip_utf16("ab", 2), None);
        assert_eq!(utf16_len("a😀b"), 4);
    }
}
