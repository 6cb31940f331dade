//! The sandbox contract (DESIGN §5): one HTTP API that every provider implements. Requests are signed
//! ([`signing_text`]); all is asynchronous: `PUT` answers 202 as soon as the wish is recorded, and readiness is
//! the runner's `hello` with the right generation, never the provider's word.
//!
//! | call | body → answer |
//! |---|---|
//! | `PUT /v1/sandboxes/{name}` | [`SandboxSpec`] → 202 [`SandboxStatus`]; 409 `conflict` for another spec under the name |
//! | `GET /v1/sandboxes/{name}` | → 200 [`SandboxStatus`]; unknown → state `gone` |
//! | `GET /v1/sandboxes?label=k=v` | → 200 [`SandboxList`] |
//! | `POST /v1/sandboxes/{name}/suspend` | stops its processes, keeps workspace and state for a later `resume` → 200 [`SandboxStatus`]; unknown → state `gone` |
//! | `DELETE /v1/sandboxes/{name}` | → 204, also when absent |
//! | `PUT /v1/sandboxes/{name}/egress` | [`EgressPolicy`]: what it may reach from now on; connections that are open stay → 200 [`SandboxStatus`]; unknown → state `gone` |
//! | `POST /v1/sandboxes/{name}/extend` | → `unsupported` where sandboxes do not expire |
//! | `GET /v1/health` | → 200 [`HostHealth`] (unsigned) |

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::egress::EgressPolicy;
use crate::text::{Branch, RepoUrl};
use crate::time::Timestamp;

/// Header with the time of signing, milliseconds since 1970, decimal.
pub const TIMESTAMP_HEADER: &str = "x-errand-timestamp";
/// Header with `v1=` and the hex HMAC-SHA-256 of [`signing_text`].
pub const SIGNATURE_HEADER: &str = "x-errand-signature";
/// A signature is good for so long after (and before) its timestamp, in milliseconds.
pub const SIGNATURE_WINDOW_MS: i64 = 300_000;

/// The bytes that are signed: `v1:timestamp:method:path:sha256(body)` where `path` includes the query and
/// `body_sha256` is lower-case hex.
pub fn signing_text(timestamp_ms: i64, method: &str, path: &str, body_sha256: &str) -> String {
    format!("v1:{timestamp_ms}:{method}:{path}:{body_sha256}")
}

/// What a sandbox should be. Two equal specs under one name are one sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SandboxSpec {
    /// The repository, when the host must make it reachable (a path on the host's own disk). The runner clones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<RepoSpec>,
    /// Name of an earlier sandbox of the same session: this one takes over its workspace and state (it is stopped
    /// first). When nothing of it is left, this one starts fresh. The runner finds out by looking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// Environment of the runner; the host adds nothing of its own environment to it.
    pub env: BTreeMap<String, String>,
    /// For listing and reaping, e.g. `session`, `org`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Limits; the host applies what its platform allows and says in [`HostHealth`] what it does not.
    #[serde(default)]
    pub limits: SandboxLimits,
    /// What it may reach. `unsupported` where the host cannot keep to it.
    #[serde(default)]
    pub egress: EgressPolicy,
}

/// Which repository, at which branch (its default branch when `None`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct RepoSpec {
    /// Where it is.
    pub url: RepoUrl,
    /// Which branch to start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<Branch>,
}

/// Limits of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SandboxLimits {
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// Processes and threads.
    pub pids: u32,
    /// CPU, in thousandths of a core.
    pub cpu_millis: u32,
}

impl Default for SandboxLimits {
    fn default() -> Self {
        Self {
            memory_mib: 4096,
            pids: 2048,
            cpu_millis: 2000,
        }
    }
}

/// What the provider knows of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxStatus {
    /// The idempotency key, `sbx-{session}-{generation}`.
    pub name: String,
    /// Where it is in its life.
    pub state: SandboxState,
    /// When it was created; absent for `gone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// Why it exited or failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<String>,
    /// How it is kept apart from the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// The labels it was created with.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// A sandbox's life, as its provider sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxState {
    /// Accepted; its first process is not running yet.
    Creating,
    /// Its runner process runs.
    Running,
    /// Its runner process ended; files may still be there.
    Exited,
    /// It could not be made; `exit` says why.
    Failed,
    /// Not known here: never made, or removed.
    Gone,
}

/// Answer of the listing call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxList {
    /// All sandboxes that carry the label.
    pub sandboxes: Vec<SandboxStatus>,
}

/// How well a sandbox is kept apart from its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum Isolation {
    /// Own user, mount, pid and ipc namespaces (bubblewrap), and, where [`EgressSupport::Names`], an own network.
    Namespaces,
    /// A container or a virtual machine of its own.
    Container,
    /// Only a process group and a directory: code in it can read the host's files.
    None,
}

/// How well a host keeps to an egress policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EgressSupport {
    /// Connections are let through or refused by the name of the host.
    Names,
    /// Not at all: sandboxes share the host's network, and a spec with an allowlist is refused.
    None,
}

/// Answer of `GET /v1/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostHealth {
    /// Version of the host program.
    pub version: String,
    /// How sandboxes are isolated here.
    pub isolation: Isolation,
    /// What is missing and how to get it, when isolation or limits are weaker than they could be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// Which limits are enforced: any of `memory`, `pids`, `cpu`.
    pub limits: Vec<String>,
    /// What it can do about egress.
    pub egress: EgressSupport,
    /// Sandboxes that run now.
    pub running: u32,
    /// Sandboxes that may run at once.
    pub capacity: u32,
}

/// A provider's error, as JSON `{"error": {…}}` with a fitting HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[error("{message}")]
pub struct SandboxError {
    /// What kind, which decides what the session does next.
    pub kind: SandboxErrorKind,
    /// In words, for people.
    pub message: String,
    /// Wait so long before trying again, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<i64>,
}

/// Kinds of provider errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SandboxErrorKind {
    /// 503: try again.
    Transient,
    /// 429: try again later.
    RateLimited,
    /// 507: no room now.
    Capacity,
    /// 409: the name is taken by another spec.
    Conflict,
    /// 422: will never work.
    InvalidSpec,
    /// 401: the signature is wrong, old or used before.
    Auth,
    /// 501: this provider cannot do that.
    Unsupported,
}

/// The error body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxErrorBody {
    /// What went wrong.
    pub error: SandboxError,
}
