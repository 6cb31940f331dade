//! The Worker's platform: clock, randomness, SQLite, cryptography, logging, calls between objects. Owns every use of
//! JavaScript beneath the `worker` crate. Does not: know HTTP routes or rules of the domain.

pub mod blobs;
pub mod clock;
pub mod crypto;
pub mod ids;
pub mod json;
pub mod log;
pub mod microtasks;
pub mod outside;
pub mod rpc;
pub mod sandbox_host;
pub mod sandbox_token;
pub mod sealing;
pub mod signal;
pub mod sockets;
pub mod sql;
pub mod streams;
