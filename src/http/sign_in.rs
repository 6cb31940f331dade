//! Signing in and out, and who one is.

use axum::Extension;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use errand_access::{Action, Actor, Credential, CredentialId};
use errand_protocol::access::Role;
use errand_protocol::accounts::{SignInList, SwitchOrg};
use errand_protocol::api::{DevSignIn, Me, SignedIn};
use errand_protocol::ids::{OrgId, SignInId, UserId};
use errand_protocol::session::Person;
use errand_protocol::time::Timestamp;
use http::header::{ORIGIN, SET_COOKIE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::error::{ApiError, json_response};
use super::json::Json;
use super::revoke::{self, AccessChange};
use super::{App, RequestId, Slots, allow, auth};
use crate::config::{Config, Environment};
use crate::d1::auth_sessions::Device;
use crate::d1::{auth_sessions, members, users};
use crate::platform::{clock, crypto, ids};

/// Refuses the route outside development, before anything of the request is looked at.
pub(super) struct DevelopmentOnly;

impl<S: Sync> axum::extract::FromRequestParts<S> for DevelopmentOnly {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match App::of(parts)?.config.environment {
            Environment::Development => Ok(Self),
            Environment::Production => Err(ApiError::not_found("address")),
        }
    }
}

/// `POST /auth/dev`: signs in as a local developer. The first time makes the person and their org.
#[worker::send]
pub(super) async fn dev(
    _: DevelopmentOnly,
    app: App,
    Extension(slots): Extension<Slots>,
    headers: HeaderMap,
    Json(body): Json<DevSignIn>,
) -> Result<Response, ApiError> {
    if headers.contains_key(ORIGIN) {
        auth::check_origin(&headers, &app.config)?;
    }
    let login = valid_login(&body.login)?;
    check_code(&app.config, body.code.as_deref())?;
    let now = clock::now();
    let user: UserId = ids::derive("dev", "user", login);
    let org: OrgId = ids::derive("dev", "org", login);
    let person = users::ensure_personal(&app.config, &user, &org, login, now).await?;
    let newcomer = Newcomer {
        person: person.clone(),
        org,
        // A personal org.
        role: Role::Owner,
    };
    let begun = begin(&app.config, newcomer, &headers, &slots, now).await?;
    let signed_in = SignedIn {
        token: begun.token,
        user: person,
    };
    with_cookie(json_response(StatusCode::OK, &signed_in), &begun.cookie)
}

/// Case and dashes are for reading it aloud.
fn check_code(config: &Config, said: Option<&str>) -> Result<(), ApiError> {
    let plain = |code: &str| code.replace(['-', ' '], "").to_ascii_lowercase();
    match &config.sign_in_code {
        Some(code) if !crypto::equal(&plain(said.unwrap_or_default()), &plain(code.expose())) => {
            let message = "that is not the code that was printed when Errand was started here";
            let mut error = ApiError::forbidden(message);
            error.details = Some(serde_json::json!({ "field": "code" }));
            Err(error)
        }
        Some(_) | None => Ok(()),
    }
}

/// Who signs in, and where they then act.
pub(super) struct Newcomer {
    pub(super) person: Person,
    pub(super) org: OrgId,
    pub(super) role: Role,
}

/// A sign-in that has just begun.
pub(super) struct Begun {
    /// Its secret.
    pub(super) token: String,
    /// The `Set-Cookie` line with it.
    pub(super) cookie: String,
}

/// Signs a person in on the device that asks. The secret is always a new one.
pub(super) async fn begin(
    config: &Config,
    newcomer: Newcomer,
    headers: &HeaderMap,
    slots: &Slots,
    now: Timestamp,
) -> Result<Begun, ApiError> {
    let Newcomer { person, org, role } = newcomer;
    let token = crypto::new_secret();
    let hash = auth::token_hash(&token);
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    let name: String = agent.unwrap_or_default().chars().take(200).collect();
    let address = auth::address(headers);
    let device = Device {
        name: &name,
        address: address.as_deref(),
    };
    auth_sessions::insert(config, &hash, &person, &org, device, now).await?;
    let id = auth_sessions::id_of(&hash).map_err(|e| ApiError::internal(e.to_string()))?;
    let actor = Actor {
        person,
        org,
        role,
        credential: Credential::SignIn {
            id,
            expires_at: Some(now.plus(auth_sessions::LIFETIME_MS)),
        },
    };
    slots.audit.note_sign_in(&actor, address);
    let cookie = auth::set_cookie(config, &token);
    Ok(Begun { token, cookie })
}

