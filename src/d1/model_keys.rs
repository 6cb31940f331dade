//! Provider keys of people and orgs: sealed, one for each provider and subject.

use errand_protocol::ids::{ModelKeyId, OrgId, UserId};
use errand_protocol::models::{BaseUrl, KeyOwner, ModelKey};
use errand_protocol::session::Person;
use errand_protocol::text::ProviderName;
use errand_protocol::time::Timestamp;
use serde::Deserialize;
use worker::D1Type;

use super::{big, text_or_null};
use crate::config::Config;

/// What stands for the org among the subjects: no person's id.
const THE_ORG: &str = "org";

/// Whose key.
#[derive(Debug, Clone, Copy)]
pub enum Of<'a> {
    /// The org's.
    Org,
    /// One person's, in the org in which they act.
    User(&'a UserId),
}

impl<'a> Of<'a> {
    /// As the rows have it.
    pub fn subject(self) -> &'a str {
        match self {
            Self::Org => THE_ORG,
            Self::User(user) => user.as_str(),
        }
    }
}

/// A key as it is stored.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Which.
    pub id: ModelKeyId,
    /// Whose: [`KeyOwner::Own`] or [`KeyOwner::Org`].
    pub owner: KeyOwner,
    /// As rows have the owner.
    pub subject: String,
    /// The sealed key.
    pub sealed: String,
    /// Models of a provider that is not known by name.
    pub models: Vec<String>,
    /// What may be shown of it.
    pub shown: ModelKey,
}

#[derive(Debug, Deserialize)]
struct Row {
    id: ModelKeyId,
    subject: String,
    provider: ProviderName,
    sealed: String,
    last_four: Option<String>,
    base_url: Option<BaseUrl>,
    models: String,
    by_id: UserId,
    by_name: String,
    by_email: String,
    #[serde(deserialize_with = "super::millis")]
    created_at: Timestamp,
    #[serde(deserialize_with = "super::maybe_millis")]
    used_at: Option<Timestamp>,
}

impl Row {
    fn stored(self) -> worker::Result<Stored> {
        let owner = if self.subject == THE_ORG {
            KeyOwner::Org
        } else {
            KeyOwner::Own
        };
        Ok(Stored {
            id: self.id,
            owner,
            subject: self.subject,
            sealed: self.sealed,
            models: serde_json::from_str(&self.models)?,
            shown: ModelKey {
                provider: self.provider,
                last_four: self.last_four,
                base_url: self.base_url,
                by: Person {
                    id: self.by_id,
                    name: self.by_name,
                    email: self.by_email,
                },
                created_at: self.created_at,
                used_at: self.used_at,
            },
        })
    }
}

/// The org's keys and those of one person there, by provider; of one provider the person's own first.
pub async fn list(config: &Config, org: &OrgId, user: &UserId) -> worker::Result<Vec<Stored>> {
    let sql =
        "SELECT k.id, k.subject, k.provider, k.sealed, k.last_four, k.base_url, k.models, k.created_at, k.used_at,
            u.id AS by_id, u.name AS by_name, u.email AS by_email
        FROM model_keys k JOIN users u ON u.id = k.created_by
        WHERE k.org_id = ?1 AND k.subject IN (?2, ?3) ORDER BY k.provider, k.subject = ?3, k.id";
    let args = [
        D1Type::Text(org.as_str()),
        D1Type::Text(user.as_str()),
        D1Type::Text(THE_ORG),
    ];
    let rows: Vec<Row> = config.db()?.prepare(sql).bind_refs(&args)?.all().await?.results()?;
    rows.into_iter().map(Row::stored).collect()
}

/// So many keys of one provider are looked at.
const MAX_OF_PROVIDER: i64 = 200;

/// The keys of one provider that anybody in the org has, the org's first.
pub async fn of_provider(config: &Config, org: &OrgId, provider: &str) -> worker::Result<Vec<Stored>> {
    let sql =
        "SELECT k.id, k.subject, k.provider, k.sealed, k.last_four, k.base_url, k.models, k.created_at, k.used_at,
            u.id AS by_id, u.name AS by_name, u.email AS by_email
        FROM model_keys k JOIN users u ON u.id = k.created_by
        WHERE k.org_id = ?1 AND k.provider = ?2 ORDER BY k.subject = ?3 DESC, k.id LIMIT ?4";
    let args = [
        D1Type::Text(org.as_str()),
        D1Type::Text(provider),
        D1Type::Text(THE_ORG),
        big(MAX_OF_PROVIDER),
    ];
    let rows: Vec<Row> = config.db()?.prepare(sql).bind_refs(&args)?.all().await?.results()?;
    rows.into_iter().map(Row::stored).collect()
}

