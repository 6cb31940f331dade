//! What a session is and what it does next: a state machine without I/O, and the SQL that keeps it.

#![warn(missing_docs)]

pub mod sql;
