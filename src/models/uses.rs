//! Using a stored key: opening it, sealing it anew after a rotation of the master key, and noting that it was used.
//!
//! The audit log has one entry for each key, session and hour in which it was used: each model call would be too many.
//! The entry's id is made of these three, so that whoever notes the same again changes nothing.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use errand_protocol::accounts::AuditEntry;
use errand_protocol::ids::{ModelKeyId, OrgId, SessionId, UserId};
use errand_protocol::time::Timestamp;

use crate::config::{Config, Secret};
use crate::d1::{audit, model_keys};
use crate::http::error::ApiError;
use crate::platform::sealing::{self, Place};
use crate::platform::{clock, ids};

/// What all sealed provider keys are.
const PURPOSE: &str = "model-key";
const HOUR_MS: i64 = 60 * 60 * 1000;
/// The time of a last use is noted so often at most.
const NOTE_MS: i64 = 60 * 1000;
/// So many uses are remembered at once.
const MAX_NOTED: usize = 5_000;

thread_local! {
    /// The hour for which a use by a session is in the audit log.
    static AUDITED: RefCell<HashMap<(ModelKeyId, SessionId), i64>> = RefCell::default();
    /// When a key's last use was noted.
    static NOTED: RefCell<HashMap<ModelKeyId, Timestamp>> = RefCell::default();
}

/// Where a key is sealed.
fn place<'a>(org: &'a OrgId, subject: &'a str) -> Place<'a> {
    Place {
        org: Some(org),
        purpose: PURPOSE,
        subject,
    }
}

/// Of which row.
fn row(subject: &str, provider: &str) -> String {
    format!("{subject}/{provider}")
}

/// Seals a key for the row of this subject and provider.
///
/// # Errors
/// When it cannot be sealed.
pub(crate) fn sealed(
    config: &Config,
    org: &OrgId,
    subject: &str,
    provider: &str,
    key: &str,
) -> Result<String, ApiError> {
    let row = row(subject, provider);
    sealing::seal(config, place(org, &row), key).map_err(|error| ApiError::internal(format!("model key: {error}")))
}

/// Opens a stored key. One that was sealed with the previous master key comes with its new seal, to be stored.
///
/// # Errors
/// When it was sealed with a key that is gone, or is damaged: somebody has to store it again.
pub(crate) fn opened(
    config: &Config,
    org: &OrgId,
    key: &model_keys::Stored,
) -> Result<(Secret, Option<String>), ApiError> {
    let provider = key.shown.provider.as_str();
    let row = row(&key.subject, provider);
    let found = sealing::open(config, place(org, &row), &key.sealed).map_err(|error| {
        let mut refusal =
            ApiError::unavailable(format!("the stored key of {provider} cannot be opened: store it again"));
        refusal.source = Some(format!("model key {}: {error}", key.id));
        refusal
    })?;
    let anew = found
        .stale
        .then(|| sealed(config, org, &key.subject, provider, found.secret.expose()));
    Ok((found.secret, anew.transpose()?))
}

/// A use of a stored key.
#[derive(Debug, Clone)]
pub(crate) struct Use {
    /// In which org.
    pub(crate) org: OrgId,
    /// Whose session.
    pub(crate) owner: UserId,
    /// Their name.
    pub(crate) name: String,
    /// Which session.
    pub(crate) session: SessionId,
    /// Which request, for the logs.
    pub(crate) request: String,
    /// The key.
    pub(crate) key: model_keys::Stored,
    /// Its new seal.
    pub(crate) anew: Option<String>,
}

impl Use {
    /// Whether there is something to write: mostly there is not.
    pub(crate) fn is_new(&self) -> bool {
        let now = clock::now();
        let hour = now.millis() / HOUR_MS;
        let audited = AUDITED.with_borrow_mut(|audited| {
            if audited.len() >= MAX_NOTED {
                audited.clear();
            }
            audited.insert((self.key.id.clone(), self.session.clone()), hour) == Some(hour)
        });
        let noted = NOTED.with_borrow(|noted| {
            let at = noted.get(&self.key.id);
            at.is_some_and(|at| (0..NOTE_MS).contains(&now.since(*at)))
        });
        !audited || !noted || self.anew.is_some()
    }

    /// Writes what is new. What fails is in the logs, and written with the next use.
    pub(crate) async fn write(self, config: &Config) {
        let now = clock::now();
        if let Err(error) = self.try_write(config, now).await {
            AUDITED.with_borrow_mut(|audited| audited.remove(&(self.key.id.clone(), self.session.clone())));
            log::error!(request = self.request.as_str(), key = self.key.id.as_str(); "use of a model key not noted: {error}");
        }
    }

    async fn try_write(&self, config: &Config, now: Timestamp) -> worker::Result<()> {
        if let Some(anew) = &self.anew {
            model_keys::reseal(config, &self.org, &self.key.id, &self.key.sealed, anew).await?;
            super::forget(&self.org);
        }
        NOTED.with_borrow_mut(|noted| {
            if noted.len() >= MAX_NOTED {
                noted.clear();
            }
            noted.insert(self.key.id.clone(), now);
        });
        model_keys::note_use(config, &self.org, &self.key.id, now).await?;
        audit::insert(config, &self.org, &self.entry(now)).await
    }

    fn entry(&self, now: Timestamp) -> AuditEntry {
        let hour = now.millis() / HOUR_MS;
        let what = format!("{}/model-key-use/{}/{}", self.org, self.key.id, self.session);
        AuditEntry {
            id: ids::body_of(Timestamp::from_millis(hour * HOUR_MS), &what),
            at: now,
            user_id: Some(self.owner.clone()),
            user_name: self.name.clone(),
            credential: self.key.id.as_str().to_owned(),
            action: format!("USE model-key {}", self.key.shown.provider),
            target: self.session.as_str().to_owned(),
            details: BTreeMap::new(),
            outcome: "ok".to_owned(),
            address: None,
            request_id: self.request.clone(),
        }
    }
}
