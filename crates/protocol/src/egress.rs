//! What a sandbox may reach over the network: the policy of the sandbox contract, and why something was refused.
//! Says only what is well formed; whether a connection is allowed is decided where sandboxes are made.

use serde::{Deserialize, Serialize};

use crate::text::InvalidText;

/// A policy names so many hosts at most.
pub const MAX_EGRESS_HOSTS: usize = 1000;
/// The longest name of a host.
pub const MAX_HOST_BYTES: usize = 253;

/// What a sandbox may reach. The control plane is always reachable; addresses that are not on the public internet never
/// are, whatever the policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum EgressPolicy {
    /// The public internet.
    #[default]
    Open,
    /// These hosts, by name.
    Allowlist {
        /// Which; at most [`MAX_EGRESS_HOSTS`].
        hosts: Vec<HostRule>,
    },
}

impl EgressPolicy {
    /// This policy with one more host; `None` when it allows it already.
    pub fn with(&self, host: HostRule) -> Option<Self> {
        let Self::Allowlist { hosts } = self else { return None };
        if hosts.iter().any(|known| known.covers(&host)) {
            return None;
        }
        let mut hosts = hosts.clone();
        hosts.push(host);
        Some(Self::Allowlist { hosts })
    }
}

/// Hosts that may be reached: `registry.npmjs.org`, `*.pypi.org` (every name below, at any depth, but not `pypi.org`
/// itself), `github.com:22`. Without a port, 80 and 443.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, type = "string"))]
pub struct HostRule {
    /// The name in lower case, without `*.`.
    name: String,
    below: bool,
    port: Option<u16>,
}

impl HostRule {
    /// Ports of a rule that names none.
    pub const DEFAULT_PORTS: [u16; 2] = [80, 443];

    /// Whether a host of this name (lower case) and port is meant.
    pub fn matches(&self, host: &str, port: u16) -> bool {
        let name = if self.below {
            host.strip_suffix(self.name.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            host == self.name
        };
        name && self
            .port
            .map_or_else(|| Self::DEFAULT_PORTS.contains(&port), |own| own == port)
    }

    /// Whether everything that `other` means is meant by this rule as well.
    pub fn covers(&self, other: &Self) -> bool {
        let names = match (self.below, other.below) {
            (false, true) => false,
            (false, false) => self.name == other.name,
            (true, _) => {
                let deeper = other
                    .name
                    .strip_suffix(self.name.as_str())
                    .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'));
                deeper || (other.below && self.name == other.name)
            }
        };
        let ports = match (self.port, other.port) {
            (own, others) if own == others => true,
            (None, Some(port)) => Self::DEFAULT_PORTS.contains(&port),
            (Some(_), _) | (None, None) => false,
        };
        names && ports
    }
}

impl TryFrom<String> for HostRule {
    type Error = InvalidText;

    fn try_from(value: String) -> Result<Self, InvalidText> {
        const SHAPE: InvalidText =
            InvalidText::Shape("a host is written as name, *.name or name:port; addresses are not allowed");
        let (host, port) = match value.split_once(':') {
            None => (value.as_str(), None),
            Some((host, port)) => (
                host,
                Some(port.parse::<u16>().ok().filter(|port| *port > 0).ok_or(SHAPE)?),
            ),
        };
        let (name, below) = host.strip_prefix("*.").map_or((host, false), |name| (name, true));
        let name = host_name(name).ok_or(SHAPE)?;
        Ok(Self { name, below, port })
    }
}

impl std::str::FromStr for HostRule {
    type Err = InvalidText;

