//! Git through the control plane: what a runner is told of it, where a session's work was pushed, and the credentials
//! that an org stores for hosts of repositories.

use serde::{Deserialize, Serialize};

use crate::egress::host_name;
use crate::ids::UserId;
use crate::runner::GitAuthor;
use crate::text::{Branch, InvalidText};
use crate::time::Timestamp;

/// The longest path of a repository.
const MAX_PATH: usize = 300;
const MAX_SEGMENTS: usize = 20;
/// The longest credential.
const MAX_SECRET: usize = 4096;
const HOST: InvalidText = InvalidText::Shape("a git host is written as name or name:port; addresses are not allowed");
const PATTERN: InvalidText =
    InvalidText::Shape("repositories are written as owner/repo, or owner/* for all of an owner's");

/// How commits are signed with names, and where `origin` is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitSetup {
    /// Committer of what is committed in the sandbox.
    pub committer: GitAuthor,
    /// Whether commits name it as a co-author as well.
    #[serde(default)]
    pub co_author: bool,
    /// How the repository is reached through the control plane; absent: directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<GitProxy>,
}

/// A repository that is reached through the control plane, with the sandbox token as the credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitProxy {
    /// What `origin` is to be.
    pub origin: String,
    /// Addresses that lead to the control plane instead.
    pub rewrites: Vec<GitRewrite>,
    /// The session's branch: the only place for its pushes, with names that continue it by `-` or `/`.
    pub branch: Branch,
}

impl GitProxy {
    /// Where work is pushed that nobody has finished: beside the session's branch, which is the agent's.
    pub fn unfinished(&self) -> Result<Branch, InvalidText> {
        format!("{}-wip", self.branch).parse()
    }
}

/// Addresses that begin with `from` are found where `path` is the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitRewrite {
    /// E.g. `https://github.com/acme/app`.
    pub from: String,
    /// On the control plane, e.g. `/git/github.com/acme/app`.
    pub path: String,
    /// Whether one repository is meant: `from` alone, with `.git` or `/` behind it, and none whose name goes on.
    #[serde(default)]
    pub one: bool,
}

/// What a session pushed last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Pushed {
    /// To which branch.
    pub branch: Branch,
    /// Which commit, in hex.
    pub commit: String,
}

/// A host of repositories: a name in lower case, with a port where it is not the usual one. Never an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("pattern" = "^([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?[.])*[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?(:[1-9][0-9]{0,3})?$", "maxLength" = 120))
)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, type = "string"))]
pub struct GitHost(String);

impl GitHost {
    /// The name, and the port if there is one.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for GitHost {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        text.parse()
    }
}

impl std::str::FromStr for GitHost {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let (name, port) = match text.split_once(':') {
            None => (text, None),
            Some((name, port)) => (name, Some(port)),
        };
        let name = host_name(name).ok_or(HOST)?;
        let Some(port) = port else { return Ok(Self(name)) };
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let number = port.parse::<u16>().ok().filter(|number| digits && *number > 0);
        Ok(Self(format!("{name}:{}", number.ok_or(HOST)?)))
    }
}

impl From<GitHost> for String {
    fn from(host: GitHost) -> Self {
        host.0
    }
}

impl std::fmt::Display for GitHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether names of owners and repositories may have this character.
pub const fn is_name_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'~' | b'+')
}

/// A repository's path without `.git`; [`None`] for what has characters that are in no name ([`is_name_character`]), or
/// climbs.
pub fn repository_path(path: &str) -> Option<String> {
    let path = path.strip_suffix(".git").unwrap_or(path);
    let segment = |segment: &str| {
        let climbs = matches!(segment, "." | "..") || segment.starts_with('-');
        !segment.is_empty() && !climbs && segment.bytes().all(is_name_character)
    };
    let good = path.len() <= MAX_PATH && path.split('/').count() <= MAX_SEGMENTS && path.split('/').all(segment);
    good.then(|| path.to_owned())
}

/// Repositories of one host: `owner/repo`, or `owner/*` for all below.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("pattern" = "^[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*/([A-Za-z0-9_]+|[*])$", "maxLength" = 200))
)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, type = "string"))]
pub struct RepoPattern {
    path: String,
    below: bool,
}

impl RepoPattern {
    /// What the paths of all that is meant begin with: `owner/`, or `owner/repo`.
    pub fn beginning(&self) -> String {
        format!("{}{}", self.path, if self.below { "/" } else { "" })
    }

    /// Whether it means one repository.
    pub const fn is_one(&self) -> bool {
        !self.below
    }

