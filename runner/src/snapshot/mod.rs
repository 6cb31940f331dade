//! Saving the work and bringing it back: files and conversation, as one archive that the control plane keeps.
//!
//! A snapshot is a `tar.gz` with [`meta`] (`meta.json`), a git bundle of the workspace ([`shadow`], `work.bundle`) and
//! the engine's conversation ([`conversation`], `engine/`). It holds no credential. [`saver`] makes and uploads them
//! in the background, [`restore`] fills an empty workspace from one.

mod again;
pub mod archive;
pub mod conversation;
pub mod meta;
#[cfg(test)]
mod place;
pub mod pusher;
pub mod redact;
pub mod restore;
pub mod saver;
pub mod shadow;
pub mod transfer;
