//! What this installation is configured with. Owns: reading and checking bindings and variables, once, into types.
//! This is the only file that reads them. Does not: decide anything with them.

mod git;

use std::collections::BTreeMap;

use errand_access::AllowList;
use errand_protocol::api::{ModelInfo, RepoInfo};
use errand_protocol::ids::{OrgId, SessionId, UserId};
use errand_protocol::models::BaseUrl;
use errand_protocol::money::Micros;
use errand_protocol::runner::{Dialect, GitAuthor};
use errand_protocol::sandbox::RepoSpec;
use errand_protocol::settings::{Limit, SettingsPatch};
use errand_protocol::text::{ModelId, RepoUrl};
use serde::Deserialize;
use worker::{Bucket, D1Database, Env, Stub};

pub use self::git::{GitHostConfig, GitHosts, GitProvider};

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

/// A model that sessions can use, and how the LLM proxy reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelConfig {
    /// The part of its id before the slash, also the path segment of the proxy.
    pub provider: String,
    /// The part of its id after the slash.
    pub model: String,
    /// Name to show.
    pub name: String,
    /// Scripted, not a real model.
    #[serde(default)]
    pub demo: bool,
    /// The provider's wire format.
    pub dialect: Dialect,
    /// What `/chat/completions` or `/messages` is appended to.
    pub base_url: String,
    /// The provider's key; absent for one that wants none.
    #[serde(default)]
    pub api_key: Option<Secret>,
    /// Context window, tokens.
    #[serde(default = "default_context")]
    pub context: u32,
    /// Longest answer, tokens.
    #[serde(default = "default_output")]
    pub output: u32,
    /// It is locked until somebody stores a key of its provider.
    #[serde(default)]
    pub needs_key: bool,
    /// It can be told how much to think.
    #[serde(default)]
    pub efforts: bool,
}

impl ModelConfig {
    /// A model at this address, as usual in everything else.
    pub fn at(provider: &str, model: &str, name: &str, dialect: Dialect, base_url: String) -> Self {
        Self {
            provider: provider.to_owned(),
            model: model.to_owned(),
            name: name.to_owned(),
            demo: false,
            dialect,
            base_url,
            api_key: None,
            context: default_context(),
            output: default_output(),
            needs_key: false,
            efforts: false,
        }
    }
}

fn default_context() -> u32 {
    128_000
}

fn default_output() -> u32 {
    16_384
}

/// The models of this installation, checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Models(Vec<(ModelId, ModelConfig)>);

impl Models {
    /// From the JSON list of the variable `MODELS`.
    fn parse(json: &str) -> Result<Self, ConfigError> {
        let list: Vec<ModelConfig> = serde_json::from_str(json).map_err(|e| invalid("MODELS", e.to_string()))?;
        let mut models: Vec<(ModelId, ModelConfig)> = Vec::with_capacity(list.len());
        for mut model in list {
            model.api_key = model.api_key.filter(|key| !key.expose().is_empty());
            let id = format!("{}/{}", model.provider, model.model)
                .parse()
                .map_err(|e| invalid("MODELS", format!("{e}")))?;
            if !(model.base_url.starts_with("http://") || model.base_url.starts_with("https://")) {
                return Err(invalid(
                    "MODELS",
                    format!("the baseUrl of {id} must be an http(s) address"),
                ));
            }
            let same_provider = models.iter().find(|(_, other)| other.provider == model.provider);
            if same_provider
                .is_some_and(|(_, other)| other.base_url != model.base_url || other.dialect != model.dialect)
            {
                return Err(invalid(
                    "MODELS",
                    format!("{} has two addresses or dialects", model.provider),
                ));
            }
            models.push((id, model));
        }
        Ok(Self(models))
    }

    /// The model that sessions get unless they name one.
    pub fn default_model(&self) -> Option<&ModelId> {
        self.0.first().map(|(id, _)| id)
    }

    /// A model by its id.
    pub fn get(&self, id: &ModelId) -> Option<&ModelConfig> {
        self.0.iter().find(|(known, _)| known == id).map(|(_, model)| model)
    }

    /// Any model of a provider: address, dialect and key are the same for all of them.
    pub fn provider(&self, name: &str) -> Option<&ModelConfig> {
        self.0
            .iter()
            .map(|(_, model)| model)
            .find(|model| model.provider == name)
    }

