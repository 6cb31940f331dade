//! pkt-lines: four hexadecimal digits of length (with themselves), then that many bytes.

/// The longest a line's bytes can be, without the length.
pub const MAX_LINE: usize = 65_516;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<'a> {
    /// `0000`
    Flush,
    /// With these bytes.
    Data(&'a [u8]),
}

/// Not git's framing, or a kind of line that has no business here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not how git sends lines")]
pub struct Malformed;

/// The first line of `bytes` and how many bytes it takes; [`None`] when not all of it is there.
///
/// # Errors
/// When it can never become one.
pub fn first(bytes: &[u8]) -> Result<Option<(Line<'_>, usize)>, Malformed> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        let hex = bytes.iter().all(u8::is_ascii_hexdigit);
        return if hex { Ok(None) } else { Err(Malformed) };
    };
    let all = length_of(*length).ok_or(Malformed)?;
    match all {
        0 => Ok(Some((Line::Flush, 4))),
        // Delimiters belong to other exchanges; a line of nothing (`0004`) is one.
        4..=65_520 => Ok(rest.get(..all - 4).map(|data| (Line::Data(data), all))),
        _ => Err(Malformed),
    }
}

fn length_of(digits: [u8; 4]) -> Option<usize> {
    // `from_str_radix` takes a sign.
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    usize::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()
}

/// Appends a line; what is too long is cut.
pub fn push(to: &mut Vec<u8>, data: &[u8]) {
    let data = data.get(..MAX_LINE).unwrap_or(data);
    to.extend_from_slice(format!("{:04x}", data.len() + 4).as_bytes());
    to.extend_from_slice(data);
}

/// Appends the line without a length.
pub fn flush(to: &mut Vec<u8>) {
    to.extend_from_slice(b"0000");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_there_when_all_of_it_is() {
        assert_eq!(first(b""), Ok(None));
        assert_eq!(first(b"00"), Ok(None));
        assert_eq!(first(b"0009abc"), Ok(None));
        assert_eq!(first(b"0007abcrest"), Ok(Some((Line::Data(b"abc"), 7))));
        assert_eq!(first(b"0000x"), Ok(Some((Line::Flush, 4))));
        assert_eq!(first(b"0004"), Ok(Some((Line::Data(b""), 4))));
    }

    #[test]
    fn what_is_no_line_is_refused_at_once() {
        for bad in [
            &b"0001"[..],
            b"0002",
            b"0003",
            b"+004",
            b"-001",
            b"x",
            b"00 4",
            b"PACK",
            b"fff1",
            b"ffff",
        ] {
            assert_eq!(first(bad), Err(Malformed), "{}", String::from_utf8_lossy(bad));
        }
    }
}
