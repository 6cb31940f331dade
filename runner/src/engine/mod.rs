//! The engine: the OpenCode server in the sandbox, its process, its API and its events.
//!
//! Knows nothing of turns; that is the bridge's.

pub mod api;
pub mod event;
pub mod process;
pub mod settings;
pub mod snapshot_repos;
pub mod supervisor;
