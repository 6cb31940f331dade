//! Who asks, and by what credential.

use errand_protocol::access::{Role, Scopes};
use errand_protocol::ids::{ApiKeyId, OrgId, SessionId, SignInId};
use errand_protocol::session::Person;
use errand_protocol::text::RepoUrl;
use errand_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A person who acts in an org. The Worker makes it anew for each request, so that `role` is the present one, and
/// vouches for it to the objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// Who.
    pub person: Person,
    /// In which org.
    pub org: OrgId,
    /// What they are there.
    pub role: Role,
    /// How they proved it.
    pub credential: Credential,
}

impl Actor {
    /// What asks in a person's stead, if something does: the id of an API key.
    pub fn trigger(&self) -> Option<String> {
        match &self.credential {
            Credential::SignIn { .. } => None,
            Credential::ApiKey { id, .. } => Some(id.to_string()),
        }
    }
}

/// What a request proved itself with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Credential {
    /// The secret of a sign-in, in a cookie or a header.
    SignIn {
        /// Which.
        id: SignInId,
        /// When it ends unless it is used again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    },
    /// An API key.
    ApiKey {
        /// Which.
        id: ApiKeyId,
        /// What it is good for.
        scopes: Scopes,
        /// The only repository that it is good for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        repo: Option<RepoUrl>,
        /// When it ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    },
}

/// Which credential, without what it permits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CredentialId {
    /// A sign-in.
    SignIn(SignInId),
    /// An API key.
    ApiKey(ApiKeyId),
}

impl CredentialId {
    /// Its text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::SignIn(id) => id.as_str(),
            Self::ApiKey(id) => id.as_str(),
        }
    }
}

impl Credential {
    /// Which it is.
    pub fn id(&self) -> CredentialId {
        match self {
            Self::SignIn { id, .. } => CredentialId::SignIn(id.clone()),
            Self::ApiKey { id, .. } => CredentialId::ApiKey(id.clone()),
        }
    }

    /// When it ends by itself: an API key whatever is done with it, a sign-in unless it is used again.
    pub const fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::SignIn { expires_at, .. } | Self::ApiKey { expires_at, .. } => *expires_at,
        }
    }
}

/// Whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal<'a> {
    /// Nobody that we know.
    Anonymous,
    /// A person.
    Actor(&'a Actor),
    /// A sandbox, whose token the Worker has verified.
    Sandbox {
        /// Of this session.
        session: &'a SessionId,
        /// In this org.
        org: &'a OrgId,
    },
}

impl<'a> From<&'a Actor> for Principal<'a> {
    fn from(actor: &'a Actor) -> Self {
        Self::Actor(actor)
    }
}
