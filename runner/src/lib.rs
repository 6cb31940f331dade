//! The runner: the process in each sandbox between the engine (OpenCode) and the SessionAgent (DESIGN §3, "Runner
//! link").
//!
//! Owns: the link with its spool ([`link`], [`spool`]), the workspace ([`git`]), the engine's process and API
//! ([`engine`]), the meaning of its events ([`bridge`]), the pace of deltas ([`streams`]), saving and restoring the work ([`snapshot`]), and the loopback relay to
//! the model proxy ([`relay`]).
//!
//! Does not: keep a queue of prompts, decide on retries of a failed start, hold any credential but the sandbox token
//! (in memory only). Rules are free of I/O and clocks: `link::core`, `bridge::mapper`, `bridge::parts`, `streams`,
//! `reported`, `cut`, `cause`, `engine::settings`, `bridge::files`, `snapshot::meta`, `snapshot::redact`.

#![warn(missing_docs)]

pub mod app;
pub mod bridge;
pub mod cause;
pub mod clock;
pub mod config;
pub mod cut;
pub mod egress;
pub mod engine;
pub mod environment;
pub mod git;
pub mod ids;
pub mod link;
pub mod mask;
pub mod relay;
pub mod reported;
pub mod setup;
pub mod snapshot;
pub mod spool;
pub mod state;
pub mod streams;
