//! Links that share a session with people of its org: bodies of `/api/sessions/:id/shares` and `…/join`.

use serde::{Deserialize, Serialize};

use crate::access::Role;
use crate::ids::ShareId;
use crate::time::Timestamp;

/// A link, to the session's owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct ShareLink {
    /// Which.
    pub id: ShareId,
    /// What who redeems it is to the session: `viewer` or `member`.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it can be redeemed.
    pub expires_at: Timestamp,
    /// How many people redeemed it.
    pub uses: u32,
    /// How many may.
    pub max_uses: u32,
}

/// Answer of `GET /api/sessions/:id/shares`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct ShareList {
    /// Newest first.
    pub shares: Vec<ShareLink>,
}

/// Body of `POST /api/sessions/:id/shares` → 201 [`ShareMade`]. `Idempotency-Key` makes repeating harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct CreateShare {
    /// `viewer` or `member`.
    pub role: Role,
    /// For how many days, 1 to 30; otherwise 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 30)))]
    pub days: Option<u8>,
    /// How many people may redeem it, 1 to 1000; otherwise 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1000)))]
    pub max_uses: Option<u32>,
}

/// Answer of `POST /api/sessions/:id/shares`: the code is in no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct ShareMade {
    /// The link.
    pub share: ShareLink,
    /// What redeems it.
    pub code: String,
    /// The address to send.
    pub url: String,
}

/// Body of `POST /api/sessions/:id/join` → 200 [`crate::session::Session`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct JoinSession {
    /// From the link.
    pub code: String,
}
