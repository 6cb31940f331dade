//! Provider keys of people and orgs: `/api/model-keys` and `/api/admin/model-keys`; and `GET /api/models`. A key is
//! verified before it is stored, sealed where it is stored, and never shown.

mod verify;

use axum::Extension;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use errand_access::{Action, Actor};
use errand_ledger::vendors::VENDORS;
use errand_protocol::api::ErrorCode;
use errand_protocol::ids::ModelKeyId;
use errand_protocol::models::{BaseUrl, KeyOwner, ModelKey, ModelKeyList, PutModelKey};
use errand_protocol::runner::Dialect;
use errand_protocol::text::ProviderName;
use http::StatusCode;

use super::error::{ApiError, json_response};
use super::json::Json;
use super::{App, Slots, allow};
use crate::d1::model_keys::{self, New, Of};
use crate::models::{self, Address};
use crate::platform::{clock, ids, outside};

/// So many keys a person or an org has at most.
const MAX_KEYS: u32 = 50;
/// A key with fewer characters shows none of them.
const SHOWS_FROM: usize = 16;

/// `GET /api/models`.
#[worker::send]
pub(super) async fn list_models(app: App, actor: Actor) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::ListSessions)?;
    let usable = models::usable(&app.config, &actor.org, &actor.person.id).await?;
    Ok(json_response(StatusCode::OK, &usable.list(&app.config)))
}

/// `GET /api/model-keys`.
#[worker::send]
pub(super) async fn list(app: App, actor: Actor) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::WriteOwnSecrets)?;
    answer(&app, &actor, KeyOwner::Own).await
}

/// `GET /api/admin/model-keys`.
#[worker::send]
pub(super) async fn list_of_org(app: App, actor: Actor) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::ReadSettings)?;
    answer(&app, &actor, KeyOwner::Org).await
}

async fn answer(app: &App, actor: &Actor, whose: KeyOwner) -> Result<Response, ApiError> {
    let stored = model_keys::list(&app.config, &actor.org, &actor.person.id).await?;
    let provider = |key: &model_keys::Stored| key.shown.provider.clone();
    let of_org = stored.iter().filter(|key| key.owner == KeyOwner::Org);
    let configured = app.config.models.iter().map(|(_, model)| model.provider.as_str());
    let mut known: Vec<ProviderName> = configured
        .chain(VENDORS.iter().map(|vendor| vendor.name))
        .filter_map(|name| name.parse().ok())
        .collect();
    known.sort();
    known.dedup();
    let list = ModelKeyList {
        org: of_org.map(provider).collect(),
        keys: stored
            .iter()
            .filter(|key| key.owner == whose)
            .map(|key| key.shown.clone())
            .collect(),
        known,
    };
    Ok(json_response(StatusCode::OK, &list))
}

/// `PUT /api/model-keys/{provider}`.
#[worker::send]
pub(super) async fn put(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path(provider): Path<String>,
    Json(body): Json<PutModelKey>,
) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::WriteOwnSecrets)?;
    let of = Of::User(&actor.person.id);
    store(&app, &slots, &actor, (of, &provider), &body).await
}

/// `PUT /api/admin/model-keys/{provider}`.
#[worker::send]
pub(super) async fn put_of_org(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path(provider): Path<String>,
    Json(body): Json<PutModelKey>,
) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::WriteOrgSecrets)?;
    store(&app, &slots, &actor, (Of::Org, &provider), &body).await
}

async fn store(
    app: &App,
    slots: &Slots,
    actor: &Actor,
    (of, provider): (Of<'_>, &str),
    body: &PutModelKey,
) -> Result<Response, ApiError> {
    let provider = named(slots, of, provider)?;
    slots.audit.say_if("at", body.base_url.as_ref().map(BaseUrl::as_str));
    let at = address(app, &provider, body)?;
    if model_keys::count(&app.config, &actor.org, of).await? >= MAX_KEYS {
        let message = format!("at most {MAX_KEYS} keys can be stored: remove one that is not used");
        return Err(ApiError::new(ErrorCode::Conflict, message));
    }
    let offered = verify::verify(&provider, &at, &body.key).await?;
    let now = clock::now();
    let id: ModelKeyId = ids::mint(now);
    let key = body.key.expose();
    let last_four = key
        .get(key.len().saturating_sub(4)..)
        .filter(|_| key.len() >= SHOWS_FROM);
    let new = New {
        id: &id,
        of,
        provider: &provider,
        sealed: &models::sealed(&app.config, &actor.org, of.subject(), provider.as_str(), key)?,
        last_four,
        base_url: body.base_url.as_ref(),
        models: &offered,
        by: &actor.person.id,
    };
    model_keys::put(&app.config, &actor.org, &new, now).await?;
    models::forget(&actor.org);
    let shown = ModelKey {
        provider,
        last_four: last_four.map(str::to_owned),
        base_url: body.base_url.clone(),
        by: actor.person.clone(),
        created_at: now,
        used_at: None,
    };
    Ok(json_response(StatusCode::OK, &shown))
}

fn named(slots: &Slots, of: Of<'_>, provider: &str) -> Result<ProviderName, ApiError> {
    let provider: ProviderName = provider
        .parse()
        .map_err(|e| ApiError::invalid("provider", format!("{e}")))?;
    slots.audit.about(provider.as_str());
    let whose = match of {
        Of::Org => "the org",
        Of::User(_) => "oneself",
    };
    slots.audit.say("for", whose);
    Ok(provider)
}

/// Where the provider is. Nobody moves one that is known by name: other people's keys would follow.
fn address(app: &App, provider: &ProviderName, body: &PutModelKey) -> Result<Address, ApiError> {
    let known = models::known_address(&app.config, provider.as_str());
    match (known, &body.base_url) {
        (Some(at), None) => Ok(at),
        (Some(_), Some(_)) => Err(ApiError::invalid(
            "baseUrl",
            format!("{provider} is known by name: leave the address out, or choose another name"),
        )),
        (None, None) => Err(ApiError::invalid(
            "baseUrl",
            format!("{provider} is not known by name: say where its OpenAI-compatible interface is"),
        )),
        (None, Some(url)) => match outside::refusal(app.config.environment, url) {
            Some(why) => Err(ApiError::invalid("baseUrl", why)),
            None => Ok(Address {
                dialect: Dialect::Openai,
                base_url: url.as_str().to_owned(),
            }),
        },
    }
}

/// `DELETE /api/model-keys/{provider}`: fine when there is none.
#[worker::send]
pub(super) async fn remove(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path(provider): Path<String>,
) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::WriteOwnSecrets)?;
    let of = Of::User(&actor.person.id);
    forget(&app, &slots, &actor, (of, &provider)).await
}

/// `DELETE /api/admin/model-keys/{provider}`: fine when there is none.
#[worker::send]
pub(super) async fn remove_of_org(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path(provider): Path<String>,
) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::WriteOrgSecrets)?;
    forget(&app, &slots, &actor, (Of::Org, &provider)).await
}

async fn forget(app: &App, slots: &Slots, actor: &Actor, (of, provider): (Of<'_>, &str)) -> Result<Response, ApiError> {
    model_keys::remove(&app.config, &actor.org, of, &named(slots, of, provider)?).await?;
    models::forget(&actor.org);
    Ok(StatusCode::NO_CONTENT.into_response())
}
