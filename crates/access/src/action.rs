//! What can be wanted, and what each needs: one row per action.

use errand_protocol::access::{GroupRole, Role, Scope};
use errand_protocol::viewer::Command;

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    // Of one session.
    /// Look: summary, log, transcript, stream, presence.
    ReadSession,
    /// Take the whole work away: a snapshot, files.
    DownloadWork,
    /// Continue it as a session of one's own.
    ForkSession,
    /// Prompt and steer: prompts, the queue, answers, stopping a turn, waking and resting the sandbox.
    Prompt,
    /// Name it, put it away, take it back out.
    ManageSession,
    /// End it for good.
    EndSession,
    /// Change who sees it.
    ShareSession,
    /// Let its repository's sandboxes reach one more host.
    AllowEgress,
    /// Open or change its pull request.
    OpenPull,
    /// Be its sandbox: the runner's link, snapshots, the LLM and git proxies.
    ActAsSandbox,

    // Of an org.
    /// See which sessions there are, as far as one may see each; the repositories used.
    ListSessions,
    /// Hear of changes among them as they happen.
    ListenToFeed,
    /// Make a session.
    CreateSession,
    /// Redeem a share link.
    RedeemShare,
    /// See one's own API keys.
    ReadKeys,
    /// Make and revoke API keys of one's own.
    WriteKeys,
    /// See and revoke everybody's API keys.
    AdministerKeys,
    /// See members, groups and invitations.
    ReadMembers,
    /// Change members below owner, groups and invitations.
    WriteMembers,
    /// Make and unmake owners; remove the org.
    WriteOwners,
    /// See groups, as far as one belongs to them.
    ListGroups,
    /// See settings and limits.
    ReadSettings,
    /// Change them.
    WriteSettings,
    /// Read and export the audit log.
    ReadAudit,
    /// See what one has used oneself.
    ReadUsage,
    /// See what everybody has used.
    ReadOrgUsage,
    /// Change budgets, and grant their extension.
    WriteBudgets,
    /// Store and remove one's own provider keys and secrets.
    WriteOwnSecrets,
    /// Store and remove those of the org.
    WriteOrgSecrets,
    /// See workflows, triggers and executions.
    ReadWorkflows,
    /// Change and run them.
    WriteWorkflows,

    // Of one group.
    /// See who belongs to it.
    ReadGroup,
    /// Take people in and out.
    WriteGroupMembers,

    // Of oneself.
    /// Who am I?
    ReadSelf,
    /// One's own sign-ins, orgs and preferences: what a person does and no script.
    ManageSelf,
}

/// What an action is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// One session; with what one has to be to it.
    Session(Standing),
    /// An org.
    Org,
    /// One group; with what one has to be in it, unless one is an admin of the org.
    Group(GroupRole),
    /// The one who asks.
    Oneself,
    /// One session, for its sandbox alone.
    OwnSandbox,
}

/// What one has to be to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Sees it.
    Reader,
    /// Works on it: its owner, and those with whom it is shared.
    Participant,
    /// Answers for it: its owner, and the org's admins.
    Overseer,
    /// It is theirs.
    Owner,
}

/// By which credentials an action can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A sign-in, or an API key with this scope.
    Scope(Scope),
    /// A sign-in, or any API key.
    Any,
    /// A sign-in only.
    Person,
}

