//! Who may do what. One function, [`decide`], answers it for every route, frame and object: who asks ([`Principal`]),
//! what they want ([`Action`]), of what ([`Resource`]).
//!
//! Owns: the roles' and scopes' meaning, the visibility of sessions, whom an installation lets in ([`AllowList`]), which
//! level of settings wins ([`Settings`]). Does not: know how somebody proved who they are
//! (the Worker's `http::auth`), nor where roles are stored. No I/O, no clock.
//!
//! **Invariant:** what one may not see does not exist: [`Refusal::NotFound`], never [`Refusal::Forbidden`].
//! **Invariant:** nobody reaches across orgs, whatever else they are.
//! **Invariant:** a credential never permits more than its person's present role does.

#![warn(missing_docs)]

mod action;
mod allow_list;
mod policy;
mod principal;
mod settings;

pub use action::{Action, By};
pub use allow_list::{AllowList, Candidate};
pub use policy::{Refusal, Resource, SessionResource, decide};
pub use principal::{Actor, Credential, CredentialId, Principal};
pub use settings::{ForSession, Levels, Limits, SandboxCaps, Settings, Usage};
