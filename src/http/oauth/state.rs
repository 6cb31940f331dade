//! What a browser carries while its owner is at the provider: a short-lived cookie, sealed, so that a callback counts
//! only in the browser that asked for it, once, for ten minutes, and with the verifier that the code was asked for with.

use base64ct::{Base64UrlUnpadded, Encoding};
use errand_protocol::time::Timestamp;
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::provider::Provider;
use crate::config::Config;
use crate::http::auth;
use crate::http::error::ApiError;
use crate::platform::sealing::{self, Place};
use crate::platform::{crypto, json};

/// Name of the cookie.
const COOKIE_NAME: &str = "errand_oauth";
/// Its name over TLS: nobody but our own host can set one, and have somebody end an attempt that is not theirs.
const HOST_COOKIE_NAME: &str = "__Host-errand_oauth";
/// So long somebody may stay at the provider.
pub(super) const LIFETIME_MS: i64 = 10 * 60 * 1000;
/// Longest address to come back to.
const MAX_RETURN: usize = 512;

/// One attempt to sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempt {
    /// Where.
    pub(super) provider: Provider,
    /// What the provider sends back.
    pub(super) state: String,
    /// PKCE.
    pub(super) verifier: String,
    /// Where to go afterwards: a path of ours.
    pub(super) back: String,
    /// The code of an invitation.
    pub(super) invitation: Option<String>,
    /// Until when it counts.
    pub(super) expires_at: Timestamp,
}

impl Attempt {
    /// A new one.
    pub(super) fn new(provider: Provider, back: Option<&str>, invitation: Option<String>, now: Timestamp) -> Self {
        Self {
            provider,
            state: crypto::new_secret(),
            verifier: crypto::new_secret(),
            back: back.filter(|path| is_our_path(path)).unwrap_or("/").to_owned(),
            invitation: invitation.filter(|code| code.len() <= 200),
            expires_at: now.plus(LIFETIME_MS),
        }
    }

    /// What the verifier is shown as beforehand (RFC 7636, S256).
    pub(super) fn challenge(&self) -> String {
        Base64UrlUnpadded::encode_string(&crypto::sha256(self.verifier.as_bytes()))
    }

    /// The `Set-Cookie` line that keeps it in the browser.
    pub(super) fn cookie(&self, config: &Config) -> Result<String, ApiError> {
        let sealed = sealing::seal(config, place(self.provider), &serde_json::to_string(self)?);
        let sealed = sealed.map_err(|e| ApiError::internal(e.to_string()))?;
        let age = LIFETIME_MS / 1000;
        let (name, attributes) = name_and_attributes(config);
        Ok(format!("{name}={sealed}; {attributes}; Max-Age={age}"))
    }

    /// The attempt that this browser made at this provider, when it is not over.
    pub(super) fn of_browser(config: &Config, headers: &HeaderMap, provider: Provider, now: Timestamp) -> Option<Self> {
        let (ours, _) = name_and_attributes(config);
        let sealed = auth::cookies(headers).find(|(name, _)| *name == ours)?.1;
        let opened = sealing::open(config, place(provider), sealed).ok()?;
        let attempt: Self = json::read(opened.secret.expose().as_bytes()).ok()?;
        (attempt.provider == provider && attempt.expires_at > now).then_some(attempt)
    }
}

/// The `Set-Cookie` line that drops it.
pub(super) fn clear_cookie(config: &Config) -> String {
    let (name, attributes) = name_and_attributes(config);
    format!("{name}=; {attributes}; Max-Age=0")
}

fn place(provider: Provider) -> Place<'static> {
    Place {
        org: None,
        purpose: "oauth.attempt",
        subject: provider.name(),
    }
}

/// Lax, not strict: the provider's page sends the browser back to us.
fn name_and_attributes(config: &Config) -> (&'static str, &'static str) {
    if auth::over_tls(config) {
        (HOST_COOKIE_NAME, "Path=/; HttpOnly; SameSite=Lax; Secure")
    } else {
        (COOKIE_NAME, "Path=/auth/; HttpOnly; SameSite=Lax")
    }
}

/// Whether a browser that is sent there stays with us. `//host` and `/\host` are other hosts to browsers, and they drop
/// tabs and line ends before they look.
fn is_our_path(path: &str) -> bool {
    let plain = path.bytes().all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'\\');
    plain && path.len() <= MAX_RETURN && path.starts_with('/') && !path.starts_with("//") && !path.starts_with("/auth/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_sent_back_to_our_own_pages_only() {
        for good in ["/", "/sessions/ses_1?tab=files#x", "/a//b", "/%2f%2fevil.example"] {
            assert!(is_our_path(good), "{good}");
        }
        let long = format!("/{}", "a".repeat(MAX_RETURN));
        for bad in [
            "",
            "evil.example",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            " /",
            "javascript:alert(1)",
            "/auth/logout",
            "/\u{e9}",
            "/a b",
            "/x\\y",
            &long,
        ] {
            assert!(!is_our_path(bad), "{bad:?}");
        }
        let attempt = Attempt::new(
            Provider::GitHub,
            Some("//evil.example"),
            None,
            Timestamp::from_millis(0),
        );
        assert_eq!(attempt.back, "/");
    }

    #[test]
    fn the_challenge_is_the_one_of_rfc_7636() {
        let mut attempt = Attempt::new(Provider::GitHub, None, None, Timestamp::from_millis(0));
        attempt.verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
        assert_eq!(attempt.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
