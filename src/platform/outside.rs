//! Addresses that people type and the Worker then asks: only what is on the public internet, by its name, over TLS.
//!
//! In development anything may be asked: models run on one's own machine. A name may still lead to an inner address:
//! Cloudflare's runtime and workerd's own network refuse to connect there, and no redirect is followed.

use errand_protocol::models::BaseUrl;
use worker::Url;

use crate::config::Environment;

/// Ends of names that no public name has.
const INNER: [&str; 12] = [
    "localhost",
    "local",
    "internal",
    "intranet",
    "lan",
    "home",
    "corp",
    "private",
    "home.arpa",
    "test",
    "invalid",
    "onion",
];

/// Why an address is not asked, in words.
pub fn refusal(environment: Environment, url: &BaseUrl) -> Option<&'static str> {
    let Ok(url) = Url::parse(url.as_str()) else {
        return Some("this is no address");
    };
    match environment {
        Environment::Development => None,
        Environment::Production if url.scheme() != "https" => Some("the address must begin with https://"),
        Environment::Production => inner(&url).then_some("the address must be a name on the public internet"),
    }
}

/// Whether the host has no public name. Numbers in whatever notation are no names: parsing has made addresses of them.
fn inner(url: &Url) -> bool {
    let Some(name) = url.domain() else { return true };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let below = |end: &str| name == end || name.strip_suffix(end).is_some_and(|rest| rest.ends_with('.'));
    !name.contains('.') || INNER.iter().any(|end| below(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(environment: Environment, url: &str) -> bool {
        let url = BaseUrl::try_from(url.to_owned()).unwrap();
        refusal(environment, &url).is_none()
    }

    #[test]
    fn in_production_only_public_names_over_tls_are_asked() {
        for good in ["https://models.example.com/v1", "https://api.example.co.uk:8443/x"] {
            assert!(allowed(Environment::Production, good), "{good}");
        }
        for bad in [
            "http://models.example.com/v1",
            "https://127.0.0.1/v1",
            "https://10.0.0.1",
            "https://169.254.169.254/latest",
            "https://[::1]/v1",
            "https://[fd00::1]/v1",
            "https://[::ffff:127.0.0.1]",
            "https://2130706433/v1",
            "https://0x7f.1/v1",
            "https://0177.0.0.1",
            "https://8.8.8.8/v1",
            "https://localhost/v1",
            "https://a.localhost",
            "https://localhost./v1",
            "https://metadata.google.internal/x",
            "https://printer.local",
            "https://db/v1",
            "https://nas.home.arpa",
            "https://LOCALHOST:8080",
        ] {
            assert!(!allowed(Environment::Production, bad), "{bad}");
        }
    }

    #[test]
    fn in_development_one_may_ask_ones_own_machine() {
        assert!(allowed(Environment::Development, "http://127.0.0.1:4000/v1"));
    }
}
