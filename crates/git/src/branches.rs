//! What a session may change in its repository: branches of its own, and nothing else.

use errand_protocol::ids::SessionId;
use errand_protocol::text::Branch;

use crate::push::Command;

/// A session's own branches: `errand/{session}`, and what is called so with `-` or `/` and something behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branches {
    name: String,
}

impl Branches {
    /// Those of this session.
    pub fn of(session: &SessionId) -> Self {
        Self {
            name: format!("errand/{session}"),
        }
    }

    /// The one that is pushed to unless another is named.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this ref (its whole name) is one of them.
    pub fn has(&self, reference: &str) -> bool {
        let Some(branch) = reference.strip_prefix("refs/heads/") else {
            return false;
        };
        // Ids end at no fixed length: what follows must not make it another session's.
        let own = branch
            .strip_prefix(self.name.as_str())
            .is_some_and(|rest| rest.is_empty() || (rest.len() > 1 && rest.starts_with(['-', '/'])));
        own && branch.parse::<Branch>().is_ok_and(|parsed| parsed.as_str() == branch)
    }

    /// Why a change is refused, in words for the one who pushes; [`None`] when it is not.
    pub fn refusal(&self, command: &Command) -> Option<String> {
        let name = &self.name;
        if !self.has(&command.reference) {
            let what = if command.reference.starts_with("refs/tags/") {
                "no tags, only"
            } else {
                "only"
            };
            return Some(format!("Errand: this session pushes {what} to {name}"));
        }
        command
            .deletes()
            .then(|| "Errand: a session does not delete branches".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mine() -> Branches {
        Branches::of(&"ses_1".parse().unwrap())
    }

    #[test]
    fn a_sessions_branches_are_its_own_and_no_others() {
        for own in [
            "refs/heads/errand/ses_1",
            "refs/heads/errand/ses_1-fix",
            "refs/heads/errand/ses_1-wip",
            "refs/heads/errand/ses_1/fix/it",
        ] {
            assert!(mine().has(own), "{own}");
        }
        for other in [
            "refs/heads/main",
            "refs/heads/errand/ses_12",
            "refs/heads/errand/ses_2",
            "refs/heads/errand/ses_1-",
            "refs/heads/errand/ses_1/",
            "refs/heads/errand/ses_1/../../main",
            "refs/heads/errand/ses_1/.lock",
            "refs/heads/errand/ses_1-a b",
            "refs/heads/errand/ses_1-\u{7}",
            "refs/heads/refs/heads/errand/ses_1",
            "refs/tags/errand/ses_1",
            "refs/errand/ses_1",
            "errand/ses_1",
            "HEAD",
            "",
        ] {
            assert!(!mine().has(other), "{other}");
        }
    }

    #[test]
    fn the_refusal_says_where_to_push() {
        let command = |reference: &str, new: &str| Command {
            old: "0".repeat(40),
            new: new.repeat(40),
            reference: reference.to_owned(),
        };
        assert_eq!(mine().refusal(&command("refs/heads/errand/ses_1", "a")), None);
        let refusal = mine().refusal(&command("refs/heads/main", "a")).unwrap();
        assert_eq!(refusal, "Errand: this session pushes only to errand/ses_1");
        assert!(
            mine()
                .refusal(&command("refs/tags/v1", "a"))
                .unwrap()
                .contains("no tags")
        );
        assert!(
            mine()
                .refusal(&command("refs/heads/errand/ses_1", "0"))
                .unwrap()
                .contains("delete")
        );
    }
}
