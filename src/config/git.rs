//! The hosts of repositories that the git proxy reaches: the variable `GIT_HOSTS`. Nothing else is ever asked, whatever
//! address a session names.

use errand_protocol::git::{GitHost, GitUsername, RepoPattern};
use errand_protocol::runner::GitAuthor;
use serde::Deserialize;

use super::{ConfigError, Environment, Secret, invalid};

const NAME: &str = "GIT_HOSTS";
/// Hosts that are reached when nothing else is said.
const USUAL: [&str; 3] = ["gitlab.com", "bitbucket.org", "codeberg.org"];

/// Whose sign-ins are good at a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GitProvider {
    /// GitHub's: the session's owner's own token is used.
    Github,
}

/// A host of repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitHostConfig {
    /// As it stands in repositories' addresses.
    pub host: GitHost,
    /// Where it is, without a slash at the end.
    pub url: String,
    /// Whose sign-ins are good there.
    pub provider: Option<GitProvider>,
    /// The installation's own credential there, for sessions whose owner and org have none.
    pub credential: Option<(GitUsername, Secret)>,
    /// Repositories that every session may read, besides its own.
    pub read: Vec<RepoPattern>,
}

/// All hosts that are reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GitHosts(Vec<GitHostConfig>);

/// An entry of the variable.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    host: GitHost,
    url: Option<String>,
    provider: Option<GitProvider>,
    username: Option<GitUsername>,
    secret: Option<Secret>,
    #[serde(default)]
    read: Vec<RepoPattern>,
}

impl GitHosts {
    /// What the variable says; when it is not set, the usual hosts, and the GitHub that people sign in with.
    pub(super) fn read(
        variable: Option<&str>,
        environment: Environment,
        github_url: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let Some(json) = variable else {
            return Ok(Self::usual(github_url));
        };
        let entries: Vec<Entry> = serde_json::from_str(json).map_err(|error| invalid(NAME, error.to_string()))?;
        let mut hosts: Vec<GitHostConfig> = Vec::with_capacity(entries.len());
        for entry in entries {
            let host = host_of(entry, environment)?;
            if hosts.iter().any(|known| known.host == host.host) {
                return Err(invalid(NAME, format!("{} stands there twice", host.host)));
            }
            hosts.push(host);
        }
        Ok(Self(hosts))
    }

    fn usual(github_url: Option<&str>) -> Self {
        let github = github_url
            .and_then(|url| url.split("://").nth(1))
            .unwrap_or("github.com");
        let plain = |host: GitHost, provider| GitHostConfig {
            url: format!("https://{host}"),
            host,
            provider,
            credential: None,
            read: Vec::new(),
        };
        let github = github.parse().ok().map(|host| plain(host, Some(GitProvider::Github)));
        let others = USUAL
            .iter()
            .filter_map(|name| name.parse().ok())
            .map(|host| plain(host, None));
        Self(github.into_iter().chain(others).collect())
    }

