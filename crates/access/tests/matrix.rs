//! The whole policy as a table: every action × every kind of caller. A cell is `+` permitted, `.` it does not exist,
//! `-` known and forbidden, `!` nobody we know.

#![allow(
    clippy::unwrap_used,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "tests"
)]

use std::collections::BTreeMap;

use errand_access::{Action, Actor, Credential, Principal, Refusal, Resource, SessionResource, decide};
use errand_protocol::access::{GroupRole, Role, Scopes, Visibility};
use errand_protocol::ids::{OrgId, SessionId, UserId};
use errand_protocol::session::Person;
use errand_protocol::text::RepoUrl;

fn actor(name: &str, org: &str, role: Role, credential: Credential) -> Actor {
    Actor {
        person: Person {
            id: UserId::from_body(name).unwrap(),
            name: name.to_owned(),
            email: format!("{name}@x.invalid"),
        },
        org: OrgId::from_body(org).unwrap(),
        role,
        credential,
    }
}

fn signed_in() -> Credential {
    Credential::SignIn {
        id: "sgn_1".parse().unwrap(),
        expires_at: None,
    }
}

fn key(scopes: &[&str], repo: Option<&str>) -> Credential {
    let scopes = scopes.iter().map(ToString::to_string).collect::<Vec<_>>();
    Credential::ApiKey {
        id: "key_1".parse().unwrap(),
        scopes: Scopes::try_from(scopes).unwrap(),
        repo: repo.map(|url| url.parse().unwrap()),
        expires_at: None,
    }
}

const ALL_SCOPES: [&str; 6] = [
    "sessions:*",
    "prompts:write",
    "pulls:write",
    "workflows:*",
    "keys:*",
    "admin:*",
];

/// Who asks, in the order of the table's columns.
fn callers() -> Vec<Actor> {
    vec![
        // An owner of another org; then, in the session's org, by role; then the session's owner.
        actor("stranger", "other", Role::Owner, signed_in()),
        actor("viewer", "org", Role::Viewer, signed_in()),
        actor("member", "org", Role::Member, signed_in()),
        actor("admin", "org", Role::Admin, signed_in()),
        actor("chief", "org", Role::Owner, signed_in()),
        actor("maker", "org", Role::Member, signed_in()),
        // The session's owner after their role was taken down.
        actor("maker", "org", Role::Viewer, signed_in()),
        // Keys of the session's owner: all scopes; reading only; another repository's; this repository's.
        actor("maker", "org", Role::Member, key(&ALL_SCOPES, None)),
        actor("maker", "org", Role::Member, key(&["sessions:read"], None)),
        actor("maker", "org", Role::Member, key(&ALL_SCOPES, Some("/srv/other"))),
        actor("maker", "org", Role::Member, key(&ALL_SCOPES, Some("/srv/repo"))),
        // A key of an owner of the org, with all scopes.
        actor("chief", "org", Role::Owner, key(&ALL_SCOPES, None)),
    ]
}

fn cell(outcome: Result<(), Refusal>) -> char {
    match outcome {
        Ok(()) => '+',
        Err(Refusal::NotFound) => '.',
        Err(Refusal::Unauthenticated) => '!',
        Err(_) => '-',
    }
}

struct World {
    org: OrgId,
    session: SessionId,
    owner: UserId,
    repo: RepoUrl,
    guests: BTreeMap<UserId, Role>,
}

impl World {
    fn new(guests: &[(&str, Role)]) -> Self {
        Self {
            org: "org_org".parse().unwrap(),
            session: "ses_1".parse().unwrap(),
            owner: "usr_maker".parse().unwrap(),
            repo: "/srv/repo".parse().unwrap(),
            guests: guests
                .iter()
                .map(|(name, role)| (UserId::from_body(name).unwrap(), *role))
                .collect(),
        }
    }

    fn session(&self, visibility: Visibility) -> Resource<'_> {
        Resource::Session(SessionResource {
            id: &self.session,
            org: &self.org,
            owner: &self.owner,
            visibility,
            guests: &self.guests,
            repo: Some(&self.repo),
        })
    }

    const fn group(&self, standing: Option<GroupRole>) -> Resource<'_> {
        Resource::Group {
            org: &self.org,
            standing,
        }
    }

    /// What an action is done to, when it is not about a session.
    fn natural(&self, action: Action) -> Option<Resource<'_>> {
        use Action as A;
        match action {
            A::ReadSession
            | A::DownloadWork
            | A::ForkSession
            | A::Prompt
            | A::ManageSession
            | A::EndSession
            | A::ShareSession
            | A::AllowEgress
            | A::OpenPull
            | A::ActAsSandbox => None,
            A::ReadGroup | A::WriteGroupMembers => Some(self.group(Some(GroupRole::Member))),
            A::ReadSelf | A::ManageSelf => Some(Resource::Oneself),
            A::CreateSession => Some(Resource::NewSession {
                org: &self.org,
                repo: Some(&self.repo),
            }),
            A::ListSessions
            | A::ListenToFeed
            | A::RedeemShare
            | A::ReadKeys
            | A::WriteKeys
            | A::AdministerKeys
            | A::ReadMembers
            | A::WriteMembers
            | A::WriteOwners
            | A::ListGroups
            | A::ReadSettings
            | A::WriteSettings
            | A::ReadAudit
            | A::ReadUsage
            | A::ReadOrgUsage
            | A::WriteBudgets
            | A::WriteOwnSecrets
            | A::WriteOrgSecrets
            | A::ReadWorkflows
            | A::WriteWorkflows => Some(Resource::Org(&self.org)),
        }
    }
}

