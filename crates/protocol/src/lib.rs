//! Errand's wire types: everything that two processes must agree on, and nothing else.
//!
//! Owns: ids, timestamps, words of [`access`], the session's vocabulary ([`session`], [`transcript`], [`interaction`],
//! [`startup`]), its log ([`event`]), the frames of the two WebSockets ([`viewer`], [`runner`]), the sandbox contract
//! ([`sandbox`], [`egress`]), the REST bodies ([`api`]), repositories' policies and secrets ([`repository`]), money ([`money`]), the live feed ([`bus`]), close codes and size limits.
//!
//! Does not: decide anything. No I/O, no clock, no randomness, no rule of the domain beyond "is this value well
//! formed". Types are parsed once, at the edge, into values that cannot be malformed (`try_from`).
//!
//! The client's TypeScript is generated from here: `cargo test -p errand-protocol --features ts`.

#![warn(missing_docs)]

pub mod access;
pub mod accounts;
pub mod api;
pub mod bus;
pub mod close;
pub mod egress;
pub mod event;
pub mod groups;
pub mod ids;
pub mod interaction;
pub mod limits;
pub mod money;
pub mod repository;
pub mod runner;
pub mod sandbox;
pub mod session;
pub mod settings;
pub mod share;
pub mod startup;
pub mod text;
pub mod time;
pub mod transcript;
pub mod viewer;

/// Version of the frames and events described here. A peer that speaks another one is refused with
/// [`close::CloseCode::ProtocolMismatch`].
pub const PROTOCOL_VERSION: u32 = 1;
