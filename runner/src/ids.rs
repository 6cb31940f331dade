//! New ids: the engine's ascending `msg_`/`prt_` ids, which a client may choose itself, and random ones.
//!
//! The engine orders a session's history by id: 12 hex digits of time (milliseconds × 4096 + counter, 48 bits),
//! then 14 characters of base 62. An id chosen here must therefore be later than every id the engine made before.

use errand_protocol::ids::{MessageId, PartId, SnapshotId, SpoolId};
use errand_protocol::time::Timestamp;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const TIME_MASK: i64 = 0xFFFF_FFFF_FFFF;

/// Random bytes from the operating system.
///
/// # Errors
/// When the system has no source of randomness.
pub fn random_bytes<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(bytes)
}

/// A secret for one run of a local service: 48 hex digits.
///
/// # Errors
/// As [`random_bytes`].
pub fn secret() -> std::io::Result<String> {
    use std::fmt::Write as _;
    Ok(random_bytes::<24>()?.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// A number in `0..1`, for jitter.
pub fn jitter() -> f64 {
    random_bytes::<2>().map_or(0.5, |bytes| f64::from(u16::from_le_bytes(bytes)) / 65_536.0)
}

/// The id of a new spool file.
///
/// # Errors
/// As [`random_bytes`].
pub fn spool_id() -> std::io::Result<SpoolId> {
    SpoolId::from_body(&base62(&random_bytes::<26>()?)).map_err(|error| std::io::Error::other(error.to_string()))
}

/// The id of a new snapshot.
///
/// # Errors
/// As [`random_bytes`].
pub fn snapshot_id() -> std::io::Result<SnapshotId> {
    SnapshotId::from_body(&base62(&random_bytes::<26>()?)).map_err(|error| std::io::Error::other(error.to_string()))
}

/// The ids of a prompt's message and of its only part.
///
/// # Errors
/// As [`random_bytes`].
pub fn prompt_ids(now: Timestamp) -> std::io::Result<(MessageId, PartId)> {
    let message = MessageId::from_body(&ascending(now, 0, &random_bytes::<14>()?));
    let part = PartId::from_body(&ascending(now, 1, &random_bytes::<14>()?));
    match (message, part) {
        (Ok(message), Ok(part)) => Ok((message, part)),
        (Err(error), _) | (_, Err(error)) => Err(std::io::Error::other(error.to_string())),
    }
}

fn ascending(now: Timestamp, counter: i64, random: &[u8]) -> String {
    let time = (now.millis().wrapping_mul(4096).wrapping_add(counter)) & TIME_MASK;
    format!("{time:012x}{}", base62(random))
}

fn base62(random: &[u8]) -> String {
    random
        .iter()
        .filter_map(|byte| BASE62.get(usize::from(*byte) % BASE62.len()).map(|c| char::from(*c)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompts_id_sorts_between_what_the_engine_made_before_and_after() {
        // From captures/edit.jsonl: the user message of time.created 1795242079655, the answer of …666.
        let (before, _) = prompt_ids(Timestamp::from_millis(1_795_242_079_655)).unwrap();
        assert_eq!(&before.as_str()[..16], "msg_1fcc435a7000");
        assert!(before.as_str() < "msg_1fcc435b20014wvIX9S8XncCAB");
        let (after, part) = prompt_ids(Timestamp::from_millis(1_795_242_079_667)).unwrap();
        assert!(after.as_str() > "msg_1fcc435b20014wvIX9S8XncCAB");
        assert_eq!(part.as_str().len(), "prt_1fcc435aa0014CcVuX140oDevF".len());
    }

    #[test]
    fn secrets_and_spool_ids_do_not_repeat() {
        assert_ne!(secret().unwrap(), secret().unwrap());
        assert_ne!(spool_id().unwrap(), spool_id().unwrap());
    }
}
