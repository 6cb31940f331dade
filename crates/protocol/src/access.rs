//! Words of accounts and access: roles, scopes of API keys, visibility of sessions. What they permit is decided by
//! `crates/access`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What a member of an org is there. Each may do everything that the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "OrgRole"))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, rename = "OrgRole"))]
pub enum Role {
    /// Looks on.
    Viewer,
    /// Works: makes sessions and prompts.
    Member,
    /// Answers for the org: members, settings, keys, audit; sees and ends every session.
    Admin,
    /// Also makes and unmakes owners.
    Owner,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Member, Self::Admin, Self::Owner];

    /// Its name, as in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

/// What somebody is in a group of their org.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum GroupRole {
    /// Belongs to it: its settings hold for them.
    Member,
    /// Also takes members of the org in, and out.
    Admin,
}

impl GroupRole {
    /// Its name, as in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }
}

/// Who may see a session, besides its owner and the org's admins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum Visibility {
    /// Nobody.
    #[default]
    Private,
    /// Members of the org who redeemed one of its share links.
    Link,
    /// Every member of the org.
    Org,
}

impl Visibility {
    /// Whether it is the default, which is not written.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub const fn is_private(&self) -> bool {
        matches!(self, Self::Private)
    }
}

/// One thing that an API key may be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum Scope {
    /// Read sessions and their logs.
    #[serde(rename = "sessions:read")]
    SessionsRead,
    /// Make, change and end sessions.
    #[serde(rename = "sessions:write")]
    SessionsWrite,
    /// Prompt, answer questions, stop turns.
    #[serde(rename = "prompts:write")]
    PromptsWrite,
    /// Open pull requests.
    #[serde(rename = "pulls:write")]
    PullsWrite,
    /// Read workflows, triggers and executions.
    #[serde(rename = "workflows:read")]
    WorkflowsRead,
    /// Change and run them.
    #[serde(rename = "workflows:write")]
    WorkflowsWrite,
    /// List API keys.
    #[serde(rename = "keys:read")]
    KeysRead,
    /// Make and revoke API keys.
    #[serde(rename = "keys:write")]
    KeysWrite,
    /// Read members, settings, usage and the audit log.
    #[serde(rename = "admin:read")]
    AdminRead,
    /// Change members, settings and budgets.
    #[serde(rename = "admin:write")]
    AdminWrite,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::SessionsRead,
        Self::SessionsWrite,
        Self::PromptsWrite,
        Self::PullsWrite,
        Self::WorkflowsRead,
        Self::WorkflowsWrite,
        Self::KeysRead,
        Self::KeysWrite,
        Self::AdminRead,
        Self::AdminWrite,
    ];

    /// As it is written: `resource:verb`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SessionsRead => "sessions:read",
            Self::SessionsWrite => "sessions:write",
            Self::PromptsWrite => "prompts:write",
            Self::PullsWrite => "pulls:write",
            Self::WorkflowsRead => "workflows:read",
            Self::WorkflowsWrite => "workflows:write",
            Self::KeysRead => "keys:read",
            Self::KeysWrite => "keys:write",
            Self::AdminRead => "admin:read",
            Self::AdminWrite => "admin:write",
        }
    }
}

/// The scopes of an API key: at least one. When read, `resource:*` stands for all of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, type = "Array<string>"))]
pub struct Scopes(BTreeSet<Scope>);

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Scopes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scopes".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        if generator.contract().is_serialize() {
            let scope = generator.subschema_for::<Scope>();
            return schemars::json_schema!({ "type": "array", "items": scope, "minItems": 1, "uniqueItems": true });
        }
        let mut names: Vec<String> = Scope::ALL.iter().map(|scope| scope.as_str().to_owned()).collect();
        let all_of = |name: &str| name.split_once(':').map(|(resource, _)| format!("{resource}:*"));
        names.extend(Scope::ALL.iter().filter_map(|scope| all_of(scope.as_str())));
        names.dedup();
        schemars::json_schema!({ "type": "array", "items": { "type": "string", "enum": names }, "minItems": 1 })
    }
}

/// A list of scopes that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScopes {
    /// Nothing in it.
    #[error("a key needs at least one scope")]
    Empty,
    /// No such scope.
    #[error("{0} is not a scope; there are {all}", all = all_names())]
    Unknown(String),
}

fn all_names() -> String {
    let names: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    names.join(", ")
}

impl Scopes {
    /// Whether this one is among them.
    pub fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().copied()
    }

    /// Whether all of these are among the others.
    pub fn is_subset(&self, others: &Self) -> bool {
        self.0.is_subset(&others.0)
    }
}

impl From<Scope> for Scopes {
    fn from(scope: Scope) -> Self {
        Self(BTreeSet::from([scope]))
    }
}

impl TryFrom<Vec<String>> for Scopes {
    type Error = InvalidScopes;

    fn try_from(names: Vec<String>) -> Result<Self, InvalidScopes> {
        let mut scopes = BTreeSet::new();
        for name in names {
            let meant = |scope: &Scope| {
                let (resource, _) = scope.as_str().split_once(':').unwrap_or_default();
                scope.as_str() == name || name.strip_suffix(":*") == Some(resource)
            };
            let found: Vec<Scope> = Scope::ALL.into_iter().filter(meant).collect();
            if found.is_empty() {
                return Err(InvalidScopes::Unknown(name.chars().take(40).collect()));
            }
            scopes.extend(found);
        }
        if scopes.is_empty() {
            return Err(InvalidScopes::Empty);
        }
        Ok(Self(scopes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(names: &[&str]) -> Result<Scopes, InvalidScopes> {
        Scopes::try_from(names.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn a_star_stands_for_all_of_a_resource_and_nothing_else() {
        let all = scopes(&["workflows:*"]).unwrap();
        assert_eq!(
            all.iter().collect::<Vec<_>>(),
            [Scope::WorkflowsRead, Scope::WorkflowsWrite]
        );
        for bad in [
            "",
            "*",
            ":*",
            "*:*",
            "work:*",
            "sessions",
            "sessions:",
            "sessions:Read",
            "Sessions:*",
        ] {
            assert!(scopes(&[bad]).is_err(), "{bad:?}");
        }
        assert_eq!(scopes(&[]), Err(InvalidScopes::Empty));
    }

    #[test]
    fn scopes_come_back_as_they_were_written() {
        let some = scopes(&["sessions:read", "prompts:write"]).unwrap();
        let json = serde_json::to_string(&some).unwrap();
        assert_eq!(json, r#"["sessions:read","prompts:write"]"#);
        assert_eq!(serde_json::from_str::<Scopes>(&json).unwrap(), some);
        for scope in Scope::ALL {
            assert_eq!(serde_json::to_value(scope).unwrap().as_str(), Some(scope.as_str()));
        }
    }

    #[test]
    fn roles_are_ordered_and_named_alike_everywhere() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap().as_str(), Some(role.as_str()));
        }
        assert!(Role::Viewer < Role::Member && Role::Member < Role::Admin && Role::Admin < Role::Owner);
    }
}
