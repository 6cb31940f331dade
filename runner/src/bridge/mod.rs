//! The engine bridge: what the engine does, as events for the SessionAgent, and commands the other way.
//!
//! [`mapper`] and [`parts`] are pure; [`driver`] decides; [`calls`] and [`snapshot`] talk to the engine.

pub mod calls;
pub mod driver;
pub mod mapper;
pub mod parts;
pub mod snapshot;
