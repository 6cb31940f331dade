//! The table: a row for each operation of the API, in the order in which it is read. See [`super::op`] for how a row is
//! written; what needs no word follows from the rest of the row.

mod accounts;
mod admin;
mod open;
mod repositories;
mod sandboxes;
mod sessions;

use serde_json::{Value, json};

use super::op::Op;

/// All rows, by their headings.
pub(super) fn groups() -> Vec<(&'static str, Vec<Op>)> {
    vec![
        ("Installation", open::installation()),
        ("Signing in", open::signing_in()),
        ("Oneself", accounts::oneself()),
        ("API keys", accounts::keys()),
        ("Sessions", sessions::sessions()),
        ("One session", sessions::one_session()),
        ("Its prompts", sessions::prompts()),
        ("Sharing it", sessions::sharing()),
        ("Repositories and secrets", repositories::repositories()),
        ("Usage", admin::usage()),
        ("Administration", admin::administration()),
        ("Sandboxes", sandboxes::sandboxes()),
    ]
}

/// A whole number between these.
fn whole(least: u64, most: u64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

/// Any text.
fn text() -> Value {
    json!({ "type": "string" })
}

/// One of these words.
fn word(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

/// A position in a log.
fn position() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": 9_007_199_254_740_991_u64 })
}

/// What a list gave for the next page.
fn cursor(op: Op, most: u64, usual: &'static str) -> Op {
    op.query("limit", whole(1, most), usual)
        .query("cursor", json!({ "type": "string" }), "What the page before gave.")
}
