//! What an org says of a repository ([`RepositoryPolicy`]), and secrets that sandboxes are given. Names, sizes and
//! shapes are checked here; who may say what, and which secret wins, is decided elsewhere.

use serde::{Deserialize, Deserializer, Serialize};

use crate::egress::{EgressPolicy, HostRule};
use crate::session::Person;
use crate::text::{InvalidText, RepoUrl};
use crate::time::Timestamp;

/// Longest set-up script, in bytes.
pub const MAX_SETUP_BYTES: usize = 64 * 1024;
/// Longest value of a secret, in bytes.
pub const MAX_SECRET_BYTES: usize = 32 * 1024;
/// Longest name of a secret, in bytes.
pub const MAX_SECRET_NAME_BYTES: usize = 100;
/// Secrets of one scope (an org, a repository, a person), and names that a policy may list.
pub const MAX_SECRETS: usize = 100;
/// Repositories that an org says something of.
pub const MAX_REPOSITORIES: usize = 1000;
/// A text shorter than this is not masked where the agent prints it: it would be found in every other word.
pub const SHORTEST_MASKED_BYTES: usize = 8;
/// So many characters a secret has at least, white space around it aside: all that is stored can be masked.
pub const MIN_SECRET_CHARACTERS: usize = SHORTEST_MASKED_BYTES;
/// What everybody who stores a secret is told.
pub const EXPOSED: &str = "A secret is given to sandboxes as an environment variable: the agent, what it runs and whoever \
    may prompt such a session can read it. It is masked where sessions are shown, as it is written and not in other forms.";

/// What holds for sessions on a repository. Body of `PUT /api/admin/repositories`, which replaces all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct RepositoryPolicy {
    /// Which repository; other ways to write its address mean the same ([`RepoUrl::key`]).
    pub url: RepoUrl,
    /// What its sandboxes may reach.
    #[serde(default)]
    pub egress: EgressPolicy,
    /// What to run in a new workspace before the agent starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<SetupScript>,
    /// Which secrets its sandboxes get, if they are stored: the session's owner's, else the repository's, else the org's.
    #[serde(default)]
    pub secrets: Vec<SecretName>,
}

impl RepositoryPolicy {
    /// What holds where nothing was said.
    pub const fn none(url: RepoUrl) -> Self {
        Self {
            url,
            egress: EgressPolicy::Open,
            setup: None,
            secrets: Vec::new(),
        }
    }
}

/// Answer of `PUT /api/admin/repositories` and of `GET` with `?url=`: the policy, and who said it when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct Repository {
    /// What holds.
    pub policy: RepositoryPolicy,
    /// When it was last changed; absent when nothing was ever said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<Person>,
}

/// Answer of `GET /api/admin/repositories`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct RepositoryList {
    /// Those of which something was said, by address.
    pub repositories: Vec<Repository>,
}

/// Body of `POST /api/sessions/:id/egress/allow` → 200 [`Repository`]: the session's repository may reach this as well,
/// in this sandbox and in all others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct AllowHost {
    /// What.
    pub host: HostRule,
}

/// Body of `PUT /api/secrets/:name` and `PUT /api/admin/secrets/:name`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct PutSecret {
    /// The value; no answer ever has it.
    pub value: SecretValue,
}

/// A stored secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct SecretInfo {
    /// Its name, which is that of the environment variable.
    pub name: SecretName,
    /// When it was last set.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: Person,
    /// Always: sandboxes that get it can read it.
    pub exposed: bool,
}

/// Answer of `GET /api/secrets` and `GET /api/admin/secrets[?url=]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct SecretList {
    /// By name.
    pub secrets: Vec<SecretInfo>,
    /// What to know before storing one ([`EXPOSED`]).
    pub warning: String,
}

/// The same rules as far as JSON Schema can say them.
#[cfg(feature = "schema")]
mod shapes {
    use schemars::Schema;

    use super::{MAX_SECRET_BYTES, MAX_SECRET_NAME_BYTES, MAX_SETUP_BYTES, MIN_SECRET_CHARACTERS};

    fn shape(schema: &mut Schema, pattern: &str, max: usize) {
        schema.insert("pattern".to_owned(), pattern.into());
        schema.insert("minLength".to_owned(), 1.into());
        schema.insert("maxLength".to_owned(), max.into());
    }

    pub(super) fn script(schema: &mut Schema) {
        shape(schema, r"^[^\u0000]*[^\s\u0000][^\u0000]*$", MAX_SETUP_BYTES);
    }

