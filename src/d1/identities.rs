//! Who people are at GitHub and Google, their tokens there, and states of sign-ins that came back.

use errand_protocol::ids::{InvitationId, OrgId, UserId};
use errand_protocol::session::Person;
use errand_protocol::time::Timestamp;
use serde::Deserialize;
use worker::{D1PreparedStatement, D1Type};

use super::{big, text_or_null, when};
use crate::config::Config;

/// Sealed tokens of a provider.
#[derive(Debug)]
pub struct StoredTokens {
    /// Sealed.
    pub access: String,
    /// Sealed.
    pub refresh: Option<String>,
    /// What they are good for, in the provider's words.
    pub scopes: String,
    /// When the access token ends.
    pub expires_at: Option<Timestamp>,
}

/// What makes somebody a member while they are enrolled.
#[derive(Debug)]
pub enum Join {
    /// They are one already.
    Nothing,
    /// They join the installation's org, the first as its owner.
    Installation {
        /// Which it is.
        org: OrgId,
        /// Its name, should it have to be made.
        name: String,
    },
    /// They redeem an invitation.
    Invitation {
        /// Which.
        id: InvitationId,
        /// To which org.
        org: OrgId,
    },
}

/// Somebody who signs in with a provider.
#[derive(Debug)]
pub struct Enrolment<'a> {
    /// As we know them.
    pub person: &'a Person,
    /// Where.
    pub provider: &'a str,
    /// Their id there.
    pub provider_user_id: &'a str,
    /// Their login there.
    pub login: &'a str,
    /// Their tokens there.
    pub tokens: StoredTokens,
    /// What makes them a member.
    pub join: &'a Join,
}

/// Whom this identity belongs to.
pub async fn find(config: &Config, provider: &str, provider_user_id: &str) -> worker::Result<Option<UserId>> {
    #[derive(Deserialize)]
    struct Row {
        user_id: UserId,
    }
    let sql = "SELECT user_id FROM identities WHERE provider = ?1 AND provider_user_id = ?2";
    let args = [D1Type::Text(provider), D1Type::Text(provider_user_id)];
    let row: Option<Row> = config.db()?.prepare(sql).bind_refs(&args)?.first(None).await?;
    Ok(row.map(|row| row.user_id))
}

/// Notes that a state was used; false when it had been. Forgets those that are over.
pub async fn burn_state(
    config: &Config,
    state_hash: &str,
    expires_at: Timestamp,
    now: Timestamp,
) -> worker::Result<bool> {
    let db = config.db()?;
    let burn =
        "INSERT INTO oauth_states (state_hash, expires_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING RETURNING state_hash";
    let results = db
        .batch(vec![
            db.prepare("DELETE FROM oauth_states WHERE expires_at <= ?1")
                .bind_refs(&big(now.millis()))?,
            db.prepare(burn)
                .bind_refs(&[D1Type::Text(state_hash), big(expires_at.millis())])?,
        ])
        .await?;
    let burnt = results.last().map(worker::D1Result::results::<serde_json::Value>);
    Ok(!burnt.transpose()?.unwrap_or_default().is_empty())
}

/// Stores all of it in one transaction: a sign-in that breaks off leaves nobody half enrolled.
pub async fn enrol(config: &Config, enrolment: &Enrolment<'_>, now: Timestamp) -> worker::Result<()> {
    let mut statements = person_statements(config, enrolment, now)?;
    statements.extend(join_statements(config, enrolment, now)?);
    super::all_done(&config.db()?.batch(statements).await?)
}

fn person_statements(
    config: &Config,
    enrolment: &Enrolment<'_>,
    now: Timestamp,
) -> worker::Result<Vec<D1PreparedStatement>> {
    let db = config.db()?;
    let Enrolment {
        person,
        provider,
        provider_user_id,
        login,
        tokens,
        ..
    } = enrolment;
    let user = || D1Type::Text(person.id.as_str());
    let at = || big(now.millis());
    // Logins are given to others; the handle that is unique here is made of the provider's id.
    let handle = format!("{provider}:{provider_user_id}");
    let put_user = "INSERT INTO users (id, login, name, email, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = excluded.email";
    let put_identity =
        "INSERT INTO identities (provider, provider_user_id, user_id, login, email, created_at, updated_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
        ON CONFLICT (provider, provider_user_id) DO UPDATE SET login = excluded.login, email = excluded.email,
            updated_at = excluded.updated_at";
    let put_tokens = "INSERT INTO oauth_tokens (user_id, provider, access, refresh, scopes, expires_at, updated_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
        ON CONFLICT (user_id, provider) DO UPDATE SET access = excluded.access,
            refresh = COALESCE(excluded.refresh, oauth_tokens.refresh), scopes = excluded.scopes,
            expires_at = excluded.expires_at, updated_at = excluded.updated_at";
    let (name, email) = (D1Type::Text(&person.name), D1Type::Text(&person.email));
    let login = D1Type::Text(login);
    let provider = || D1Type::Text(provider);
    let refresh = text_or_null(tokens.refresh.as_deref());
    Ok(vec![
        db.prepare(put_user)
            .bind_refs(&[user(), D1Type::Text(&handle), name, email, at()])?,
        db.prepare(put_identity).bind_refs(&[
            provider(),
            D1Type::Text(provider_user_id),
            user(),
            login,
            D1Type::Text(&person.email),
            at(),
        ])?,
        db.prepare(put_tokens).bind_refs(&[
            user(),
            provider(),
            D1Type::Text(&tokens.access),
            refresh,
            D1Type::Text(&tokens.scopes),
            when(tokens.expires_at),
            at(),
        ])?,
    ])
}

fn join_statements(
    config: &Config,
    enrolment: &Enrolment<'_>,
    now: Timestamp,
) -> worker::Result<Vec<D1PreparedStatement>> {
    let db = config.db()?;
    let user = D1Type::Text(enrolment.person.id.as_str());
    match enrolment.join {
        Join::Nothing => Ok(Vec::new()),
        Join::Invitation { id, .. } => super::invitations::redeem_statements(&db, id, &enrolment.person.id, now),
        Join::Installation { org, name } => {
            let make = "INSERT INTO orgs (id, name, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            // In one transaction with the others: two people who come first at once do not both become owner.
            let join = "INSERT INTO members (org_id, user_id, role, created_at)
                SELECT ?1, ?2, CASE WHEN EXISTS (SELECT 1 FROM members WHERE org_id = ?1) THEN 'member' ELSE 'owner' END, ?3
                WHERE true ON CONFLICT DO NOTHING";
            let (org, at) = (|| D1Type::Text(org.as_str()), || big(now.millis()));
            Ok(vec![
                db.prepare(make).bind_refs(&[org(), D1Type::Text(name), at()])?,
                db.prepare(join).bind_refs(&[org(), user, at()])?,
            ])
        }
    }
}