fn rows(actions: &[Action], resource: impl Fn(Action) -> Resource<'static>) -> String {
    let mut text = String::new();
    for action in actions {
        let resource = resource(*action);
        let cells: String = callers()
            .iter()
            .map(|actor| cell(decide(actor, *action, &resource)))
            .collect();
        text += &format!("{cells} {action:?}\n");
    }
    text
}

fn session_actions() -> Vec<Action> {
    let world = World::new(&[]);
    Action::ALL
        .into_iter()
        .filter(|action| world.natural(*action).is_none())
        .collect()
}

fn table(visibility: Visibility, guests: &[(&str, Role)]) -> String {
    let world = Box::leak(Box::new(World::new(guests)));
    rows(&session_actions(), |_| world.session(visibility))
}

/// Drops the indentation of a table.
fn plain(table: &str) -> String {
    table
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn a_private_session_is_its_owners_and_admins_may_look_and_end_it() {
    let expected = plain(
        "
        // stranger, viewer, member, admin, owner of the org, owner of it, the same as viewer, keys: all, read, other, this, chief's
        ...++++++.++ ReadSession
        ...--+-++.+- DownloadWork
        ...--+-+-.+- ForkSession
        ...--+-+-.+- Prompt
        ...+++-+-.++ ManageSession
        ...+++-+-.++ EndSession
        ...--+-+-.+- ShareSession
        ...++----.-+ AllowEgress
        ...--+-+-.+- OpenPull
        ............ ActAsSandbox
    ",
    );
    assert_eq!(table(Visibility::Private, &[]), expected);
    let guests = [("viewer", Role::Member), ("member", Role::Member)];
    assert_eq!(
        table(Visibility::Private, &guests),
        expected,
        "guests count only by link"
    );
    assert_eq!(
        table(Visibility::Link, &[]),
        expected,
        "a link that nobody redeemed shows nothing"
    );
}

#[test]
fn a_session_of_the_org_is_worked_on_by_its_members_and_seen_by_its_viewers() {
    let expected = plain(
        "
        .++++++++.++ ReadSession
        .-++++-++.++ DownloadWork
        .-++++-+-.++ ForkSession
        .-++++-+-.++ Prompt
        .--+++-+-.++ ManageSession
        .--+++-+-.++ EndSession
        .----+-+-.+- ShareSession
        .--++----.-+ AllowEgress
        .-++++-+-.++ OpenPull
        ............ ActAsSandbox
    ",
    );
    assert_eq!(table(Visibility::Org, &[]), expected);
}

#[test]
fn a_guest_is_what_the_link_says_and_never_more_than_in_the_org() {
    let world = World::new(&[
        ("viewer", Role::Member),
        ("member", Role::Viewer),
        ("stranger", Role::Member),
    ]);
    let session = world.session(Visibility::Link);
    let may =
        |name: &str, org: &str, role, action| cell(decide(&actor(name, org, role, signed_in()), action, &session));
    assert_eq!(may("viewer", "org", Role::Viewer, Action::ReadSession), '+');
    assert_eq!(may("viewer", "org", Role::Viewer, Action::Prompt), '-');
    assert_eq!(may("member", "org", Role::Member, Action::ReadSession), '+');
    assert_eq!(may("member", "org", Role::Member, Action::Prompt), '-');
    assert_eq!(may("member", "org", Role::Member, Action::EndSession), '-');
    assert_eq!(may("nobody", "org", Role::Member, Action::ReadSession), '.');
    assert_eq!(may("stranger", "other", Role::Owner, Action::ReadSession), '.');
}

#[test]
fn what_roles_and_keys_may_do_in_an_org() {
    let world: &'static World = Box::leak(Box::new(World::new(&[])));
    let actions: Vec<Action> = Action::ALL
        .into_iter()
        .filter(|action| world.natural(*action).is_some())
        .collect();
    let table = rows(&actions, |action| world.natural(action).unwrap());
    let expected = plain(
        "
        .+++++++++++ ListSessions
        .++++++++--+ ListenToFeed
        .-++++-+--++ CreateSession
        .++++++----- RedeemShare
        .-++++-+---+ ReadKeys
        .-++++-+---+ WriteKeys
        .--++------+ AdministerKeys
        .--++------+ ReadMembers
        .--++------+ WriteMembers
        .---+------+ WriteOwners
        .+++++++---+ ListGroups
        .--++------+ ReadSettings
        .--++------+ WriteSettings
        .--++------+ ReadAudit
        .++++++++--+ ReadUsage
        .--++------+ ReadOrgUsage
        .--++------+ WriteBudgets
        .-++++------ WriteOwnSecrets
        .--++------+ WriteOrgSecrets
        .+++++++---+ ReadWorkflows
        .-++++-+---+ WriteWorkflows
        // Of a group to which the caller belongs.
        .+++++++---+ ReadGroup
        .--++------+ WriteGroupMembers
        ++++++++++++ ReadSelf
        +++++++----- ManageSelf
    ",
    );
    assert_eq!(table, expected);
}

#[test]
fn a_group_is_seen_by_its_members_and_changed_by_its_admins() {
    let world = World::new(&[]);
    let may = |name, org, role, standing, action| {
        let actor = actor(name, org, role, signed_in());
        cell(decide(&actor, action, &world.group(standing)))
    };
    let (read, write) = (Action::ReadGroup, Action::WriteGroupMembers);
    for (standing, expected) in [
        (None, ['.', '.']),
        (Some(GroupRole::Member), ['+', '-']),
        (Some(GroupRole::Admin), ['+', '+']),
    ] {
        let cells = [read, write].map(|action| may("member", "org", Role::Member, standing, action));
        assert_eq!(cells, expected, "{standing:?}");
        let cells = [read, write].map(|action| may("chief", "org", Role::Admin, standing, action));
        assert_eq!(cells, ['+', '+'], "an admin of the org, {standing:?}");
        let cells = [read, write].map(|action| may("stranger", "other", Role::Owner, standing, action));
        assert_eq!(cells, ['.', '.'], "of another org, {standing:?}");
    }
    assert_eq!(may("viewer", "org", Role::Viewer, Some(GroupRole::Admin), write), '-');
}

#[test]
fn nobody_may_do_anything_without_being_known() {
    let world = World::new(&[("viewer", Role::Member)]);
    for action in Action::ALL {
        let resource = world.natural(action).unwrap_or(world.session(Visibility::Org));
        assert_eq!(
            decide(Principal::Anonymous, action, &resource),
            Err(Refusal::Unauthenticated)
        );
    }
}

#[test]
fn a_sandbox_may_be_its_own_sessions_and_nothing_else() {
    let world = World::new(&[]);
    let (other_session, other_org) = ("ses_2".parse().unwrap(), "org_other".parse().unwrap());
    let own = Principal::Sandbox {
        session: &world.session,
        org: &world.org,
    };
    for action in Action::ALL {
        let resource = world.natural(action).unwrap_or(world.session(Visibility::Org));
        let expected = if action == Action::ActAsSandbox { '+' } else { '!' };
        assert_eq!(cell(decide(own, action, &resource)), expected, "{action:?}");
    }
    for (session, org) in [(&other_session, &world.org), (&world.session, &other_org)] {
        let foreign = Principal::Sandbox { session, org };
        let outcome = decide(foreign, Action::ActAsSandbox, &world.session(Visibility::Org));
        assert_eq!(outcome, Err(Refusal::NotFound));
    }
}

#[test]
fn an_action_on_the_wrong_kind_of_thing_is_refused() {
    let world = World::new(&[]);
    let chief = actor("maker", "org", Role::Owner, signed_in());
    for action in Action::ALL {
        let wrong = match world.natural(action) {
            Some(Resource::Oneself | Resource::Group { .. }) | None => Resource::Org(&world.org),
            Some(_) => Resource::Oneself,
        };
        assert_eq!(decide(&chief, action, &wrong), Err(Refusal::NotFound), "{action:?}");
    }
}

#[test]
fn a_key_for_one_repository_makes_sessions_of_that_one_only() {
    let world = World::new(&[]);
    let bound = actor("maker", "org", Role::Member, key(&ALL_SCOPES, Some("/srv/repo")));
    let other = "/srv/other".parse().unwrap();
    let make = |repo| {
        let resource = Resource::NewSession { org: &world.org, repo };
        decide(&bound, Action::CreateSession, &resource)
    };
    assert_eq!(make(Some(&world.repo)), Ok(()));
    assert_eq!(make(Some(&other)), Err(Refusal::Repository));
    assert_eq!(make(None), Err(Refusal::Repository));
}

#[test]
fn a_refusal_says_what_is_lacking() {
    let world = World::new(&[]);
    let session = world.session(Visibility::Org);
    let reading = actor("maker", "org", Role::Member, key(&["sessions:read"], None));
    let refusal = decide(&reading, Action::Prompt, &session).unwrap_err();
    assert_eq!(refusal.to_string(), "this API key lacks the scope prompts:write");
    let viewer = actor("viewer", "org", Role::Viewer, signed_in());
    let refusal = decide(&viewer, Action::Prompt, &session).unwrap_err();
    assert!(refusal.to_string().contains("the role member"), "{refusal}");
}

#[test]
fn an_actor_is_the_same_after_a_header() {
    for actor in callers() {
        let json = serde_json::to_string(&actor).unwrap();
        assert_eq!(serde_json::from_str::<Actor>(&json).unwrap(), actor);
    }
}
