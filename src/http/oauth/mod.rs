//! Signing in with GitHub or Google: `GET /auth/{provider}` sends the browser there, `GET /auth/{provider}/callback` takes
//! it back. Owns: the attempt's cookie ([`state`]), the providers' wire formats ([`provider`]), who gets in ([`enter`]).
//!
//! What goes wrong is shown to people as a page, and to programs as JSON; both have the error's status. No token is ever
//! in an address: the callback sets the cookie and sends the browser on.

mod enter;
mod page;
mod provider;
mod state;

use axum::Extension;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use errand_protocol::api::ErrorCode;
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};

use self::provider::Provider;
use self::state::Attempt;
use super::error::ApiError;
use super::{App, RequestId, Slots, auth, sign_in};
use crate::d1::identities;
use crate::platform::clock;

/// Longest code and state that a provider sends.
const MAX_PARAMETER: usize = 2048;

/// `GET /auth/github?return=&invitation=`.
#[worker::send]
pub(super) async fn to_github(app: App, uri: Uri) -> Result<Response, ApiError> {
    begin(&app, Provider::GitHub, &uri)
}

/// `GET /auth/google?return=&invitation=`.
#[worker::send]
pub(super) async fn to_google(app: App, uri: Uri) -> Result<Response, ApiError> {
    begin(&app, Provider::Google, &uri)
}

/// `GET /auth/github/callback`.
#[worker::send]
pub(super) async fn from_github(
    app: App,
    Extension(id): Extension<RequestId>,
    Extension(slots): Extension<Slots>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    finish(&app, Provider::GitHub, &headers, &uri, &id, &slots).await
}

/// `GET /auth/google/callback`.
#[worker::send]
pub(super) async fn from_google(
    app: App,
    Extension(id): Extension<RequestId>,
    Extension(slots): Extension<Slots>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    finish(&app, Provider::Google, &headers, &uri, &id, &slots).await
}

fn begin(app: &App, provider: Provider, uri: &Uri) -> Result<Response, ApiError> {
    let oauth = provider
        .app(&app.config)
        .ok_or_else(|| ApiError::not_found("address"))?;
    let attempt = Attempt::new(
        provider,
        parameter(uri, "return").as_deref(),
        parameter(uri, "invitation"),
        clock::now(),
    );
    let to = provider.authorize_url(oauth, &app.config.origin, &attempt);
    redirect(&to, &[attempt.cookie(&app.config)?])
}

/// Ends the attempt, whatever comes of it.
async fn finish(
    app: &App,
    provider: Provider,
    headers: &HeaderMap,
    uri: &Uri,
    id: &RequestId,
    slots: &Slots,
) -> Result<Response, ApiError> {
    let mut response = match complete(app, provider, headers, uri, id, slots).await {
        Ok(response) => response,
        Err(error) if page::wanted(headers) => page::of(&error, provider, &id.0),
        Err(error) => error.into_response(),
    };
    let clear = header(&state::clear_cookie(&app.config))?;
    response.headers_mut().append(SET_COOKIE, clear);
    Ok(response)
}

async fn complete(
    app: &App,
    provider: Provider,
    headers: &HeaderMap,
    uri: &Uri,
    id: &RequestId,
    slots: &Slots,
) -> Result<Response, ApiError> {
    let config = &app.config;
    let now = clock::now();
    let oauth = provider.app(config).ok_or_else(|| ApiError::not_found("address"))?;
    let attempt = Attempt::of_browser(config, headers, provider, now).ok_or_else(stale)?;
    let state = parameter(uri, "state").ok_or_else(stale)?;
    if !crate::platform::crypto::equal(&state, &attempt.state) {
        return Err(stale());
    }
    if !identities::burn_state(config, &auth::token_hash(&state), attempt.expires_at, now).await? {
        return Err(stale());
    }
    if let Some(error) = parameter(uri, "error") {
        return Err(provider_said(&error));
    }
    let code = parameter(uri, "code").ok_or_else(|| ApiError::bad_request("the provider sent no code"))?;
    let tokens = provider
        .exchange(oauth, &config.origin, &code, &attempt.verifier)
        .await?;
    let profile = provider.profile(oauth, &tokens.access).await?;
    let login = profile.login.clone();
    let newcomer = enter::enter(app, provider, &attempt, profile, tokens, id, now).await;
    if newcomer
        .as_ref()
        .is_err_and(|error| error.code == ErrorCode::NotInvited)
    {
        let (org, address) = (enter::installation_org(), auth::address(headers));
        slots.audit.note_stranger(org, &login, provider.name(), address);
    }
    let newcomer = newcomer?;
    let cookie = sign_in::begin(config, newcomer, headers, slots, now).await?.cookie;
    redirect(&attempt.back, &[cookie])
}

/// The attempt is not this browser's, too old, or was used: one answer for all, as none of them is to be told apart.
fn stale() -> ApiError {
    ApiError::bad_request("this sign-in is too old, was used already, or was begun in another browser; sign in again")
}

fn provider_said(error: &str) -> ApiError {
    match error {
        "access_denied" => ApiError::forbidden("you did not let Errand in; sign in again to change your mind"),
        other => {
            let named: String = other.chars().filter(char::is_ascii_graphic).take(80).collect();
            let mut error = ApiError::new(
                ErrorCode::Unavailable,
                "the provider could not sign you in; try again later",
            );
            error.source = Some(format!("a provider said {named}"));
            error
        }
    }
}

/// A parameter of the query, when it is there once and not too long.
fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let mut found = form_urlencoded::parse(uri.query()?.as_bytes()).filter(|(key, _)| key == name);
    let value = found.next()?.1;
    let usable = found.next().is_none() && !value.is_empty() && value.len() <= MAX_PARAMETER;
    usable.then(|| value.into_owned())
}

fn redirect(to: &str, cookies: &[String]) -> Result<Response, ApiError> {
    let mut response = http::Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, header(to)?);
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, header(cookie)?);
    }
    Ok(response)
}

fn header(text: &str) -> Result<HeaderValue, ApiError> {
    HeaderValue::from_str(text).map_err(|e| ApiError::internal(format!("header: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_is_there_twice_or_too_long_is_none() {
        let of = |query: &str| parameter(&format!("/auth/github/callback?{query}").parse().unwrap(), "code");
        assert_eq!(of("state=1&code=a%20b").as_deref(), Some("a b"));
        for bad in [
            "",
            "code=",
            "code=a&code=b",
            "xcode=a",
            &format!("code={}", "a".repeat(MAX_PARAMETER + 1)),
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
