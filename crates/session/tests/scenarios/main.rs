//! The session machine in scenarios: each test tells one story and checks what a person, a runner or the provider
//! would see. The [`harness`] checks after every step what must hold at all times.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::wildcard_imports,
    clippy::cloned_ref_to_slice_refs,
    reason = "tests"
)]

mod budget;
mod db;
mod fork;
mod format;
mod guests;
mod harness;
mod idle;
mod index;
mod interactions;
mod invariants;
mod kept;
mod lifetime;
mod make;
mod open_parts;
mod prompts;
mod push;
mod queue;
mod random;
mod reconnecting;
mod rest;
mod room;
mod runner_link;
mod runners;
mod sandbox;
mod starting;
mod startup;
mod steer;
mod store;
mod terminate;
mod transcript;
mod turns;
mod world;
