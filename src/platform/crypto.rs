//! Cryptographic primitives as the Worker uses them: HMAC-SHA-256, SHA-256, constant-time comparison, random secrets.
//! Does not: know what is signed (see `sandbox_token`, `sandbox_host`, `http::auth`).

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// HMAC-SHA-256 of `message` under `key`.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length; the branch cannot be reached and stays harmless without a panic.
    Hmac::<Sha256>::new_from_slice(key).map_or([0; 32], |mut mac| {
        mac.update(message);
        mac.finalize().into_bytes().into()
    })
}

/// SHA-256 of `message`.
pub fn sha256(message: &[u8]) -> [u8; 32] {
    Sha256::digest(message).into()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

/// Whether two texts are equal, without telling by its duration where they differ.
pub fn equal(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// Random bytes.
///
/// # Panics
/// When the platform has no randomness. Going on without would mint guessable secrets.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::panic, reason = "a guessable secret is worse than an outage")]
    if let Err(error) = getrandom::fill(&mut bytes) {
        panic!("no randomness: {error}");
    }
    bytes
}

/// A new secret: 32 random bytes as 64 hexadecimal digits.
pub fn new_secret() -> String {
    hex(&random::<32>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_follows_rfc_4231() {
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(&hmac_sha256(b"Jefe", b"what do ya want for nothing?")), expected);
    }

    #[test]
    fn sha256_follows_fips_180() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&sha256(b"abc")), expected);
    }

    #[test]
    fn secrets_differ_and_compare() {
        let (a, b) = (new_secret(), new_secret());
        assert_eq!(a.len(), 64);
        assert!(equal(&a, &a.clone()) && !equal(&a, &b) && !equal(&a, "a"));
    }
}
