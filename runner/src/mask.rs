//! Masking secrets in what the runner reports. Pure.
//!
//! The agent can read the secrets that its repository's policy gives the sandbox, so it may print them; whoever only reads
//! the session must not see them. Known values are masked as they are written: whole, line by line, and as JSON writes
//! them. In other forms (encoded, spelled out, in pieces that somebody chose) they are not found.

mod event;

use std::sync::Arc;

use errand_protocol::repository::SHORTEST_MASKED_BYTES;

/// What stands instead of a secret.
pub const MASK: &str = "***";
/// Only texts longer than this have been cut by the engine or by us, in the middle of a secret perhaps.
const CUT_AT: usize = 16 * 1024;
/// Pieces of longer secrets are not looked for: those have lines, and lines are secrets of their own.
const LONGEST_IN_PIECES: usize = 512;

/// The secrets to look for; without any, everything passes untouched.
#[derive(Clone, Default)]
pub struct Masks {
    /// Longest first: of two that begin alike the longer one is meant.
    needles: Arc<[String]>,
}

impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Masks({})", self.needles.len())
    }
}

/// What stands at a place of a text.
enum At {
    /// A secret of so many bytes.
    Secret(usize),
    /// The begin of one, at the text's end.
    Begin,
    /// None.
    Nothing,
}

impl Masks {
    /// For these values. What is too short to be told from other words is not looked for.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut needles = Vec::new();
        for value in values {
            let lines = value.lines().map(str::trim);
            for text in std::iter::once(value.trim()).chain(lines) {
                let quoted = serde_json::to_string(text).unwrap_or_default();
                let quoted = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                needles.extend([text.to_owned(), quoted.unwrap_or_default().to_owned()]);
            }
        }
        needles.retain(|needle| needle.len() >= SHORTEST_MASKED_BYTES);
        needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        needles.dedup();
        Self {
            needles: needles.into(),
        }
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// What is looked for, for others who look.
    pub fn needles(&self) -> &[String] {
        &self.needles
    }

    /// A whole text, masked; `None` when there is nothing to mask in it.
    pub fn text(&self, text: &str) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let (mut masked, _) = self.scan(text, false);
        if text.len() > CUT_AT {
            masked = self.pieces(&masked);
        }
        Some(masked).filter(|masked| masked != text)
    }

    /// A text that may go on: as much of it as can be shown, masked, and how many of its bytes that is. Of a longer text
    /// with the same begin it gives the same and more.
    pub fn open(&self, text: &str) -> (String, usize) {
        if self.is_empty() {
            return (text.to_owned(), text.len());
        }
        self.scan(text, true)
    }

    fn scan(&self, text: &str, more: bool) -> (String, usize) {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let taken = match self.at(rest, more) {
                At::Secret(length) => {
                    out.push_str(MASK);
                    length
                }
                At::Begin => break,
                At::Nothing => {
                    out.push(c);
                    c.len_utf8()
                }
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        (out, text.len() - rest.len())
    }

    fn at(&self, rest: &str, more: bool) -> At {
        for needle in self.needles.iter() {
            if rest.starts_with(needle.as_str()) {
                return At::Secret(needle.len());
            }
            if more && needle.len() > rest.len() && needle.starts_with(rest) {
                return At::Begin;
            }
        }
        At::Nothing
    }

    /// Masks pieces of secrets at the ends of lines, where a long text may have been cut. Less than half of a secret is not
    /// told from other words.
    fn pieces(&self, text: &str) -> String {
        let line = |line: &str| {
            let end = line.len() - self.needles.iter().map(|needle| tail(line, needle)).max().unwrap_or(0);
            let kept = line.get(..end).unwrap_or_default();
            let begin = self.needles.iter().map(|needle| head(kept, needle)).max().unwrap_or(0);
            let (before, after) = (
                if begin > 0 { MASK } else { "" },
                if end < line.len() { MASK } else { "" },
            );
            format!("{before}{}{after}", kept.get(begin..).unwrap_or_default())
        };
        text.split('\n').map(line).collect::<Vec<_>>().join("\n")
    }
}

fn least(needle: &str) -> usize {
    SHORTEST_MASKED_BYTES.max(needle.len() / 2)
}

