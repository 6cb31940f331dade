//! Addresses: of repositories as people write them, and of requests to the proxy,
//! `/git/{host}/{owner}/{repo}.git/{endpoint}`.
//!
//! A request's address only chooses among repositories that are known otherwise; what is asked upstream is made from
//! checked pieces. Nothing is decoded: what needs an escape is no address of a repository here.

use errand_protocol::git::{GitHost, repository_path};
use errand_protocol::text::RepoUrl;

/// Where the proxy's addresses begin.
pub const PREFIX: &str = "/git/";

/// A repository of a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repository {
    /// Where.
    pub host: GitHost,
    /// `owner/repo` (or deeper), without `.git`.
    pub path: String,
}

impl Repository {
    /// What an `https://` (or `http://`) address means; [`None`] for paths of a disk, addresses without a name, and paths
    /// with anything but letters, digits, `.`, `_`, `-`, `~` and `+`.
    pub fn of_url(url: &RepoUrl) -> Option<Self> {
        let (host, path) = split(url)?;
        Some(Self {
            host: host.parse().ok()?,
            path: repository_path(path.trim_end_matches('/'))?,
        })
    }

    /// Its address on the proxy; `.git` may follow.
    pub fn proxied(&self) -> String {
        format!("{PREFIX}{}/{}", self.host, self.path)
    }
}

impl std::fmt::Display for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.host, self.path)
    }
}

/// Authority and path.
fn split(url: &RepoUrl) -> Option<(&str, &str)> {
    let text = url.as_str();
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    rest.split_once('/')
}

/// How git addresses a repository whose origin goes through the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// What stands in the repository's configuration.
    pub url: String,
    /// All ways to write its address, without `.git`.
    pub spellings: Vec<String>,
}

impl Origin {
    /// Of the repository at this address.
    pub fn of(url: &RepoUrl, repository: &Repository) -> Option<Self> {
        let (host, _) = split(url)?;
        let path = &repository.path;
        let scheme = url.as_str().split("://").next()?;
        let origin = format!("{scheme}://{host}/{path}.git");
        let name = repository.host.as_str().split(':').next()?;
        let mut spellings = vec![format!("{scheme}://{host}/{path}")];
        if host != repository.host.as_str() {
            spellings.push(format!("{scheme}://{}/{path}", repository.host));
        }
        spellings.push(format!("git@{name}:{path}"));
        spellings.push(format!("ssh://git@{name}/{path}"));
        Some(Self { url: origin, spellings })
    }
}

/// What git's client and server do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Clone and fetch.
    UploadPack,
    /// Push.
    ReceivePack,
}

impl Service {
    /// Its name in addresses and media types.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }
}

/// One of git's endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `GET …/info/refs?service=…`: what there is.
    Refs(Service),
    /// `POST …/git-…-pack`: the work.
    Pack(Service),
}

impl Endpoint {
    /// What for.
    pub const fn service(self) -> Service {
        match self {
            Self::Refs(service) | Self::Pack(service) => service,
        }
    }

    /// What follows the repository's address.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Refs(Service::UploadPack) => "info/refs?service=git-upload-pack",
            Self::Refs(Service::ReceivePack) => "info/refs?service=git-receive-pack",
            Self::Pack(service) => service.name(),
        }
    }

    /// The media type of its answer.
    pub fn answer_type(self) -> String {
        match self {
            Self::Refs(service) => format!("application/x-{}-advertisement", service.name()),
            Self::Pack(service) => format!("application/x-{}-result", service.name()),
        }
    }
}

/// What a request to the proxy is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which repository.
    pub repository: Repository,
    /// Which endpoint.
    pub endpoint: Endpoint,
}

