//! The `data:` of server-sent events, in pieces as they come: nothing is put together, so no event is too long.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At a line's beginning, so many bytes of `data:` matched.
    Name(usize),
    /// In the value of a `data` line.
    Data,
    /// In a line of no interest.
    Other,
}

/// What a stream consists of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'p> {
    /// A further part of an event's data.
    Data(&'p [u8]),
    /// The event is complete.
    End,
}

/// Where a stream of server-sent events stands.
#[derive(Debug)]
pub(crate) struct Frames {
    place: Place,
    /// Nothing stands on this line yet.
    empty_line: bool,
}

const NAME: &[u8] = b"data:";

impl Frames {
    pub(crate) fn new() -> Self {
        Self {
            place: Place::Name(0),
            empty_line: true,
        }
    }

    /// Takes in the next bytes and shows what of them is data.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut show: impl FnMut(Piece<'_>)) {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.line(line, &mut show);
            bytes = rest;
            if let Some((byte, rest)) = rest.split_first() {
                bytes = rest;
                self.line_end(*byte, &mut show);
            }
        }
    }

    fn line(&mut self, mut line: &[u8], show: &mut impl FnMut(Piece<'_>)) {
        self.empty_line &= line.is_empty();
        while let (Place::Name(matched), Some((byte, rest))) = (self.place, line.split_first()) {
            self.place = if NAME.get(matched) != Some(byte) {
                Place::Other
            } else if matched + 1 == NAME.len() {
                Place::Data
            } else {
                Place::Name(matched + 1)
            };
            line = rest;
        }
        if self.place == Place::Data && !line.is_empty() {
            show(Piece::Data(line));
        }
    }

    fn line_end(&mut self, byte: u8, show: &mut impl FnMut(Piece<'_>)) {
        // A carriage return ends a line too. The line feed after it ends none: only it can tell an empty line.
        if byte == b'\r' {
            return;
        }
        if self.empty_line {
            show(Piece::End);
        }
        self.place = Place::Name(0);
        self.empty_line = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<String> {
        let (mut frames, mut events, mut open) = (Frames::new(), Vec::new(), Vec::new());
        for piece in pieces {
            frames.feed(piece, |piece| match piece {
                Piece::Data(data) => open.extend_from_slice(data),
                Piece::End => events.push(String::from_utf8(std::mem::take(&mut open)).unwrap()),
            });
        }
        events
    }

    #[test]
    fn the_data_of_each_event_whatever_stands_around_it() {
        let stream = ": comment\n\nevent: a\ndata: {\"x\":1}\n\ndata:{\"y\"\r\ndata: :2}\r\nid: 7\r\n\r\ndatabase: no\nretry: 1\n\n";
        let expected = ["", " {\"x\":1}", "{\"y\" :2}", ""];
        assert_eq!(events(&[stream.as_bytes()]), expected);
        for size in 1..stream.len() {
            let pieces: Vec<&[u8]> = stream.as_bytes().chunks(size).collect();
            assert_eq!(events(&pieces), expected, "{size}");
        }
    }
}
