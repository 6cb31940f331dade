//! Reading the bindings and variables, once for an isolate. Does not: say what they mean (`config`).

use std::cell::RefCell;
use std::sync::Arc;

use errand_access::AllowList;
use errand_protocol::settings::{Limit, SettingsPatch};
use errand_protocol::text::RepoUrl;
use worker::Env;
use worker::wasm_bindgen::JsValue;

use super::git::{self, GitHosts};
use super::{Config, ConfigError, Environment, Models, OAuthApp, SandboxHost, invalid};

thread_local! {
    /// What was read of which bindings. An isolate may be given others while it runs: when only they are deployed anew.
    static READ: RefCell<Option<(Env, Arc<Config>)>> = const { RefCell::new(None) };
}

impl Config {
    /// What these bindings say, read and checked when they were not before.
    ///
    /// # Errors
    /// Which variable is missing or wrong.
    pub fn of(env: &Env) -> Result<Arc<Self>, ConfigError> {
        let same = |known: &Env| AsRef::<JsValue>::as_ref(known) == AsRef::<JsValue>::as_ref(env);
        let read = READ.with_borrow(|read| {
            read.as_ref()
                .filter(|(known, _)| same(known))
                .map(|(_, config)| Arc::clone(config))
        });
        if let Some(config) = read {
            return Ok(config);
        }
        let config = Arc::new(Self::from_env(env)?);
        READ.set(Some((env.clone(), Arc::clone(&config))));
        Ok(config)
    }

    fn from_env(env: &Env) -> Result<Self, ConfigError> {
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
            sign_in_code: optional(env, "SIGN_IN_CODE").map(|code| code.trim().to_owned().into()),
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
            local_repositories: local_repositories(optional(env, "LOCAL_REPOSITORIES").as_deref())?,
            timings: json(env, "TIMINGS")?,
            permissions: json(env, "PERMISSIONS")?.unwrap_or_default(),
            env: env.clone(),
        })
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

fn optional(env: &Env, name: &'static str) -> Option<String> {
    let value = env.var(name).ok()?.to_string();
    (!value.trim().is_empty()).then_some(value)
}

fn local_repositories(list: Option<&str>) -> Result<Vec<RepoUrl>, ConfigError> {
    let directories = list.unwrap_or_default().split(',').map(str::trim);
    let read = |text: &str| {
        let url: Result<RepoUrl, _> = text.parse();
        let url = url.ok().filter(|url| url.local_path().is_some());
        url.ok_or_else(|| invalid("LOCAL_REPOSITORIES", "directories are absolute paths"))
    };
    directories.filter(|text| !text.is_empty()).map(read).collect()
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
