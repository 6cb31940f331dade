//! Groups: people of an org under one name, for whom settings are made together. Bodies of `/api/groups`.

use serde::{Deserialize, Serialize};

use crate::access::GroupRole;
use crate::ids::GroupId;
use crate::session::Person;
use crate::text::Label;
use crate::time::Timestamp;

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct Group {
    /// Which.
    pub id: GroupId,
    /// What it is called; no two of an org are called the same.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// How many belong to it.
    pub members: u32,
    /// What the one who asks is in it; absent when they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<GroupRole>,
}

/// Answer of `GET /api/groups`: one's own, to admins of the org all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct GroupList {
    /// By name.
    pub groups: Vec<Group>,
}

/// Body of `POST /api/groups` → 201 [`Group`] and `PATCH /api/groups/:id` → 200 [`Group`]. `Idempotency-Key` makes
/// repeating the former harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct NameGroup {
    /// Its name.
    pub name: Label,
}

/// Answer of `GET /api/groups/:id`, to its members and to admins of the org.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct GroupDetail {
    /// The group.
    pub group: Group,
    /// Who belongs to it, by name.
    pub members: Vec<GroupMember>,
}

/// Somebody in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct GroupMember {
    /// Who.
    pub person: Person,
    /// As what.
    pub role: GroupRole,
}

/// Body of `PUT /api/groups/:id/members/:user` → 204. `DELETE` takes them out again → 204.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct PutGroupMember {
    /// As what.
    pub role: GroupRole,
}
