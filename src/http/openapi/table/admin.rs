//! What was spent, and what those who answer for an org see and change.

use errand_access::Action;
use errand_protocol::accounts::{
    AuditPage, CreateInvitation, InvitationList, InvitationMade, Member, MemberList, PatchMember, PatchOrg,
};
use errand_protocol::api::OrgInfo;
use errand_protocol::git::{GitCredential, GitCredentialList, PutGitCredential};
use errand_protocol::groups::{Group, GroupDetail, GroupList, NameGroup, PutGroupMember};
use errand_protocol::money::{
    Budget, BudgetList, Estimate, NewBudget, PatchBudget, PriceList, UsageHistory, UsageReport,
};
use errand_protocol::settings::SettingsPatch;
use serde_json::json;

use super::super::op::{Content, Op, delete, get, patch, post, put};
use super::{cursor, text, whole, word};

pub(super) fn usage() -> Vec<Op> {
    vec![
        get(
            "/api/usage",
            "getUsage",
            "What this month cost, and how far budgets are used up.",
        )
        .may(Action::ReadUsage)
        .answers::<UsageReport>(200),
        get(
            "/api/usage/history",
            "getUsageHistory",
            "What days cost: one's own, or what admins ask for.",
        )
        .may(Action::ReadUsage)
        .query("dimension", dimensions(), "By what; otherwise `user`.")
        .query("subject", text(), "Of which one; otherwise oneself.")
        .query("days", whole(1, 366), "How many days back; otherwise 30.")
        .answers::<UsageHistory>(200),
        get(
            "/api/usage/estimate",
            "estimateUsage",
            "What turns on a repository cost and took lately.",
        )
        .may(Action::CreateSession)
        .query("repo", text(), "Its address; otherwise an empty workspace.")
        .query("model", text(), "With which model; otherwise with any.")
        .answers::<Estimate>(200),
        get("/api/admin/budgets", "listBudgets", "The org's budgets.")
            .may(Action::ReadOrgUsage)
            .answers::<BudgetList>(200),
        post("/api/admin/budgets", "createBudget", "Makes a budget.")
            .may(Action::WriteBudgets)
            .keyed()
            .body::<NewBudget>()
            .answers::<Budget>(201)
            .again::<Budget>()
            .or(&[409]),
        patch(
            "/api/admin/budgets/{id}",
            "changeBudget",
            "Gives a budget another limit.",
        )
        .may(Action::WriteBudgets)
        .body::<PatchBudget>()
        .answers::<Budget>(200),
        delete(
            "/api/admin/budgets/{id}",
            "removeBudget",
            "Removes a budget. Fine when there is none.",
        )
        .may(Action::WriteBudgets)
        .nothing(),
        get("/api/admin/prices", "getPrices", "The org's own prices.")
            .may(Action::ReadOrgUsage)
            .answers::<PriceList>(200),
        put("/api/admin/prices", "setPrices", "Replaces the org's own prices.")
            .may(Action::WriteBudgets)
            .body::<PriceList>()
            .answers::<PriceList>(200),
    ]
}

fn dimensions() -> serde_json::Value {
    word(&["org", "user", "session", "repository", "trigger", "turn", "model"])
}

pub(super) fn administration() -> Vec<Op> {
    let mut all = people();
    all.extend(groups());
    all.extend(settings());
    all.extend(git_credentials());
    all.push(audit());
    all
}

fn people() -> Vec<Op> {
    vec![
        patch("/api/admin/org", "renameOrg", "Gives the org another name.")
            .may(Action::WriteSettings)
            .body::<PatchOrg>()
            .answers::<OrgInfo>(200),
        cursor(
            get("/api/admin/members", "listMembers", "Who belongs to the org.").may(Action::ReadMembers),
            100,
            "How many; otherwise 100.",
        )
        .answers::<MemberList>(200),
        patch(
            "/api/admin/members/{id}",
            "changeMember",
            "Gives a member another role.",
        )
        .may(Action::WriteMembers)
        .body::<PatchMember>()
        .answers::<Member>(200)
        .or(&[409]),
        delete(
            "/api/admin/members/{id}",
            "removeMember",
            "Removes somebody from the org. Their sessions stay.",
        )
        .may(Action::WriteMembers)
        .nothing()
        .or(&[409]),
        get(
            "/api/admin/invitations",
            "listInvitations",
            "The org's last 500 invitations.",
        )
        .may(Action::ReadMembers)
        .answers::<InvitationList>(200),
        post(
            "/api/admin/invitations",
            "invite",
            "Invites somebody. Only this answer has the code.",
        )
        .may(Action::WriteMembers)
        .keyed()
        .body::<CreateInvitation>()
        .answers::<InvitationMade>(201)
        .or(&[409]),
        delete(
            "/api/admin/invitations/{id}",
            "uninvite",
            "Takes an invitation back that nobody has redeemed.",
        )
        .may(Action::WriteMembers)
        .nothing(),
    ]
}

