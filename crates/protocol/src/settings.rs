//! Settings of an org, its groups and its people, as admins change them, and what the maker of a session may say of it.
//! Which level wins is decided by `crates/access`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::access::{Role, Visibility};
use crate::text::ModelId;

/// A number, or `"unlimited"`; the latter is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, type = "number | \"unlimited\""))]
pub enum Limit {
    /// At most so many.
    Most(u32),
    /// No limit.
    Unlimited,
}

impl Limit {
    /// The number, if there is one.
    pub const fn get(self) -> Option<u32> {
        match self {
            Self::Most(most) => Some(most),
            Self::Unlimited => None,
        }
    }
}

/// No sandbox works with less memory, MiB.
pub const MIN_SANDBOX_MIB: u32 = 256;
/// No sandbox works with less CPU, thousandths of a core.
pub const MIN_SANDBOX_CPU: u32 = 100;
/// A sandbox that may be up for a shorter time hardly gets to work, minutes.
pub const MIN_SANDBOX_MINUTES: u32 = 5;

#[cfg(feature = "schema")]
fn at_least(least: u32, generator: &schemars::SchemaGenerator) -> schemars::Schema {
    let number = serde_json::json!({ "type": "integer", "minimum": least, "maximum": u32::MAX });
    let mut ways = vec![number, serde_json::json!({ "const": "unlimited" })];
    if generator.contract().is_deserialize() {
        ways.push(serde_json::json!({ "type": "null" }));
    }
    schemars::json_schema!({ "oneOf": ways })
}

#[cfg(feature = "schema")]
fn memory_limit(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    at_least(MIN_SANDBOX_MIB, generator)
}

#[cfg(feature = "schema")]
fn cpu_limit(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    at_least(MIN_SANDBOX_CPU, generator)
}

#[cfg(feature = "schema")]
fn minutes_limit(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    at_least(MIN_SANDBOX_MINUTES, generator)
}

impl SettingsPatch {
    /// What no sandbox could work with: the field and the least that it takes.
    pub fn too_small(&self) -> Option<(&'static str, u32)> {
        let least = [
            ("sandboxMemoryMib", self.sandbox_memory_mib, MIN_SANDBOX_MIB),
            ("sandboxCpuMillis", self.sandbox_cpu_millis, MIN_SANDBOX_CPU),
            ("sandboxMinutes", self.sandbox_minutes, MIN_SANDBOX_MINUTES),
        ];
        let found = least
            .into_iter()
            .find(|(_, limit, least)| limit.and_then(Limit::get).is_some_and(|limit| limit < *least))?;
        Some((found.0, found.2))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Limit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A number, or `\"unlimited\"`.",
            "oneOf": [{ "type": "integer", "minimum": 0, "maximum": u32::MAX }, { "const": "unlimited" }]
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OnTheWire {
    Most(u32),
    Word(String),
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Most(most) => serializer.serialize_u32(*most),
            Self::Unlimited => serializer.serialize_str("unlimited"),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match OnTheWire::deserialize(deserializer) {
            Ok(OnTheWire::Most(most)) => Ok(Self::Most(most)),
            Ok(OnTheWire::Word(word)) if word == "unlimited" => Ok(Self::Unlimited),
            Ok(OnTheWire::Word(_)) | Err(_) => {
                Err(serde::de::Error::custom("a limit is a whole number, or \"unlimited\""))
            }
        }
    }
}

/// Which models: one of them by its id, all of a provider as `provider/*`, or `*`. At most 200 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("pattern" = r"^(\*|[a-z0-9]([a-z0-9-]*[a-z0-9])?/\*|[A-Za-z0-9._:@-]+/[A-Za-z0-9/._:@-]+)$", "maxLength" = 200))
)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, type = "string"))]
pub struct ModelPattern(String);

impl ModelPattern {
    /// Whether it means this model.
    pub fn matches(&self, model: &ModelId) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => model.as_str().starts_with(beginning),
            None => model.as_str() == self.0,
        }
    }
}

