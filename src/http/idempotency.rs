//! The header `Idempotency-Key`: a caller's own name for a write, so that repeating it is harmless.

use errand_access::Actor;
use http::HeaderMap;

use super::error::ApiError;
use crate::platform::{clock, ids};

const MAX_CHARS: usize = 200;

/// The key as it came, when it is one.
///
/// # Errors
/// Invalid when it is empty, too long or not printable ASCII.
pub(crate) fn checked(key: Option<&str>) -> Result<Option<&str>, ApiError> {
    let printable = |key: &str| key.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match key {
        Some(key) if !(1..=MAX_CHARS).contains(&key.len()) || !printable(key) => Err(ApiError::invalid(
            "idempotency-key",
            format!("an idempotency key has 1 to {MAX_CHARS} printable ASCII characters"),
        )),
        key => Ok(key),
    }
}

/// The id of what a request makes: the one that belongs to its idempotency key, or a new one. The same key of another
/// person, in another org, or for another kind of thing is another key.
///
/// # Errors
/// Invalid when the key is none.
pub(crate) fn id_of_request<T: ids::Minted>(actor: &Actor, kind: &str, headers: &HeaderMap) -> Result<T, ApiError> {
    let key = headers.get("idempotency-key");
    let key = checked(key.map(|key| key.to_str().unwrap_or_default()))?;
    let scope = format!("{} {}", actor.org, actor.person.id);
    let derived = key.map(|key| ids::derive(&scope, kind, key));
    Ok(derived.unwrap_or_else(|| ids::mint(clock::now())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_and_printable() {
        assert_eq!(checked(None), Ok(None));
        assert_eq!(checked(Some("a key")), Ok(Some("a key")));
        for bad in ["", "a\u{7}", "\u{e9}", &"x".repeat(201)] {
            assert!(checked(Some(bad)).is_err(), "{bad:?}");
        }
    }
}
