//! The cursor of a session list: the last row of a page. Opaque to clients; one that we did not make is refused.

use base64ct::{Base64UrlUnpadded, Encoding};

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The last row's time of change, milliseconds since 1970.
    pub updated_at: i64,
    /// The last row's session.
    pub id: String,
}

impl Cursor {
    /// As clients see it.
    pub(super) fn encode(&self) -> String {
        Base64UrlUnpadded::encode_string(format!("{}:{}", self.updated_at, self.id).as_bytes())
    }

    /// From what a client sent.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let plain = String::from_utf8(Base64UrlUnpadded::decode_vec(text).ok()?).ok()?;
        let (at, id) = plain.split_once(':')?;
        Some(Self {
            updated_at: at.parse().ok().filter(|at| (0..1 << 53).contains(at))?,
            id: id.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_and_others_are_refused() {
        let cursor = Cursor {
            updated_at: 1_700_000_000_000,
            id: "ses_1".to_owned(),
        };
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        for bad in [
            "",
            "!!",
            "AAAA",
            &Base64UrlUnpadded::encode_string(b"99999999999999999:ses_1"),
        ] {
            assert_eq!(Cursor::decode(bad), None, "{bad}");
        }
    }
}
