//! Typed ids. Each is a prefix and a body of `[A-Za-z0-9_-]`, at most 80 bytes in all.
//!
//! Ids minted by Errand are `prefix + ULID` (26 characters of Crockford base 32). Ids that come from the engine
//! (`msg_…`, `prt_…`) are taken over as they are. Parsing checks shape only; whether the thing exists is the
//! store's business.

use serde::{Deserialize, Serialize};

/// A string that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind} id")]
pub struct InvalidId {
    /// What was wanted, e.g. `session`.
    pub kind: &'static str,
}

const MAX_ID_BYTES: usize = 80;

fn well_formed(prefix: &str, value: &str) -> bool {
    value.len() <= MAX_ID_BYTES
        && value.strip_prefix(prefix).is_some_and(|body| {
            !body.is_empty()
                && body
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[cfg_attr(
            feature = "schema",
            derive(schemars::JsonSchema),
            schemars(extend("pattern" = concat!("^", $prefix, "[A-Za-z0-9_-]+$"), "maxLength" = MAX_ID_BYTES))
        )]
        #[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, type = "string"))]
        pub struct $name(String);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// The id whose part after the prefix is `body` (a ULID, or what the engine gave).
            ///
            /// # Errors
            /// When `body` is empty, too long or holds other characters than `[A-Za-z0-9_-]`.
            pub fn from_body(body: &str) -> Result<Self, InvalidId> {
                Self::try_from(format!("{}{body}", $prefix))
            }

            /// The whole id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(value: String) -> Result<Self, InvalidId> {
                if well_formed($prefix, &value) { Ok(Self(value)) } else { Err(InvalidId { kind: $kind }) }
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(value: &str) -> Result<Self, InvalidId> {
                Self::try_from(value.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(/// A tenant.
    OrgId, "org_", "org");
id!(/// A person.
    UserId, "usr_", "user");
id!(/// One piece of work.
    SessionId, "ses_", "session");
id!(/// What a person asked; made by the client that submits it.
    PromptId, "prm_", "prompt");
id!(/// One run of the agent for one prompt.
    TurnId, "trn_", "turn");
id!(/// The engine's message id.
    MessageId, "msg_", "message");
id!(/// The engine's part id.
    PartId, "prt_", "part");
id!(/// Something only a person can settle; minted by the runner from the engine's request id.
    InteractionId, "int_", "interaction");
id!(/// One connected viewer.
    ConnId, "con_", "connection");
id!(/// A runner's spool file: a new one means that frames of the old one cannot be resent.
    SpoolId, "spl_", "spool");
id!(/// A saved state of a session's work: workspace and conversation; minted by the runner that uploads it.
    SnapshotId, "snp_", "snapshot");
id!(/// A viewer's command; made by the client, unique per command.
    CommandId, "cmd_", "command");
id!(/// A browser or script that is signed in.
    SignInId, "sgn_", "sign-in");
id!(/// An API key; not the key itself.
    ApiKeyId, "key_", "API key");
id!(/// An invitation to an org.
    InvitationId, "inv_", "invitation");
id!(/// People of an org under one name.
    GroupId, "grp_", "group");
id!(/// A link that shares a session.
    ShareId, "shr_", "share link");
id!(/// A limit on what may be spent.
    BudgetId, "bdg_", "budget");
id!(/// A provider's key that somebody stored; not the key itself.
    ModelKeyId, "mky_", "model key");
id!(/// One call of a model; made by the Worker that relays it.
    CallId, "cal_", "call");

/// Position in a session's log: 1 for its first event, contiguous. 0 stands for "before everything".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Seq(pub u64);

impl Seq {
    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Counts the sandboxes of one session: 1 for the first. A runner of an older generation is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Generation(pub u32);

impl Generation {
    /// The next sandbox's generation.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_needs_its_prefix_a_body_and_safe_characters() {
        assert!(SessionId::from_body("01ARZ3NDEKTSV4RRFFQ69G5FAV").is_ok());
        for bad in ["", "ses_", "usr_1", "ses_../x", "ses_a b", "ses_\u{e9}"] {
            assert!(bad.parse::<SessionId>().is_err(), "{bad:?}");
        }
        assert!(SessionId::from_body(&"a".repeat(200)).is_err());
    }

    #[test]
    fn ids_are_parsed_while_json_is_read() {
        assert!(serde_json::from_str::<PromptId>("\"prm_1\"").is_ok());
        assert!(serde_json::from_str::<PromptId>("\"ses_1\"").is_err());
    }
}
