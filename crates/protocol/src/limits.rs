//! Sizes above which input is refused, in one place, so that client, Worker and runner agree.

/// Largest JSON body of a REST request, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Largest prompt, in bytes of UTF-8.
pub const MAX_PROMPT_BYTES: usize = 512 * 1024;
/// Longest title, in characters.
pub const MAX_TITLE_CHARS: usize = 200;
/// Longest name of a key, an org, a group, in characters.
pub const MAX_LABEL_CHARS: usize = 100;
/// Longest repository address, branch or path, in bytes.
pub const MAX_URL_BYTES: usize = 2048;
/// Prompts that may wait in one session's queue.
pub const MAX_QUEUE: usize = 100;
/// Largest WebSocket frame accepted from a viewer, in bytes.
pub const MAX_CLIENT_FRAME_BYTES: usize = 1024 * 1024;
/// Largest WebSocket frame accepted from a runner, in bytes; also what fits one SQLite row (2 MB).
pub const MAX_RUNNER_FRAME_BYTES: usize = 1_500_000;
/// Largest tool input, output or diff that a runner puts into one part, in bytes; longer ones keep head and tail.
pub const MAX_PART_FIELD_BYTES: usize = 256 * 1024;
/// Output of a set-up script in one event, in bytes.
pub const MAX_SETUP_PIECE_BYTES: usize = 8 * 1024;
/// Output of a set-up script that is told, in bytes; what comes after that is counted only.
pub const MAX_SETUP_OUTPUT_BYTES: usize = 256 * 1024;
/// Events in one page of the log, at most.
pub const MAX_EVENT_PAGE: u32 = 500;
/// Events that a viewer gets when it attaches without a position.
pub const FIRST_PAGE: u32 = 100;
/// Starts of a session that are remembered for `GET …/startup`.
pub const MAX_STARTS: usize = 10;
/// Verdicts of a session's watchdogs that are remembered.
pub const MAX_VERDICTS: usize = 50;
/// Largest snapshot that a runner uploads, in bytes: below what Cloudflare accepts as a request's body (100 MB).
pub const MAX_SNAPSHOT_BYTES: u64 = 95 * 1024 * 1024;
/// Format of snapshots that is written.
pub const SNAPSHOT_RUNTIME: u32 = 1;
/// Oldest format of snapshots that a runner can still restore; older ones are refused.
pub const OLDEST_SNAPSHOT_RUNTIME: u32 = 1;
/// After so many bytes a viewer is asked how far it has read ([`crate::viewer::ServerFrame::Check`]).
pub const CHECK_EVERY_BYTES: u64 = 256 * 1024;
/// A viewer that is so many bytes behind is cut off with `overloaded`; it dials again and catches up by pages.
pub const MAX_UNREAD_BYTES: u64 = 8 * 1024 * 1024;
/// Viewers connected to one session at a time, at most.
pub const MAX_VIEWERS: usize = 1000;
