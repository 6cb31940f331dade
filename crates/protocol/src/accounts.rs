//! Bodies of the REST API about accounts: sign-ins, orgs, members, invitations, API keys, the audit log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::access::{Role, Scopes};
use crate::api::OrgInfo;
use crate::ids::{ApiKeyId, InvitationId, OrgId, SignInId, UserId};
use crate::session::Person;
use crate::text::{Label, RepoUrl};
use crate::time::Timestamp;

/// A browser or script that is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct SignIn {
    /// Which.
    pub id: SignInId,
    /// What it says of itself.
    pub device: String,
    /// From where it was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was last used, to the hour.
    pub used_at: Timestamp,
    /// When it ends unless it is used.
    pub expires_at: Timestamp,
    /// The one that asks.
    pub current: bool,
}

/// Answer of `GET /api/auth/sign-ins`: one's own, last used first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct SignInList {
    /// All of them.
    pub sign_ins: Vec<SignIn>,
}

/// Body of `POST /api/auth/org` → 200 [`crate::api::Me`]: act in another org from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct SwitchOrg {
    /// One of those that one is a member of.
    pub org: OrgId,
}

/// An org that one is a member of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Membership {
    /// Which.
    pub org: OrgInfo,
    /// As what.
    pub role: Role,
}

/// Answer of `GET /api/orgs`: one's own, the one joined first first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct OrgList {
    /// All of them.
    pub orgs: Vec<Membership>,
}

/// Body of `POST /api/orgs` → 201 [`Membership`]; who makes it owns it. `Idempotency-Key` makes repeating harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct CreateOrg {
    /// Its name.
    pub name: Label,
}

/// Body of `PATCH /api/admin/org` → 200 [`OrgInfo`]: gives the org in which one acts another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct PatchOrg {
    /// Its name from now on.
    pub name: Label,
}

/// Answer of `GET /api/admin/members?limit=&cursor=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct MemberList {
    /// One page.
    pub members: Vec<Member>,
    /// For the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A member of an org, to its admins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Member {
    /// Who.
    pub person: Person,
    /// As what.
    pub role: Role,
    /// Since when.
    pub since: Timestamp,
}

/// Body of `PATCH /api/admin/members/:id` → 200 [`Member`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct PatchMember {
    /// What they are from now on.
    pub role: Role,
}

/// An invitation to an org, to its admins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct Invitation {
    /// Which.
    pub id: InvitationId,
    /// As what.
    pub role: Role,
    /// The only address that it is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// By whom.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
    /// Until when it can be redeemed.
    pub expires_at: Timestamp,
    /// Who redeemed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<UserId>,
}

/// Answer of `GET /api/admin/invitations`: newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct InvitationList {
    /// The last 500.
    pub invitations: Vec<Invitation>,
}

/// Body of `POST /api/admin/invitations` → 201 [`InvitationMade`]. `Idempotency-Key` makes repeating harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct CreateInvitation {
    /// As what.
    pub role: Role,
    /// Good only for somebody with this verified address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Label>,
    /// For how many days, 1 to 30; otherwise 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 30)))]
    pub days: Option<u8>,
}

/// Answer of `POST /api/admin/invitations`: the code is in no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct InvitationMade {
    /// The invitation.
    pub invitation: Invitation,
    /// What redeems it, once.
    pub code: String,
    /// The link to send.
    pub url: String,
}

/// Body of `POST /api/auth/invitations` → 200 [`Membership`]: joins an org.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct RedeemInvitation {
    /// From the link.
    pub code: String,
}

/// An API key; not the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct ApiKey {
    /// Which.
    pub id: ApiKeyId,
    /// What its maker calls it.
    pub name: String,
    /// How the key begins.
    pub prefix: String,
    /// For whom it acts.
    pub owner: Person,
    /// What it is good for.
    pub scopes: Scopes,
    /// The only repository that it is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<RepoUrl>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// Answer of `GET /api/keys` (`?all=true` for admins: everybody's).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct ApiKeyList {
    /// Newest first; those that are over too.
    pub keys: Vec<ApiKey>,
}

/// Body of `POST /api/keys` → 201 [`ApiKeyMade`]. `Idempotency-Key` makes repeating harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct CreateApiKey {
    /// What to call it.
    pub name: Label,
    /// What it is to be good for; `resource:*` stands for all of a resource.
    pub scopes: Scopes,
    /// The only repository that it is to be good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<RepoUrl>,
    /// For how many days, 1 to 366; otherwise until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 366)))]
    pub days: Option<u16>,
}

/// Answer of `POST /api/keys`: the key is in no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct ApiKeyMade {
    /// `er_` and 64 hexadecimal digits.
    pub key: String,
    /// What lists show of it.
    pub api_key: ApiKey,
}

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct AuditEntry {
    /// Which; sorts by time.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Who; absent for a sandbox or somebody unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// Their name then.
    pub user_name: String,
    /// By what: the id of a sign-in, API key or sandbox.
    pub credential: String,
    /// What: method and address, or the kind of use.
    pub action: String,
    /// Of what: ids in the address, or of what was made.
    pub target: String,
    /// What was made, and what was changed to what (`from → to`), by name. Never the value of a secret.
    #[serde(default)]
    pub details: BTreeMap<String, String>,
    /// How it ended: `ok`, or the error's code.
    pub outcome: String,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Of the request, for the logs.
    pub request_id: String,
}

/// Answer of `GET /api/admin/audit?limit=&cursor=&user=&action=&target=&outcome=&from=&to=&format=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct AuditPage {
    /// Newest first.
    pub entries: Vec<AuditEntry>,
    /// For the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}
