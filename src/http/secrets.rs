//! Secrets that sandboxes are given: one's own (`/api/secrets`), the org's and those of its repositories
//! (`/api/admin/secrets[?url=]`). Write-only: no answer has a value.

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use errand_access::{Action, Actor};
use errand_protocol::api::ErrorCode;
use errand_protocol::repository::{EXPOSED, MAX_SECRETS, PutSecret, SecretInfo, SecretList, SecretName};
use http::{StatusCode, Uri};

use super::error::{ApiError, json_response};
use super::json::Json;
use super::repositories::url_of;
use super::{App, Slots, allow};
use crate::d1::secrets::{self, Scope};
use crate::platform::clock;

/// `GET /api/secrets`.
#[worker::send]
pub(super) async fn list_own(app: App, actor: Actor) -> Result<Response, ApiError> {
    list(&app, &actor, &own(&actor)?).await
}

/// `PUT /api/secrets/{name}`.
#[worker::send]
pub(super) async fn put_own(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path(name): Path<String>,
    Json(body): Json<PutSecret>,
) -> Result<Response, ApiError> {
    let scope = own(&actor)?;
    put(&app, &slots, &actor, (&scope, &name), &body).await
}

/// `DELETE /api/secrets/{name}`. Fine when it is not there.
#[worker::send]
pub(super) async fn remove_own(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let scope = own(&actor)?;
    remove(&app, &slots, &actor, (&scope, &name)).await
}

/// `GET /api/admin/secrets[?url=]`.
#[worker::send]
pub(super) async fn list_of_org(app: App, actor: Actor, uri: Uri) -> Result<Response, ApiError> {
    list(&app, &actor, &of_org(&actor, &uri)?).await
}

/// `PUT /api/admin/secrets/{name}[?url=]`.
#[worker::send]
pub(super) async fn put_of_org(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    uri: Uri,
    Path(name): Path<String>,
    Json(body): Json<PutSecret>,
) -> Result<Response, ApiError> {
    let scope = of_org(&actor, &uri)?;
    put(&app, &slots, &actor, (&scope, &name), &body).await
}

/// `DELETE /api/admin/secrets/{name}[?url=]`. Fine when it is not there.
#[worker::send]
pub(super) async fn remove_of_org(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    uri: Uri,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let scope = of_org(&actor, &uri)?;
    remove(&app, &slots, &actor, (&scope, &name)).await
}

fn own(actor: &Actor) -> Result<Scope, ApiError> {
    allow::in_org(actor, Action::WriteOwnSecrets)?;
    Ok(Scope::User(actor.person.id.clone()))
}

fn of_org(actor: &Actor, uri: &Uri) -> Result<Scope, ApiError> {
    allow::in_org(actor, Action::WriteOrgSecrets)?;
    Ok(url_of(uri)?.map_or(Scope::Org, Scope::Repository))
}

async fn list(app: &App, actor: &Actor, scope: &Scope) -> Result<Response, ApiError> {
    let secrets = secrets::list(&app.config, &actor.org, scope).await?;
    let warning = EXPOSED.to_owned();
    Ok(json_response(StatusCode::OK, &SecretList { secrets, warning }))
}

async fn put(
    app: &App,
    slots: &Slots,
    actor: &Actor,
    (scope, name): (&Scope, &str),
    body: &PutSecret,
) -> Result<Response, ApiError> {
    let name = named(slots, scope, name)?;
    let now = clock::now();
    let stored = (&name, &body.value);
    if !secrets::put(&app.config, &actor.org, scope, stored, (&actor.person.id, now)).await? {
        let message = format!("there are {MAX_SECRETS} secrets already: remove one");
        return Err(ApiError::new(ErrorCode::Conflict, message));
    }
    let info = SecretInfo {
        name,
        updated_at: now,
        updated_by: actor.person.clone(),
        exposed: true,
    };
    Ok(json_response(StatusCode::OK, &info))
}

async fn remove(
    app: &App,
    slots: &Slots,
    actor: &Actor,
    (scope, name): (&Scope, &str),
) -> Result<StatusCode, ApiError> {
    let name = named(slots, scope, name)?;
    secrets::remove(&app.config, &actor.org, scope, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn named(slots: &Slots, scope: &Scope, name: &str) -> Result<SecretName, ApiError> {
    let name: SecretName = name
        .parse()
        .map_err(|error: errand_protocol::text::InvalidText| ApiError::invalid("name", error.to_string()))?;
    let of = match scope {
        Scope::Repository(url) => format!(" {url}"),
        Scope::Org | Scope::User(_) => String::new(),
    };
    slots.audit.about(&format!("{name} {}{of}", scope.word()));
    Ok(name)
}
