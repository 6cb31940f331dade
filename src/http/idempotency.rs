//! The header `Idempotency-Key`: a caller's own name for a write, so that repeating it is harmless.

use super::error::ApiError;

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
