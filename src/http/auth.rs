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

use super::error::ApiError;
use super::{App, Slots, Stateless, keys, limited};
use crate::config::{Config, Environment, MasterKey};
use crate::d1::{api_keys, auth_sessions};
use crate::platform::sandbox_token::{self, Audience, Claims};
use crate::platform::{clock, crypto};

/// Name of the cookie, where it can be no more than that.
const COOKIE_NAME: &str = "errand_session";
/// Its name over TLS: browsers take a cookie of this name from our own host only, not from a neighbour's.
const HOST_COOKIE_NAME: &str = "__Host-errand_session";

impl FromRequestParts<Stateless> for Actor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Stateless) -> Result<Self, ApiError> {
        let app = App::of(parts)?;
        let slots = parts.extensions.get::<Slots>().cloned().unwrap_or_default();
        let token = match credential(parts, &app.config) {
            Ok(token) => token,
            Err(refusal) => {
                SendFuture::new(note_foreign(parts, &app.config, &slots)).await?;
                return Err(refusal);
            }
        };
        SendFuture::new(recognise(&app.config, &token, address(&parts.headers), &slots)).await
    }
}

/// Whose secret or API key it is. Notes who asks, for the audit log, and counts what API keys ask.
async fn recognise(config: &Config, token: &str, address: Option<String>, slots: &Slots) -> Result<Actor, ApiError> {
    let (hash, now) = (token_hash(token), clock::now());
    let found = if token.starts_with(keys::PREFIX) {
        api_keys::find(config, &hash, now).await?
    } else {
        auth_sessions::find(config, &hash, address.as_deref(), now).await?
    };
    let actor = found.ok_or_else(ApiError::unauthenticated)?;
    slots.audit.note(&actor, address);
    limited::spend(config, &actor, &slots.rate).await?;
    Ok(actor)
}

/// A foreign page made somebody's browser ask. It is refused, and in the log of their org: they may want to know.
async fn note_foreign(parts: &Parts, config: &Config, slots: &Slots) -> Result<(), ApiError> {
    let Some(token) = cookie_token(&parts.headers, config) else {
        return Ok(());
    };
    let found = auth_sessions::look(config, &token_hash(&token), clock::now()).await?;
    if let Some(actor) = found {
        let origin = text(&parts.headers, &ORIGIN).unwrap_or("none");
        slots.audit.note_foreign(&actor, address(&parts.headers), origin);
    }
    Ok(())
}

/// The secret that the request carries.
fn credential(parts: &Parts, config: &Config) -> Result<String, ApiError> {
    if let Some(token) = bearer(&parts.headers).or_else(|| subprotocol_bearer(&parts.headers)) {
        return Ok(token.to_owned());
    }
    let token = cookie_token(&parts.headers, config).ok_or_else(ApiError::unauthenticated)?;
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

/// The header in which the platform says from where a request came.
pub(crate) const ADDRESS: &str = "cf-connecting-ip";

/// From where the request came, as the platform says.
pub(super) fn address(headers: &HeaderMap) -> Option<String> {
    parse_address(headers.get(ADDRESS)?.to_str().ok()?)
}

/// An address as it is kept.
pub(crate) fn parse_address(said: &str) -> Option<String> {
    said.parse::<std::net::IpAddr>().ok().map(|address| address.to_string())
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

/// Names and values of the request's cookies.
pub(super) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
}

/// The secret in the browser's cookie, when it is one of ours.
pub(super) fn cookie_token(headers: &HeaderMap, config: &Config) -> Option<String> {
    token_in(headers, cookie_name(config), &config.master_key)
}

fn token_in(headers: &HeaderMap, name: &str, key: &MasterKey) -> Option<String> {
    cookies(headers)
        .filter(|(found, _)| *found == name)
        .find_map(|(_, value)| {
            let (token, mac) = value.split_once('.')?;
            crypto::equal(&cookie_mac(key, token), mac).then(|| token.to_owned())
        })
}

fn cookie_name(config: &Config) -> &'static str {
    if over_tls(config) {
        HOST_COOKIE_NAME
    } else {
        COOKIE_NAME
    }
}

/// Whether browsers reach us over TLS.
pub(super) fn over_tls(config: &Config) -> bool {
    !config.origin.starts_with("http://")
}

fn cookie_mac(key: &MasterKey, token: &str) -> String {
    crypto::hex(&crypto::hmac_sha256(key.expose(), format!("cookie:{token}").as_bytes()))
}

/// The `Set-Cookie` line that signs a browser in.
pub(super) fn set_cookie(config: &Config, token: &str) -> String {
    let mac = cookie_mac(&config.master_key, token);
    format!(
        "{}={token}.{mac}; {}; Max-Age={}",
        cookie_name(config),
        attributes(config),
        auth_sessions::LIFETIME_MS / 1000
    )
}

/// The `Set-Cookie` line that signs a browser out.
pub(super) fn clear_cookie(config: &Config) -> String {
    format!("{}=; {}; Max-Age=0", cookie_name(config), attributes(config))
}

fn attributes(config: &Config) -> &'static str {
    if over_tls(config) {
        "Path=/; HttpOnly; SameSite=Lax; Secure"
    } else {
        "Path=/; HttpOnly; SameSite=Lax"
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
            token_in(&headers(&[(COOKIE, &good)]), COOKIE_NAME, &key).as_deref(),
            Some("secret")
        );
        for bad in [
            "errand_session=secret",
            "errand_session=secret.00",
            "errand_session=",
            "x",
        ] {
            assert_eq!(token_in(&headers(&[(COOKIE, bad)]), COOKIE_NAME, &key), None, "{bad}");
        }
        let of_host = headers(&[(COOKIE, &good)]);
        assert_eq!(
            token_in(&of_host, HOST_COOKIE_NAME, &key),
            None,
            "any neighbour can set it"
        );
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
