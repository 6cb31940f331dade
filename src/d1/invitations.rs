//! Invitations to an org. A code is good once; the database has its hash.

use errand_protocol::access::Role;
use errand_protocol::ids::{InvitationId, OrgId, UserId};
use errand_protocol::time::Timestamp;
use serde::Deserialize;
use worker::{D1Database, D1PreparedStatement, D1Type};

use super::{big, text_or_null};
use crate::config::Config;

/// An invitation that can be redeemed.
#[derive(Debug, Deserialize)]
pub struct Open {
    /// Which.
    pub id: InvitationId,
    /// To which org.
    pub org_id: OrgId,
    /// The only address that it is good for.
    pub email: Option<String>,
}

impl Open {
    /// Whether somebody with these verified addresses may redeem it.
    pub fn is_for(&self, verified_emails: &[String]) -> bool {
        let wanted = self.email.as_deref().map(str::to_lowercase);
        wanted.is_none_or(|wanted| verified_emails.iter().any(|email| email.to_lowercase() == wanted))
    }
}

/// An invitation as admins see it.
#[derive(Debug, Deserialize)]
pub struct Row {
    /// Which.
    pub id: InvitationId,
    /// As what.
    pub role: Role,
    /// The only address that it is good for.
    pub email: Option<String>,
    /// By whom.
    pub created_by: UserId,
    /// When.
    #[serde(deserialize_with = "super::millis")]
    pub created_at: Timestamp,
    /// Until when.
    #[serde(deserialize_with = "super::millis")]
    pub expires_at: Timestamp,
    /// Who redeemed it.
    pub used_by: Option<UserId>,
}

/// A new invitation.
#[derive(Debug)]
pub struct New<'a> {
    /// Its id.
    pub id: &'a InvitationId,
    /// To which org.
    pub org: &'a OrgId,
    /// Of its code.
    pub code_hash: &'a str,
    /// As what.
    pub role: Role,
    /// The only address that it is good for.
    pub email: Option<&'a str>,
    /// By whom.
    pub by: &'a UserId,
    /// Until when.
    pub expires_at: Timestamp,
}

/// Whoever made it may still make such a one: somebody who was removed from the org, or is no admin any more, has left no
/// way in.
const VOUCHED: &str = "EXISTS (SELECT 1 FROM members v WHERE v.org_id = invitations.org_id
    AND v.user_id = invitations.created_by
    AND (v.role = 'owner' OR (v.role = 'admin' AND invitations.role <> 'owner')))";

/// The invitation with this code, when it is neither used nor over.
pub async fn open(config: &Config, code_hash: &str, now: Timestamp) -> worker::Result<Option<Open>> {
    let sql = format!(
        "SELECT id, org_id, email FROM invitations
            WHERE code_hash = ?1 AND used_at IS NULL AND expires_at > ?2 AND {VOUCHED}"
    );
    let args = [D1Type::Text(code_hash), big(now.millis())];
    config.db()?.prepare(sql).bind_refs(&args)?.first(None).await
}

/// The org that this person joined with this code, when they redeemed it before.
pub async fn redeemed_by(config: &Config, code_hash: &str, user: &UserId) -> worker::Result<Option<OrgId>> {
    #[derive(Deserialize)]
    struct Found {
        org_id: OrgId,
    }
    let sql = "SELECT org_id FROM invitations WHERE code_hash = ?1 AND used_by = ?2";
    let args = [D1Type::Text(code_hash), D1Type::Text(user.as_str())];
    let found: Option<Found> = config.db()?.prepare(sql).bind_refs(&args)?.first(None).await?;
    Ok(found.map(|found| found.org_id))
}

