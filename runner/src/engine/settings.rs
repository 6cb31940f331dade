//! The engine's configuration and environment. Pure.
//!
//! The environment is the set that was proven to start and work without any network but the model
//! (`ARCHITECTURE.md`, "The engine"). The model's address is the runner's relay on the loopback, its key opens only
//! that relay: nothing here is worth stealing. What is, the repository's policy gave to the agent on purpose.

use std::path::Path;

use errand_protocol::runner::{Dialect, ProviderSetup, RunnerSetup};
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::state::{EngineNote, RelayNote};

/// Stands in the environment of the engine and of everything it starts, with the engine's own mark.
pub const MARK: &str = "ERRAND_ENGINE_MARK";

/// The engine's configuration (`OPENCODE_CONFIG_CONTENT`).
pub fn content(setup: &RunnerSetup, relay: &RelayNote) -> Value {
    let providers: Map<String, Value> = setup
        .providers
        .iter()
        .map(|(name, provider)| (name.clone(), provider_entry(name, provider, relay)))
        .collect();
    let names: Vec<_> = setup.providers.keys().collect();
    json!({
        "model": setup.model.as_str(),
        "small_model": setup.model.as_str(),
        "enabled_providers": names,
        "autoupdate": false,
        "share": "disabled",
        "snapshot": true,
        "lsp": false,
        "formatter": false,
        "provider": providers,
        // Single names only: "*" would also erase the engine's own rules (`.env`, directories outside).
        "permission": setup.permissions.iter().filter(|(name, _)| *name != "*").collect::<std::collections::BTreeMap<_, _>>(),
    })
}

fn provider_entry(name: &str, provider: &ProviderSetup, relay: &RelayNote) -> Value {
    let npm = match provider.dialect {
        Dialect::Openai => "@ai-sdk/openai-compatible",
        Dialect::Anthropic => "@ai-sdk/anthropic",
        Dialect::Google => "@ai-sdk/google",
    };
    let models: Map<String, Value> = provider
        .models
        .iter()
        .map(|model| {
            let entry = json!({
                "name": model.name,
                "reasoning": true,
                "tool_call": true,
                "limit": { "context": model.context, "output": model.output },
            });
            (model.id.clone(), entry)
        })
        .collect();
    json!({
        "npm": npm,
        "name": name,
        "options": { "baseURL": format!("http://127.0.0.1:{}{}", relay.port, provider.path), "apiKey": relay.key },
        "models": models,
    })
}

/// The engine's own environment; besides this it gets the secrets of the repository's policy, and nothing else.
pub fn environment(config: &Config, content: &Value, note: &EngineNote) -> Vec<(&'static str, String)> {
    let dir = |name: &str| config.state.join(name).display().to_string();
    let on = || "1".to_owned();
    vec![
        ("PATH", config.path.clone()),
        ("HOME", config.home.display().to_string()),
        ("TMPDIR", config.tmp.display().to_string()),
        ("LANG", config.lang.clone()),
        ("XDG_DATA_HOME", dir("data")),
        ("XDG_CONFIG_HOME", dir("config")),
        ("XDG_CACHE_HOME", dir("cache")),
        ("XDG_STATE_HOME", dir("xdg")),
        ("GIT_TERMINAL_PROMPT", "0".to_owned()),
        (MARK, note.mark.clone()),
        ("OPENCODE_CONFIG_CONTENT", content.to_string()),
        ("OPENCODE_SERVER_PASSWORD", note.password.clone()),
        ("OPENCODE_MODELS_PATH", dir("models.json")),
        ("OPENCODE_DISABLE_MODELS_FETCH", on()),
        ("OPENCODE_DISABLE_AUTOUPDATE", on()),
        ("OPENCODE_DISABLE_LSP_DOWNLOAD", on()),
        ("OPENCODE_DISABLE_SHARE", on()),
        ("OPENCODE_DISABLE_DEFAULT_PLUGINS", on()),
        ("OPENCODE_DISABLE_EMBEDDED_WEB_UI", on()),
        ("OPENCODE_DISABLE_EXTERNAL_SKILLS", on()),
        ("OPENCODE_DISABLE_CLAUDE_CODE", on()),
    ]
}

/// Directories and files that the engine expects. The files in its configuration directory stand for a finished
/// installation of its plugin package: without them it runs `npm install` in the background.
///
/// # Errors
/// When they cannot be written.
pub fn lay_out(config: &Config) -> std::io::Result<()> {
    let seeded = config.state.join("config/opencode");
    for dir in ["data", "cache", "xdg", "config/opencode/node_modules"] {
        std::fs::create_dir_all(config.state.join(dir))?;
    }
    std::fs::create_dir_all(&config.home)?;
    std::fs::create_dir_all(&config.tmp)?;
    std::fs::write(config.state.join("models.json"), "{}")?;
    let wants = json!({ "@opencode-ai/plugin": "*" });
    std::fs::write(
        seeded.join("package.json"),
        json!({ "dependencies": wants }).to_string(),
    )?;
    let lock = json!({
        "name": "opencode", "lockfileVersion": 3, "requires": true, "packages": { "": { "dependencies": wants } },
    });
    std::fs::write(seeded.join("package-lock.json"), lock.to_string())?;
    clear_tmp(&config.tmp);
    Ok(())
}

/// Each engine process unpacks a library into the temporary directory and leaves it there.
fn clear_tmp(tmp: &Path) {
    for entry in std::fs::read_dir(tmp).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && Path::new(&*name).extension().is_some_and(|kind| kind == "so") {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