impl TryFrom<String> for ModelPattern {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let provider = text.strip_suffix("/*").map(str::parse::<crate::text::ProviderName>);
        if text == "*" || provider.is_some_and(|name| name.is_ok()) || text.parse::<ModelId>().is_ok() {
            Ok(Self(text))
        } else {
            Err("models are named as provider/model, provider/*, or *")
        }
    }
}

impl From<ModelPattern> for String {
    fn from(pattern: ModelPattern) -> Self {
        pattern.0
    }
}

/// The shape of a map whose keys are roles: a schema of the map alone would let any name be one.
#[cfg(feature = "schema")]
#[derive(Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields, default)]
struct ModelsByRole {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    viewer: Vec<ModelPattern>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    member: Vec<ModelPattern>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    admin: Vec<ModelPattern>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    owner: Vec<ModelPattern>,
}

/// What one level says; what it does not mention is left to the levels before it. Also the answer of `GET
/// /api/admin/settings[/groups/:id|/users/:id]`, and the body of `PUT`, which replaces what the level says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct SettingsPatch {
    /// Who sees a new session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_visibility: Option<Visibility>,
    /// Whether commits of new sessions name Errand as a co-author.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub co_author_trailer: Option<bool>,
    /// Sessions of one person at work at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person_concurrent_sessions: Option<Limit>,
    /// Sessions of one person made within 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person_daily_sessions: Option<Limit>,
    /// Sessions of the org at work at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org_concurrent_sessions: Option<Limit>,
    /// Sessions of the org made within 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org_daily_sessions: Option<Limit>,
    /// The model of a session that names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_model: Option<ModelId>,
    /// Which models people of each role can use. A role that is not mentioned can use all. Of the org as a whole only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<ModelsByRole>"))]
    pub allowed_models: Option<BTreeMap<Role, Vec<ModelPattern>>>,
    /// Memory of one sandbox, MiB, 256 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "memory_limit"))]
    pub sandbox_memory_mib: Option<Limit>,
    /// CPU of one sandbox, thousandths of a core, 100 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "cpu_limit"))]
    pub sandbox_cpu_millis: Option<Limit>,
    /// How long a sandbox may be up, minutes, 5 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "minutes_limit"))]
    pub sandbox_minutes: Option<Limit>,
}

/// What sandboxes of a session are to be like: what is not said is as usual, and never more than the limits allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct SandboxWish {
    /// Memory, MiB, 256 to 262144.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 256, max = 262_144)))]
    pub memory_mib: Option<u32>,
    /// CPU, thousandths of a core, 100 to 64000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 100, max = 64_000)))]
    pub cpu_millis: Option<u32>,
    /// How long each may be up, minutes, 5 to 43200; then its turn is stopped, its work kept, and the next prompt gets
    /// another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 5, max = 43_200)))]
    pub minutes: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_unlimited() {
        for (json, limit) in [
            ("0", Limit::Most(0)),
            ("7", Limit::Most(7)),
            ("\"unlimited\"", Limit::Unlimited),
        ] {
            assert_eq!(serde_json::from_str::<Limit>(json).unwrap(), limit);
            assert_eq!(serde_json::to_string(&limit).unwrap(), json);
        }
        for bad in ["-1", "1.5", "\"7\"", "null", "4294967296", "\"Unlimited\"", "[]"] {
            assert!(serde_json::from_str::<Limit>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_is_a_model_a_provider_or_everything() {
        let pattern = |text: &str| ModelPattern::try_from(text.to_owned());
        let model: ModelId = "openrouter/openai/gpt-5".parse().unwrap();
        for (text, means) in [
            ("*", true),
            ("openrouter/*", true),
            ("openai/*", false),
            ("openrouter/openai/gpt-5", true),
        ] {
            assert_eq!(pattern(text).unwrap().matches(&model), means, "{text}");
        }
        for bad in ["", "**", "open*", "/*", "a b/*", "gpt-5", "*/x*"] {
            assert!(pattern(bad).is_err(), "{bad}");
        }
    }
}
