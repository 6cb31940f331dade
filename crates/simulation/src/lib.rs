//! The session machine and the runner's link core, both real, in one simulated world: clock, network, storage, provider,
//! sandboxes, engines, people. Everything comes from one seed, so whatever is found can be told again.
//!
//! Owns: the world, its faults, what must never be (`invariants`), and the way from a seed to a short story with the
//! same finding. Does not: know how the machine or the link do what they do; it only feeds them and looks.
//!
//! A finding is a panic whose message begins with its kind.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::wildcard_enum_match_arm,
    reason = "a program that looks for what must not be: a panic is a finding"
)]

mod agent;
mod calm;
mod disk;
mod engine;
mod event;
mod faults;
mod host;
mod invariants;
mod ledger;
mod lives;
pub mod make;
mod net;
mod news;
mod pushes;
mod report;
pub mod rng;
mod runner;
mod shrink;
pub mod store;
pub mod story;
pub mod trace;
mod truth;
mod uploads;
mod viewer;
pub mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use crate::shrink::shrink;
use crate::story::Story;
use crate::trace::Trace;
use crate::world::World;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In words; what stands before the colon is its kind.
    pub message: String,
}

impl Finding {
    /// Its kind.
    pub fn kind(&self) -> &str {
        let first = self.message.lines().find(|line| line.contains(':'));
        let text = first.unwrap_or(&self.message);
        text.split_once(": ")
            .map_or(
                text,
                |(_, rest)| if text.starts_with("assertion") { rest } else { text },
            )
            .split(':')
            .next()
            .unwrap_or(text)
    }
}

/// Tells a story.
///
/// # Errors
/// What went wrong.
pub fn tell(story: &Story) -> Result<(), Finding> {
    tell_with(story, Trace::default())
}

/// Tells a story and keeps a trace of it.
pub fn tell_traced(story: &Story) -> (Result<(), Finding>, Vec<String>) {
    let trace = Trace::kept();
    let result = tell_with(story, trace.clone());
    (result, trace.lines())
}

fn tell_with(story: &Story, trace: Trace) -> Result<(), Finding> {
    let mut world = World::new(story.clone(), trace);
    catch_unwind(AssertUnwindSafe(|| world.live())).map_err(|reason| {
        let text = reason.downcast_ref::<String>().cloned();
        let message = text.or_else(|| reason.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Finding {
            message: message.unwrap_or_default(),
        }
    })
}
