//! Orgs and who belongs to them: one's own orgs, and what admins do about members and invitations.
//!
//! A change of somebody's role is in the database first; then everything that they have open is judged anew
//! ([`super::revoke`]), and only then is it answered.

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use errand_access::{Action, Actor};
use errand_protocol::access::Role;
use errand_protocol::accounts::{
    CreateInvitation, CreateOrg, Invitation, InvitationList, InvitationMade, Member, MemberList, Membership, OrgList,
    PatchMember, PatchOrg, RedeemInvitation,
};
use errand_protocol::api::{ErrorCode, OrgInfo};
use errand_protocol::ids::{InvitationId, OrgId, UserId};
use errand_protocol::time::Timestamp;
use http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;

use super::error::{ApiError, json_response};
use super::idempotency::id_of_request;
use super::json::Json;
use super::revoke::{self, AccessChange};
use super::{App, RequestId, Slots, allow, auth, query};
use crate::config::Config;
use crate::d1::members::Changed;
use crate::d1::{invitations, members};
use crate::platform::{clock, crypto};

const MAX_LIMIT: u32 = 100;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// `GET /api/orgs`.
#[worker::send]
pub(super) async fn orgs(app: App, actor: Actor) -> Result<Response, ApiError> {
    allow::oneself(&actor, Action::ManageSelf)?;
    let orgs = members::orgs_of(&app.config, &actor.person.id).await?;
    let orgs = orgs.into_iter().map(|(org, role)| Membership { org, role }).collect();
    Ok(json_response(StatusCode::OK, &OrgList { orgs }))
}

/// One person owns so many orgs.
const MAX_ORGS: usize = 20;

/// `POST /api/orgs`. Whoever makes an org owns it, and its sessions may use what the installation pays for: it is for
/// those who answer for an org already.
#[worker::send]
pub(super) async fn make_org(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    headers: HeaderMap,
    Json(body): Json<CreateOrg>,
) -> Result<Response, ApiError> {
    allow::oneself(&actor, Action::ManageSelf)?;
    allow::in_org(&actor, Action::WriteSettings)?;
    let id: OrgId = id_of_request(&actor, "org", &headers)?;
    let own = members::orgs_of(&app.config, &actor.person.id).await?;
    let owned = own.iter().filter(|(_, role)| *role == Role::Owner).count();
    if owned >= MAX_ORGS && !own.iter().any(|(org, _)| org.id == id) {
        let message = format!("one person owns at most {MAX_ORGS} organizations");
        return Err(ApiError::new(ErrorCode::Conflict, message));
    }
    let org = OrgInfo {
        id,
        name: body.name.into(),
    };
    members::make_org(&app.config, &org, &actor.person.id, clock::now()).await?;
    slots.audit.about(org.id.as_str());
    slots.audit.say("name", &org.name);
    let role = Role::Owner;
    Ok(json_response(StatusCode::CREATED, &Membership { org, role }))
}

/// `PATCH /api/admin/org`: gives the org in which one acts another name.
#[worker::send]
pub(super) async fn rename_org(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Json(body): Json<PatchOrg>,
) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::WriteSettings)?;
    slots.audit.about(actor.org.as_str());
    let name = body.name.as_str();
    let before = members::rename_org(&app.config, &actor.org, name).await?;
    slots
        .audit
        .change("name", before.ok_or_else(|| ApiError::not_found("org"))?, name);
    let org = OrgInfo {
        id: actor.org,
        name: body.name.into(),
    };
    Ok(json_response(StatusCode::OK, &org))
}

