//! Small values: ids from numbers, people, answers.

use std::collections::BTreeMap;

use errand_protocol::ids::{BudgetId, ConnId, InteractionId, MessageId, PartId, PromptId, SnapshotId, SpoolId};
use errand_protocol::interaction::{Answer, Ask, PermissionReply, Question, QuestionOption};
use errand_protocol::money::{BudgetNotice, Micros};
use errand_protocol::runner::{GitAuthor, RunnerSetup, SandboxToken, SnapshotSource};
use errand_protocol::sandbox::{Isolation, RepoSpec, SandboxError, SandboxErrorKind, SandboxState, SandboxStatus};
use errand_protocol::session::{Cause, Person};
use errand_protocol::time::Timestamp;
use errand_session::NewSession;

/// When stories begin, milliseconds since 1970.
pub const START: i64 = 1_800_000_000_000;
/// The one session's id.
pub const SESSION: &str = "ses_1";

/// Milliseconds as the machine wants them.
pub const fn time(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

macro_rules! numbered {
    ($($(#[$doc:meta])* $name:ident -> $id:ident;)*) => {
        $($(#[$doc])* pub fn $name(number: impl std::fmt::Display) -> $id {
            $id::from_body(&number.to_string()).unwrap()
        })*
    };
}

numbered! {
    /// A connection.
    conn_id -> ConnId;
    /// A spool file.
    spool_id -> SpoolId;
    /// A prompt.
    prompt_id -> PromptId;
    /// A message.
    message_id -> MessageId;
    /// A part.
    part_id -> PartId;
    /// An interaction.
    interaction_id -> InteractionId;
    /// A snapshot.
    snapshot_id -> SnapshotId;
}

/// A person by number.
pub fn person(number: usize) -> Person {
    let name = ["ada", "ben", "cyd"].get(number % 3).copied().unwrap_or("ada");
    Person {
        id: format!("usr_{name}").parse().unwrap(),
        name: name.to_owned(),
        email: format!("{name}@example.org"),
    }
}

/// The session that every story is about.
pub fn new_session() -> NewSession {
    NewSession {
        id: SESSION.parse().unwrap(),
        org: "org_1".parse().unwrap(),
        owner: person(0),
        title: "Fix the test".parse().unwrap(),
        titled_by_person: false,
        repo: Some(RepoSpec {
            url: "https://git.example/team/app".parse().unwrap(),
            branch: None,
        }),
        model: "demo/demo".parse().unwrap(),
        co_author: false,
        fork: None,
        sandbox: errand_protocol::settings::SandboxWish::default(),
        trigger: None,
        request: None,
    }
}

/// What a welcome says.
pub fn setup(snapshot: Option<SnapshotSource>) -> RunnerSetup {
    RunnerSetup {
        session_id: SESSION.parse().unwrap(),
        repo: None,
        model: "demo/demo".parse().unwrap(),
        providers: BTreeMap::new(),
        author: GitAuthor {
            name: String::new(),
            email: String::new(),
        },
        git: None,
        title: None,
        permissions: BTreeMap::new(),
        snapshot,
    }
}

/// A token that ends an hour from `now`.
pub fn token(now: i64) -> SandboxToken {
    SandboxToken {
        token: String::new(),
        expires_at: time(now + 3_600_000),
    }
}

/// What the provider says of a sandbox.
pub fn status(name: &str, state: SandboxState) -> SandboxStatus {
    let alive = matches!(state, SandboxState::Creating | SandboxState::Running);
    let there = state != SandboxState::Gone;
    SandboxStatus {
        name: name.to_owned(),
        state,
        created_at: None,
        exit: (there && !alive).then(|| "killed".to_owned()),
        isolation: alive.then_some(Isolation::Namespaces),
        labels: BTreeMap::new(),
    }
}

/// A provider's refusal.
pub fn refusal(kind: SandboxErrorKind) -> SandboxError {
    SandboxError {
        kind,
        message: "No room.".to_owned(),
        retry_after_ms: None,
    }
}

/// A cause.
pub fn cause(code: &str) -> Cause {
    Cause::new(code, "In words.")
}

/// What the engine asks.
pub fn ask(question: bool) -> Ask {
    if question {
        let option = |label: &str| QuestionOption {
            label: label.to_owned(),
            description: String::new(),
        };
        return Ask::Question {
            questions: vec![Question {
                header: "Colour".to_owned(),
                question: "Which?".to_owned(),
                options: vec![option("red"), option("blue")],
                multiple: false,
                custom: false,
            }],
        };
    }
    Ask::Permission {
        permission: "bash".to_owned(),
        patterns: vec![],
        command: Some("rm x".to_owned()),
        path: None,
        diff: None,
        always: vec![],
    }
}

/// A budget of which so much is spent; until when, for some numbers.
pub fn notice(number: u32, now: i64) -> BudgetNotice {
    BudgetNotice {
        budget: BudgetId::from_body(&format!("{}", number % 3)).unwrap(),
        what: "The budget".to_owned(),
        dimension: None,
        subject: None,
        limit: Micros(1_000),
        spent: Micros(950),
        until: number
            .is_multiple_of(2)
            .then(|| time(now + 1 + i64::from(number % 7_200_000))),
    }
}

/// An answer that fits (or, for some numbers, does not).
pub fn answer(ask: &Ask, number: usize) -> Answer {
    let reply = |reply| Answer::Permission { reply, message: None };
    match (ask, number % 8) {
        (Ask::Permission { .. }, 0..=3) => reply(PermissionReply::Once),
        (Ask::Permission { .. }, 4 | 5) => reply(PermissionReply::Reject),
        (Ask::Permission { .. } | Ask::Budget { .. }, 6) | (Ask::Question { .. }, 0) => Answer::Dismiss {},
        (Ask::Permission { .. }, _) => reply(PermissionReply::Always),
        (Ask::Question { .. }, 1..=3) => Answer::Question {
            answers: vec![vec!["red".to_owned()]],
        },
        (Ask::Question { .. }, _) => Answer::Question {
            answers: vec![vec!["blue".to_owned()]],
        },
        (Ask::Budget { notice }, _) => Answer::Extend {
            limit: notice.limit.plus(Micros(1)),
        },
    }
}
