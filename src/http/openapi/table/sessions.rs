//! Sessions: the list, one of them, its prompts, its share links.

use errand_access::Action;
use errand_protocol::api::{
    CreateSession, EventPage, PatchPrompt, PatchSession, PostAbort, PostAnswer, PostFork, PostPrompt, PromptAccepted,
    RepoList, SessionList,
};
use errand_protocol::bus::BusFrame;
use errand_protocol::event::Event;
use errand_protocol::money::SessionUsage;
use errand_protocol::session::Session;
use errand_protocol::share::{CreateShare, JoinSession, ShareList, ShareMade};
use errand_protocol::startup::Startup;
use errand_protocol::transcript::Transcript;
use errand_protocol::viewer::{ClientFrame, ServerFrame};

use super::super::op::{Content, Op, delete, get, patch, post};
use super::{cursor, position, text, whole, word};

pub(super) fn sessions() -> Vec<Op> {
    vec![
        cursor(
            get(
                "/api/sessions",
                "listSessions",
                "Sessions that one may see, newest first.",
            )
            .may(Action::ListSessions),
            100,
            "How many; otherwise 50.",
        )
        .query("q", text(), "Words in their titles or repositories.")
        .query(
            "archived",
            word(&["true", "false"]),
            "Only those that were put away; otherwise none of them.",
        )
        .query(
            "filter",
            word(&["mine", "all"]),
            "Whose; otherwise `mine`, with what share links share.",
        )
        .answers::<SessionList>(200),
        post("/api/sessions", "createSession", "Makes a session, and prompts it.")
            .may(Action::CreateSession)
            .keyed()
            .body::<CreateSession>()
            .answers::<Session>(201)
            .again::<Session>()
            .or(&[409, 503]),
        get(
            "/api/repos",
            "listRepos",
            "Repositories that one used lately, and the sample.",
        )
        .may(Action::ListSessions)
        .answers::<RepoList>(200),
        get(
            "/api/events",
            "streamFeed",
            "Changes of one's list of sessions, as they happen.",
        )
        .may(Action::ListenToFeed)
        .query(
            "after",
            position(),
            "A position that one has seen; or the header `Last-Event-ID`.",
        )
        .streams::<BusFrame>(),
        get("/api/events/ws", "openFeed", "The same over a WebSocket.")
            .may(Action::ListenToFeed)
            .query("after", position(), "A position that one has seen.")
            .feed::<BusFrame>(),
    ]
}

/// A write to one session: it may be over, or otherwise than the caller thinks.
fn write(op: Op, action: Action) -> Op {
    op.may(action).keyed().or(&[400, 409, 413, 415])
}

pub(super) fn one_session() -> Vec<Op> {
    let mut all = reading();
    all.extend([
        write(
            patch(
                "/api/sessions/{id}",
                "changeSession",
                "Names it, or shows it to others.",
            ),
            Action::ManageSession,
        )
        .body::<PatchSession>()
        .answers::<Session>(200),
        write(
            delete(
                "/api/sessions/{id}",
                "endSession",
                "Ends it for good. Its transcript stays.",
            ),
            Action::EndSession,
        )
        .answers::<Session>(200),
        write(
            post("/api/sessions/{id}/fork", "forkSession", "Continues it as another one."),
            Action::ForkSession,
        )
        .maybe_body::<PostFork>()
        .answers::<Session>(201)
        .again::<Session>(),
        command(
            "/api/sessions/{id}/retry",
            "retrySession",
            "Starts again after an error.",
            Action::Prompt,
        ),
        command(
            "/api/sessions/{id}/pause",
            "pauseSession",
            "Stops its sandbox and keeps the files.",
            Action::Prompt,
        ),
        command(
            "/api/sessions/{id}/resume",
            "resumeSession",
            "Brings its sandbox up.",
            Action::Prompt,
        ),
        command(
            "/api/sessions/{id}/archive",
            "archiveSession",
            "Puts it away.",
            Action::ManageSession,
        ),
        command(
            "/api/sessions/{id}/restore",
            "restoreSession",
            "Takes it back out.",
            Action::ManageSession,
        ),
    ]);
    all
}