/// Redeems it in one transaction with whatever stands before: only who used it becomes a member. Who is a member
/// already does not use it up: it is for somebody else.
pub(super) fn redeem_statements(
    db: &D1Database,
    id: &InvitationId,
    user: &UserId,
    now: Timestamp,
) -> worker::Result<Vec<D1PreparedStatement>> {
    let id = || D1Type::Text(id.as_str());
    let user = || D1Type::Text(user.as_str());
    let at = || big(now.millis());
    let mark = format!(
        "UPDATE invitations SET used_by = ?2, used_at = ?3
            WHERE id = ?1 AND used_at IS NULL AND expires_at > ?3 AND {VOUCHED}
              AND NOT EXISTS (SELECT 1 FROM members m WHERE m.org_id = invitations.org_id AND m.user_id = ?2)"
    );
    let join = "INSERT INTO members (org_id, user_id, role, created_at)
        SELECT org_id, used_by, role, used_at FROM invitations WHERE id = ?1 AND used_by = ?2 AND used_at = ?3
        ON CONFLICT DO NOTHING";
    Ok(vec![
        db.prepare(mark).bind_refs(&[id(), user(), at()])?,
        db.prepare(join).bind_refs(&[id(), user(), at()])?,
    ])
}

/// Redeems an invitation for somebody who is signed in already.
pub async fn redeem(config: &Config, id: &InvitationId, user: &UserId, now: Timestamp) -> worker::Result<()> {
    let db = config.db()?;
    super::all_done(&db.batch(redeem_statements(&db, id, user, now)?).await?)
}

/// So many that are neither used nor over an org has, at most.
pub const MAX_OPEN: u32 = 200;

/// Stores a new one; the same id again changes nothing, nor does one more than [`MAX_OPEN`].
pub async fn insert(config: &Config, new: &New<'_>, now: Timestamp) -> worker::Result<()> {
    let sql = format!(
        "INSERT INTO invitations (id, org_id, code_hash, role, email, created_by, created_at, expires_at)
        SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE (SELECT count(*) FROM invitations
            WHERE org_id = ?2 AND used_at IS NULL AND expires_at > ?7) < {MAX_OPEN}
        ON CONFLICT (id) DO NOTHING"
    );
    let args = [
        D1Type::Text(new.id.as_str()),
        D1Type::Text(new.org.as_str()),
        D1Type::Text(new.code_hash),
        D1Type::Text(new.role.as_str()),
        text_or_null(new.email),
        D1Type::Text(new.by.as_str()),
        big(now.millis()),
        big(new.expires_at.millis()),
    ];
    config.db()?.prepare(sql).bind_refs(&args)?.run().await.map(drop)
}

/// One of the org's.
pub async fn find(config: &Config, org: &OrgId, id: &InvitationId) -> worker::Result<Option<Row>> {
    let sql = "SELECT id, role, email, created_by, created_at, expires_at, used_by FROM invitations
        WHERE org_id = ?1 AND id = ?2";
    let args = [D1Type::Text(org.as_str()), D1Type::Text(id.as_str())];
    config.db()?.prepare(sql).bind_refs(&args)?.first(None).await
}

/// The org's, newest first; those that were redeemed too.
pub async fn list(config: &Config, org: &OrgId) -> worker::Result<Vec<Row>> {
    let sql = "SELECT id, role, email, created_by, created_at, expires_at, used_by FROM invitations
        WHERE org_id = ?1 ORDER BY created_at DESC, id DESC LIMIT 500";
    let found = config.db()?.prepare(sql).bind_refs(&D1Type::Text(org.as_str()))?;
    found.all().await?.results()
}

/// Takes one back that nobody has redeemed; false when there is none.
pub async fn delete(config: &Config, org: &OrgId, id: &InvitationId) -> worker::Result<bool> {
    let sql = "DELETE FROM invitations WHERE org_id = ?1 AND id = ?2 AND used_at IS NULL RETURNING id";
    let args = [D1Type::Text(org.as_str()), D1Type::Text(id.as_str())];
    let gone: Option<serde_json::Value> = config.db()?.prepare(sql).bind_refs(&args)?.first(None).await?;
    Ok(gone.is_some())
}
