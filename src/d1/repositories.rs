//! What orgs say of their repositories. A change names the revision that it was made from, so that of two at once none
//! is lost.

use errand_protocol::egress::EgressPolicy;
use errand_protocol::ids::{OrgId, UserId};
use errand_protocol::repository::{MAX_REPOSITORIES, Repository, RepositoryPolicy, SecretName};
use errand_protocol::session::Person;
use errand_protocol::text::RepoUrl;
use errand_protocol::time::Timestamp;
use serde::Deserialize;
use worker::D1Type;

use super::{big, text_or_null};
use crate::config::Config;

#[derive(Debug, Deserialize)]
struct Row {
    url: RepoUrl,
    egress: String,
    setup: Option<String>,
    secrets: String,
    revision: f64,
    #[serde(deserialize_with = "super::millis")]
    updated_at: Timestamp,
    updated_by: UserId,
    user_name: String,
    email: String,
}

const COLUMNS: &str =
    "r.url, r.egress, r.setup, r.secrets, r.revision, r.updated_at, r.updated_by, u.name AS user_name,
    u.email FROM repositories r JOIN users u ON u.id = r.updated_by";

/// What is said, and at which revision.
#[derive(Debug)]
pub struct Found {
    /// What.
    pub repository: Repository,
    /// 0 when nothing was ever said.
    pub revision: i64,
}

impl Row {
    #[expect(clippy::cast_possible_truncation, reason = "counters stay below 2^53")]
    fn found(self) -> worker::Result<Found> {
        let egress: EgressPolicy = serde_json::from_str(&self.egress)?;
        let names: Vec<String> = serde_json::from_str(&self.secrets)?;
        // A name that was reserved after it was said is given to nobody.
        let secrets: Vec<SecretName> = names.iter().filter_map(|name| name.parse().ok()).collect();
        let setup = self.setup.map(TryInto::try_into).transpose();
        let policy = RepositoryPolicy {
            url: self.url,
            egress,
            setup: setup.map_err(|error| worker::Error::RustError(format!("a stored set-up script: {error}")))?,
            secrets,
        };
        let by = Person {
            id: self.updated_by,
            name: self.user_name,
            email: self.email,
        };
        Ok(Found {
            repository: Repository {
                policy,
                updated_at: Some(self.updated_at),
                updated_by: Some(by),
            },
            revision: self.revision as i64,
        })
    }
}

/// What an org says of a repository; what holds without a word when it says nothing.
pub async fn find(config: &Config, org: &OrgId, url: &RepoUrl) -> worker::Result<Found> {
    let sql = format!("SELECT {COLUMNS} WHERE r.org_id = ?1 AND r.repo = ?2");
    let key = url.key();
    let args = [D1Type::Text(org.as_str()), D1Type::Text(&key)];
    let row: Option<Row> = config.db()?.prepare(sql).bind_refs(&args)?.first(None).await?;
    row.map_or_else(
        || {
            Ok(Found {
                repository: Repository {
                    policy: RepositoryPolicy::none(url.clone()),
                    updated_at: None,
                    updated_by: None,
                },
                revision: 0,
            })
        },
        Row::found,
    )
}

/// All that an org says, by address.
pub async fn list(config: &Config, org: &OrgId) -> worker::Result<Vec<Repository>> {
    let sql = format!("SELECT {COLUMNS} WHERE r.org_id = ?1 ORDER BY r.repo LIMIT {MAX_REPOSITORIES}");
    let found = config.db()?.prepare(sql).bind_refs(&D1Type::Text(org.as_str()))?;
    let rows: Vec<Row> = found.all().await?.results()?;
    rows.into_iter().map(|row| Ok(row.found()?.repository)).collect()
}

/// Who changes it, when, and which revision they have seen; `None`: whatever it is now.
#[derive(Debug)]
pub struct Change<'a> {
    /// Who.
    pub by: &'a UserId,
    /// When.
    pub at: Timestamp,
    /// What they have seen.
    pub seen: Option<i64>,
}

/// Replaces what an org says of a repository. `false`: somebody else changed it since it was seen, or there are
/// [`MAX_REPOSITORIES`] others.
pub async fn write(
    config: &Config,
    org: &OrgId,
    policy: &RepositoryPolicy,
    change: &Change<'_>,
) -> worker::Result<bool> {
    let sql = format!(
        "INSERT INTO repositories (org_id, repo, url, egress, setup, secrets, revision, updated_at, updated_by)
            SELECT ?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8
            WHERE (SELECT count(*) FROM repositories WHERE org_id = ?1 AND repo <> ?2) < {MAX_REPOSITORIES}
        ON CONFLICT (org_id, repo) DO UPDATE SET url = excluded.url, egress = excluded.egress, setup = excluded.setup,
            secrets = excluded.secrets, revision = revision + 1, updated_at = excluded.updated_at,
            updated_by = excluded.updated_by
            WHERE ?9 IS NULL OR revision = ?9
        RETURNING revision"
    );
    let (key, egress) = (policy.url.key(), serde_json::to_string(&policy.egress)?);
    let secrets = serde_json::to_string(&policy.secrets)?;
    let args = [
        D1Type::Text(org.as_str()),
        D1Type::Text(&key),
        D1Type::Text(policy.url.as_str()),
        D1Type::Text(&egress),
        text_or_null(
            policy
                .setup
                .as_ref()
                .map(errand_protocol::repository::SetupScript::as_str),
        ),
        D1Type::Text(&secrets),
        big(change.at.millis()),
        D1Type::Text(change.by.as_str()),
        change.seen.map_or(D1Type::Null, big),
    ];
    let rows = config.db()?.prepare(sql).bind_refs(&args)?.all().await?;
    Ok(!rows.results::<serde_json::Value>()?.is_empty())
}
