//! Sizes above which input is refused, in one place, so that client, Worker and runner agree.

/// Largest JSON body of a REST request, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Largest prompt, in bytes of UTF-8.
pub const MAX_PROMPT_BYTES: usize = 512 * 1024;
/// Longest title, in characters.
pub const MAX_TITLE_CHARS: usize = 200;
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
/// Events in one page of the log, at most.
pub const MAX_EVENT_PAGE: u32 = 500;
/// Events that a viewer gets when it attaches without a position.
pub const FIRST_PAGE: u32 = 100;
/// Viewers connected to one session at a time, at most.
pub const MAX_VIEWERS: usize = 1000;
