//! JSON out of bytes, always read as text: serde's code for a type exists once per kind of input, and is a third of the
//! Worker already.

use std::fmt::Write;

use serde::de::{DeserializeOwned, Error};

/// Reads a whole JSON text.
///
/// # Errors
/// When it is not UTF-8, not JSON, or not a `T`.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    let text = std::str::from_utf8(bytes).map_err(|_| serde_json::Error::custom("not UTF-8"))?;
    serde_json::from_str(text)
}

/// JSON may hold any character, a header only printable ASCII: the rest is written as JSON escapes, two for a
/// character outside the basic plane.
pub fn ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        if matches!(c, ' '..='~') {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    ascii
}
