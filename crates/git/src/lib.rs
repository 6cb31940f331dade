//! What the git proxy lets through. Pure.
//!
//! | module | owns |
//! |---|---|
//! | [`address`] | which repository and which of git's endpoints a request means; which addresses are a repository's |
//! | [`pkt`] | git's framing of lines |
//! | [`push`] | the head of a push: what it wants to change, read before its pack is |
//! | [`branches`] | what a session may change |
//! | [`report`] | the answer to a push: refusing one, and reading what became of one |
//!
//! Formats: gitprotocol-http(5), gitprotocol-pack(5), gitprotocol-common(5). Whatever is not understood is refused: what
//! this crate reads and what the server reads must be the same.
//!
//! Does not: send, store, know a credential. The proxy itself is `src/http/git`.

#![warn(missing_docs)]

pub mod address;
pub mod branches;
pub mod pkt;
pub mod push;
pub mod report;
