//! Who asks. Owns: the session cookie, bearer tokens (header or WebSocket subprotocol), sandbox tokens in the header, the
//! check of `Origin`.
//!
//! The secret is 32 random bytes; the database has its SHA-256. A cookie carries the secret and an HMAC over it, so
//! that a made-up one is refused without asking the database. A request that a browser authenticates by itself (by
//! cookie) may change something or open a WebSocket only from our own origin.

use axum::extract::FromRequestParts;
use errand_access::Actor;
use errand_protocol::api::ErrorCode;
use errand_protocol::ids::SessionId;
use http::header::{AUTHORIZATION, COOKIE, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use worker::send::SendFuture;

use super::App;
use super::error::ApiError;
use crate::config::{Config, Environment, MasterKey};
use crate::d1::auth_sessions;
use crate::platform::sandbox_token::{self, Audience, Claims};
use crate::platform::{clock, crypto};

/// Name of the cookie.
const COOKIE_NAME: &str = "errand_session";
/// How long a sign-in lasts, from its start.
pub const SIGN_IN_MS: i64 = 7 * 24 * 60 * 60 * 1000;

impl FromRequestParts<App> for Actor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let token = credential(parts, &app.config)?;
        let hash = token_hash(&token);
        let found = SendFuture::new(auth_sessions::find(&app.config, &hash, clock::now())).await?;
        found.ok_or_else(ApiError::unauthenticated)
    }
}

/// The secret that the request carries.
fn credential(parts: &Parts, config: &Config) -> Result<String, ApiError> {
    if let Some(token) = bearer(&parts.headers).or_else(|| subprotocol_bearer(&parts.headers)) {
        return Ok(token.to_owned());
    }
    let token = cookie_token(&parts.headers, &config.master_key).ok_or_else(ApiError::unauthenticated)?;
    if changes_something(parts) {
        check_origin(&parts.headers, config)?;
    }
    Ok(token)
}

/// The credential of a request that ends its sign-in: like [`credential`], but without one there is nothing to end.
pub(super) fn credential_to_end(parts: &Parts, config: &Config) -> Result<Option<String>, ApiError> {
    match credential(parts, config) {
        Ok(token) => Ok(Some(token)),
        Err(error) if error.code == ErrorCode::Unauthenticated => Ok(None),
        Err(error) => Err(error),
    }
}

/// The token of `Authorization: Bearer …`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = text(headers, &AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The token in the WebSocket subprotocols `errand, bearer.<token>`.
fn subprotocol_bearer(headers: &HeaderMap) -> Option<&str> {
    subprotocols(headers).find_map(|protocol| protocol.strip_prefix("bearer."))
}

/// Whether the client offered the subprotocol `errand`, which the answer then has to name.
pub(super) fn offers_errand_protocol(headers: &HeaderMap) -> bool {
    subprotocols(headers).any(|protocol| protocol == "errand")
}

fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    text(headers, &SEC_WEBSOCKET_PROTOCOL)
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
}

/// What the sandbox token of a request to `session` says.
///
/// # Errors
/// Unauthenticated when there is none, or it is not good for this.
pub(super) fn sandbox(
    config: &Config,
    headers: &HeaderMap,
    session: &SessionId,
    audience: Audience,
) -> Result<Claims, ApiError> {
    let refused = |why: String| ApiError::new(ErrorCode::Unauthenticated, why);
    let token = bearer(headers).ok_or_else(|| refused("a sandbox token is needed".to_owned()))?;
    sandbox_token::verify_sandbox_token(config, session, token, audience, clock::now())
        .map_err(|error| refused(error.to_string()))
}

fn cookie_token(headers: &HeaderMap, key: &MasterKey) -> Option<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE_NAME)
        .find_map(|(_, value)| {
            let (token, mac) = value.split_once('.')?;
            crypto::equal(&cookie_mac(key, token), mac).then(|| token.to_owned())
        })
}

fn cookie_mac(key: &MasterKey, token: &str) -> String {
    crypto::hex(&crypto::hmac_sha256(key.expose(), format!("cookie:{token}").as_bytes()))
}

