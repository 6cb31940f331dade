//! API keys: `er_` and 64 hexadecimal digits, shown once; the database has the SHA-256. A key acts for the person who
//! made it, in the org in which it was made, and never does more than that person may at that moment.

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use errand_access::{Action, Actor, Credential, CredentialId};
use errand_protocol::access::{Scope, Scopes};
use errand_protocol::accounts::{ApiKey, ApiKeyList, ApiKeyMade, CreateApiKey};
use errand_protocol::api::ErrorCode;
use errand_protocol::ids::ApiKeyId;
use http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;

use super::error::{ApiError, json_response};
use super::idempotency::id_of_request;
use super::json::Json;
use super::revoke::{self, AccessChange};
use super::{App, RequestId, Slots, allow, auth, query};
use crate::config::Config;
use crate::d1::api_keys;
use crate::platform::{clock, crypto};

/// What every key begins with.
pub(super) const PREFIX: &str = "er_";
/// So much of a key is shown in lists.
const SHOWN_CHARS: usize = 9;
/// A repository's address travels with every request and every socket that the key opens.
const MAX_REPO_BYTES: usize = 500;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// `GET /api/keys?all=`.
#[worker::send]
pub(super) async fn list(app: App, actor: Actor, uri: Uri) -> Result<Response, ApiError> {
    let all = wants_all(&uri)?;
    let action = if all { Action::AdministerKeys } else { Action::ReadKeys };
    allow::in_org(&actor, action)?;
    let of = (!all).then_some(&actor.person.id);
    let keys = api_keys::list(&app.config, &actor.org, of).await?;
    Ok(json_response(StatusCode::OK, &ApiKeyList { keys }))
}

fn wants_all(uri: &Uri) -> Result<bool, ApiError> {
    #[derive(Deserialize)]
    struct ListQuery {
        all: Option<String>,
    }
    let ListQuery { all } = query::read(uri, ApiError::bad_request("all must be true or false"))?;
    match all.as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(ApiError::invalid("all", "all must be true or false")),
    }
}

/// `POST /api/keys`.
#[worker::send]
pub(super) async fn make(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    headers: HeaderMap,
    Json(body): Json<CreateApiKey>,
) -> Result<Response, ApiError> {
    tell(&slots, &body);
    allow::in_org(&actor, Action::WriteKeys)?;
    check(&actor, &body)?;
    let now = clock::now();
    let id: ApiKeyId = id_of_request(&actor, "key", &headers)?;
    slots.audit.about(id.as_str());
    let key = key_of(&app.config, &id);
    let prefix: String = key.chars().take(SHOWN_CHARS).collect();
    let days = |days: u16| now.plus(i64::from(days) * DAY_MS);
    let maker = maker(&app, &actor).await?;
    let asked = body.days.map(days);
    let maker_ends = maker.as_ref().and_then(|maker| maker.expires_at);
    let new = api_keys::New {
        id: &id,
        hash: &auth::token_hash(&key),
        prefix: &prefix,
        name: body.name.as_str(),
        scopes: &body.scopes,
        repo: body.repo.as_ref(),
        expires_at: asked.into_iter().chain(maker_ends).min(),
        made_by: maker.as_ref().map(|maker| &maker.id),
    };
    api_keys::insert(&app.config, &actor.org, &actor.person.id, &new, now).await?;
    let stored = api_keys::get(&app.config, &actor.org, &id).await?;
    let stored = stored.ok_or_else(|| {
        let message = format!(
            "one person has at most {} API keys in an org: revoke one",
            api_keys::MAX_KEYS
        );
        ApiError::new(ErrorCode::Conflict, message)
    })?;
    let api_key = Some(stored)
        .filter(|stored| same(stored, &body))
        .ok_or_else(|| ApiError::new(ErrorCode::Conflict, "this idempotency key stands for another API key"))?;
    Ok(json_response(StatusCode::CREATED, &ApiKeyMade { key, api_key }))
}

/// What is made, or would be.
fn tell(slots: &Slots, body: &CreateApiKey) {
    slots.audit.say("name", &body.name);
    slots.audit.say("scopes", scopes_words(&body.scopes));
    slots.audit.say_if("repository", body.repo.as_ref());
    slots.audit.say_if("days", body.days);
}

fn scopes_words(scopes: &Scopes) -> String {
    let names: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
    names.join(" ")
}

/// The key that makes a key, when none but a person does. What it makes ends with it: neither letting a key make another
/// before it is over, nor before it is revoked, prolongs it.
async fn maker(app: &App, actor: &Actor) -> Result<Option<ApiKey>, ApiError> {
    match &actor.credential {
        Credential::ApiKey { id, .. } => Ok(api_keys::get(&app.config, &actor.org, id).await?),
        Credential::SignIn { .. } => Ok(None),
    }
}

fn same(stored: &ApiKey, wanted: &CreateApiKey) -> bool {
    stored.name == wanted.name.as_str() && stored.scopes == wanted.scopes && stored.repo == wanted.repo
}

/// The key with this id: as good as random to whoever lacks the master key, and the same when the request that made it is
/// repeated.
fn key_of(config: &Config, id: &ApiKeyId) -> String {
    let message = format!("api-key:{id}");
    let mac = crypto::hmac_sha256(config.master_key.expose(), message.as_bytes());
    format!("{PREFIX}{}", crypto::hex(&mac))
}

/// A key that makes a key gives it no more than it has itself.
fn check(actor: &Actor, body: &CreateApiKey) -> Result<(), ApiError> {
    if body.days.is_some_and(|days| !(1..=366).contains(&days)) {
        return Err(ApiError::invalid(
            "days",
            "a key lasts 1 to 366 days, or until it is revoked",
        ));
    }
    if body
        .repo
        .as_ref()
        .is_some_and(|repo| repo.as_str().len() > MAX_REPO_BYTES)
    {
        let message = format!("the address of a key's repository has at most {MAX_REPO_BYTES} bytes");
        return Err(ApiError::invalid("repo", message));
    }
    if let Credential::ApiKey { scopes, .. } = &actor.credential
        && !body.scopes.is_subset(scopes)
    {
        return Err(ApiError::forbidden(
            "a key cannot make one that is good for more than itself",
        ));
    }
    Ok(())
}

/// `DELETE /api/keys/{id}`: revokes a key and those that it made, and ends what they have open. Fine when it is revoked already.
#[worker::send]
pub(super) async fn revoke(
    app: App,
    Extension(id): Extension<RequestId>,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path(which): Path<String>,
) -> Result<StatusCode, ApiError> {
    let administers = allow::in_org(&actor, Action::AdministerKeys).is_ok();
    if !administers {
        allow::in_org(&actor, Action::WriteKeys)?;
    }
    let unknown = || ApiError::not_found("API key");
    let which: ApiKeyId = which.parse().map_err(|_| unknown())?;
    let key = api_keys::get(&app.config, &actor.org, &which).await?;
    let own = |key: &ApiKey| key.owner.id == actor.person.id;
    let key = key.filter(|key| administers || own(key)).ok_or_else(unknown)?;
    slots.audit.say("name", &key.name);
    slots.audit.say("owner", &key.owner.name);
    let ended = api_keys::revoke(&app.config, &actor.org, &which, clock::now()).await?;
    let ended = AccessChange::Ended(ended.into_iter().map(CredentialId::ApiKey).collect());
    revoke::tell(&app.config, &key.owner.id, &ended, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
