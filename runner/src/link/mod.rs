//! The link to the SessionAgent: rules ([`core`]) and the WebSocket ([`socket`]).

pub mod core;
pub mod socket;