    /// Whether a repository with this path is meant.
    pub fn matches(&self, path: &str) -> bool {
        if self.below {
            path.strip_prefix(self.path.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
        } else {
            path == self.path
        }
    }
}

impl TryFrom<String> for RepoPattern {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        let (path, below) = text
            .strip_suffix("/*")
            .map_or((text.as_str(), false), |path| (path, true));
        let path = repository_path(path).ok_or(PATTERN)?;
        if below || path.contains('/') {
            Ok(Self { path, below })
        } else {
            Err(PATTERN)
        }
    }
}

impl From<RepoPattern> for String {
    fn from(pattern: RepoPattern) -> Self {
        let below = if pattern.below { "/*" } else { "" };
        format!("{}{below}", pattern.path)
    }
}

/// A credential for a host of repositories. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("pattern" = "^[!-~]+$", "maxLength" = 4096))
)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, type = "string"))]
pub struct GitSecret(String);

impl GitSecret {
    /// The text, for sealing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for GitSecret {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        let text = text.trim().to_owned();
        if (1..=MAX_SECRET).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text))
        } else {
            Err(InvalidText::Shape(
                "a credential has 1 to 4096 printable ASCII characters and no spaces",
            ))
        }
    }
}

impl From<GitSecret> for String {
    fn from(secret: GitSecret) -> Self {
        secret.0
    }
}

impl std::fmt::Debug for GitSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GitSecret")
    }
}

/// The name that goes with a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("pattern" = "^[!-9;-~]+$", "maxLength" = 100))
)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, type = "string"))]
pub struct GitUsername(String);

impl GitUsername {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for GitUsername {
    /// What GitHub takes with any token, and GitLab as well.
    fn default() -> Self {
        Self("x-access-token".to_owned())
    }
}

impl TryFrom<String> for GitUsername {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        let good = (1..=100).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        if good {
            Ok(Self(text))
        } else {
            Err(InvalidText::Shape(
                "a user name has 1 to 100 printable ASCII characters, and no colon",
            ))
        }
    }
}

impl From<GitUsername> for String {
    fn from(name: GitUsername) -> Self {
        name.0
    }
}

/// Body of `PUT /api/admin/git-credentials/{host}` → 200 [`GitCredential`]. Replaces what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct PutGitCredential {
    /// Absent: `x-access-token`, which GitHub and GitLab take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<GitUsername>,
    /// The token. It is in no answer.
    pub secret: GitSecret,
    /// For which repositories it is used; empty: all of the host's.
    #[serde(default)]
    pub repositories: Vec<RepoPattern>,
}

/// A credential that is stored, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct GitCredential {
    /// For which host.
    pub host: GitHost,
    /// The name that goes with it.
    pub username: GitUsername,
    /// For which repositories; empty: all of the host's.
    pub repositories: Vec<RepoPattern>,
    /// When it was stored.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: UserId,
    /// When it was last used, to the hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
}

/// Answer of `GET /api/admin/git-credentials`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct GitCredentialList {
    /// Hosts for which one can be stored.
    pub hosts: Vec<GitHost>,
    /// Those that are.
    pub credentials: Vec<GitCredential>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_not_printed_and_has_no_spaces() {
        let secret = GitSecret::try_from(" ghp_x\n".to_owned()).unwrap();
        assert_eq!(secret.expose(), "ghp_x");
        assert_eq!(format!("{secret:?}"), "GitSecret");
        for bad in ["", " ", "a b", "a\nb", "\u{e9}", &"x".repeat(MAX_SECRET + 1)] {
            assert!(GitSecret::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        assert!(GitUsername::try_from("a:b".to_owned()).is_err());
    }

    #[test]
    fn a_host_is_a_name_in_one_spelling() {
        for (text, host) in [
            ("GitHub.com", "github.com"),
            ("git.example:8443", "git.example:8443"),
            ("a.b:080", "a.b:80"),
        ] {
            assert_eq!(text.parse::<GitHost>().unwrap().as_str(), host);
        }
        for bad in [
            "",
            "127.0.0.1",
            "[::1]",
            "a:0",
            "a:+1",
            "a:99999",
            "a:1:2",
            "a/b",
            "a@b",
            "https://a",
        ] {
            assert!(bad.parse::<GitHost>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_means_a_repository_or_all_of_an_owner() {
        let pattern = |text: &str| RepoPattern::try_from(text.to_owned());
        for (text, path, meant) in [
            ("acme/app", "acme/app", true),
            ("acme/app", "acme/app2", false),
            ("acme/*", "acme/app", true),
            ("acme/*", "acme/group/app", true),
            ("acme/*", "acme", false),
            ("acme/*", "acmeevil/app", false),
        ] {
            assert_eq!(pattern(text).unwrap().matches(path), meant, "{text} {path}");
        }
        assert_eq!(String::from(pattern("acme/*").unwrap()), "acme/*");
        for bad in ["", "*", "/*", "acme", "acme/../*", "acme/a*", "a b/c"] {
            assert!(pattern(bad).is_err(), "{bad}");
        }
    }
}
