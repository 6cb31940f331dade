//! JSON out of bytes, always read as text: serde's code for a type exists once per kind of input, and is a third of the
//! Worker already.

use serde::de::{DeserializeOwned, Error};

/// Reads a whole JSON text.
///
/// # Errors
/// When it is not UTF-8, not JSON, or not a `T`.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    let text = std::str::from_utf8(bytes).map_err(|_| serde_json::Error::custom("not UTF-8"))?;
    serde_json::from_str(text)
}