/// What a request with this path (as it was sent) and query is about; [`None`] when it is none of git's.
pub fn wanted(path: &str, query: Option<&str>) -> Option<Wanted> {
    let rest = path.strip_prefix(PREFIX)?;
    let (host, rest) = rest.split_once('/')?;
    let (repository, endpoint) = match query {
        Some("service=git-upload-pack") => (rest.strip_suffix("/info/refs")?, Endpoint::Refs(Service::UploadPack)),
        Some("service=git-receive-pack") => (rest.strip_suffix("/info/refs")?, Endpoint::Refs(Service::ReceivePack)),
        Some(_) => return None,
        None => [Service::UploadPack, Service::ReceivePack]
            .into_iter()
            .find_map(|service| {
                let repository = rest.strip_suffix(service.name())?.strip_suffix('/')?;
                Some((repository, Endpoint::Pack(service)))
            })?,
    };
    let repository = Repository {
        host: host.parse().ok()?,
        path: repository_path(repository)?,
    };
    // One spelling per host: the name as it is compared.
    (repository.host.as_str() == host).then_some(Wanted { repository, endpoint })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(url: &str) -> Option<String> {
        let url: RepoUrl = url.parse().ok()?;
        Repository::of_url(&url).map(|repository| repository.to_string())
    }

    #[test]
    fn an_address_means_the_same_repository_however_it_is_written() {
        for same in [
            "https://github.com/acme/app",
            "https://github.com/acme/app.git",
            "https://GitHub.com/acme/app/",
            "http://github.com/acme/app.git/",
        ] {
            assert_eq!(repository(same).as_deref(), Some("github.com/acme/app"), "{same}");
        }
        assert_eq!(
            repository("https://git.example:8443/a/b/c.git").as_deref(),
            Some("git.example:8443/a/b/c")
        );
    }

    #[test]
    fn addresses_of_machines_disks_and_tricks_mean_none() {
        for none in [
            "/srv/repo",
            "file:///srv/repo",
            "https://127.0.0.1/a/b",
            "https://[::1]/a/b",
            "https://2130706433/a/b",
            "https://github.com",
            "https://github.com/",
            "https://github.com/a/../b",
            "https://github.com/a/%2e%2e/b",
            "https://github.com/a//b",
            "https://github.com/a/b?x=y",
            "https://github.com/a/b#c",
            "https://github.com:0/a/b",
            "https://github.com:+80/a/b",
        ] {
            assert_eq!(repository(none), None, "{none}");
        }
    }

    #[test]
    fn a_request_is_for_one_of_four_endpoints() {
        let of = |path, query| wanted(path, query).map(|wanted| (wanted.repository.to_string(), wanted.endpoint));
        let app = || "github.com/acme/app".to_owned();
        for (path, query, endpoint) in [
            (
                "/git/github.com/acme/app.git/info/refs",
                Some("service=git-upload-pack"),
                Endpoint::Refs(Service::UploadPack),
            ),
            (
                "/git/github.com/acme/app/info/refs",
                Some("service=git-receive-pack"),
                Endpoint::Refs(Service::ReceivePack),
            ),
            (
                "/git/github.com/acme/app.git/git-upload-pack",
                None,
                Endpoint::Pack(Service::UploadPack),
            ),
            (
                "/git/github.com/acme/app.git/git-receive-pack",
                None,
                Endpoint::Pack(Service::ReceivePack),
            ),
        ] {
            assert_eq!(of(path, query), Some((app(), endpoint)), "{path}");
        }
    }

    #[test]
    fn whatever_else_is_asked_is_no_request() {
        let refs = Some("service=git-upload-pack");
        for (path, query) in [
            ("/git/github.com/acme/app.git/info/refs", None),
            (
                "/git/github.com/acme/app.git/info/refs",
                Some("service=git-upload-pack&x=1"),
            ),
            ("/git/github.com/acme/app.git/info/refs", Some("service=git-shell")),
            ("/git/github.com/acme/app.git/git-upload-pack", Some("x")),
            ("/git/github.com/acme/app.git/HEAD", None),
            ("/git/github.com/acme/app.git/objects/info/packs", None),
            ("/git/github.com/acme/app.git/info/lfs/objects/batch", None),
            ("/git/github.com/info/refs", refs),
            ("/git/github.com//info/refs", refs),
            ("/git/github.com/../admin/info/refs", refs),
            ("/git/github.com/acme/../other/info/refs", refs),
            ("/git/github.com/acme%2f..%2fother/info/refs", refs),
            ("/git/github.com/acme/app%00/info/refs", refs),
            ("/git/https://evil.example/acme/app/info/refs", refs),
            ("/git/github.com@evil.example/acme/app/info/refs", refs),
            ("/git/GitHub.com/acme/app/info/refs", refs),
            ("/git/github.com./acme/app/info/refs", refs),
            ("/git/127.0.0.1/acme/app/info/refs", refs),
            ("/git/169.254.169.254/latest/meta-data/info/refs", refs),
            ("/git//acme/app/info/refs", refs),
            ("/gitx/github.com/acme/app/info/refs", refs),
            ("/git/github.com/-c/app/info/refs", refs),
        ] {
            assert_eq!(wanted(path, query), None, "{path}?{query:?}");
        }
        let long = format!("/git/github.com/{}/info/refs", "a/".repeat(400));
        assert_eq!(wanted(&long, refs), None);
    }

    #[test]
    fn a_repository_has_one_origin_and_is_written_in_several_ways() {
        let url: RepoUrl = "https://GitHub.com/acme/app.git/".parse().unwrap();
        let origin = Origin::of(&url, &Repository::of_url(&url).unwrap()).unwrap();
        assert_eq!(origin.url, "https://GitHub.com/acme/app.git");
        let spellings = [
            "https://GitHub.com/acme/app",
            "https://github.com/acme/app",
            "git@github.com:acme/app",
            "ssh://git@github.com/acme/app",
        ];
        assert_eq!(origin.spellings, spellings);
    }
}
