//! What is about oneself, and one's API keys.

use errand_access::Action;
use errand_protocol::accounts::{
    ApiKeyList, ApiKeyMade, CreateApiKey, CreateOrg, Membership, OrgList, RedeemInvitation, SignInList, SwitchOrg,
};
use errand_protocol::api::Me;

use super::super::op::{Op, delete, get, post};
use super::word;

pub(super) fn oneself() -> Vec<Op> {
    vec![
        get("/api/auth/me", "getMe", "Who one is, and in which org one acts.")
            .may(Action::ReadSelf)
            .answers::<Me>(200),
        get("/api/auth/sign-ins", "listSignIns", "Where one is signed in.")
            .may(Action::ManageSelf)
            .answers::<SignInList>(200),
        delete("/api/auth/sign-ins", "endSignIns", "Signs out everywhere, here too.")
            .may(Action::ManageSelf)
            .nothing(),
        delete(
            "/api/auth/sign-ins/{id}",
            "endSignIn",
            "Signs one device out. Fine when it is out.",
        )
        .may(Action::ManageSelf)
        .nothing(),
        get("/api/orgs", "listOrgs", "The orgs that one is a member of.")
            .may(Action::ManageSelf)
            .answers::<OrgList>(200),
        post("/api/orgs", "createOrg", "Makes an org, and owns it: at most twenty.")
            .may(Action::WriteSettings)
            .keyed()
            .body::<CreateOrg>()
            .answers::<Membership>(201)
            .or(&[409]),
        post(
            "/api/auth/org",
            "switchOrg",
            "Acts in another of one's orgs from now on.",
        )
        .may(Action::ManageSelf)
        .body::<SwitchOrg>()
        .answers::<Me>(200)
        .or(&[404]),
        post("/api/auth/invitations", "redeemInvitation", "Joins an org.")
            .may(Action::ManageSelf)
            .body::<RedeemInvitation>()
            .answers::<Membership>(200)
            .or(&[404, 409]),
    ]
}

pub(super) fn keys() -> Vec<Op> {
    vec![
        get(
            "/api/keys",
            "listApiKeys",
            "One's keys; with `all=true` everybody's, to admins.",
        )
        .may(Action::ReadKeys)
        .query("all", word(&["true", "false"]), "Everybody's.")
        .answers::<ApiKeyList>(200),
        post("/api/keys", "createApiKey", "Makes a key. Only this answer has it.")
            .may(Action::WriteKeys)
            .keyed()
            .body::<CreateApiKey>()
            .answers::<ApiKeyMade>(201)
            .or(&[409]),
        delete(
            "/api/keys/{id}",
            "revokeApiKey",
            "Revokes a key, and those that it made. Fine when it is revoked.",
        )
        .may(Action::WriteKeys)
        .nothing(),
    ]
}
