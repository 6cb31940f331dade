//! Groups: people of an org under one name. Admins of the org make them, settle what is set for them (`settings`) and who
//! is their admin; a group's admin takes people in and out; who belongs to one sees who else does.

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use errand_access::{Action, Actor, Refusal, Resource, decide};
use errand_protocol::access::{GroupRole, Role};
use errand_protocol::api::ErrorCode;
use errand_protocol::groups::{Group, GroupDetail, GroupList, NameGroup, PutGroupMember};
use errand_protocol::ids::{GroupId, UserId};
use http::{HeaderMap, StatusCode};

use super::error::{ApiError, json_response};
use super::idempotency::id_of_request;
use super::json::Json;
use super::{App, Slots, allow};
use crate::d1::groups;
use crate::platform::clock;

/// `GET /api/groups`.
#[worker::send]
pub(super) async fn list(app: App, actor: Actor) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::ListGroups)?;
    let all = actor.role >= Role::Admin;
    let groups = groups::list(&app.config, &actor.org, &actor.person.id, all).await?;
    Ok(json_response(StatusCode::OK, &GroupList { groups }))
}

/// `POST /api/groups`.
#[worker::send]
pub(super) async fn make(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    headers: HeaderMap,
    Json(body): Json<NameGroup>,
) -> Result<Response, ApiError> {
    slots.audit.say("name", &body.name);
    allow::in_org(&actor, Action::WriteMembers)?;
    let id: GroupId = id_of_request(&actor, "group", &headers)?;
    slots.audit.about(id.as_str());
    groups::insert(&app.config, &actor.org, &id, body.name.as_str(), clock::now()).await?;
    let made = groups::find(&app.config, &actor.org, &actor.person.id, &id).await?;
    let made = made
        .filter(|group| group.name == body.name.as_str())
        .ok_or_else(taken)?;
    Ok(json_response(StatusCode::CREATED, &made))
}

fn taken() -> ApiError {
    let message = format!(
        "there is a group of this name, or as many as there may be ({}), or this idempotency key stands for another one",
        groups::MAX_GROUPS
    );
    ApiError::new(ErrorCode::Conflict, message)
}

/// `GET /api/groups/{id}`.
#[worker::send]
pub(super) async fn get(app: App, actor: Actor, Path(id): Path<String>) -> Result<Response, ApiError> {
    let group = seen(&app, &actor, &id, Action::ReadGroup).await?;
    let members = groups::members(&app.config, &actor.org, &group.id).await?;
    Ok(json_response(StatusCode::OK, &GroupDetail { group, members }))
}

/// `PATCH /api/groups/{id}`: another name.
#[worker::send]
pub(super) async fn rename(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path(id): Path<String>,
    Json(body): Json<NameGroup>,
) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::WriteMembers)?;
    let group = find(&app, &actor, &id).await?;
    slots.audit.change("name", &group.name, &body.name);
    if !groups::rename(&app.config, &actor.org, &group.id, body.name.as_str()).await? {
        return Err(taken());
    }
    let name = body.name.into();
    Ok(json_response(StatusCode::OK, &Group { name, ..group }))
}

/// `DELETE /api/groups/{id}`: with what was set for it. Its people stay in the org.
#[worker::send]
pub(super) async fn remove(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    allow::in_org(&actor, Action::WriteMembers)?;
    let group = find(&app, &actor, &id).await?;
    slots.audit.say("name", &group.name);
    groups::remove(&app.config, &actor.org, &group.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /api/groups/{id}/members/{user}`: takes a member of the org in, or makes something else of them.
#[worker::send]
pub(super) async fn put_member(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path((id, user)): Path<(String, String)>,
    Json(body): Json<PutGroupMember>,
) -> Result<StatusCode, ApiError> {
    let group = seen(&app, &actor, &id, Action::WriteGroupMembers).await?;
    let user = user_id(&user)?;
    let was = only_above_admins(&app, &actor, &group, &user, Some(body.role)).await?;
    slots.audit.say("group", &group.name);
    slots.audit.change("role", role_words(was), role_words(Some(body.role)));
    if groups::put_member(&app.config, &actor.org, &group.id, &user, body.role).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    if group.members >= groups::MAX_MEMBERS {
        let message = format!("a group has at most {} members", groups::MAX_MEMBERS);
        return Err(ApiError::new(ErrorCode::Conflict, message));
    }
    Err(ApiError::not_found("member"))
}

/// `DELETE /api/groups/{id}/members/{user}`: fine when they are not in it.
#[worker::send]
pub(super) async fn remove_member(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path((id, user)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let group = seen(&app, &actor, &id, Action::WriteGroupMembers).await?;
    let user = user_id(&user)?;
    let was = only_above_admins(&app, &actor, &group, &user, None).await?;
    slots.audit.say("group", &group.name);
    slots.audit.change("role", role_words(was), role_words(None));
    groups::remove_member(&app.config, &actor.org, &group.id, &user).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn user_id(text: &str) -> Result<UserId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("member"))
}

const fn role_words(role: Option<GroupRole>) -> &'static str {
    match role {
        Some(role) => role.as_str(),
        None => "not in it",
    }
}

/// Who is a group's admin is up to the org's admins. Returns what they are in it.
async fn only_above_admins(
    app: &App,
    actor: &Actor,
    group: &Group,
    user: &UserId,
    to: Option<GroupRole>,
) -> Result<Option<GroupRole>, ApiError> {
    let is = groups::role_of(&app.config, &actor.org, &group.id, user).await?;
    if is == Some(GroupRole::Admin) || to == Some(GroupRole::Admin) {
        allow::in_org(actor, Action::WriteMembers)?;
    }
    Ok(is)
}

/// The group, when the actor may do this to it.
async fn seen(app: &App, actor: &Actor, id: &str, action: Action) -> Result<Group, ApiError> {
    let group = find(app, actor, id).await?;
    let resource = Resource::Group {
        org: &actor.org,
        standing: group.role,
    };
    decide(actor, action, &resource).map_err(|refusal| {
        if refusal == Refusal::NotFound {
            unknown()
        } else {
            refusal.into()
        }
    })?;
    Ok(group)
}

/// The org's group with this id, for those who may know of it.
pub(super) async fn find(app: &App, actor: &Actor, id: &str) -> Result<Group, ApiError> {
    let id: GroupId = id.parse().map_err(|_| unknown())?;
    let group = groups::find(&app.config, &actor.org, &actor.person.id, &id).await?;
    group.ok_or_else(unknown)
}

fn unknown() -> ApiError {
    ApiError::not_found("group")
}