/// What an action needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) about: About,
    pub(crate) role: Role,
    pub(crate) by: By,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 35] = [
        Self::ReadSession,
        Self::DownloadWork,
        Self::ForkSession,
        Self::Prompt,
        Self::ManageSession,
        Self::EndSession,
        Self::ShareSession,
        Self::AllowEgress,
        Self::OpenPull,
        Self::ActAsSandbox,
        Self::ListSessions,
        Self::ListenToFeed,
        Self::CreateSession,
        Self::RedeemShare,
        Self::ReadKeys,
        Self::WriteKeys,
        Self::AdministerKeys,
        Self::ReadMembers,
        Self::WriteMembers,
        Self::WriteOwners,
        Self::ListGroups,
        Self::ReadSettings,
        Self::WriteSettings,
        Self::ReadAudit,
        Self::ReadUsage,
        Self::ReadOrgUsage,
        Self::WriteBudgets,
        Self::WriteOwnSecrets,
        Self::WriteOrgSecrets,
        Self::ReadWorkflows,
        Self::WriteWorkflows,
        Self::ReadGroup,
        Self::WriteGroupMembers,
        Self::ReadSelf,
        Self::ManageSelf,
    ];

    /// The least role that can do it.
    pub const fn least_role(self) -> Role {
        self.needs().role
    }

    /// By which credentials it can be done.
    pub const fn by(self) -> By {
        self.needs().by
    }

    /// What a viewer's command asks for.
    pub const fn of_command(command: &Command) -> Self {
        match command {
            Command::Prompt { .. }
            | Command::EditPrompt { .. }
            | Command::WithdrawPrompt { .. }
            | Command::MovePrompt { .. }
            | Command::PromotePrompt { .. }
            | Command::Abort { .. }
            | Command::Answer { .. }
            | Command::Retry {}
            | Command::Pause {}
            | Command::Resume {} => Self::Prompt,
            Command::Rename { .. } | Command::Archive {} | Command::Restore {} => Self::ManageSession,
            Command::Share { .. } => Self::ShareSession,
            Command::Terminate {} => Self::EndSession,
        }
    }

    #[expect(clippy::match_same_arms, reason = "one row per action, in the order of the enum")]
    pub(crate) const fn needs(self) -> Needs {
        use {By as B, GroupRole as G, Role as R, Scope as S, Standing as St};
        let (about, role, by) = match self {
            Self::ReadSession => (About::Session(St::Reader), R::Viewer, B::Scope(S::SessionsRead)),
            Self::DownloadWork => (About::Session(St::Participant), R::Member, B::Scope(S::SessionsRead)),
            Self::ForkSession => (About::Session(St::Participant), R::Member, B::Scope(S::SessionsWrite)),
            Self::Prompt => (About::Session(St::Participant), R::Member, B::Scope(S::PromptsWrite)),
            Self::ManageSession => (About::Session(St::Overseer), R::Member, B::Scope(S::SessionsWrite)),
            Self::EndSession => (About::Session(St::Overseer), R::Member, B::Scope(S::SessionsWrite)),
            Self::ShareSession => (About::Session(St::Owner), R::Member, B::Scope(S::SessionsWrite)),
            Self::AllowEgress => (About::Session(St::Overseer), R::Admin, B::Scope(S::AdminWrite)),
            Self::OpenPull => (About::Session(St::Participant), R::Member, B::Scope(S::PullsWrite)),
            Self::ActAsSandbox => (About::OwnSandbox, R::Viewer, B::Person),
            Self::ListSessions | Self::ListenToFeed => (About::Org, R::Viewer, B::Scope(S::SessionsRead)),
            Self::CreateSession => (About::Org, R::Member, B::Scope(S::SessionsWrite)),
            Self::RedeemShare => (About::Org, R::Viewer, B::Person),
            Self::ReadKeys => (About::Org, R::Member, B::Scope(S::KeysRead)),
            Self::WriteKeys => (About::Org, R::Member, B::Scope(S::KeysWrite)),
            Self::AdministerKeys => (About::Org, R::Admin, B::Scope(S::AdminWrite)),
            Self::ReadMembers => (About::Org, R::Admin, B::Scope(S::AdminRead)),
            Self::WriteMembers => (About::Org, R::Admin, B::Scope(S::AdminWrite)),
            Self::WriteOwners => (About::Org, R::Owner, B::Scope(S::AdminWrite)),
            Self::ListGroups => (About::Org, R::Viewer, B::Scope(S::AdminRead)),
            Self::ReadSettings => (About::Org, R::Admin, B::Scope(S::AdminRead)),
            Self::WriteSettings => (About::Org, R::Admin, B::Scope(S::AdminWrite)),
            Self::ReadAudit => (About::Org, R::Admin, B::Scope(S::AdminRead)),
            Self::ReadUsage => (About::Org, R::Viewer, B::Scope(S::SessionsRead)),
            Self::ReadOrgUsage => (About::Org, R::Admin, B::Scope(S::AdminRead)),
            Self::WriteBudgets => (About::Org, R::Admin, B::Scope(S::AdminWrite)),
            Self::WriteOwnSecrets => (About::Org, R::Member, B::Person),
            Self::WriteOrgSecrets => (About::Org, R::Admin, B::Scope(S::AdminWrite)),
            Self::ReadWorkflows => (About::Org, R::Viewer, B::Scope(S::WorkflowsRead)),
            Self::WriteWorkflows => (About::Org, R::Member, B::Scope(S::WorkflowsWrite)),
            Self::ReadGroup => (About::Group(G::Member), R::Viewer, B::Scope(S::AdminRead)),
            Self::WriteGroupMembers => (About::Group(G::Admin), R::Member, B::Scope(S::AdminWrite)),
            Self::ReadSelf => (About::Oneself, R::Viewer, B::Any),
            Self::ManageSelf => (About::Oneself, R::Viewer, B::Person),
        };
        Needs { about, role, by }
    }
}
