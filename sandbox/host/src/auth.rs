//! Checks the signatures of the contract: HMAC-SHA-256 over the raw request, in its time window, each only once.
//! The key is the secret's text as it stands in the environment. No clock here: `now` comes in.
//!
//! Remembered signatures are lost with the process; a request signed before this host started is therefore told to
//! sign again, so that a restart opens no gap for replays.

use std::collections::BTreeSet;

use errand_protocol::sandbox::{SIGNATURE_WINDOW_MS, SandboxError, SandboxErrorKind, signing_text};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// What a signature covers, and the two headers that carry it.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    /// Upper-case HTTP method.
    pub method: &'a str,
    /// Path with query, as it was sent.
    pub path: &'a str,
    /// The raw body.
    pub body: &'a [u8],
    /// The timestamp header.
    pub timestamp: Option<&'a str>,
    /// The signature header.
    pub signature: Option<&'a str>,
}

/// Accepts each well-signed request once.
pub struct Verifier {
    key: Hmac<Sha256>,
    started_at: i64,
    /// By time first, so that the expired ones stand in front.
    seen: BTreeSet<(i64, [u8; 32])>,
}

impl Verifier {
    /// A verifier that starts at `now` (milliseconds since 1970); `None` for an empty secret.
    pub fn new(secret: &str, now: i64) -> Option<Self> {
        let key = Hmac::new_from_slice(secret.as_bytes())
            .ok()
            .filter(|_| !secret.is_empty())?;
        Some(Self {
            key,
            started_at: now,
            seen: BTreeSet::new(),
        })
    }

    /// Refuses a request that is unsigned, wrongly signed, too old or new, or was here before.
    pub fn verify(&mut self, request: SignedRequest<'_>, now: i64) -> Result<(), SandboxError> {
        let timestamp = request
            .timestamp
            .filter(|text| text.len() <= 15 && text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse::<i64>().ok())
            .ok_or_else(|| refused("the timestamp header is missing or is not a number"))?;
        let mac = request
            .signature
            .and_then(|text| text.strip_prefix("v1="))
            .and_then(decode)
            .ok_or_else(|| refused("the signature header is missing or is not v1= and 64 hex digits"))?;
        let text = signing_text(timestamp, request.method, request.path, &sha256_hex(request.body));
        let mut key = self.key.clone();
        key.update(text.as_bytes());
        key.verify_slice(&mac)
            .map_err(|_| refused("the signature does not match"))?;
        if (now - timestamp).abs() > SIGNATURE_WINDOW_MS {
            return Err(refused("the signature is outside its time window; check the clocks"));
        }
        if timestamp < self.started_at {
            return Err(sign_again());
        }
        self.remember(timestamp, mac, now)
    }

    fn remember(&mut self, timestamp: i64, mac: [u8; 32], now: i64) -> Result<(), SandboxError> {
        while self.seen.first().is_some_and(|(at, _)| now - at > SIGNATURE_WINDOW_MS) {
            self.seen.pop_first();
        }
        if self.seen.insert((timestamp, mac)) {
            Ok(())
        } else {
            Err(refused(
                "the signature was used before; sign again with another timestamp",
            ))
        }
    }
}

/// The value of the signature header for a request; what a client of this contract sends.
pub fn sign(secret: &str, timestamp: i64, method: &str, path: &str, body: &[u8]) -> Option<String> {
    let mut key = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    key.update(signing_text(timestamp, method, path, &sha256_hex(body)).as_bytes());
    Some(format!(
        "v1={}",
        base16ct::lower::encode_string(&key.finalize().into_bytes())
    ))
}

fn sha256_hex(body: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(body))
}

fn decode(hex: &str) -> Option<[u8; 32]> {
    let mut mac = [0; 32];
    let decoded = base16ct::lower::decode(hex, &mut mac).ok()?;
    (decoded.len() == 32).then_some(())?;
    Some(mac)
}

fn refused(message: &str) -> SandboxError {
    SandboxError {
        kind: SandboxErrorKind::Auth,
        message: message.to_owned(),
        retry_after_ms: None,
    }
}

