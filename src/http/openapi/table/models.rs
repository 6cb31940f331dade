//! Models, and the provider keys that open them.

use errand_access::Action;
use errand_protocol::models::{ModelKey, ModelKeyList, ModelList, PutModelKey};

use super::super::op::{Op, delete, get, put};

pub(super) fn models() -> Vec<Op> {
    vec![
        get(
            "/api/models",
            "listModels",
            "What one's sessions can use, and what is locked.",
        )
        .may(Action::ListSessions)
        .answers::<ModelList>(200),
        get(
            "/api/model-keys",
            "listModelKeys",
            "One's provider keys, without the keys.",
        )
        .may(Action::WriteOwnSecrets)
        .answers::<ModelKeyList>(200),
        put(
            "/api/model-keys/{provider}",
            "setModelKey",
            "Stores a key of one's own after asking the provider.",
        )
        .may(Action::WriteOwnSecrets)
        .body::<PutModelKey>()
        .answers::<ModelKey>(200)
        .or(&[409, 429, 503]),
        delete(
            "/api/model-keys/{provider}",
            "removeModelKey",
            "Removes it. Fine when there is none.",
        )
        .may(Action::WriteOwnSecrets)
        .nothing()
        .or(&[422]),
        get(
            "/api/admin/model-keys",
            "listModelKeysOfOrg",
            "The org's provider keys.",
        )
        .may(Action::ReadSettings)
        .answers::<ModelKeyList>(200),
        put(
            "/api/admin/model-keys/{provider}",
            "setModelKeyOfOrg",
            "Stores a key of the org after asking the provider.",
        )
        .may(Action::WriteOrgSecrets)
        .body::<PutModelKey>()
        .answers::<ModelKey>(200)
        .or(&[409, 429, 503]),
        delete(
            "/api/admin/model-keys/{provider}",
            "removeModelKeyOfOrg",
            "Removes it. Fine when there is none.",
        )
        .may(Action::WriteOrgSecrets)
        .nothing()
        .or(&[422]),
    ]
}