    fn from_str(value: &str) -> Result<Self, InvalidText> {
        Self::try_from(value.to_owned())
    }
}

impl From<HostRule> for String {
    fn from(rule: HostRule) -> Self {
        rule.to_string()
    }
}

impl std::fmt::Display for HostRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let below = if self.below { "*." } else { "" };
        write!(f, "{below}{}", self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A host's name in lower case, without a dot at the end; `None` for what is no name, addresses included.
pub fn host_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // The last label of a name is never a number: `1.2.3.4`, `0x7f.1` and `2130706433` are addresses to many programs.
    let top = name.rsplit('.').next()?;
    let number = top.starts_with(|c: char| c.is_ascii_digit());
    (name.len() <= MAX_HOST_BYTES && name.split('.').all(label) && !number).then_some(name)
}

/// What a sandbox wanted to reach and was not let through to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EgressRefusal {
    /// The name, or the address when it was used instead of a name.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Why.
    pub reason: EgressReason,
}

/// Why a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum EgressReason {
    /// The policy does not name it; a person may allow it.
    NotAllowed,
    /// An address instead of a name, where the policy goes by names.
    Address,
    /// It is not on the public internet: this machine, its network, a cloud's metadata service. Cannot be allowed.
    Private,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> HostRule {
        text.parse().unwrap()
    }

    #[test]
    fn a_rule_means_its_own_names_and_ports_and_no_others() {
        for (text, host, port, meant) in [
            ("registry.npmjs.org", "registry.npmjs.org", 443, true),
            ("registry.npmjs.org", "registry.npmjs.org", 80, true),
            ("registry.npmjs.org", "registry.npmjs.org", 22, false),
            ("registry.npmjs.org", "evil-registry.npmjs.org", 443, false),
            ("registry.npmjs.org", "registry.npmjs.org.evil.example", 443, false),
            ("*.pypi.org", "files.pypi.org", 443, true),
            ("*.pypi.org", "a.b.pypi.org", 443, true),
            ("*.pypi.org", "pypi.org", 443, false),
            ("*.pypi.org", "evilpypi.org", 443, false),
            ("*.pypi.org", ".pypi.org", 443, false),
            ("github.com:22", "github.com", 22, true),
            ("github.com:22", "github.com", 443, false),
            ("GitHub.com.", "github.com", 443, true),
        ] {
            assert_eq!(rule(text).matches(host, port), meant, "{text} {host}:{port}");
        }
    }

    #[test]
    fn a_rule_covers_those_that_mean_less() {
        for (wide, narrow, covers) in [
            ("a.example", "a.example", true),
            ("a.example", "a.example:443", true),
            ("a.example", "a.example:22", false),
            ("a.example:443", "a.example", false),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "*.a.example.com", true),
            ("*.example.com", "*.example.com", true),
            ("*.example.com", "example.com", false),
            ("a.example.com", "*.example.com", false),
        ] {
            assert_eq!(rule(wide).covers(&rule(narrow)), covers, "{wide} {narrow}");
        }
    }

    #[test]
    fn addresses_and_nonsense_are_no_rules() {
        for bad in [
            "",
            "*",
            "*.",
            "1.2.3.4",
            "2130706433",
            "0x7f.1",
            "[::1]",
            "::1",
            "a b",
            "a.example:0",
            "a.example:99999",
            "a..b",
            "-a.example",
            "https://a.example",
            "*.*.example",
            "a.example:443:1",
            "a.example/",
            "1.2.3.4:80",
        ] {
            assert!(bad.parse::<HostRule>().is_err(), "{bad}");
        }
        assert!("x".repeat(254).parse::<HostRule>().is_err());
    }

    #[test]
    fn a_policy_is_written_as_the_contract_says() {
        let text = r#"{"mode":"allowlist","hosts":["registry.npmjs.org","*.pypi.org","github.com:22"]}"#;
        let policy: EgressPolicy = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&policy).unwrap(), text);
        assert_eq!(
            serde_json::from_str::<EgressPolicy>(r#"{"mode":"open"}"#).unwrap(),
            EgressPolicy::Open
        );
        assert!(serde_json::from_str::<EgressPolicy>(r#"{"mode":"closed"}"#).is_err());
    }
}
