//! How long each state may last. The defaults are the table of DESIGN §3.

use serde::{Deserialize, Serialize};

/// Durations in milliseconds; counts where the name says so. Tests override them through the installation's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Timings {
    /// Steps `requested`, `booting`, `engine`.
    pub start_step: i64,
    /// Steps `cloning`, `setup`.
    pub long_start_step: i64,
    /// Pause before the second try of a start; the third waits four times as long.
    pub start_backoff: i64,
    /// Tries of one start, at most.
    pub start_attempts: u32,
    /// After the runner's socket is lost, before the provider is asked.
    pub reconnect_grace: i64,
    /// After the provider said that the sandbox lives, before it is replaced.
    pub reconnect_alive: i64,
    /// Without any sign from a connected runner.
    pub runner_silence: i64,
    /// After a prompt was dispatched, until the runner has accepted it.
    pub accept: i64,
    /// Dispatches of one prompt, before the sandbox is replaced.
    pub accept_attempts: u32,
    /// A turn without any event, before the runner is asked again.
    pub turn_silence: i64,
    /// A whole turn.
    pub turn_total: i64,
    /// After an abort was sent, before it is sent again; the second time the sandbox is replaced.
    pub abort: i64,
    /// Before an interaction's default is taken.
    pub interaction: i64,
    /// For a hand-over note, when a budget is used up.
    pub note: i64,
    /// For pushing the work after that.
    pub push: i64,
    /// An idle sandbox, before it is suspended.
    pub idle: i64,
    /// The same where nobody is watching when it is asked; absent: no difference. Who starts to watch before it is over
    /// gets the full time.
    pub unattended: Option<i64>,
    /// An idle sandbox, before it may be suspended because another session waits for its place.
    pub make_room: i64,
    /// Suspending.
    pub pausing: i64,
    /// For saving the work before a sandbox is suspended.
    pub save: i64,
    /// For saving the work before a sandbox is removed.
    pub shutdown: i64,
    /// Between two calls to the provider or the registry when one fails; doubles up to a minute.
    pub call_backoff: i64,
    /// A call to the provider or the registry without any outcome counts as lost after this, and is made again. Longer
    /// than the shell's own limit for a call.
    pub call_timeout: i64,
    /// Between two updates of the session's summary in the registry.
    pub index_interval: i64,
    /// Between two saves of the text of open parts.
    pub save_interval: i64,
    /// A fork that was begun and not made, before what there is of it is removed.
    pub unmade_fork: i64,
    /// Window of the circuit breaker.
    pub breaker_window: i64,
    /// Failed starts within the window that open it.
    pub breaker_failures: u32,
}

impl Default for Timings {
    fn default() -> Self {
        const SECOND: i64 = 1000;
        const MINUTE: i64 = 60 * SECOND;
        Self {
            start_step: 120 * SECOND,
            long_start_step: 600 * SECOND,
            start_backoff: 2 * SECOND,
            start_attempts: 3,
            reconnect_grace: 30 * SECOND,
            reconnect_alive: 60 * SECOND,
            runner_silence: 90 * SECOND,
            accept: 15 * SECOND,
            accept_attempts: 3,
            turn_silence: 10 * MINUTE,
            turn_total: 90 * MINUTE,
            abort: 15 * SECOND,
            interaction: 24 * 60 * MINUTE,
            note: 5 * MINUTE,
            push: MINUTE,
            idle: 15 * MINUTE,
            unattended: None,
            make_room: 30 * SECOND,
            pausing: 120 * SECOND,
            save: 10 * SECOND,
            shutdown: 20 * SECOND,
            call_backoff: SECOND,
            call_timeout: MINUTE,
            index_interval: SECOND,
            save_interval: 500,
            unmade_fork: 60 * MINUTE,
            breaker_window: 5 * MINUTE,
            breaker_failures: 3,
        }
    }
}
