//! Models that a person can choose, and the provider keys that open them. Keys go in and never come out: answers say
//! only that there is one.

use serde::{Deserialize, Serialize};

use crate::limits::MAX_URL_BYTES;
use crate::session::Person;
use crate::text::{ModelId, ProviderName};
use crate::time::Timestamp;

/// Shortest and longest key of a provider, in bytes.
pub const KEY_BYTES: std::ops::RangeInclusive<usize> = 8..=512;

/// A provider's key, as somebody types it: printable ASCII without spaces. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("pattern" = r"^[\x21-\x7e]+$", "minLength" = 8, "maxLength" = 512, "writeOnly" = true))
)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, type = "string"))]
pub struct ProviderKey(String);

impl ProviderKey {
    /// The key, for the place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProviderKey {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let key = text.trim();
        if KEY_BYTES.contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(key.to_owned()))
        } else {
            Err("a key has 8 to 512 printable characters and no spaces")
        }
    }
}

impl std::fmt::Debug for ProviderKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProviderKey")
    }
}

/// Body of `PUT /api/model-keys/:provider` and `PUT /api/admin/model-keys/:provider` → 200 [`ModelKey`]. It takes the
/// place of a key that was there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct PutModelKey {
    /// The key.
    pub key: ProviderKey,
    /// Where an OpenAI-compatible provider is, mostly ending in `/v1`. Only for providers that nobody knows by name.
    #[serde(default)]
    pub base_url: Option<BaseUrl>,
}

/// An http(s) address without credentials, query and fragment, and without a slash at its end. Whether it may be asked
/// is decided where it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("pattern" = r"^https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~:@!$&'()*+,;=-]+)*$", "maxLength" = MAX_URL_BYTES))
)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, type = "string"))]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BaseUrl {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let url = text.trim().trim_end_matches('/');
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let plain = url
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"?#@\\%\"<>^`{|}".contains(&byte));
        if plain && !host.is_empty() && url.len() <= MAX_URL_BYTES && !url.contains("/../") && !url.ends_with("/..") {
            Ok(Self(url.to_owned()))
        } else {
            Err("the address must be http(s)://host[:port]/path, without credentials, query and fragment")
        }
    }
}

/// A key that is stored, without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct ModelKey {
    /// What it opens.
    pub provider: ProviderName,
    /// How it ends; absent for one that is too short to show any of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_four: Option<String>,
    /// Where the provider is, when somebody said so with the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<BaseUrl>,
    /// Who stored it.
    pub by: Person,
    /// When.
    pub created_at: Timestamp,
    /// When it was last used, give or take a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
}

/// Answer of `GET /api/model-keys` and `GET /api/admin/model-keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct ModelKeyList {
    /// One's own in this org; the org's when an admin asks.
    pub keys: Vec<ModelKey>,
    /// Providers of which the org has a key.
    pub org: Vec<ProviderName>,
    /// Providers that are known by name: they need no address.
    pub known: Vec<ProviderName>,
}

/// Answer of `GET /api/models`: what one's own sessions can use, in this org.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct ModelList {
    /// What a session gets that names none; absent when there is none that it could use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<ModelId>,
    /// The installation's first, then the known ones by provider.
    pub models: Vec<ModelChoice>,
}

/// A model, and whether one can use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct ModelChoice {
    /// `provider/model`.
    pub id: ModelId,
    /// Name to show.
    pub name: String,
    /// Scripted, not a real model.
    pub demo: bool,
    /// It cannot be used now.
    pub locked: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    /// Whose key opens it; absent when none is needed or there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyOwner>,
    /// How much it can be told to think, least first; empty where that is not supported. Asked for by
    /// `provider/model@effort` as the model.
    pub efforts: Vec<Effort>,
    /// Context window, tokens.
    pub context: u32,
    /// Longest answer, tokens.
    pub output: u32,
}

/// Why a model cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum Lock {
    /// Nobody has stored a key of its provider.
    NoKey,
    /// The org does not let people of this role use it.
    Policy,
}

/// Whose key is used: the first of these who has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum KeyOwner {
    /// The session's owner.
    Own,
    /// The org.
    Org,
    /// The installation.
    Installation,
}

/// How much a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum Effort {
    /// Little.
    Low,
    /// As usual.
    Medium,
    /// Much.
    High,
}

impl Effort {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_printed_and_not_any_text() {
        let key: PutModelKey = serde_json::from_str(r#"{"key":" sk-ant-secret "}"#).unwrap();
        assert_eq!(key.key.expose(), "sk-ant-secret");
        assert!(!format!("{key:?}").contains("secret"));
        for bad in ["", "short", "two words here", "line\\nbreak", "gr\u{fc}\u{df}e-12345"] {
            assert!(
                serde_json::from_str::<PutModelKey>(&format!(r#"{{"key":"{bad}"}}"#)).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn an_address_carries_nothing_but_a_place() {
        let url = |text: &str| BaseUrl::try_from(text.to_owned()).map(|url| url.as_str().to_owned());
        assert_eq!(
            url("https://models.example.com/v1/"),
            Ok("https://models.example.com/v1".to_owned())
        );
        assert!(
            url("http://127.0.0.1:4000/v1").is_ok(),
            "where it may lead is decided elsewhere"
        );
        for bad in [
            "",
            "https://",
            "ftp://x",
            "//x",
            "https://a:b@x/v1",
            "https://x/v1?key=1",
            "https://x/#a",
            "https://x/%2e%2e",
            "https://x/../y",
            "https://x y",
            "https://x\\y",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }
}
