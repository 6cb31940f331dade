//! What a session is and what it does next: a state machine without I/O, and the SQL that keeps it.
//!
//! Owns: the phases, the queue, the log's numbering, deadlines, interactions, the runner link's bookkeeping
//! ([`Session`]), the transcript as a fold over the log ([`transcript`]), and the tables of one session ([`store`]).
//!
//! Does not: perform I/O, read a clock, invent an id, know what a Worker is. Everything comes in as [`Input`] with a
//! [`Cx`] and goes out as [`Effect`]. Because of that it is tested natively and can be simulated.

#![warn(missing_docs)]

mod budget;
mod core;
mod create;
mod deadlines;
mod effect;
pub mod fork;
mod guests;
mod index;
mod interactions;
mod kept;
mod lifecycle;
mod lifetime;
mod open_parts;
mod prompts;
mod push;
mod queue;
mod rest;
pub mod room;
mod runner_events;
mod runner_link;
mod sandbox_calls;
mod session;
mod snapshots;
pub mod sql;
mod startup;
mod steer;
pub mod store;
mod timings;
pub mod transcript;

pub use crate::budget::{BudgetStop, NOTE};
pub use crate::core::{Access, Core, Life, Snapshot, Spec};
pub use crate::create::{NewSession, Stored};
pub use crate::effect::{Cx, Effect, Input, Rejection, SandboxCall};
pub use crate::kept::{Kept, SandboxLife, TurnSeconds, Unbooked};
pub use crate::push::Push;
pub use crate::session::{Placed, Session};
pub use crate::startup::NumberedStart;
pub use crate::timings::Timings;