fn groups() -> Vec<Op> {
    vec![
        get("/api/groups", "listGroups", "One's own groups; to admins all of them.")
            .may(Action::ListGroups)
            .answers::<GroupList>(200),
        post("/api/groups", "createGroup", "Makes a group.")
            .may(Action::WriteMembers)
            .keyed()
            .body::<NameGroup>()
            .answers::<Group>(201)
            .or(&[409]),
        get("/api/groups/{id}", "getGroup", "A group, and who belongs to it.")
            .may(Action::ReadGroup)
            .answers::<GroupDetail>(200),
        patch("/api/groups/{id}", "renameGroup", "Gives a group another name.")
            .may(Action::WriteMembers)
            .body::<NameGroup>()
            .answers::<Group>(200)
            .or(&[409]),
        delete(
            "/api/groups/{id}",
            "removeGroup",
            "Removes a group, with what was set for it.",
        )
        .may(Action::WriteMembers)
        .nothing(),
        put(
            "/api/groups/{id}/members/{user}",
            "putGroupMember",
            "Takes a member of the org into a group, or makes something else of them.",
        )
        .may(Action::WriteGroupMembers)
        .body::<PutGroupMember>()
        .nothing()
        .or(&[409]),
        delete(
            "/api/groups/{id}/members/{user}",
            "removeGroupMember",
            "Takes somebody out of a group. Fine when they are not in it.",
        )
        .may(Action::WriteGroupMembers)
        .nothing(),
    ]
}

fn settings() -> Vec<Op> {
    vec![
        get("/api/admin/settings", "getSettings", "What the org says.")
            .may(Action::ReadSettings)
            .answers::<SettingsPatch>(200),
        put("/api/admin/settings", "setSettings", "Replaces what the org says.")
            .may(Action::WriteSettings)
            .body::<SettingsPatch>()
            .answers::<SettingsPatch>(200),
        get(
            "/api/admin/settings/groups/{id}",
            "getSettingsOfGroup",
            "What the org says of one group.",
        )
        .may(Action::ReadSettings)
        .answers::<SettingsPatch>(200),
        put(
            "/api/admin/settings/groups/{id}",
            "setSettingsOfGroup",
            "Replaces what the org says of one group.",
        )
        .may(Action::WriteSettings)
        .body::<SettingsPatch>()
        .answers::<SettingsPatch>(200),
        get(
            "/api/admin/settings/users/{id}",
            "getSettingsOfUser",
            "What the org says of one member.",
        )
        .may(Action::ReadSettings)
        .answers::<SettingsPatch>(200),
        put(
            "/api/admin/settings/users/{id}",
            "setSettingsOfUser",
            "Replaces what the org says of one member.",
        )
        .may(Action::WriteSettings)
        .body::<SettingsPatch>()
        .answers::<SettingsPatch>(200),
    ]
}

fn git_credentials() -> Vec<Op> {
    vec![
        get(
            "/api/admin/git-credentials",
            "listGitCredentials",
            "The org's credentials for git hosts, without their secrets.",
        )
        .may(Action::WriteOrgSecrets)
        .answers::<GitCredentialList>(200),
        put(
            "/api/admin/git-credentials/{host}",
            "putGitCredential",
            "Stores the org's credential for a git host, in place of what was there.",
        )
        .may(Action::WriteOrgSecrets)
        .body::<PutGitCredential>()
        .answers::<GitCredential>(200),
        delete(
            "/api/admin/git-credentials/{host}",
            "removeGitCredential",
            "Removes the org's credential for a git host. Fine when there is none.",
        )
        .may(Action::WriteOrgSecrets)
        .nothing(),
    ]
}

fn audit() -> Op {
    let time = || json!({ "type": "string", "format": "date-time" });
    let page = get(
        "/api/admin/audit",
        "readAudit",
        "Who did what: every write, every use of a secret.",
    )
    .may(Action::ReadAudit)
    .query("limit", whole(1, 1000), "How many; otherwise 50.")
    .query(
        "cursor",
        json!({ "type": "string", "pattern": "^[A-Za-z0-9]{26}$" }),
        "What the page before gave; of a CSV in the header `x-next-cursor`.",
    )
    .query("user", text(), "By whom: an id.")
    .query(
        "action",
        text(),
        "What, as entries say it, or its beginning; several with commas between.",
    )
    .query("target", text(), "Of what: an id.")
    .query("outcome", text(), "How it ended, as entries say it.")
    .query("from", time(), "From when on.")
    .query("to", time(), "Until when.")
    .query("format", word(&["json", "csv"]), "As what; otherwise `json`.")
    .answers::<AuditPage>(200);
    with_csv(page)
}

fn with_csv(mut op: Op) -> Op {
    let answer = op.answers.last_mut().expect("it has one");
    answer.contents.push(Content::Other("text/csv"));
    op.header("x-next-cursor", "Of a CSV: where the next page begins.")
}
