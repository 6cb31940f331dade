//! What the proxy of one sandbox goes by, and what it decides from that. Pure; the file is `egress.json` in the
//! sandbox's directory, read anew for each connection, so that a policy that is changed counts at once.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::http::Uri;
use errand_protocol::egress::{EgressPolicy, EgressReason, HostRule, host_name};
use serde::{Deserialize, Serialize};

use super::address::is_public;

/// What the proxy goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// What the sandbox may reach.
    pub policy: EgressPolicy,
    /// What it may reach besides: the control plane.
    pub control_planes: Vec<Origin>,
    /// Services of the host's own network that are reachable under a name.
    pub published: Vec<Published>,
}

/// Where a connection wants to go, besides the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A name, as [`host_name`] writes it.
    Name(String),
    /// An address that stands for no name.
    Address(IpAddr),
}

/// What becomes of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// To the control plane, wherever that is.
    ControlPlane(Origin),
    /// To exactly this address.
    Published(SocketAddr),
    /// To the host, if it is on the public internet.
    Public,
    /// Nowhere.
    Refused(EgressReason),
}

impl Settings {
    /// Decides about a connection.
    pub fn decide(&self, wanted: &Wanted, port: u16) -> Verdict {
        if let Some(origin) = self.control_planes.iter().find(|origin| origin.is(wanted, port)) {
            return Verdict::ControlPlane(origin.clone());
        }
        match wanted {
            Wanted::Address(address) if !is_public(*address) => Verdict::Refused(EgressReason::Private),
            Wanted::Address(_) if self.policy != EgressPolicy::Open => Verdict::Refused(EgressReason::Address),
            Wanted::Address(_) => Verdict::Public,
            Wanted::Name(name) if !self.allows(name, port) => Verdict::Refused(EgressReason::NotAllowed),
            Wanted::Name(name) => self
                .published
                .iter()
                .find_map(|published| published.at(name, port))
                .map_or(Verdict::Public, Verdict::Published),
        }
    }

    /// Whether the policy allows the name.
    pub fn allows(&self, name: &str, port: u16) -> bool {
        match &self.policy {
            EgressPolicy::Open => true,
            EgressPolicy::Allowlist { hosts } => hosts.iter().any(|rule: &HostRule| rule.matches(name, port)),
        }
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

/// Host and port of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// A name in lower case, or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Origin {
    fn is(&self, wanted: &Wanted, port: u16) -> bool {
        let host = match wanted {
            Wanted::Name(name) => *name == self.host,
            Wanted::Address(address) => self.address() == Some(*address),
        };
        host && port == self.port
    }

    /// Its address, when it was written as one.
    pub fn address(&self) -> Option<IpAddr> {
        if self.host == "localhost" {
            return Some(std::net::Ipv4Addr::LOCALHOST.into());
        }
        self.host.parse().ok()
    }

    /// Where to listen inside to make it reachable there: it is on a loopback, and inside that is another one.
    pub fn loopback(&self) -> Option<SocketAddr> {
        let address = self.address().filter(IpAddr::is_loopback)?;
        Some((address, self.port).into())
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let wrong = || format!("{url:?} is not the address of a control plane, like https://errand.example");
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let default = match uri.scheme_str() {
            Some("http" | "ws") => 80,
            Some("https" | "wss") => 443,
            Some(_) | None => return Err(wrong()),
        };
        let host = uri.host().ok_or_else(wrong)?;
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        let host = match literal.parse::<IpAddr>() {
            // Inside there is no IPv6 but the loopback's.
            Ok(IpAddr::V6(address)) if !address.is_loopback() => return Err(wrong()),
            Ok(address) => address.to_string(),
            Err(_) => host_name(host).ok_or_else(wrong)?,
        };
        let port = uri.port_u16().unwrap_or(default);
        Ok(Self { host, port })
    }
}

/// A service of the host's own network that sandboxes may reach under a name: `git.corp=10.0.0.5`,
/// `git.corp:443=10.0.0.5:8443`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    name: String,
    port: Option<u16>,
    address: IpAddr,
    at_port: Option<u16>,
}

impl Published {
    fn at(&self, name: &str, port: u16) -> Option<SocketAddr> {
        let meant = self.name == name && self.port.is_none_or(|own| own == port);
        meant.then(|| (self.address, self.at_port.unwrap_or(port)).into())
    }
}