/// The `Set-Cookie` line that signs a browser in.
pub(super) fn set_cookie(config: &Config, token: &str) -> String {
    let mac = cookie_mac(&config.master_key, token);
    format!(
        "{COOKIE_NAME}={token}.{mac}; {}; Max-Age={}",
        attributes(config),
        SIGN_IN_MS / 1000
    )
}

/// The `Set-Cookie` line that signs a browser out.
pub(super) fn clear_cookie(config: &Config) -> String {
    format!("{COOKIE_NAME}=; {}; Max-Age=0", attributes(config))
}

fn attributes(config: &Config) -> &'static str {
    if config.origin.starts_with("http://") {
        "Path=/; HttpOnly; SameSite=Lax"
    } else {
        "Path=/; HttpOnly; SameSite=Lax; Secure"
    }
}

/// What the database keeps of a secret.
pub(super) fn token_hash(token: &str) -> String {
    crypto::hex(&crypto::sha256(token.as_bytes()))
}

fn changes_something(parts: &Parts) -> bool {
    !parts.method.is_safe() || parts.headers.contains_key(UPGRADE)
}

/// Whether the request comes from our own pages.
///
/// # Errors
/// Forbidden when it does not say so.
pub(super) fn check_origin(headers: &HeaderMap, config: &Config) -> Result<(), ApiError> {
    match text(headers, &ORIGIN) {
        Some(origin) if is_ours(origin, &config.origin, config.environment) => Ok(()),
        Some(_) | None => Err(ApiError::forbidden(
            "this request does not come from Errand's own pages",
        )),
    }
}

fn is_ours(origin: &str, ours: &str, environment: Environment) -> bool {
    if origin == ours {
        return true;
    }
    match environment {
        // On a developer's machine both names of the loopback address mean the same server.
        Environment::Development => {
            let as_ip = |url: &str| url.replacen("://localhost", "://127.0.0.1", 1);
            as_ip(origin) == as_ip(ours)
        }
        Environment::Production => false,
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_cookie_counts_only_with_our_mac() {
        let key: MasterKey = "01".repeat(32).parse().unwrap();
        let good = format!("a=b; {COOKIE_NAME}=secret.{}", cookie_mac(&key, "secret"));
        assert_eq!(
            cookie_token(&headers(&[(COOKIE, &good)]), &key).as_deref(),
            Some("secret")
        );
        for bad in [
            "errand_session=secret",
            "errand_session=secret.00",
            "errand_session=",
            "x",
        ] {
            assert_eq!(cookie_token(&headers(&[(COOKIE, bad)]), &key), None, "{bad}");
        }
    }

    #[test]
    fn a_token_is_read_from_the_header_or_the_subprotocol() {
        assert_eq!(bearer(&headers(&[(AUTHORIZATION, "bearer abc")])), Some("abc"));
        assert_eq!(bearer(&headers(&[(AUTHORIZATION, "Basic abc")])), None);
        let offered = headers(&[(SEC_WEBSOCKET_PROTOCOL, "errand, bearer.abc")]);
        assert_eq!(subprotocol_bearer(&offered), Some("abc"));
        assert!(offers_errand_protocol(&offered));
        assert!(!offers_errand_protocol(&headers(&[(
            SEC_WEBSOCKET_PROTOCOL,
            "bearer.abc"
        )])));
    }

    #[test]
    fn only_our_own_origin_may_write() {
        let (dev, prod) = (Environment::Development, Environment::Production);
        assert!(is_ours("https://errand.example", "https://errand.example", prod));
        assert!(!is_ours("https://evil.example", "https://errand.example", prod));
        assert!(is_ours("http://localhost:8787", "http://127.0.0.1:8787", dev));
        assert!(is_ours("http://127.0.0.1:8787", "http://localhost:8787", dev));
        assert!(!is_ours("http://localhost:8788", "http://127.0.0.1:8787", dev));
        assert!(!is_ours("http://localhost:8787", "http://127.0.0.1:8787", prod));
        assert!(!is_ours(
            "http://localhost.evil.example:8787",
            "http://127.0.0.1:8787",
            dev
        ));
        assert!(!is_ours("null", "http://127.0.0.1:8787", dev));
    }
}
