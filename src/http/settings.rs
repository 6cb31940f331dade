//! `/api/admin/settings`: what an org says, and what it says of groups and single members. Which level wins:
//! `errand_access`.

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use errand_access::{Action, Actor};
use errand_protocol::ids::UserId;
use errand_protocol::settings::SettingsPatch;
use http::StatusCode;

use super::error::{ApiError, json_response};
use super::json::Json;
use super::{App, Slots, allow, groups};
use crate::d1::members;
use crate::d1::settings::{self, Level};
use crate::models::{self, Whose};
use crate::platform::clock;

/// `GET /api/admin/settings`.
#[worker::send]
pub(super) async fn get(app: App, actor: Actor) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::ReadSettings)?;
    let said = settings::read(&app.config, &actor.org, Level::Org(&actor.org)).await?;
    Ok(json_response(StatusCode::OK, &said))
}

/// `PUT /api/admin/settings`.
#[worker::send]
pub(super) async fn put(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Json(body): Json<SettingsPatch>,
) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::WriteSettings)?;
    replace(&app, &slots, &actor, (Level::Org(&actor.org), Whose::Many), &body).await
}

/// `GET /api/admin/settings/groups/{id}`.
#[worker::send]
pub(super) async fn get_of_group(app: App, actor: Actor, Path(group): Path<String>) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::ReadSettings)?;
    let group = groups::find(&app, &actor, &group).await?;
    let said = settings::read(&app.config, &actor.org, Level::Group(&group.id)).await?;
    Ok(json_response(StatusCode::OK, &said))
}

/// `PUT /api/admin/settings/groups/{id}`.
#[worker::send]
pub(super) async fn put_of_group(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path(group): Path<String>,
    Json(body): Json<SettingsPatch>,
) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::WriteSettings)?;
    let group = groups::find(&app, &actor, &group).await?;
    nothing_of_the_org(&body)?;
    replace(&app, &slots, &actor, (Level::Group(&group.id), Whose::Many), &body).await
}

/// `GET /api/admin/settings/users/{id}`.
#[worker::send]
pub(super) async fn get_of_user(app: App, actor: Actor, Path(user): Path<String>) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::ReadSettings)?;
    let user = member(&app, &actor, &user).await?.id;
    let said = settings::read(&app.config, &actor.org, Level::User(&user)).await?;
    Ok(json_response(StatusCode::OK, &said))
}

/// `PUT /api/admin/settings/users/{id}`.
#[worker::send]
pub(super) async fn put_of_user(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path(user): Path<String>,
    Json(body): Json<SettingsPatch>,
) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::WriteSettings)?;
    let user = member(&app, &actor, &user).await?;
    nothing_of_the_org(&body)?;
    let of_user = (Level::User(&user.id), Whose::One(&user.id, user.role));
    replace(&app, &slots, &actor, of_user, &body).await
}

fn nothing_of_the_org(body: &SettingsPatch) -> Result<(), ApiError> {
    let message = "what concerns the org as a whole is not said of some of its people";
    match body {
        SettingsPatch {
            org_concurrent_sessions: None,
            org_daily_sessions: None,
            allowed_models: None,
            ..
        } => Ok(()),
        _ => Err(ApiError::invalid("orgDailySessions", message)),
    }
}

async fn replace(
    app: &App,
    slots: &Slots,
    actor: &Actor,
    (level, whose): (Level<'_>, Whose<'_>),
    body: &SettingsPatch,
) -> Result<Response, ApiError> {
    if let Some((field, least)) = body.too_small() {
        return Err(ApiError::invalid(
            field,
            format!("{field}: at least {least}, no sandbox works with less"),
        ));
    }
    let before = settings::read(&app.config, &actor.org, level).await?;
    slots.audit.fields(&before, body);
    // A default that was good when it was set stands in nobody's way who changes something else.
    let changed = (&body.default_model, &body.allowed_models) != (&before.default_model, &before.allowed_models);
    if let Some(model) = body.default_model.as_ref().filter(|_| changed) {
        let org_says = match level {
            Level::Org(_) => body.clone(),
            Level::Group(_) | Level::User(_) => settings::read(&app.config, &actor.org, Level::Org(&actor.org)).await?,
        };
        models::check_default(&app.config, &actor.org, whose, org_says, model).await?;
    }
    settings::write(&app.config, &actor.org, level, body, &actor.person.id, clock::now()).await?;
    models::forget(&actor.org);
    Ok(json_response(StatusCode::OK, body))
}

async fn member(app: &App, actor: &Actor, user: &str) -> Result<members::Row, ApiError> {
    let unknown = || ApiError::not_found("member");
    let user: UserId = user.parse().map_err(|_| unknown())?;
    members::find(&app.config, &actor.org, &user).await?.ok_or_else(unknown)
}