    pub(super) fn name(schema: &mut Schema) {
        shape(schema, "^[A-Z_][A-Z0-9_]*$", MAX_SECRET_NAME_BYTES);
    }

    pub(super) fn value(schema: &mut Schema) {
        shape(schema, r"^\s*[^\s\u0000][^\u0000]{6,}[^\s\u0000]\s*$", MAX_SECRET_BYTES);
        schema.insert("minLength".to_owned(), MIN_SECRET_CHARACTERS.into());
    }
}

/// A script for the shell: a first line with `#!` says for which, else it is `bash`, ending at the first command that
/// fails. Line ends are `\n`; at most [`MAX_SETUP_BYTES`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = shapes::script))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, type = "string"))]
pub struct SetupScript(String);

impl SetupScript {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SetupScript {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        const WHAT: &str = "the set-up script";
        if text.len() > MAX_SETUP_BYTES {
            return Err(InvalidText::TooLong {
                what: WHAT,
                max: MAX_SETUP_BYTES / 1024,
                unit: "KiB",
            });
        }
        if text.contains('\0') {
            return Err(InvalidText::Control(WHAT));
        }
        if text.trim().is_empty() {
            return Err(InvalidText::Empty(WHAT));
        }
        Ok(Self(text.replace("\r\n", "\n").replace('\r', "\n")))
    }
}

impl From<SetupScript> for String {
    fn from(script: SetupScript) -> Self {
        script.0
    }
}

/// Name of an environment variable that may be a secret's: `A-Z`, `0-9`, `_`, not beginning with a digit, and none that
/// the shell, the loader, git or Errand itself goes by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = shapes::name))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, type = "string"))]
pub struct SecretName(String);

/// Names that act on the programs in the sandbox instead of being read by the repository's own.
const RESERVED: [&str; 58] = [
    "_",
    "PATH",
    "HOME",
    "SHELL",
    "USER",
    "LOGNAME",
    "LANG",
    "PWD",
    "OLDPWD",
    "TMPDIR",
    "TMP",
    "TEMP",
    "IFS",
    "ENV",
    "BASH_ENV",
    "BASHOPTS",
    "SHELLOPTS",
    "PROMPT_COMMAND",
    "PS4",
    "NODE_OPTIONS",
    "BUN_OPTIONS",
    "PYTHONSTARTUP",
    "PYTHONPATH",
    "PYTHONHOME",
    "PERL5OPT",
    "PERL5LIB",
    "RUBYOPT",
    "RUBYLIB",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "MAVEN_OPTS",
    "GRADLE_OPTS",
    "RUSTFLAGS",
    "RUSTC_WRAPPER",
    "GLIBC_TUNABLES",
    "GCONV_PATH",
    "LOCPATH",
    "NLSPATH",
    "MALLOC_CONF",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SSLKEYLOGFILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_PROXY",
    "DOTNET_STARTUP_HOOKS",
    "HOSTALIASES",
    "LOCALDOMAIN",
    "RES_OPTIONS",
];
const RESERVED_PREFIXES: [&str; 10] = [
    "ERRAND_",
    "OPENCODE_",
    "LD_",
    "DYLD_",
    "GIT_",
    "XDG_",
    "LC_",
    "BASH_FUNC_",
    "OPENSSL_",
    "SSH_ASKPASS",
];

impl SecretName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SecretName {
    type Error = InvalidText;

    fn try_from(name: String) -> Result<Self, InvalidText> {
        let letters = name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        let digit_first = name.starts_with(|c: char| c.is_ascii_digit());
        if name.is_empty() || name.len() > MAX_SECRET_NAME_BYTES || !letters || digit_first {
            return Err(InvalidText::Shape(
                "a secret's name has 1 to 100 of A-Z, 0-9 and _, and does not begin with a digit",
            ));
        }
        let reserved =
            RESERVED.contains(&name.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if reserved {
            return Err(InvalidText::Shape(
                "this name is reserved: programs in the sandbox go by it",
            ));
        }
        Ok(Self(name))
    }
}

impl std::str::FromStr for SecretName {
    type Err = InvalidText;

    fn from_str(name: &str) -> Result<Self, InvalidText> {
        Self::try_from(name.to_owned())
    }
}

impl From<SecretName> for String {
    fn from(name: SecretName) -> Self {
        name.0
    }
}

impl std::fmt::Display for SecretName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value of a secret: [`MIN_SECRET_CHARACTERS`] characters to [`MAX_SECRET_BYTES`] bytes, no NUL. `Debug` does not print it; errors do not repeat it.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = shapes::value))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, type = "string"))]
pub struct SecretValue(String);