    /// The host of this name.
    pub fn get(&self, host: &GitHost) -> Option<&GitHostConfig> {
        self.0.iter().find(|known| known.host == *host)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &GitHostConfig> {
        self.0.iter()
    }

    /// Their names.
    pub fn names(&self) -> Vec<GitHost> {
        self.0.iter().map(|known| known.host.clone()).collect()
    }
}

fn host_of(entry: Entry, environment: Environment) -> Result<GitHostConfig, ConfigError> {
    let Entry {
        host,
        url,
        provider,
        username,
        secret,
        read,
    } = entry;
    let url = url.unwrap_or_else(|| format!("https://{host}"));
    let url = url.trim_end_matches('/').to_owned();
    let good = match environment {
        Environment::Development => url.starts_with("http://") || url.starts_with("https://"),
        Environment::Production => is_public(&url),
    };
    if !good {
        let why = format!("the url of {host} must be an https:// address of a public host");
        return Err(invalid(NAME, why));
    }
    Ok(GitHostConfig {
        host,
        url,
        provider,
        credential: secret.map(|secret| (username.unwrap_or_default(), secret)),
        read,
    })
}

/// Who commits: the variable's `Name <address>`, else "Errand" at the host of `origin`.
pub(super) fn committer(variable: Option<&str>, origin: &str) -> Result<GitAuthor, ConfigError> {
    let Some(text) = variable else {
        let authority = origin.split("://").nth(1).unwrap_or_default();
        let host = authority.split([':', '/']).next().unwrap_or_default();
        return Ok(GitAuthor {
            name: "Errand".to_owned(),
            email: format!("errand@{host}"),
        });
    };
    let pair = text.trim().strip_suffix('>').and_then(|rest| rest.split_once('<'));
    let plain = |part: &str| !part.trim().is_empty() && !part.contains(['<', '>']) && !part.contains(char::is_control);
    match pair {
        Some((name, email)) if plain(name) && plain(email) => Ok(GitAuthor {
            name: name.trim().to_owned(),
            email: email.trim().to_owned(),
        }),
        _ => Err(invalid("GIT_COMMITTER", "must be written as Name <address>")),
    }
}

/// Whether an address leads out: `https`, to a name (never a number) that is not one of a private network.
fn is_public(url: &str) -> bool {
    let authority = url.strip_prefix("https://").and_then(|rest| rest.split('/').next());
    let Some(Ok(host)) = authority.map(str::parse::<GitHost>) else {
        return false;
    };
    let name = host.as_str().split(':').next().unwrap_or_default();
    let private = ["localhost", "local", "internal", "lan", "home.arpa", "localdomain"];
    let below = |top: &&str| name == *top || name.strip_suffix(*top).is_some_and(|rest| rest.ends_with('.'));
    name.contains('.') && !private.iter().any(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROD: Environment = Environment::Production;

    fn read(json: &str, environment: Environment) -> Result<GitHosts, ConfigError> {
        GitHosts::read(Some(json), environment, None)
    }

    #[test]
    fn the_usual_hosts_are_reached_and_people_s_github_sign_ins_count_at_theirs() {
        let usual = GitHosts::read(None, PROD, None).unwrap();
        let github = usual.get(&"github.com".parse().unwrap()).unwrap();
        assert_eq!(
            (github.url.as_str(), github.provider),
            ("https://github.com", Some(GitProvider::Github))
        );
        assert_eq!(usual.get(&"gitlab.com".parse().unwrap()).unwrap().provider, None);
        let own = GitHosts::read(None, PROD, Some("https://github.acme.example")).unwrap();
        assert!(own.get(&"github.com".parse().unwrap()).is_none());
        assert!(own.get(&"github.acme.example".parse().unwrap()).is_some());
    }

    #[test]
    fn in_production_no_host_is_inside() {
        let at = |url: &str| format!(r#"[{{"host":"git.example","url":"{url}"}}]"#);
        assert!(read(&at("https://git.example:8443/base/"), PROD).is_ok());
        for bad in [
            "http://git.example",
            "https://127.0.0.1",
            "https://[::1]",
            "https://10.0.0.1:443",
            "https://localhost",
            "https://git.internal",
            "https://git",
            "https://x@git.example",
            "ftp://git.example",
            "git.example",
        ] {
            assert!(read(&at(bad), PROD).is_err(), "{bad}");
        }
        assert!(read(&at("http://127.0.0.1:1"), Environment::Development).is_ok());
    }

    #[test]
    fn the_committer_is_the_app_unless_it_is_named() {
        let named =
            |text| committer(text, "http://localhost:8787").map(|author| format!("{} <{}>", author.name, author.email));
        assert_eq!(named(None).unwrap(), "Errand <errand@localhost>");
        assert_eq!(
            named(Some("Acme Bot <bot@acme.example>")).unwrap(),
            "Acme Bot <bot@acme.example>"
        );
        for bad in ["Acme", "<a@b>", "Acme <>", "A <b> <c>", "a\nb <c>"] {
            assert!(named(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wrong_list_is_refused_and_a_secret_is_not_printed() {
        for bad in [
            "{}",
            r#"[{"host":"127.0.0.1"}]"#,
            r#"[{"host":"a.example"},{"host":"A.example"}]"#,
            r#"[{"host":"a.example","x":1}]"#,
        ] {
            assert!(read(bad, PROD).is_err(), "{bad}");
        }
        let with = read(r#"[{"host":"a.example","secret":"hunter2","read":["acme/*"]}]"#, PROD).unwrap();
        assert!(!format!("{with:?}").contains("hunter2"));
        assert_eq!(read("[]", PROD).unwrap().names(), []);
    }
}