#[derive(Debug, Deserialize)]
struct PageQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /api/admin/members?limit=&cursor=`.
#[worker::send]
pub(super) async fn list(app: App, actor: Actor, uri: Uri) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::ReadMembers)?;
    let PageQuery { limit, cursor } = query::read(&uri, ApiError::bad_request("limit must be a whole number"))?;
    let limit = limit.unwrap_or(MAX_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::invalid(
            "limit",
            format!("limit must be between 1 and {MAX_LIMIT}"),
        ));
    }
    let not_ours = |_| ApiError::invalid("cursor", "this cursor is not one that a list returned");
    let after: Option<UserId> = cursor.map(|text| text.parse().map_err(not_ours)).transpose()?;
    let mut rows = members::list(&app.config, &actor.org, after.as_ref(), limit + 1).await?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > most;
    rows.truncate(most);
    let list = MemberList {
        cursor: rows.last().filter(|_| more).map(|row| row.id.to_string()),
        members: rows.iter().map(shown).collect(),
    };
    Ok(json_response(StatusCode::OK, &list))
}

fn shown(row: &members::Row) -> Member {
    Member {
        person: row.person(),
        role: row.role,
        since: row.created_at,
    }
}

/// `PATCH /api/admin/members/{id}`: gives a member another role.
#[worker::send]
pub(super) async fn patch(
    app: App,
    Extension(id): Extension<RequestId>,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path(user): Path<String>,
    Json(body): Json<PatchMember>,
) -> Result<Response, ApiError> {
    let row = changeable(&app, &actor, &user, Some(body.role)).await?;
    slots.audit.say("name", &row.name);
    slots.audit.change("role", row.role.as_str(), body.role.as_str());
    done(members::set_role(&app.config, &actor.org, &row.id, row.role, body.role).await?)?;
    tell(&app, &actor, &row.id, Some(body.role), &id).await?;
    let role = body.role;
    Ok(json_response(StatusCode::OK, &Member { role, ..shown(&row) }))
}

/// `DELETE /api/admin/members/{id}`: removes somebody. Their sessions stay, and the org's admins look after them.
#[worker::send]
pub(super) async fn remove(
    app: App,
    Extension(id): Extension<RequestId>,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path(user): Path<String>,
) -> Result<StatusCode, ApiError> {
    let row = changeable(&app, &actor, &user, None).await?;
    slots.audit.say("name", &row.name);
    slots.audit.say("role", row.role.as_str());
    done(members::remove(&app.config, &actor.org, &row.id, row.role, clock::now()).await?)?;
    tell(&app, &actor, &row.id, None, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The member, when the actor may make this of them: what concerns owners is up to owners.
async fn changeable(app: &App, actor: &Actor, user: &str, to: Option<Role>) -> Result<members::Row, ApiError> {
    allow::in_org(actor, Action::WriteMembers)?;
    let user: UserId = user.parse().map_err(|_| ApiError::not_found("member"))?;
    let row = members::find(&app.config, &actor.org, &user).await?;
    let row = row.ok_or_else(|| ApiError::not_found("member"))?;
    if row.role == Role::Owner || to == Some(Role::Owner) {
        allow::in_org(actor, Action::WriteOwners)?;
    }
    Ok(row)
}

fn done(changed: Changed) -> Result<(), ApiError> {
    match changed {
        Changed::Yes => Ok(()),
        Changed::No => Err(ApiError::new(
            ErrorCode::Conflict,
            "an org needs an owner: make somebody else one first; or somebody else has just changed this member",
        )),
    }
}

async fn tell(app: &App, actor: &Actor, user: &UserId, role: Option<Role>, id: &RequestId) -> Result<(), ApiError> {
    let org = actor.org.clone();
    revoke::tell(&app.config, user, &AccessChange::Role { org, role }, id).await
}

/// `GET /api/admin/invitations`.
#[worker::send]
pub(super) async fn list_invitations(app: App, actor: Actor) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::ReadMembers)?;
    let rows = invitations::list(&app.config, &actor.org).await?;
    let invitations = rows.into_iter().map(invitation).collect();
    Ok(json_response(StatusCode::OK, &InvitationList { invitations }))
}

fn invitation(row: invitations::Row) -> Invitation {
    Invitation {
        id: row.id,
        role: row.role,
        email: row.email,
        created_by: row.created_by,
        created_at: row.created_at,
        expires_at: row.expires_at,
        used_by: row.used_by,
    }
}

/// `POST /api/admin/invitations`.
#[worker::send]
pub(super) async fn invite(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    headers: HeaderMap,
    Json(body): Json<CreateInvitation>,
) -> Result<Response, ApiError> {
    slots.audit.say("role", body.role.as_str());
    slots.audit.say_if("email", body.email.as_ref());
    allow::in_org(&actor, Action::WriteMembers)?;
    if body.role == Role::Owner {
        allow::in_org(&actor, Action::WriteOwners)?;
    }
    let now = clock::now();
    let email = body.email.map(String::from);
    let expires_at = check_invitation(email.as_deref(), body.days, now)?;
    let id: InvitationId = id_of_request(&actor, "invitation", &headers)?;
    slots.audit.about(id.as_str());
    let code = code_of(&app.config, &id, now);
    let new = invitations::New {
        id: &id,
        org: &actor.org,
        code_hash: &auth::token_hash(&code),
        role: body.role,
        email: email.as_deref(),
        by: &actor.person.id,
        expires_at,
    };
    invitations::insert(&app.config, &new, now).await?;
    let row = invitations::find(&app.config, &actor.org, &id).await?;
    let same = |row: &invitations::Row| row.role == body.role && row.email == email;
    let row = row.ok_or_else(|| {
        let message = format!(
            "an org has at most {} open invitations: take one back",
            invitations::MAX_OPEN
        );
        ApiError::new(ErrorCode::Conflict, message)
    })?;
    let row = Some(row).filter(same).ok_or_else(|| {
        ApiError::new(
            ErrorCode::Conflict,
            "this idempotency key stands for another invitation",
        )
    })?;
    // Of a request that is repeated, the code is the first one's.
    let code = code_of(&app.config, &id, row.created_at);
    let made = InvitationMade {
        invitation: invitation(row),
        url: format!("{}/invitations/{code}", app.config.origin),
        code,
    };
    Ok(json_response(StatusCode::CREATED, &made))
}

/// The code of an invitation: as good as random to whoever lacks the master key, and the same when the request that made
/// it is repeated. One that is made again after it was taken back has another.
fn code_of(config: &Config, id: &InvitationId, made_at: Timestamp) -> String {
    let message = format!("invitation:{id}:{}", made_at.millis());
    crypto::hex(&crypto::hmac_sha256(config.master_key.expose(), message.as_bytes()))
}

fn check_invitation(email: Option<&str>, days: Option<u8>, now: Timestamp) -> Result<Timestamp, ApiError> {
    let address = |email: &str| {
        email
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
    };
    if email.is_some_and(|email| !address(email)) {
        return Err(ApiError::invalid("email", "this is no e-mail address"));
    }
    let days = days.unwrap_or(7);
    if !(1..=30).contains(&days) {
        return Err(ApiError::invalid("days", "an invitation lasts 1 to 30 days"));
    }
    Ok(now.plus(i64::from(days) * DAY_MS))
}

/// `DELETE /api/admin/invitations/{id}`: takes one back that nobody has redeemed.
#[worker::send]
pub(super) async fn uninvite(
    app: App,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    allow::in_org(&actor, Action::WriteMembers)?;
    let unknown = || ApiError::not_found("open invitation");
    let id: InvitationId = id.parse().map_err(|_| unknown())?;
    if let Some(row) = invitations::find(&app.config, &actor.org, &id).await? {
        slots.audit.say("role", row.role.as_str());
        slots.audit.say_if("email", row.email);
    }
    if invitations::delete(&app.config, &actor.org, &id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(unknown())
    }
}

/// `POST /api/auth/invitations {code}`: somebody who is signed in joins another org. Fine when they did so before.
#[worker::send]
pub(super) async fn redeem(
    app: App,
    Extension(id): Extension<RequestId>,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Json(body): Json<RedeemInvitation>,
) -> Result<Response, ApiError> {
    allow::oneself(&actor, Action::ManageSelf)?;
    let unknown = || ApiError::not_found("open invitation");
    let joined = join(&app.config, &actor, &auth::token_hash(&body.code)).await?;
    let joined = joined.ok_or_else(unknown)?;
    let orgs = members::orgs_of(&app.config, &actor.person.id).await?;
    let (org, role) = orgs.into_iter().find(|(org, _)| org.id == joined).ok_or_else(unknown)?;
    slots.audit.concerns(&org.id);
    slots.audit.about(org.id.as_str());
    slots.audit.say("role", role.as_str());
    revoke::tell_joined(&app.config, &actor.person.id, &org.id, role, &id).await?;
    Ok(json_response(StatusCode::OK, &Membership { org, role }))
}

/// The org that the invitation with this code lets the actor into.
async fn join(config: &Config, actor: &Actor, code_hash: &str) -> Result<Option<OrgId>, ApiError> {
    let (user, now) = (&actor.person.id, clock::now());
    // The address that we know of somebody is one that their provider has verified.
    let own = [actor.person.email.clone()];
    let open = invitations::open(config, code_hash, now).await?;
    let Some(found) = open.filter(|found| found.is_for(&own)) else {
        return Ok(invitations::redeemed_by(config, code_hash, user).await?);
    };
    if members::find(config, &found.org_id, user).await?.is_some() {
        let message = "you belong to this organization already; the invitation is kept for whom it is meant";
        return Err(ApiError::new(ErrorCode::Conflict, message));
    }
    invitations::redeem(config, &found.id, user, now).await?;
    Ok(Some(found.org_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_lasts_some_days_and_names_an_address_if_any() {
        let now = Timestamp::from_millis(0);
        assert_eq!(check_invitation(None, None, now).unwrap().millis(), 7 * DAY_MS);
        assert_eq!(
            check_invitation(Some("a@b.example"), Some(30), now).unwrap().millis(),
            30 * DAY_MS
        );
        assert!(check_invitation(None, Some(0), now).is_err());
        assert!(check_invitation(None, Some(31), now).is_err());
        for bad in ["a", "@b.example", "a@b", "a@"] {
            assert!(check_invitation(Some(bad), None, now).is_err(), "{bad}");
        }
    }
}
