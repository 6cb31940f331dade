//! Signing in and out, and who one is.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use errand_access::{Action, Actor};
use errand_protocol::api::{DevSignIn, Me, SignedIn};
use errand_protocol::ids::{OrgId, UserId};
use http::header::{ORIGIN, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::error::{ApiError, json_response};
use super::json::Json;
use super::{App, allow, auth};
use crate::config::Environment;
use crate::d1::{auth_sessions, users};
use crate::platform::{clock, crypto, ids};

/// Refuses the route outside development, before anything of the request is looked at.
pub(super) struct DevelopmentOnly;

impl axum::extract::FromRequestParts<App> for DevelopmentOnly {
    type Rejection = ApiError;

    async fn from_request_parts(_: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match app.config.environment {
            Environment::Development => Ok(Self),
            Environment::Production => Err(ApiError::not_found("address")),
        }
    }
}

/// `POST /auth/dev`: signs in as a local developer. The first time makes the person and their org.
#[worker::send]
pub(super) async fn dev(
    _: DevelopmentOnly,
    State(app): State<App>,
    headers: HeaderMap,
    Json(body): Json<DevSignIn>,
) -> Result<Response, ApiError> {
    if headers.contains_key(ORIGIN) {
        auth::check_origin(&headers, &app.config)?;
    }
    let login = valid_login(&body.login)?;
    let now = clock::now();
    let user: UserId = ids::derive("dev", "user", login);
    let org: OrgId = ids::derive("dev", "org", login);
    let person = users::ensure_personal(&app.config, &user, &org, login, now).await?;
    let token = crypto::new_secret();
    let hash = auth::token_hash(&token);
    auth_sessions::insert(&app.config, &hash, &person, &org, now, now.plus(auth::SIGN_IN_MS)).await?;
    let cookie = auth::set_cookie(&app.config, &token);
    let signed_in = SignedIn { token, user: person };
    with_cookie(json_response(StatusCode::OK, &signed_in), &cookie)
}

/// `POST /auth/logout`: ends the sign-in of this request. Fine when there is none.
#[worker::send]
pub(super) async fn logout(State(app): State<App>, request: axum::extract::Request) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    if let Some(token) = auth::credential_to_end(&parts, &app.config)? {
        auth_sessions::delete(&app.config, &auth::token_hash(&token)).await?;
    }
    with_cookie(StatusCode::NO_CONTENT.into_response(), &auth::clear_cookie(&app.config))
}

/// `GET /api/auth/me`.
#[worker::send]
pub(super) async fn me(State(app): State<App>, actor: Actor) -> Result<Response, ApiError> {
    allow::oneself(&actor, Action::ReadSelf)?;
    let org = users::org_of(&app.config, &actor)
        .await?
        .ok_or_else(ApiError::unauthenticated)?;
    let me = Me {
        user: actor.person,
        org,
        role: actor.role,
    };
    Ok(json_response(StatusCode::OK, &me))
}

fn with_cookie(mut response: Response, cookie: &str) -> Result<Response, ApiError> {
    let value = HeaderValue::from_str(cookie).map_err(|e| ApiError::internal(format!("cookie: {e}")))?;
    response.headers_mut().insert(SET_COOKIE, value);
    Ok(response)
}

fn valid_login(login: &str) -> Result<&str, ApiError> {
    let well_formed = (1..=39).contains(&login.len())
        && login
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if well_formed {
        Ok(login)
    } else {
        Err(ApiError::invalid(
            "login",
            "a login has 1 to 39 characters, each a-z, 0-9 or '-'",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_short_and_plain() {
        assert!(valid_login("ada-1").is_ok());
        for bad in ["", "Ada", "a b", "a/b", "ä", &"a".repeat(40)] {
            assert!(valid_login(bad).is_err(), "{bad}");
        }
    }
}
