//! Whom an installation lets in: the variable `ALLOWED_USERS`, a list of GitHub logins, e-mail addresses and
//! `@domains`, separated by commas or white space; `*` lets everybody in. An empty list lets nobody in.

/// The list, parsed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowList(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Everybody,
    /// Lower case.
    Login(String),
    /// Lower case.
    Email(String),
    /// Lower case, with the `@`.
    Domain(String),
}

/// Who wants in, as the provider knows them.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Their GitHub login; none elsewhere.
    pub github_login: Option<&'a str>,
    /// Addresses that the provider says are theirs. Unverified ones never belong here.
    pub verified_emails: &'a [String],
}

impl AllowList {
    /// Reads the variable.
    pub fn parse(text: &str) -> Self {
        let words = text.split(|c: char| c == ',' || c.is_whitespace());
        let words = words.map(str::to_lowercase).filter(|word| !word.is_empty());
        Self(words.map(Entry::of).collect())
    }

    /// Whether this person is on it.
    pub fn permits(&self, who: Candidate<'_>) -> bool {
        self.0.iter().any(|entry| match entry {
            Entry::Everybody => true,
            Entry::Login(login) => who.github_login.is_some_and(|own| own.to_lowercase() == *login),
            Entry::Email(email) => who.verified_emails.iter().any(|own| own.to_lowercase() == *email),
            Entry::Domain(domain) => who.verified_emails.iter().any(|own| domain_of(own) == *domain),
        })
    }
}

impl Entry {
    fn of(word: String) -> Self {
        match word.find('@') {
            _ if word == "*" => Self::Everybody,
            Some(0) => Self::Domain(word),
            Some(_) => Self::Email(word),
            None => Self::Login(word),
        }
    }
}

/// What follows the last `@`, with it: a quoted local part may hold others.
fn domain_of(email: &str) -> String {
    let at = email.rfind('@').unwrap_or(email.len());
    email.get(at..).unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(list: &str, login: Option<&str>, emails: &[&str]) -> bool {
        let emails: Vec<String> = emails.iter().map(ToString::to_string).collect();
        AllowList::parse(list).permits(Candidate {
            github_login: login,
            verified_emails: &emails,
        })
    }

    #[test]
    fn logins_addresses_and_domains_let_in_whatever_their_case() {
        let list = "Octocat, ada@x.example\n@Errand.Example";
        assert!(permits(list, Some("octoCAT"), &[]));
        assert!(permits(list, None, &["nobody@y.example", "Ada@X.example"]));
        assert!(permits(list, None, &["eve@errand.example"]));
        assert!(permits("*", None, &[]));
    }

    #[test]
    fn what_only_looks_like_an_entry_does_not() {
        let list = "octocat, ada@x.example, @errand.example";
        for (login, emails) in [
            (Some("octocat2"), vec![]),
            (None, vec!["octocat"]),
            (None, vec!["octocat@evil.example"]),
            (Some("ada@x.example"), vec![]),
            (None, vec!["xada@x.example"]),
            (None, vec!["a@sub.errand.example"]),
            (None, vec!["a@noterrand.example"]),
            (None, vec!["\"a@errand.example\"@evil.example"]),
            (None, vec![]),
        ] {
            assert!(!permits(list, login, &emails), "{login:?} {emails:?}");
        }
        assert!(!permits("", Some("octocat"), &["a@b.example"]));
        assert!(!permits(" , ", Some(""), &[""]));
    }
}
