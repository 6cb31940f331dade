//! What an org says of its repositories, and secrets for sandboxes.

use errand_access::Action;
use errand_protocol::repository::{
    AllowHost, PutSecret, Repository, RepositoryList, RepositoryPolicy, SecretInfo, SecretList,
};
use serde_json::Value;

use super::super::op::{Op, delete, get, post, put};
use super::text;

pub(super) fn repositories() -> Vec<Op> {
    let mut all = policies();
    all.extend(own_secrets());
    all.extend(secrets_of_the_org());
    all
}

fn policies() -> Vec<Op> {
    vec![
        get(
            "/api/admin/repositories",
            "listRepositories",
            "What the org says of its repositories.",
        )
        .may(Action::ReadSettings)
        .query(
            "url",
            address(),
            "Only of this one: a `Repository` instead of the list.",
        )
        .answers::<OneOrAll>(200),
        put(
            "/api/admin/repositories",
            "setRepository",
            "Replaces what the org says of a repository. Running sandboxes go by its hosts from then on.",
        )
        .may(Action::WriteSettings)
        .body::<RepositoryPolicy>()
        .answers::<Repository>(200)
        .or(&[409]),
        post(
            "/api/sessions/{id}/egress/allow",
            "allowHost",
            "Lets sandboxes of the session's repository reach one more host.",
        )
        .may(Action::AllowEgress)
        .body::<AllowHost>()
        .answers::<Repository>(200)
        .or(&[409, 503]),
    ]
}

fn own_secrets() -> Vec<Op> {
    vec![
        get(
            "/api/secrets",
            "listOwnSecrets",
            "One's own secrets, without their values.",
        )
        .may(Action::WriteOwnSecrets)
        .answers::<SecretList>(200),
        put(
            "/api/secrets/{name}",
            "setOwnSecret",
            "Stores one of one's own. Sandboxes that get it can read it.",
        )
        .may(Action::WriteOwnSecrets)
        .body::<PutSecret>()
        .answers::<SecretInfo>(200)
        .or(&[409]),
        delete(
            "/api/secrets/{name}",
            "removeOwnSecret",
            "Removes one of one's own. Fine when there is none.",
        )
        .may(Action::WriteOwnSecrets)
        .nothing()
        .or(&[422]),
    ]
}

fn secrets_of_the_org() -> Vec<Op> {
    let whose = "Of this repository; otherwise the org's.";
    vec![
        get(
            "/api/admin/secrets",
            "listSecrets",
            "Secrets of the org or a repository, without their values.",
        )
        .may(Action::WriteOrgSecrets)
        .query("url", address(), whose)
        .answers::<SecretList>(200),
        put(
            "/api/admin/secrets/{name}",
            "setSecret",
            "Stores one of the org or a repository. Sandboxes that get it can read it.",
        )
        .may(Action::WriteOrgSecrets)
        .query("url", address(), whose)
        .body::<PutSecret>()
        .answers::<SecretInfo>(200)
        .or(&[409]),
        delete(
            "/api/admin/secrets/{name}",
            "removeSecret",
            "Removes one of the org or a repository. Fine when there is none.",
        )
        .may(Action::WriteOrgSecrets)
        .query("url", address(), whose)
        .nothing(),
    ]
}

fn address() -> Value {
    text(2048)
}

/// The list, or the one that was asked for.
#[derive(serde::Serialize, schemars::JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum OneOrAll {
    All(RepositoryList),
    One(Repository),
}
