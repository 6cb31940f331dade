//! What the repository's policy gives this sandbox: asked of the control plane once in the runner's life, before anything
//! is started that could use it. Without an answer nothing starts: a sandbox has all that it is to have, or does not run.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::time::Duration;

use errand_protocol::runner::SandboxEnvironment;
use reqwest::header::AUTHORIZATION;
use tokio::sync::watch;

use crate::config::Config;
use crate::mask::Masks;

const LIMIT: Duration = Duration::from_secs(15);
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(300);

/// Asks for it.
///
/// # Errors
/// Why there is no answer, however often it was tried.
pub async fn ask(
    config: &Config,
    http: &reqwest::Client,
    token: &watch::Receiver<String>,
) -> Result<SandboxEnvironment, String> {
    let url = format!("{}/runner/{}/environment", config.http_url(), config.session);
    let mut pause = FIRST_PAUSE;
    let mut said = String::new();
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(pause).await;
            pause *= 3;
        }
        let bearer = format!("Bearer {}", *token.borrow());
        match once(http, &url, bearer).await {
            Ok(environment) => return Ok(environment),
            Err(trouble) => said = trouble,
        }
        tracing::warn!(said, attempt, "what the policy gives could not be had");
    }
    Err(said)
}

async fn once(http: &reqwest::Client, url: &str, bearer: String) -> Result<SandboxEnvironment, String> {
    let plain = |error: reqwest::Error| error.without_url().to_string();
    let sent = http.get(url).header(AUTHORIZATION, bearer).timeout(LIMIT).send().await;
    let answer = sent.map_err(plain)?;
    if !answer.status().is_success() {
        return Err(format!("the control plane answered {}", answer.status()));
    }
    let body = answer.bytes().await.map_err(plain)?;
    // What is wrong with it is not repeated: there are secrets in it.
    serde_json::from_slice(&body).map_err(|_| "the control plane answered something else".to_owned())
}

/// The secrets as environment variables.
pub fn variables(environment: &SandboxEnvironment) -> Vec<(String, String)> {
    let pair = |(name, value): (
        &errand_protocol::repository::SecretName,
        &errand_protocol::repository::SecretValue,
    )| { (name.as_str().to_owned(), value.expose().to_owned()) };
    environment.secrets.iter().map(pair).collect()
}

/// What is to be masked in what the runner reports.
pub fn masks(environment: &SandboxEnvironment) -> Masks {
    Masks::new(
        environment
            .secrets
            .values()
            .map(errand_protocol::repository::SecretValue::expose),
    )
}

/// Equal numbers mean equal texts, to tell whether something has changed since it was noted.
pub fn fingerprint(texts: &[(String, String)]) -> u64 {
    let mut hasher = DefaultHasher::new();
    texts.hash(&mut hasher);
    hasher.finish()
}
