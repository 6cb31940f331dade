//! What needs no credential.

use errand_protocol::api::{DevSignIn, Health, Installation, SignedIn};

use super::super::op::{Content, Op, get, post};
use super::text;

pub(super) fn installation() -> Vec<Op> {
    vec![
        get("/health", "getHealth", "Does this installation work?")
            .answers::<Health>(200)
            .answers::<Health>(503),
        get("/api/config", "getConfig", "What this installation offers.").answers::<Installation>(200),
        get("/api/openapi.json", "getOpenApi", "This document.").file().gives(
            200,
            "The document.",
            vec![Content::Other("application/json")],
        ),
    ]
}

pub(super) fn signing_in() -> Vec<Op> {
    vec![
        post(
            "/auth/dev",
            "signInForDevelopment",
            "Signs in as a local developer; only where one develops.",
        )
        .body::<DevSignIn>()
        .answers::<SignedIn>(200)
        .header("set-cookie", "For browsers.")
        .or(&[403, 404]),
        post(
            "/auth/logout",
            "signOut",
            "Ends the sign-in of this request. Fine when there is none.",
        )
        .nothing()
        .header("set-cookie", "Drops the browser's.")
        .or(&[403]),
        to_provider(get("/auth/github", "signInWithGitHub", "Sends the browser to GitHub.")),
        from_provider(get(
            "/auth/github/callback",
            "returnFromGitHub",
            "Where GitHub sends the browser back to.",
        )),
        to_provider(get("/auth/google", "signInWithGoogle", "Sends the browser to Google.")),
        from_provider(get(
            "/auth/google/callback",
            "returnFromGoogle",
            "Where Google sends the browser back to.",
        )),
    ]
}

fn to_provider(op: Op) -> Op {
    op.query("return", text(), "Where to go afterwards: a path of Errand's own.")
        .query("invitation", text(), "The code of an invitation.")
        .gives(303, "On to the provider.", Vec::new())
        .header("location", "Where to.")
        .or(&[404])
}

/// Browsers get errors as pages.
fn from_provider(op: Op) -> Op {
    op.query("state", text(), "As it was sent to the provider.")
        .query("code", text(), "What the provider gave.")
        .query("error", text(), "Why it gave none.")
        .gives(303, "Signed in, and on to where one came from.", Vec::new())
        .header("location", "Where to.")
        .header("set-cookie", "The sign-in.")
        .or(&[403, 404, 503])
}
