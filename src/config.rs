//! What this installation is configured with. Owns: reading and checking bindings and variables, once, into types.
//! Nothing else reads them. Does not: decide anything with them.

mod git;
mod models;
mod read;

use std::collections::BTreeMap;

use errand_access::AllowList;
use errand_protocol::api::RepoInfo;
use errand_protocol::ids::{OrgId, SessionId, UserId};
use errand_protocol::models::BaseUrl;
use errand_protocol::money::Micros;
use errand_protocol::runner::GitAuthor;
use errand_protocol::sandbox::RepoSpec;
use errand_protocol::settings::SettingsPatch;
use errand_protocol::text::RepoUrl;
use serde::Deserialize;
use worker::{Bucket, D1Database, Env, Stub};

pub use self::git::{GitHostConfig, GitHosts, GitProvider};
pub use self::models::{ModelConfig, Models};

/// A variable that is missing or not what it should be. Never contains the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not set.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// Set to something else than what is wanted.
    #[error("{name}: {why}")]
    Invalid {
        /// Which.
        name: &'static str,
        /// What is wanted.
        why: String,
    },
}

/// A text that must not be printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text, for the place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// The key that all others are derived from. `Debug` prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// The key's bytes, for deriving.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey")
    }
}

impl std::str::FromStr for MasterKey {
    type Err = ConfigError;
    fn from_str(hex: &str) -> Result<Self, ConfigError> {
        let mut key = [0; 32];
        base16ct::mixed::decode(hex, &mut key)
            .ok()
            .filter(|bytes| bytes.len() == 32)
            .ok_or_else(|| invalid("MASTER_KEY", "must be 64 hexadecimal digits"))?;
        Ok(Self(key))
    }
}

/// Where the Worker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// On a developer's machine: sign-in without a password exists.
    Development,
    /// Anywhere else.
    Production,
}

/// The sandbox host and the secret that requests to it are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxHost {
    /// Its address without a slash at the end.
    pub url: String,
    /// The shared secret.
    pub secret: Secret,
}

/// This installation as an OAuth app of a provider, and where the provider is. No address ends with a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthApp {
    /// The app's id.
    pub client_id: String,
    /// The app's secret.
    pub client_secret: Secret,
    /// Where people are sent.
    pub url: String,
    /// Where codes are exchanged.
    pub token_url: String,
    /// Where one asks who somebody is.
    pub api_url: String,
}

