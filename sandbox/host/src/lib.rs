//! The sandbox host: implements the sandbox contract (`errand_protocol::sandbox`) with processes on this machine.
//!
//! Owns: one directory per sandbox below its state directory ([`dirs`]), which is the only record of what exists,
//! so that a host can be killed at any moment and the next one goes on ([`host`]). Each sandbox has a keeper
//! ([`keeper`]), a small process of its own that outlives the host, holds the log within bounds and records how
//! the runner ended. A sandbox is kept apart by bubblewrap where that works ([`launch`]) and limited by cgroups
//! where those can be written ([`cgroup`]), and has a network of its own whose only way out is a proxy ([`egress`]);
//! what is missing stands in `/v1/health`.
//!
//! Does not: know sessions, tokens or models; clone (the runner does); snapshot. Run under systemd,
//! the host's unit needs `KillMode=process`, or a restart of the unit takes the sandboxes with it.

pub mod auth;
pub mod cgroup;
mod checks;
pub mod dirs;
pub mod disk;
mod disk_watch;
pub mod egress;
pub mod files;
pub mod host;
pub mod http;
pub mod isolation;
pub mod keeper;
pub mod launch;
pub mod options;
pub mod processes;
pub mod repo;
pub mod stop;
mod takeover;