/// A key that is to be stored.
#[derive(Debug)]
pub struct New<'a> {
    /// Its id.
    pub id: &'a ModelKeyId,
    /// Whose.
    pub of: Of<'a>,
    /// What it opens.
    pub provider: &'a ProviderName,
    /// The sealed key.
    pub sealed: &'a str,
    /// How it ends.
    pub last_four: Option<&'a str>,
    /// Where the provider is, when it is not known by name.
    pub base_url: Option<&'a BaseUrl>,
    /// What such a one offers.
    pub models: &'a [String],
    /// Who stores it.
    pub by: &'a UserId,
}

/// Stores a key; one that was there is gone.
pub async fn put(config: &Config, org: &OrgId, new: &New<'_>, now: Timestamp) -> worker::Result<()> {
    let sql = "INSERT INTO model_keys
            (id, org_id, subject, provider, sealed, last_four, base_url, models, created_by, created_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
        ON CONFLICT (org_id, subject, provider) DO UPDATE SET id = excluded.id, sealed = excluded.sealed,
            last_four = excluded.last_four, base_url = excluded.base_url, models = excluded.models,
            created_by = excluded.created_by, created_at = excluded.created_at, used_at = NULL";
    let models = serde_json::to_string(new.models)?;
    let args = [
        D1Type::Text(new.id.as_str()),
        D1Type::Text(org.as_str()),
        D1Type::Text(new.of.subject()),
        D1Type::Text(new.provider.as_str()),
        D1Type::Text(new.sealed),
        text_or_null(new.last_four),
        text_or_null(new.base_url.map(BaseUrl::as_str)),
        D1Type::Text(&models),
        D1Type::Text(new.by.as_str()),
        big(now.millis()),
    ];
    config.db()?.prepare(sql).bind_refs(&args)?.run().await.map(drop)
}

/// Removes a key. Fine when there is none.
pub async fn remove(config: &Config, org: &OrgId, of: Of<'_>, provider: &ProviderName) -> worker::Result<()> {
    let sql = "DELETE FROM model_keys WHERE org_id = ?1 AND subject = ?2 AND provider = ?3";
    let args = [
        D1Type::Text(org.as_str()),
        D1Type::Text(of.subject()),
        D1Type::Text(provider.as_str()),
    ];
    config.db()?.prepare(sql).bind_refs(&args)?.run().await.map(drop)
}

/// How many keys a subject has.
pub async fn count(config: &Config, org: &OrgId, of: Of<'_>) -> worker::Result<u32> {
    #[derive(Deserialize)]
    struct Count {
        n: u32,
    }
    let sql = "SELECT count(*) AS n FROM model_keys WHERE org_id = ?1 AND subject = ?2";
    let args = [D1Type::Text(org.as_str()), D1Type::Text(of.subject())];
    let found: Option<Count> = config.db()?.prepare(sql).bind_refs(&args)?.first(None).await?;
    Ok(found.map_or(0, |count| count.n))
}

/// Notes that a key was used.
pub async fn note_use(config: &Config, org: &OrgId, id: &ModelKeyId, now: Timestamp) -> worker::Result<()> {
    let sql = "UPDATE model_keys SET used_at = ?3 WHERE org_id = ?1 AND id = ?2";
    let args = [D1Type::Text(org.as_str()), D1Type::Text(id.as_str()), big(now.millis())];
    config.db()?.prepare(sql).bind_refs(&args)?.run().await.map(drop)
}

/// Puts the same key, sealed anew, in the place of what was read; not in that of a key that was stored since.
pub async fn reseal(config: &Config, org: &OrgId, id: &ModelKeyId, old: &str, new: &str) -> worker::Result<()> {
    let sql = "UPDATE model_keys SET sealed = ?4 WHERE org_id = ?1 AND id = ?2 AND sealed = ?3";
    let args = [
        D1Type::Text(org.as_str()),
        D1Type::Text(id.as_str()),
        D1Type::Text(old),
        D1Type::Text(new),
    ];
    config.db()?.prepare(sql).bind_refs(&args)?.run().await.map(drop)
}
