//! What a session is and what it does next: a state machine without I/O, and the SQL that keeps it.
//!
//! Owns: the phases, the queue, the log's numbering, deadlines, interactions, the runner link's bookkeeping
//! ([`Session`]), the transcript as a fold over the log ([`transcript`]), and the tables of one session ([`store`]).
//!
//! Does not: perform I/O, read a clock, invent an id, know what a Worker is. Everything comes in as [`Input`] with a
//! [`Cx`] and goes out as [`Effect`]. Because of that it is tested natively and can be simulated.

#![warn(missing_docs)]

mod core;
mod deadlines;
mod effect;
mod index;
mod interactions;
mod lifecycle;
mod open_parts;
mod prompts;
mod runner_events;
mod runner_link;
mod sandbox_calls;
mod session;
pub mod sql;
pub mod store;
mod timings;
pub mod transcript;

pub use crate::core::{Core, Life, Spec};
pub use crate::effect::{Cx, Effect, Input, Rejection, SandboxCall};
pub use crate::session::{NewSession, Placed, Session};
pub use crate::timings::Timings;