fn reading() -> Vec<Op> {
    vec![
        get("/api/sessions/{id}", "getSession", "How it stands.")
            .may(Action::ReadSession)
            .answers::<Session>(200),
        get(
            "/api/sessions/{id}/ws",
            "openSession",
            "Watches and steers it; `ping` is answered by `pong`.",
        )
        .may(Action::ReadSession)
        .query("after", position(), "A position that one has seen.")
        .socket::<ClientFrame, ServerFrame>(),
        get(
            "/api/sessions/{id}/events",
            "readEvents",
            "Its log; as a stream, what comes as well.",
        )
        .may(Action::ReadSession)
        .query(
            "after",
            position(),
            "Events after this position; a stream also takes `Last-Event-ID`.",
        )
        .query("before", position(), "The last events before this position, instead.")
        .query("limit", whole(1, 500), "How many; otherwise 100.")
        .answers_or_streams::<EventPage, Event>(),
        get(
            "/api/sessions/{id}/transcript",
            "readTranscript",
            "The whole conversation.",
        )
        .may(Action::ReadSession)
        .answers::<Transcript>(200),
        get(
            "/api/sessions/{id}/startup",
            "readStartup",
            "Where the time of its starts went, and why it waits.",
        )
        .may(Action::ReadSession)
        .answers::<Startup>(200),
        get(
            "/api/sessions/{id}/usage",
            "readSessionUsage",
            "What it and its turns used.",
        )
        .may(Action::ReadSession)
        .answers::<SessionUsage>(200),
        get(
            "/api/sessions/{id}/snapshot",
            "downloadWork",
            "Its work as it was last saved.",
        )
        .may(Action::DownloadWork)
        .gives(200, "A tar.gz.", vec![Content::Other("application/gzip")]),
    ]
}

fn command(path: &'static str, name: &'static str, says: &'static str, action: Action) -> Op {
    write(post(path, name, says), action).answers::<Session>(200)
}

pub(super) fn prompts() -> Vec<Op> {
    vec![
        write(
            post("/api/sessions/{id}/prompts", "prompt", "Prompts it."),
            Action::Prompt,
        )
        .body::<PostPrompt>()
        .answers::<PromptAccepted>(202),
        write(
            patch(
                "/api/sessions/{id}/prompts/{promptId}",
                "changePrompt",
                "Changes a prompt that waits.",
            ),
            Action::Prompt,
        )
        .body::<PatchPrompt>()
        .answers::<PromptAccepted>(200),
        write(
            delete(
                "/api/sessions/{id}/prompts/{promptId}",
                "withdrawPrompt",
                "Takes a prompt back that waits.",
            ),
            Action::Prompt,
        )
        .answers::<PromptAccepted>(200),
        write(
            post(
                "/api/sessions/{id}/abort",
                "abortTurn",
                "Stops the turn that runs, if one does.",
            ),
            Action::Prompt,
        )
        .maybe_body::<PostAbort>()
        .answers::<Session>(200),
        write(
            post(
                "/api/sessions/{id}/interactions/{interactionId}",
                "answerInteraction",
                "Answers what it asks.",
            ),
            Action::Prompt,
        )
        .body::<PostAnswer>()
        .answers::<Session>(200),
    ]
}

pub(super) fn sharing() -> Vec<Op> {
    vec![
        get("/api/sessions/{id}/shares", "listShares", "Its share links.")
            .may(Action::ManageSession)
            .answers::<ShareList>(200),
        write(
            post(
                "/api/sessions/{id}/shares",
                "createShare",
                "Makes a link. Only this answer has the code.",
            ),
            Action::ShareSession,
        )
        .body::<CreateShare>()
        .answers::<ShareMade>(201),
        write(
            delete(
                "/api/sessions/{id}/shares/{shareId}",
                "removeShare",
                "Removes a link; who came by it alone is no guest any more.",
            ),
            Action::ManageSession,
        )
        .nothing(),
        write(
            post("/api/sessions/{id}/join", "joinSession", "Redeems a link."),
            Action::RedeemShare,
        )
        .body::<JoinSession>()
        .answers::<Session>(200),
    ]
}