impl SecretValue {
    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SecretValue {
    type Error = InvalidText;

    fn try_from(value: String) -> Result<Self, InvalidText> {
        const WHAT: &str = "the secret";
        if value.is_empty() {
            return Err(InvalidText::Empty(WHAT));
        }
        if value.len() > MAX_SECRET_BYTES {
            return Err(InvalidText::TooLong {
                what: WHAT,
                max: MAX_SECRET_BYTES / 1024,
                unit: "KiB",
            });
        }
        if value.contains('\0') {
            return Err(InvalidText::Control(WHAT));
        }
        if value.trim().chars().count() < MIN_SECRET_CHARACTERS {
            return Err(InvalidText::Shape(
                "a secret has at least 8 characters: a shorter one could not be told from other words where it must not be \
                 shown; what is no secret can be set in the set-up script",
            ));
        }
        Ok(Self(value))
    }
}

impl<'de> Deserialize<'de> for SecretValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own complaint about another type would repeat what was sent.
        let value = serde_json::Value::deserialize(deserializer)?;
        let serde_json::Value::String(value) = value else {
            return Err(serde::de::Error::custom("the secret must be a text"));
        };
        Self::try_from(value).map_err(serde::de::Error::custom)
    }
}

impl std::fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretValue({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secrets_name_is_a_variable_that_nothing_else_goes_by() {
        for good in ["A", "NPM_TOKEN", "_X", "DATABASE_URL_2", "GITHUB_TOKEN", "PATHS"] {
            assert!(good.parse::<SecretName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "1A",
            "A-B",
            "A B",
            "A=B",
            "Ä",
            "A\n",
            "PATH",
            "_",
            "LD_PRELOAD",
            "GIT_SSH_COMMAND",
            "ERRAND_TOKEN",
            "NODE_OPTIONS",
            "BASH_ENV",
            "OPENCODE_CONFIG_CONTENT",
            "XDG_DATA_HOME",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "NO_PROXY",
            "http_proxy",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
            "NODE_EXTRA_CA_CERTS",
            "JAVA_TOOL_OPTIONS",
            "GLIBC_TUNABLES",
            "GCONV_PATH",
            "GIT_SSL_NO_VERIFY",
            "OPENSSL_CONF",
            "RES_OPTIONS",
            "DOTNET_STARTUP_HOOKS",
        ] {
            assert!(bad.parse::<SecretName>().is_err(), "{bad:?}");
        }
        assert!("A".repeat(101).parse::<SecretName>().is_err());
    }

    #[test]
    fn a_value_is_never_repeated() {
        let value = SecretValue::try_from("hunter2hunter2".to_owned()).unwrap();
        assert!(!format!("{value:?}").contains("hunter2"));
        for bad in [
            r#"{"value":""}"#.to_owned(),
            r#"{"value":"hunter2"}"#.to_owned(),
            r#"{"value":" hunter2  \n"}"#.to_owned(),
            r#"{"value":["hunter2"]}"#.to_owned(),
            r#"{"value":12345678}"#.to_owned(),
            r#"{"value":"hunter2\u0000"}"#.to_owned(),
            format!(r#"{{"value":"{}"}}"#, "hunter2".repeat(10_000)),
        ] {
            let said = serde_json::from_str::<PutSecret>(&bad).unwrap_err().to_string();
            assert!(!said.contains("hunter2") && !said.contains("12345678"), "{said}");
        }
    }

    #[test]
    fn a_policy_is_what_was_written_and_knows_no_other_fields() {
        let text = r#"{"url":"https://github.com/a/b","egress":{"mode":"allowlist","hosts":["*.npmjs.org"]},"setup":"npm ci","secrets":["NPM_TOKEN"]}"#;
        let policy: RepositoryPolicy = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&policy).unwrap(), text);
        let none: RepositoryPolicy = serde_json::from_str(r#"{"url":"/srv/a"}"#).unwrap();
        assert_eq!(none, RepositoryPolicy::none("/srv/a".parse().unwrap()));
        assert!(serde_json::from_str::<RepositoryPolicy>(r#"{"url":"/srv/a","allow":[]}"#).is_err());
        assert!(SetupScript::try_from("x".repeat(MAX_SETUP_BYTES + 1)).is_err());
        assert!(SetupScript::try_from(" \n".to_owned()).is_err());
    }
}