    /// All models, for people.
    pub fn infos(&self) -> Vec<ModelInfo> {
        self.0
            .iter()
            .map(|(id, model)| ModelInfo {
                id: id.clone(),
                name: model.name.clone(),
                demo: model.demo,
            })
            .collect()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &(ModelId, ModelConfig)> {
        self.0.iter()
    }
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
    /// `TIMINGS`: overrides of the session machine's deadlines, as the machine reads them.
    pub timings: Option<serde_json::Value>,
    /// `PERMISSIONS`: engine permission rules for all sessions.
    pub permissions: BTreeMap<String, String>,
    env: Env,
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// Which variable is missing or wrong.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let environment = match required(env, "ENVIRONMENT")?.as_str() {
            "development" => Environment::Development,
            "production" => Environment::Production,
            _ => return Err(invalid("ENVIRONMENT", "must be development or production")),
        };
        let github = oauth_app(
            env,
            ["GITHUB_CLIENT_ID", "GITHUB_CLIENT_SECRET"],
            [
                ("GITHUB_URL", "https://github.com"),
                ("GITHUB_URL", "https://github.com"),
                ("GITHUB_API_URL", "https://api.github.com"),
            ],
        )?;
        let github_url = github.as_ref().map(|app| app.url.as_str());
        let origin = without_slash(&required(env, "ORIGIN")?);
        Ok(Self {
            environment,
            committer: git::committer(optional(env, "GIT_COMMITTER").as_deref(), &origin)?,
            git_hosts: GitHosts::read(optional(env, "GIT_HOSTS").as_deref(), environment, github_url)?,
            origin,
            master_key: required(env, "MASTER_KEY")?.parse()?,
            previous_master_key: optional(env, "MASTER_KEY_PREVIOUS")
                .map(|hex| hex.parse())
                .transpose()?,
            github,
            google: oauth_app(
                env,
                ["GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"],
                [
                    ("GOOGLE_URL", "https://accounts.google.com"),
                    ("GOOGLE_TOKEN_URL", "https://oauth2.googleapis.com"),
                    ("GOOGLE_API_URL", "https://openidconnect.googleapis.com"),
                ],
            )?,
            allowed_users: match (optional(env, "ALLOWED_USERS"), environment) {
                (Some(list), _) => AllowList::parse(&list),
                (None, Environment::Development) => AllowList::parse("*"),
                (None, Environment::Production) => AllowList::default(),
            },
            settings: json(env, "SETTINGS")?.unwrap_or_else(|| usual_settings(environment)),
            sandbox_host: SandboxHost {
                url: without_slash(&required(env, "SANDBOX_HOST_URL")?),
                secret: required(env, "SANDBOX_HOST_SECRET")?.into(),
            },
            runner_url: without_slash(&required(env, "RUNNER_URL")?),
            models: optional(env, "MODELS").map_or_else(|| Ok(Models::default()), |json| Models::parse(&json))?,
            model_providers: json(env, "MODEL_PROVIDERS")?.unwrap_or_default(),
            sandbox_price: json(env, "SANDBOX_PRICE")?.unwrap_or_default(),
            sample_repo: optional(env, "SAMPLE_REPO")
                .map(|path| path.parse().map_err(|e| invalid("SAMPLE_REPO", format!("{e}"))))
                .transpose()?,
            timings: json(env, "TIMINGS")?,
            permissions: json(env, "PERMISSIONS")?.unwrap_or_default(),
            env: env.clone(),
        })
    }

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

fn usual_settings(environment: Environment) -> SettingsPatch {
    match environment {
        Environment::Development => SettingsPatch::default(),
        Environment::Production => SettingsPatch {
            person_concurrent_sessions: Some(Limit::Most(10)),
            person_daily_sessions: Some(Limit::Most(100)),
            ..SettingsPatch::default()
        },
    }
}

fn invalid(name: &'static str, why: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { name, why: why.into() }
}

fn optional(env: &Env, name: &'static str) -> Option<String> {
    let value = env.var(name).ok()?.to_string();
    (!value.trim().is_empty()).then_some(value)
}

fn required(env: &Env, name: &'static str) -> Result<String, ConfigError> {
    optional(env, name).ok_or(ConfigError::Missing(name))
}

fn json<T: serde::de::DeserializeOwned>(env: &Env, name: &'static str) -> Result<Option<T>, ConfigError> {
    optional(env, name)
        .map(|text| serde_json::from_str(&text).map_err(|e| invalid(name, e.to_string())))
        .transpose()
}

/// The app whose id and secret have these names; [`None`] when neither is set.
fn oauth_app(
    env: &Env,
    [id, secret]: [&'static str; 2],
    urls: [(&'static str, &str); 3],
) -> Result<Option<OAuthApp>, ConfigError> {
    let (client_id, client_secret) = match (optional(env, id), optional(env, secret)) {
        (None, None) => return Ok(None),
        (Some(client_id), Some(client_secret)) => (client_id, client_secret),
        (None, Some(_)) => return Err(ConfigError::Missing(id)),
        (Some(_), None) => return Err(ConfigError::Missing(secret)),
    };
    let [url, token_url, api_url] =
        urls.map(|(name, usual)| without_slash(&optional(env, name).unwrap_or_else(|| usual.to_owned())));
    Ok(Some(OAuthApp {
        client_id: client_id.trim().to_owned(),
        client_secret: client_secret.trim().to_owned().into(),
        url,
        token_url,
        api_url,
    }))
}

fn without_slash(url: &str) -> String {
    url.trim().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"[
        {"provider":"demo","model":"scripted","name":"Demo","demo":true,"dialect":"openai","baseUrl":"http://127.0.0.1:1/v1"},
        {"provider":"demo","model":"other","name":"Other","dialect":"openai","baseUrl":"http://127.0.0.1:1/v1","apiKey":"sk-secret"}
    ]"#;

    #[test]
    fn the_first_model_is_the_default() {
        let models = Models::parse(TWO).unwrap();
        assert_eq!(models.default_model().unwrap().as_str(), "demo/scripted");
        assert_eq!(models.iter().count(), 2);
        assert!(models.provider("nobody").is_none());
    }

    #[test]
    fn a_secret_is_not_printed() {
        let models = Models::parse(TWO).unwrap();
        assert!(!format!("{models:?}").contains("sk-secret"));
        let key: MasterKey = "ab".repeat(32).parse().unwrap();
        assert_eq!(format!("{key:?}"), "MasterKey");
    }

    #[test]
    fn a_wrong_model_list_is_refused_with_a_reason() {
        let two_addresses = TWO.replacen("127.0.0.1:1", "127.0.0.1:2", 1);
        for bad in [
            "{}",
            r#"[{"provider":"a"}]"#,
            &two_addresses,
            &TWO.replace("http://", "ftp://"),
        ] {
            assert!(Models::parse(bad).is_err(), "{bad}");
        }
        assert!("xyz".parse::<MasterKey>().is_err());
        assert!("ab".parse::<MasterKey>().is_err());
    }
}