/// `POST /auth/logout`: ends the sign-in of this request. Fine when there is none.
#[worker::send]
pub(super) async fn logout(
    app: App,
    Extension(id): Extension<RequestId>,
    Extension(slots): Extension<Slots>,
    request: axum::extract::Request,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let hash = auth::credential_to_end(&parts, &app.config)?.map(|token| auth::token_hash(&token));
    if let Some(hash) = &hash
        && let Some(actor) = auth_sessions::find(&app.config, hash, None, clock::now()).await?
    {
        slots.audit.note(&actor, auth::address(&parts.headers));
    }
    if let Some(hash) = &hash
        && let Some((user, ended)) = auth_sessions::delete(&app.config, hash).await?
    {
        let ended = vec![CredentialId::SignIn(ended)];
        revoke::tell(&app.config, &user, &AccessChange::Ended(ended), &id).await?;
    }
    with_cookie(StatusCode::NO_CONTENT.into_response(), &auth::clear_cookie(&app.config))
}

/// `GET /api/auth/me`. A browser's cookie is set anew: it lasts as long as the sign-in, which has just been used.
#[worker::send]
pub(super) async fn me(app: App, actor: Actor, headers: HeaderMap) -> Result<Response, ApiError> {
    allow::oneself(&actor, Action::ReadSelf)?;
    let response = who_am_i(&app.config, actor).await?;
    match auth::cookie_token(&headers, &app.config) {
        Some(token) if auth::bearer(&headers).is_none() => {
            with_cookie(response, &auth::set_cookie(&app.config, &token))
        }
        Some(_) | None => Ok(response),
    }
}

async fn who_am_i(config: &Config, actor: Actor) -> Result<Response, ApiError> {
    let org = users::org_of(config, &actor)
        .await?
        .ok_or_else(ApiError::unauthenticated)?;
    let me = Me {
        user: actor.person,
        org,
        role: actor.role,
    };
    Ok(json_response(StatusCode::OK, &me))
}

/// `GET /api/auth/sign-ins`.
#[worker::send]
pub(super) async fn list(app: App, actor: Actor) -> Result<Response, ApiError> {
    let current = own_sign_in(&actor)?;
    let sign_ins = auth_sessions::list(&app.config, &actor.person.id, &current, clock::now()).await?;
    Ok(json_response(StatusCode::OK, &SignInList { sign_ins }))
}

/// `DELETE /api/auth/sign-ins/{id}`: signs one device out. Fine when it is out already.
#[worker::send]
pub(super) async fn end_one(
    app: App,
    Extension(id): Extension<RequestId>,
    actor: Actor,
    Path(which): Path<String>,
) -> Result<StatusCode, ApiError> {
    own_sign_in(&actor)?;
    let which: SignInId = which.parse().map_err(|_| ApiError::not_found("sign-in"))?;
    end(&app, &id, &actor, Some(&which)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /api/auth/sign-ins`: signs out everywhere, here too.
#[worker::send]
pub(super) async fn end_all(app: App, Extension(id): Extension<RequestId>, actor: Actor) -> Result<Response, ApiError> {
    own_sign_in(&actor)?;
    end(&app, &id, &actor, None).await?;
    with_cookie(StatusCode::NO_CONTENT.into_response(), &auth::clear_cookie(&app.config))
}

async fn end(app: &App, id: &RequestId, actor: &Actor, which: Option<&SignInId>) -> Result<(), ApiError> {
    let user = &actor.person.id;
    let ended = auth_sessions::end(&app.config, user, which).await?;
    let ended = ended.into_iter().map(CredentialId::SignIn).collect();
    revoke::tell(&app.config, user, &AccessChange::Ended(ended), id).await
}

/// `POST /api/auth/org`: acts in another of one's orgs from now on.
#[worker::send]
pub(super) async fn switch_org(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Json(body): Json<SwitchOrg>,
) -> Result<Response, ApiError> {
    slots.audit.about(body.org.as_str());
    let current = own_sign_in(&actor)?;
    if !auth_sessions::switch_org(&app.config, &actor.person.id, &current, &body.org).await? {
        return Err(ApiError::not_found("org"));
    }
    let orgs = members::orgs_of(&app.config, &actor.person.id).await?;
    let found = orgs.into_iter().find(|(org, _)| org.id == body.org);
    let (org, role) = found.ok_or_else(|| ApiError::not_found("org"))?;
    let user = actor.person;
    Ok(json_response(StatusCode::OK, &Me { user, org, role }))
}

/// The sign-in that asks; what is about sign-ins is a person's own business, and no API key's.
fn own_sign_in(actor: &Actor) -> Result<SignInId, ApiError> {
    allow::oneself(actor, Action::ManageSelf)?;
    match actor.credential.id() {
        CredentialId::SignIn(id) => Ok(id),
        CredentialId::ApiKey(_) => Err(ApiError::forbidden("an API key has no sign-ins")),
    }
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
