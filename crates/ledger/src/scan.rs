//! Reads numbers and texts out of a JSON text that comes in pieces, with their paths, in bounded memory: of a text only
//! its beginning and its length are kept, and nothing of the structure but the way to the present place.
//!
//! It is no validator. What cannot be JSON makes it silent until [`Scan::reset`].

/// Of a text so much is shown.
pub(crate) const HEAD: usize = 64;
/// Longer ways are cut: nothing that is looked for lies so deep.
const MAX_PATH: usize = 256;
/// Deeper nesting is not followed.
const MAX_DEPTH: usize = 256;

/// What is found. Paths look like `choices[].delta.content`.
pub(crate) trait Sink {
    /// A number; its fraction is cut off.
    fn number(&mut self, path: &str, value: u64);
    /// A text: how it begins (at most [`HEAD`] bytes, without backslashes), and its length in bytes.
    fn text(&mut self, path: &str, head: &str, bytes: u64);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A value, or the end of an empty list.
    Value,
    /// A key, or the end of an object.
    Key,
    /// Inside a key.
    InKey,
    /// The colon after a key.
    Colon,
    /// Inside a text.
    InText,
    /// Inside a number, its whole part.
    InNumber,
    /// Inside what is left of a number, or inside `true`, `false`, `null`.
    InWord,
    /// A comma or an end.
    After,
    /// Nonsense came.
    Lost,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    /// The path's length outside of it.
    outer: usize,
    list: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Scan {
    state: State,
    levels: Vec<Level>,
    path: String,
    head: Vec<u8>,
    bytes: u64,
    escaped: bool,
    number: Option<u64>,
}

impl Scan {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Value,
            levels: Vec::new(),
            path: String::new(),
            head: Vec::with_capacity(HEAD),
            bytes: 0,
            escaped: false,
            number: None,
        }
    }

    /// Forgets everything: another JSON text begins.
    pub(crate) fn reset(&mut self) {
        self.state = State::Value;
        self.levels.clear();
        self.path.clear();
        self.escaped = false;
    }

    /// Whether more must come for the text to be whole.
    pub(crate) fn is_open(&self) -> bool {
        !self.levels.is_empty() && self.state != State::Lost
    }

    /// Takes in the next piece.
    pub(crate) fn feed(&mut self, mut piece: &[u8], sink: &mut impl Sink) {
        while let Some((byte, rest)) = piece.split_first() {
            match self.state {
                State::Lost => return,
                State::InKey | State::InText => piece = self.in_text(piece, sink),
                State::InNumber | State::InWord => {
                    if self.in_word(*byte) {
                        piece = rest;
                    } else {
                        // What ends a word is read again as what follows it.
                        self.end_word(sink);
                    }
                }
                State::Value | State::Key | State::Colon | State::After => {
                    self.between(*byte);
                    piece = rest;
                }
            }
        }
    }

    /// Inside a text: everything up to its next quote or backslash at once.
    fn in_text<'p>(&mut self, piece: &'p [u8], sink: &mut impl Sink) -> &'p [u8] {
        if std::mem::take(&mut self.escaped) {
            let (one, rest) = piece.split_at(1.min(piece.len()));
            self.keep(one);
            return rest;
        }
        let end = piece.iter().position(|byte| matches!(byte, b'"' | b'\\'));
        let (plain, rest) = piece.split_at(end.unwrap_or(piece.len()));
        self.keep(plain);
        match rest.split_first() {
            Some((b'\\', rest)) => {
                self.escaped = true;
                rest
            }
            Some((_, rest)) => {
                self.end_text(sink);
                rest
            }
            None => rest,
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = HEAD.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend(bytes.iter().take(room));
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
    }

    fn end_text(&mut self, sink: &mut impl Sink) {
        // Cut in the middle of a character: what stands before it is valid.
        let head = match std::str::from_utf8(&self.head) {
            Ok(head) => head,
            Err(error) => std::str::from_utf8(self.head.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or(""),
        };
        if self.state == State::InKey {
            if self.path.len() + head.len() < MAX_PATH {
                if !self.path.is_empty() {
                    self.path.push('.');
                }
                self.path.push_str(head);
            }
            self.state = State::Colon;
        } else {
            sink.text(&self.path, head, self.bytes);
            self.state = State::After;
        }
    }

    /// Whether the byte still belongs to the number or word.
    fn in_word(&mut self, byte: u8) -> bool {
        match (self.state, byte) {
            (State::InNumber, b'0'..=b'9') => {
                let digit = u64::from(byte - b'0');
                self.number = self
                    .number
                    .map(|so_far| so_far.saturating_mul(10).saturating_add(digit));
                true
            }
            (State::InNumber, b'.') => {
                self.state = State::InWord;
                true
            }
            // Nobody writes a count like this: it is better not known than wrong.
            (_, b'e' | b'E' | b'+' | b'-') => {
                self.number = None;
                self.state = State::InWord;
                true
            }
            (State::InWord, byte) => byte.is_ascii_alphanumeric(),
            _ => false,
        }
    }

    fn end_word(&mut self, sink: &mut impl Sink) {
        if let Some(number) = self.number.take() {
            sink.number(&self.path, number);
        }
        self.state = State::After;
    }

    fn between(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            (state, b' ' | b'\t' | b'\r' | b'\n') => state,
            (State::Value, b'{') => self.enter(false),
            (State::Value, b'[') => self.enter(true),
            (State::Value | State::After, b']') => self.leave(true),
            (State::Key | State::After, b'}') => self.leave(false),
            (State::Value, b'"') => self.begin_text(State::InText),
            (State::Key, b'"') => self.begin_text(State::InKey),
            (State::Value, digit @ b'0'..=b'9') => {
                self.number = Some(u64::from(digit - b'0'));
                State::InNumber
            }
            (State::Value, b'-' | b'a'..=b'z') => {
                self.number = None;
                State::InWord
            }
            (State::Colon, b':') => State::Value,
            (State::After, b',') => self.next(),
            _ => State::Lost,
        };
    }

    fn begin_text(&mut self, state: State) -> State {
        self.head.clear();
        self.bytes = 0;
        state
    }

    fn enter(&mut self, list: bool) -> State {
        if self.levels.len() >= MAX_DEPTH {
            return State::Lost;
        }
        let outer = self.path.len();
        self.levels.push(Level { outer, list });
        if !list {
            return State::Key;
        }
        if outer < MAX_PATH {
            self.path.push_str("[]");
        }
        State::Value
    }

    fn leave(&mut self, list: bool) -> State {
        match self.levels.pop() {
            Some(level) if level.list == list => {
                self.path.truncate(level.outer);
                State::After
            }
            _ => State::Lost,
        }
    }

    /// After a comma.
    fn next(&mut self) -> State {
        match self.levels.last() {
            Some(Level { list: true, .. }) => State::Value,
            Some(Level { list: false, outer }) => {
                self.path.truncate(*outer);
                State::Key
            }
            None => State::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Debug, PartialEq)]
    struct Found(Vec<String>);

    impl Sink for Found {
        fn number(&mut self, path: &str, value: u64) {
            self.0.push(format!("{path}={value}"));
        }
        fn text(&mut self, path: &str, head: &str, bytes: u64) {
            self.0.push(format!("{path}={head}/{bytes}"));
        }
    }

    fn found(pieces: &[&[u8]]) -> Vec<String> {
        let (mut scan, mut found) = (Scan::new(), Found::default());
        for piece in pieces {
            scan.feed(piece, &mut found);
        }
        found.0
    }

    const JSON: &str = r#" {"a":{"b":[1,{"c":"x\"y"},[]],"d":-5,"e":1.5e3,"f":2.75},"g":null,"":true,"h":["é",12]} "#;

    #[test]
    fn numbers_and_texts_come_with_their_paths() {
        assert_eq!(
            found(&[JSON.as_bytes()]),
            ["a.b[]=1", "a.b[].c=x\"y/3", "a.f=2", "h[]=é/2", "h[]=12"]
        );
    }

    #[test]
    fn pieces_of_any_length_give_the_same() {
        let whole = found(&[JSON.as_bytes()]);
        for size in 1..JSON.len() {
            let pieces: Vec<&[u8]> = JSON.as_bytes().chunks(size).collect();
            assert_eq!(found(&pieces), whole, "{size}");
        }
    }

    #[test]
    fn of_a_long_text_only_the_beginning_is_kept() {
        let json = format!("{{\"t\":\"{}\",\"n\":7}}", "ö".repeat(100_000));
        let (mut scan, mut found) = (Scan::new(), Found::default());
        scan.feed(json.as_bytes(), &mut found);
        assert_eq!(
            found.0,
            [format!("t={}/200000", "ö".repeat(HEAD / 2)), "n=7".to_owned()]
        );
        assert!(scan.head.capacity() <= 2 * HEAD);
    }

    #[test]
    fn nonsense_is_silent_until_a_reset() {
        for bad in [
            "}",
            "]",
            "{]",
            "[DONE]",
            "{1}",
            "{\"a\" 1}",
            "data",
            "[1}",
            &"[".repeat(1000),
        ] {
            let (mut scan, mut found) = (Scan::new(), Found::default());
            scan.feed(bad.as_bytes(), &mut found);
            scan.feed(b"{\"a\":1}", &mut found);
            found.0.retain(|line| line == "a=1");
            assert_eq!(found.0, [""; 0], "{bad}");
            scan.reset();
            scan.feed(b"{\"a\":1}", &mut found);
            assert_eq!(found.0, ["a=1"], "{bad}");
        }
    }
}
