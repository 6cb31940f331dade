//! Links that share this session with people of its org: making them (the owner's), removing them (the org's admins' too),
//! and redeeming one. A guest counts while the session's visibility is `link` and the link by which they came is there: its
//! expiry and its number of uses limit who may come, its removal ends who came. The code's hash is all that is kept of it.

mod store;

use errand_access::{Action, Resource, decide};
use errand_protocol::access::{Role, Visibility};
use errand_protocol::api::ErrorCode;
use errand_protocol::ids::ShareId;
use errand_protocol::share::{CreateShare, JoinSession, ShareLink, ShareList, ShareMade};
use errand_session::Input;
use worker::Response;

use super::Agent;
use super::reads::{json, summary};
use super::routes::Answer;
use super::writes::Write;
use crate::http::error::ApiError;
use crate::platform::{clock, crypto, ids};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Links of one session.
const MAX_LINKS: usize = 100;

/// `GET …/shares`.
pub(super) fn list(agent: &Agent) -> Answer {
    let shares = store::list(&agent.sql)?;
    json(&ShareList { shares })
}

/// `POST …/shares`.
pub(super) fn make(write: &Write<'_>) -> Answer {
    let agent = write.agent;
    let wanted: CreateShare = write.required()?;
    let (days, max_uses) = check(&wanted)?;
    let now = clock::now();
    let id: ShareId = write.derived("share")?.unwrap_or_else(|| ids::mint(now));
    {
        let mut note = write.note.borrow_mut();
        note.say("link", &id);
        note.say("role", wanted.role.as_str());
        note.say("days", days);
        note.say("uses at most", max_uses);
    }
    if let Some(known) = store::find(&agent.sql, &id)? {
        let lasts = known.expires_at.since(known.created_at) == i64::from(days) * DAY_MS;
        if known.role == wanted.role && known.max_uses == max_uses && lasts {
            return made(agent, known);
        }
        let message = "this idempotency key stands for another share link";
        return Err(ApiError::new(ErrorCode::Conflict, message));
    }
    if store::list(&agent.sql)?.len() >= MAX_LINKS {
        let message = format!("a session has at most {MAX_LINKS} share links: remove one first");
        return Err(ApiError::new(ErrorCode::Conflict, message));
    }
    let share = ShareLink {
        id,
        role: wanted.role,
        created_at: now,
        expires_at: now.plus(i64::from(days) * DAY_MS),
        uses: 0,
        max_uses,
    };
    store::put(&agent.sql, &share, &hash(&code_of(agent, &share)?))?;
    made(agent, share)
}

/// The code is no credential: it counts only with the sign-in of somebody who belongs to the org.
fn made(agent: &Agent, share: ShareLink) -> Answer {
    let code = code_of(agent, &share)?;
    let url = format!("{}/sessions/{}?join={code}", agent.config()?.origin, agent.id()?);
    Ok(Response::from_json(&ShareMade { share, code, url })?.with_status(201))
}

fn check(wanted: &CreateShare) -> Result<(u8, u32), ApiError> {
    if !matches!(wanted.role, Role::Viewer | Role::Member) {
        return Err(ApiError::invalid("role", "a link makes viewers or members"));
    }
    let days = wanted.days.unwrap_or(7);
    if !(1..=30).contains(&days) {
        return Err(ApiError::invalid("days", "a link lasts 1 to 30 days"));
    }
    let max_uses = wanted.max_uses.unwrap_or(1);
    if !(1..=1000).contains(&max_uses) {
        return Err(ApiError::invalid("maxUses", "a link is redeemed by 1 to 1000 people"));
    }
    Ok((days, max_uses))
}

/// `DELETE …/shares/{id}`. Who came by this link alone is no guest any more: what they have open is closed. Should
/// storing it break off in between, the link is still there to be removed again.
pub(super) fn remove(write: &Write<'_>, id: &str) -> Answer {
    let sql = &write.agent.sql;
    let unknown = || ApiError::not_found("share link");
    let id: ShareId = id.parse().map_err(|_| unknown())?;
    let link = store::find(sql, &id)?.ok_or_else(unknown)?;
    write.note.borrow_mut().say("role", link.role.as_str());
    write.agent.step(Input::Unshared {
        by: write.actor.person.clone(),
        left: store::left_by(sql, &id)?,
    })?;
    store::remove(sql, &id)?;
    Ok(Response::empty()?.with_status(204))
}

/// `POST …/join {code}`: whoever asks does not see the session yet, so every refusal is that it is not there.
pub(super) fn join(write: &Write<'_>) -> Answer {
    let (agent, actor) = (write.agent, write.actor);
    let unknown = || ApiError::not_found("session");
    decide(actor, Action::RedeemShare, &Resource::Org(&actor.org)).map_err(|_| unknown())?;
    let here =
        agent.read(|session| session.spec().org == actor.org && session.access().visibility == Visibility::Link)?;
    if !here {
        return Err(unknown());
    }
    let JoinSession { code } = write.required()?;
    // No link makes more of its owner: it stays for somebody else.
    if agent.allow(actor, Action::ShareSession).is_ok() {
        return summary(agent);
    }
    let role = store::redeem(&agent.sql, &hash(&code), &actor.person.id, clock::now())?.ok_or_else(unknown)?;
    write.note.borrow_mut().say("role", role.as_str());
    agent.step(Input::Joined {
        by: actor.person.clone(),
        role,
    })?;
    summary(agent)
}

/// As good as random to whoever lacks the master key, and the same when the request that made the link is repeated. One
/// that is made again after it was removed has another.
fn code_of(agent: &Agent, link: &ShareLink) -> Result<String, ApiError> {
    let message = format!("share:{}:{}:{}", agent.id()?, link.id, link.created_at.millis());
    let key = &agent.config()?.master_key;
    Ok(crypto::hex(&crypto::hmac_sha256(key.expose(), message.as_bytes())))
}

fn hash(code: &str) -> String {
    crypto::hex(&crypto::sha256(code.as_bytes()))
}
