//! The models that this installation configures: the variable `MODELS`.

use errand_protocol::api::ModelInfo;
use errand_protocol::runner::Dialect;
use errand_protocol::text::ModelId;
use serde::Deserialize;

use super::{ConfigError, Secret, invalid};

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
    pub(super) fn parse(json: &str) -> Result<Self, ConfigError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MasterKey;

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
