//! The runner with the real engine, the demo model and a stand-in for the control plane. `ERRAND_ENGINE` names the
//! OpenCode binary; without it these tests fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may end where something is missing"
)]
#![allow(clippy::wildcard_enum_match_arm, reason = "tests look for single events")]
#![allow(unreachable_pub, reason = "a test program exports nothing")]

mod agent;
mod changed_files;
mod policy;
mod pressure;
mod snapshots;
mod steer;
mod stopped;
mod survival;
mod turns;
mod world;