/// Everything that is configured, and the bindings.
#[derive(Debug, Clone)]
pub struct Config {
    /// `ENVIRONMENT`.
    pub environment: Environment,
    /// `ORIGIN`: how browsers address the product, `scheme://host[:port]`.
    pub origin: String,
    /// `MASTER_KEY`.
    pub master_key: MasterKey,
    /// `MASTER_KEY_PREVIOUS`: what sealed secrets may still be sealed with, after a rotation.
    pub previous_master_key: Option<MasterKey>,
    /// `SIGN_IN_CODE`: what the sign-in of development asks for besides a name. Whoever reaches the port, a sandbox for one,
    /// could sign in as anybody without it.
    pub sign_in_code: Option<Secret>,
    /// `GITHUB_CLIENT_ID` and `GITHUB_CLIENT_SECRET`; `GITHUB_URL`, `GITHUB_API_URL` for another GitHub than github.com.
    pub github: Option<OAuthApp>,
    /// `GOOGLE_CLIENT_ID` and `GOOGLE_CLIENT_SECRET`; `GOOGLE_URL`, `GOOGLE_TOKEN_URL`, `GOOGLE_API_URL` for tests.
    pub google: Option<OAuthApp>,
    /// `ALLOWED_USERS`: who may sign in with one of them. Unset lets nobody in, in development everybody.
    pub allowed_users: AllowList,
    /// `SETTINGS`: what the system says of settings (`errand_protocol::settings`), in JSON; orgs and people override it.
    /// Unset: limits as below, in development none.
    pub settings: SettingsPatch,
    /// `SANDBOX_HOST_URL` and `SANDBOX_HOST_SECRET`.
    pub sandbox_host: SandboxHost,
    /// `RUNNER_URL`: how a runner addresses the control plane, `ws(s)://…`.
    pub runner_url: String,
    /// `MODELS`.
    pub models: Models,
    /// `GIT_HOSTS`: hosts of repositories that sandboxes reach through the git proxy.
    pub git_hosts: GitHosts,
    /// `GIT_COMMITTER`: who commits in sandboxes, as `Name <address>`; "Errand" at this origin's host when it is not set.
    pub committer: GitAuthor,
    /// `MODEL_PROVIDERS`: where providers are that are known by name, when not at their usual address; JSON, name → address.
    pub model_providers: BTreeMap<String, BaseUrl>,
    /// `SANDBOX_PRICE`: micro-dollars that a second of a sandbox costs. Unset: nothing.
    pub sandbox_price: Micros,
    /// `SAMPLE_REPO`.
    pub sample_repo: Option<RepoUrl>,
    /// `LOCAL_REPOSITORIES`: directories of the sandbox host, separated by commas, whose repositories sessions may work on.
    /// In development all may.
    pub local_repositories: Vec<RepoUrl>,
    /// `TIMINGS`: overrides of the session machine's deadlines, as the machine reads them.
    pub timings: Option<serde_json::Value>,
    /// `PERMISSIONS`: engine permission rules for all sessions.
    pub permissions: BTreeMap<String, String>,
    env: Env,
}

impl Config {
    /// The bundled sample repository, for people.
    pub fn sample(&self) -> Option<RepoInfo> {
        let url = self.sample_repo.clone()?;
        Some(RepoInfo {
            name: url.short_name().to_owned(),
            repo: RepoSpec { url, branch: None },
            description: Some("The sample: a small program with a failing test".to_owned()),
            suggestion: Some("A test fails. Find out why, fix it, and run the tests again.".to_owned()),
        })
    }

    /// Whether sessions may work on this repository: outside development not on what lies on the sandbox host's disk,
    /// which is everybody's who can name it, and not over a connection that anybody on the way can read.
    pub fn permits(&self, repo: &RepoUrl) -> bool {
        if self.environment == Environment::Development {
            return true;
        }
        if repo.local_path().is_none() {
            return repo.as_str().starts_with("https://");
        }
        let key = repo.key();
        let within = |directory: &RepoUrl| {
            key.strip_prefix(&directory.key())
                .is_some_and(|rest| rest.starts_with('/'))
        };
        let sample = self.sample_repo.as_ref().is_some_and(|sample| sample.is_same(repo));
        sample || self.local_repositories.iter().any(within)
    }

    /// The database of what spans sessions.
    pub fn db(&self) -> worker::Result<D1Database> {
        self.env.d1("DB")
    }

    /// Where files and archived logs are.
    pub fn files(&self) -> worker::Result<Bucket> {
        self.env.bucket("FILES")
    }

    /// The object of one session.
    pub fn session_agent(&self, id: &SessionId) -> worker::Result<Stub> {
        self.env.durable_object("SESSION_AGENT")?.get_by_name(id.as_str())
    }

    /// The session index of one org.
    pub fn registry(&self, org: &OrgId) -> worker::Result<Stub> {
        self.env.durable_object("SESSION_REGISTRY")?.get_by_name(org.as_str())
    }

    /// The books of one org.
    pub fn ledger(&self, org: &OrgId) -> worker::Result<Stub> {
        self.env.durable_object("LEDGER")?.get_by_name(org.as_str())
    }

    /// The live feed of one person.
    pub fn event_bus(&self, user: &UserId) -> worker::Result<Stub> {
        self.env.durable_object("EVENT_BUS")?.get_by_name(user.as_str())
    }
}

fn invalid(name: &'static str, why: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { name, why: why.into() }
}