/// How long a begin of the secret the line ends with.
fn tail(line: &str, needle: &str) -> usize {
    if needle.len() > LONGEST_IN_PIECES {
        return 0;
    }
    let most = needle.len().saturating_sub(1).min(line.len());
    (least(needle)..=most)
        .rev()
        .find(|length| needle.get(..*length).is_some_and(|piece| line.ends_with(piece)))
        .unwrap_or(0)
}

/// How long an end of the secret the line begins with.
fn head(line: &str, needle: &str) -> usize {
    if needle.len() > LONGEST_IN_PIECES {
        return 0;
    }
    let most = needle.len().saturating_sub(1).min(line.len());
    (least(needle)..=most)
        .rev()
        .find(|length| {
            needle
                .get(needle.len() - length..)
                .is_some_and(|piece| line.starts_with(piece))
        })
        .unwrap_or(0)
}

/// A text that comes in pieces, of which no cut shows a secret.
#[derive(Debug, Default)]
pub struct Stream {
    /// The begin of a secret, perhaps.
    held: String,
}

impl Stream {
    /// Takes a piece in; gives what can be shown.
    pub fn feed(&mut self, masks: &Masks, piece: &str) -> String {
        self.held.push_str(piece);
        let (shown, taken) = masks.open(&self.held);
        self.held.drain(..taken);
        shown
    }

    /// Starts anew: the text so far is this; gives what can be shown of it.
    pub fn set(&mut self, masks: &Masks, text: &str) -> String {
        let (shown, taken) = masks.open(text);
        text.get(taken..).unwrap_or_default().clone_into(&mut self.held);
        shown
    }

    /// Nothing follows: the rest.
    pub fn rest(&mut self, masks: &Masks) -> String {
        let rest = std::mem::take(&mut self.held);
        masks.text(&rest).unwrap_or(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_wherever_the_stream_is_cut() {
        let masks = Masks::new(["s3cret-value", "s3cret-value-longer", "short", "línea-ñandú"]);
        let text = "a s3cret-value, s3cret-value-longer s3cret-valu línea-ñandú short s3cret-value-long";
        let expected = "a ***, *** s3cret-valu *** short ***-long";
        assert_eq!(masks.text(text).unwrap(), expected);
        let chars: Vec<char> = text.chars().collect();
        for size in 1..chars.len() {
            let mut stream = Stream::default();
            let mut out = String::new();
            for piece in chars.chunks(size) {
                out += &stream.feed(&masks, &piece.iter().collect::<String>());
                assert!(!out.contains("s3cret-value"), "{out}");
            }
            out += &stream.rest(&masks);
            assert_eq!(out, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn what_can_be_shown_of_a_growing_text_only_grows() {
        let masks = Masks::new(["aaaaaaaab", "aaaaaaaa"]);
        let text = "xaaaaaaaaaaaaaabaaaaaaaaz";
        let mut before = String::new();
        for end in 0..=text.len() {
            let (shown, _) = masks.open(&text[..end]);
            assert!(shown.starts_with(&before), "{before} {shown}");
            before = shown;
        }
        assert!(!before.contains("aaaaaaaa"));
    }

    #[test]
    fn each_line_of_a_key_and_its_form_in_json_are_masked() {
        let masks = Masks::new(["-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n", "quo\"ted\\value"]);
        assert_eq!(masks.text("line MIIEvQIBADAN.").unwrap(), "line ***.");
        let json =
            serde_json::json!({ "a": "quo\"ted\\value", "k": "-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B" });
        let masked = masks.text(&json.to_string()).unwrap();
        assert_eq!(masked, r#"{"a":"***","k":"***"}"#);
    }

    #[test]
    fn a_long_text_that_was_cut_in_the_middle_of_a_secret_does_not_show_most_of_it() {
        let masks = Masks::new(["ghp_0123456789abcdef"]);
        let filling = "x".repeat(20_000);
        let text = format!("456789abcdef\n{filling}\nsome ghp_0123456789a\n… cut …\n789abcdef and more\nghp_01 stays");
        let masked = masks.text(&text).unwrap();
        assert_eq!(
            masked,
            format!("***\n{filling}\nsome ***\n… cut …\n789abcdef and more\nghp_01 stays")
        );
    }

    #[test]
    fn without_secrets_nothing_is_touched() {
        let masks = Masks::new(["", "short", "\n"]);
        assert!(masks.is_empty());
        assert_eq!(masks.text("short"), None);
        assert_eq!(Stream::default().feed(&masks, "anything"), "anything");
    }
}
