//! The engine bridge: what the engine does, as events for the SessionAgent, and commands the other way.
//!
//! [`mapper`], [`parts`] and [`files`] are pure; [`driver`] decides; [`calls`] and [`record`] talk to the engine.

pub mod calls;
pub mod driver;
pub mod files;
pub mod mapper;
pub mod parts;
pub mod record;