fn sign_again() -> SandboxError {
    SandboxError {
        kind: SandboxErrorKind::Transient,
        message: "the host has just started; sign again".to_owned(),
        retry_after_ms: Some(100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_242_077_308;
    const SECRET: &str = "a secret";

    fn verifier() -> Verifier {
        Verifier::new(SECRET, NOW - 1_000_000).unwrap()
    }

    fn check(
        verifier: &mut Verifier,
        at: i64,
        method: &str,
        path: &str,
        body: &[u8],
        signature: &str,
    ) -> Result<(), SandboxErrorKind> {
        let request = SignedRequest {
            method,
            path,
            body,
            timestamp: Some(&at.to_string()),
            signature: Some(signature),
        };
        verifier.verify(request, NOW).map_err(|error| error.kind)
    }

    #[test]
    fn a_signature_is_accepted_once_and_never_again() {
        let mut verifier = verifier();
        let signature = sign(SECRET, NOW, "PUT", "/v1/sandboxes/a", b"{}").unwrap();
        assert_eq!(
            check(&mut verifier, NOW, "PUT", "/v1/sandboxes/a", b"{}", &signature),
            Ok(())
        );
        for _ in 0..2 {
            assert_eq!(
                check(&mut verifier, NOW, "PUT", "/v1/sandboxes/a", b"{}", &signature),
                Err(SandboxErrorKind::Auth)
            );
        }
    }

    #[test]
    fn every_signed_thing_is_covered() {
        let signature = sign(SECRET, NOW, "PUT", "/v1/x?a=b", b"{}").unwrap();
        let mut verifier = verifier();
        for (at, method, path, body) in [
            (NOW + 1, "PUT", "/v1/x?a=b", &b"{}"[..]),
            (NOW, "GET", "/v1/x?a=b", b"{}"),
            (NOW, "PUT", "/v1/x?a=c", b"{}"),
            (NOW, "PUT", "/v1/x?a=b", b"{} "),
        ] {
            assert_eq!(
                check(&mut verifier, at, method, path, body, &signature),
                Err(SandboxErrorKind::Auth)
            );
        }
        let other = sign("another secret", NOW, "PUT", "/v1/x?a=b", b"{}").unwrap();
        assert_eq!(
            check(&mut verifier, NOW, "PUT", "/v1/x?a=b", b"{}", &other),
            Err(SandboxErrorKind::Auth)
        );
        assert_eq!(check(&mut verifier, NOW, "PUT", "/v1/x?a=b", b"{}", &signature), Ok(()));
    }

    #[test]
    fn a_timestamp_outside_the_window_is_refused() {
        let mut verifier = verifier();
        for (offset, accepted) in [
            (SIGNATURE_WINDOW_MS, true),
            (-SIGNATURE_WINDOW_MS, true),
            (SIGNATURE_WINDOW_MS + 1, false),
            (-SIGNATURE_WINDOW_MS - 1, false),
        ] {
            let at = NOW + offset;
            let signature = sign(SECRET, at, "GET", "/v1/x", b"").unwrap();
            assert_eq!(
                check(&mut verifier, at, "GET", "/v1/x", b"", &signature).is_ok(),
                accepted,
                "{offset}"
            );
        }
    }

    #[test]
    fn what_was_signed_before_the_start_must_be_signed_again() {
        let mut verifier = Verifier::new(SECRET, NOW).unwrap();
        let signature = sign(SECRET, NOW - 1, "GET", "/v1/x", b"").unwrap();
        assert_eq!(
            check(&mut verifier, NOW - 1, "GET", "/v1/x", b"", &signature),
            Err(SandboxErrorKind::Transient)
        );
    }

    #[test]
    fn malformed_headers_are_refused() {
        let mut verifier = verifier();
        let signature = sign(SECRET, NOW, "GET", "/v1/x", b"").unwrap();
        let now = NOW.to_string();
        for (timestamp, signature) in [
            (None, Some(signature.as_str())),
            (Some("-1"), Some(signature.as_str())),
            (Some("99999999999999999999"), Some(signature.as_str())),
            (Some(now.as_str()), None),
            (Some(now.as_str()), Some("v1=")),
            (Some(now.as_str()), Some("v1=zz")),
            (Some(now.as_str()), Some(&signature[3..])),
        ] {
            let request = SignedRequest {
                method: "GET",
                path: "/v1/x",
                body: b"",
                timestamp,
                signature,
            };
            assert!(verifier.verify(request, NOW).is_err(), "{timestamp:?} {signature:?}");
        }
        assert!(Verifier::new("", NOW).is_none());
    }

    #[test]
    fn expired_signatures_are_forgotten() {
        let mut verifier = verifier();
        for i in 0..100 {
            let at = NOW + i;
            let signature = sign(SECRET, at, "GET", "/v1/x", b"").unwrap();
            let request = SignedRequest {
                method: "GET",
                path: "/v1/x",
                body: b"",
                timestamp: Some(&at.to_string()),
                signature: Some(&signature),
            };
            verifier.verify(request, at).unwrap();
        }
        assert_eq!(verifier.seen.len(), 100);
        let later = NOW + SIGNATURE_WINDOW_MS + 1000;
        let signature = sign(SECRET, later, "GET", "/v1/x", b"").unwrap();
        let request = SignedRequest {
            method: "GET",
            path: "/v1/x",
            body: b"",
            timestamp: Some(&later.to_string()),
            signature: Some(&signature),
        };
        verifier.verify(request, later).unwrap();
        assert_eq!(verifier.seen.len(), 1);
    }
}
