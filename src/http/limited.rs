//! How often API keys may ask: counted in the EventBus of the key's person, told in the headers of every answer
//! (`RateLimit-*` of draft-ietf-httpapi-ratelimit-headers).

use std::sync::{Arc, Mutex, PoisonError};

use errand_access::{Actor, Credential};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::error::ApiError;
use crate::config::Config;
use crate::event_bus::rate::{Allowance, BURST, SpendCommand, WINDOW_MS};
use crate::platform::rpc;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Where the outcome waits for the answer's headers.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Option<Allowance>>>);

impl Slot {
    fn note(&self, allowance: Allowance) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(allowance);
    }

    /// Puts what is left into the headers.
    pub(super) fn show(&self, headers: &mut HeaderMap) {
        let Some(allowance) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) else {
            return;
        };
        headers.insert(LIMIT, HeaderValue::from(BURST));
        headers.insert(REMAINING, HeaderValue::from(allowance.remaining));
        headers.insert(RESET, HeaderValue::from(allowance.wait_seconds));
        if let Ok(policy) = HeaderValue::from_str(&format!("{BURST};w={}", WINDOW_MS / 1000)) {
            headers.insert(POLICY, policy);
        }
    }
}

/// Counts a request that is made with an API key; people are not counted.
///
/// # Errors
/// Rate limited when the key has asked too often.
pub(super) async fn spend(config: &Config, actor: &Actor, slot: &Slot) -> Result<(), ApiError> {
    let Credential::ApiKey { id, .. } = &actor.credential else {
        return Ok(());
    };
    let command = SpendCommand { key: id.clone() };
    let allowance: Allowance = rpc::post(&config.event_bus(&actor.person.id)?, "spend", &command, "rate").await?;
    slot.note(allowance);
    if allowance.granted {
        return Ok(());
    }
    let seconds = allowance.wait_seconds;
    let message = format!("this API key asks too often: try again in {seconds} s");
    Err(ApiError::limited(message, seconds.into()))
}
