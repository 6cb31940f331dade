//! Errand's control plane, a Cloudflare Worker. The imperative shell: it knows `worker` and HTTP, and no rules of the
//! domain — those are in `crates/session`.
//!
//! | module | owns |
//! |---|---|
//! | `admission` | whether one more session may be made |
//! | [`config`] | bindings and variables, read once into types |
//! | [`http`] | routes, authentication, body limits, errors |
//! | [`d1`] | the database of what spans sessions; all its SQL |
//! | [`session_agent`] | Durable Object, one per session: the shell around the session machine |
//! | [`session_registry`] | Durable Object, one per org: the index of its sessions |
//! | [`event_bus`] | Durable Object, one per person: their live feed |
//! | [`ledger`] | Durable Object, one per org: what model calls cost, and whether one more may be made |
//! | `models` | which models somebody's sessions can use, and whose key opens each |
//! | [`platform`] | clock, ids, cryptography, SQLite, logging, calls between objects |

mod admission;
pub mod config;
pub mod d1;
pub mod event_bus;
pub mod http;
pub mod ledger;
mod models;
#[cfg(test)]
mod native_sql;
pub mod platform;
pub mod session_agent;
pub mod session_registry;

use worker::{Context, Env, event, web_sys};

#[event(start)]
fn start() {
    platform::log::start();
    platform::microtasks::use_promises();
}

#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, context: Context) -> worker::Result<worker::web_sys::Response> {
    http::serve(request, &env, context).await
}