impl FromStr for Published {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not written as name[:port]=address[:port]");
        let (from, to) = text.split_once('=').ok_or_else(wrong)?;
        let (name, port) = match from.split_once(':') {
            None => (from, None),
            Some((name, port)) => (name, Some(port.parse().map_err(|_| wrong())?)),
        };
        let name = host_name(name).ok_or_else(wrong)?;
        let (address, at_port) = match to.parse::<SocketAddr>() {
            Ok(at) => (at.ip(), Some(at.port())),
            Err(_) => (to.parse().map_err(|_| wrong())?, None),
        };
        Ok(Self {
            name,
            port,
            address,
            at_port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(policy: EgressPolicy) -> Settings {
        Settings {
            policy,
            control_planes: vec![
                "ws://127.0.0.1:8787".parse().unwrap(),
                "wss://errand.example/x".parse().unwrap(),
            ],
            published: vec!["git.corp:443=10.0.0.5:8443".parse().unwrap()],
        }
    }

    fn allowlist(hosts: &[&str]) -> EgressPolicy {
        EgressPolicy::Allowlist {
            hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        }
    }

    fn name(name: &str) -> Wanted {
        Wanted::Name(name.to_owned())
    }

    fn address(address: &str) -> Wanted {
        Wanted::Address(address.parse().unwrap())
    }

    #[test]
    fn an_allowlist_lets_through_what_it_names_and_the_control_plane() {
        let settings = settings(allowlist(&["a.example", "git.corp"]));
        assert_eq!(settings.decide(&name("a.example"), 443), Verdict::Public);
        assert_eq!(
            settings.decide(&name("b.example"), 443),
            Verdict::Refused(EgressReason::NotAllowed)
        );
        assert_eq!(
            settings.decide(&name("git.corp"), 443),
            Verdict::Published("10.0.0.5:8443".parse().unwrap())
        );
        assert_eq!(settings.decide(&name("git.corp"), 80), Verdict::Public);
        assert!(matches!(
            settings.decide(&name("errand.example"), 443),
            Verdict::ControlPlane(_)
        ));
        assert_eq!(
            settings.decide(&name("errand.example"), 444),
            Verdict::Refused(EgressReason::NotAllowed)
        );
        assert!(matches!(
            settings.decide(&address("127.0.0.1"), 8787),
            Verdict::ControlPlane(_)
        ));
        assert_eq!(
            settings.decide(&address("93.184.216.34"), 443),
            Verdict::Refused(EgressReason::Address)
        );
        assert_eq!(
            settings.decide(&address("169.254.169.254"), 80),
            Verdict::Refused(EgressReason::Private)
        );
    }

    #[test]
    fn open_is_the_public_internet_and_not_what_is_near_the_host() {
        let settings = settings(EgressPolicy::Open);
        assert_eq!(settings.decide(&name("anything.example"), 25), Verdict::Public);
        assert_eq!(settings.decide(&address("93.184.216.34"), 443), Verdict::Public);
        for near in ["127.0.0.1", "10.0.0.5", "192.168.0.1", "169.254.169.254"] {
            assert_eq!(
                settings.decide(&address(near), 80),
                Verdict::Refused(EgressReason::Private),
                "{near}"
            );
        }
    }

    #[test]
    fn an_origin_is_read_from_a_url() {
        let origin = |url: &str| {
            url.parse::<Origin>()
                .map(|o| (o.host.clone(), o.port, o.loopback().is_some()))
        };
        assert_eq!(
            origin("ws://127.0.0.1:8787").unwrap(),
            ("127.0.0.1".to_owned(), 8787, true)
        );
        assert_eq!(origin("http://localhost:1").unwrap(), ("localhost".to_owned(), 1, true));
        assert_eq!(
            origin("wss://Errand.example/").unwrap(),
            ("errand.example".to_owned(), 443, false)
        );
        assert_eq!(
            origin("http://192.168.0.2").unwrap(),
            ("192.168.0.2".to_owned(), 80, false)
        );
        assert_eq!(origin("http://[::1]:5").unwrap(), ("::1".to_owned(), 5, true));
        for bad in ["", "errand.example", "ftp://x", "https://", "http://[fd00::1]:5"] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_published_is_written_plainly() {
        for bad in ["", "a", "a=", "a=b", "=1.2.3.4", "a:x=1.2.3.4", "1.2.3.4=1.2.3.4"] {
            assert!(bad.parse::<Published>().is_err(), "{bad}");
        }
        let any: Published = "a.example=127.0.0.1".parse().unwrap();
        assert_eq!(any.at("a.example", 5), Some("127.0.0.1:5".parse().unwrap()));
        assert_eq!(any.at("b.example", 5), None);
    }
}
