//! What the environment tells the runner. Read once; the token is taken out before anything else starts.

use std::path::PathBuf;
use std::time::Duration;

use errand_protocol::ids::{Generation, SessionId};
use errand_protocol::runner::{ENV_EGRESS, ENV_GENERATION, ENV_SESSION, ENV_TOKEN, ENV_URL};

/// Environment variable: path of the engine's program.
pub const ENV_ENGINE: &str = "ERRAND_ENGINE";
/// Environment variable: the directory to work in; `/workspace` when absent.
pub const ENV_WORKSPACE: &str = "ERRAND_WORKSPACE";
/// Environment variable: the directory for the spool, the notes and the engine's data; `/state` when absent.
pub const ENV_STATE: &str = "ERRAND_STATE";

/// Environment variable: how many bytes may wait for the control plane on the disk; 512 MiB when absent.
pub const ENV_SPOOL_LIMIT: &str = "ERRAND_SPOOL_LIMIT";
const SPOOL_LIMIT: u64 = 512 * 1024 * 1024;

/// Environment variable: an engine whose event stream says nothing for so many milliseconds is asked whether it still
/// answers; 45,000 when absent. (It sends a heartbeat every ten seconds.)
pub const ENV_ENGINE_SILENCE: &str = "ERRAND_ENGINE_SILENCE_MS";
const ENGINE_SILENCE: Duration = Duration::from_secs(45);

/// The runner's settings.
#[derive(Clone)]
pub struct Config {
    /// WebSocket base URL of the control plane, without a slash at the end.
    pub url: String,
    /// The session.
    pub session: SessionId,
    /// This sandbox's generation.
    pub generation: Generation,
    /// The first token.
    pub token: String,
    /// The engine's program.
    pub engine: PathBuf,
    /// Where the agent works.
    pub workspace: PathBuf,
    /// Where the runner and the engine keep their data.
    pub state: PathBuf,
    /// How many bytes of events may wait for the control plane.
    pub spool_limit: u64,
    /// Where the host tells what it refused to the sandbox; it refuses nothing when absent.
    pub egress: Option<PathBuf>,
    /// How long the engine may say nothing before it is asked whether it still answers.
    pub engine_silence: Duration,
    /// `PATH` for the engine and what it starts.
    pub path: String,
    /// `HOME` for them.
    pub home: PathBuf,
    /// `LANG` for them.
    pub lang: String,
    /// `TMPDIR` for them.
    pub tmp: PathBuf,
}

/// A setting that is missing or wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} {what}")]
pub struct ConfigError {
    name: &'static str,
    what: &'static str,
}

impl Config {
    /// Reads the settings by means of `get`.
    ///
    /// # Errors
    /// When one that is needed is missing or malformed.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let need = |name: &'static str| {
            get(name).filter(|value| !value.is_empty()).ok_or(ConfigError {
                name,
                what: "is not set",
            })
        };
        let state = PathBuf::from(get(ENV_STATE).unwrap_or_else(|| "/state".to_owned()));
        let url = need(ENV_URL)?.trim_end_matches('/').to_owned();
        if !url.starts_with("ws://") && !url.starts_with("wss://") {
            return Err(ConfigError {
                name: ENV_URL,
                what: "must begin with ws:// or wss://",
            });
        }
        let generation = need(ENV_GENERATION)?.parse().map_err(|_| ConfigError {
            name: ENV_GENERATION,
            what: "is not a number",
        })?;
        Ok(Self {
            url,
            session: need(ENV_SESSION)?.parse().map_err(|_| ConfigError {
                name: ENV_SESSION,
                what: "is not a session id",
            })?,
            generation: Generation(generation),
            token: need(ENV_TOKEN)?,
            engine: PathBuf::from(need(ENV_ENGINE)?),
            workspace: PathBuf::from(get(ENV_WORKSPACE).unwrap_or_else(|| "/workspace".to_owned())),
            spool_limit: get(ENV_SPOOL_LIMIT)
                .and_then(|limit| limit.parse().ok())
                .unwrap_or(SPOOL_LIMIT),
            egress: get(ENV_EGRESS).map(PathBuf::from),
            engine_silence: get(ENV_ENGINE_SILENCE)
                .and_then(|silence| silence.parse().ok())
                .map_or(ENGINE_SILENCE, Duration::from_millis),
            path: get("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned()),
            home: get("HOME").map_or_else(|| state.join("home"), PathBuf::from),
            lang: get("LANG").unwrap_or_else(|| "C.UTF-8".to_owned()),
            tmp: get("TMPDIR").map_or_else(|| state.join("tmp"), PathBuf::from),
            state,
        })
    }

    /// The control plane's address for HTTP.
    pub fn http_url(&self) -> String {
        self.url.replacen("ws", "http", 1)
    }

    /// Where to dial.
    pub fn link_url(&self) -> String {
        format!("{}/runner/{}", self.url, self.session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        let value = match name {
            ENV_URL => "wss://errand.example/",
            ENV_SESSION => "ses_1",
            ENV_GENERATION => "3",
            ENV_TOKEN => "t",
            ENV_ENGINE => "/bin/engine",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn the_fixed_paths_are_the_default_and_addresses_are_derived() {
        let config = Config::read(env).unwrap();
        assert_eq!(config.workspace, PathBuf::from("/workspace"));
        assert_eq!(config.home, PathBuf::from("/state/home"));
        assert_eq!(config.link_url(), "wss://errand.example/runner/ses_1");
        assert_eq!(config.http_url(), "https://errand.example");
    }

    #[test]
    fn a_missing_or_wrong_setting_is_named() {
        let without = |gone: &'static str| Config::read(move |name| env(name).filter(|_| name != gone));
        assert_eq!(without(ENV_TOKEN).err().unwrap().to_string(), "ERRAND_TOKEN is not set");
        let bad = Config::read(|name| {
            if name == ENV_GENERATION {
                Some("x".to_owned())
            } else {
                env(name)
            }
        });
        assert_eq!(bad.err().unwrap().to_string(), "ERRAND_GENERATION is not a number");
        let bad = Config::read(|name| {
            if name == ENV_URL {
                Some("http://x".to_owned())
            } else {
                env(name)
            }
        });
        assert!(bad.is_err());
    }
}
