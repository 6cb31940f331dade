//! What sandboxes ask, with their token.

use errand_protocol::runner::SandboxEnvironment;

use super::super::op::{Content, Op, get, post, put};

pub(super) fn sandboxes() -> Vec<Op> {
    vec![
        get(
            "/runner/{id}",
            "openRunner",
            "The runner's WebSocket: `crates/protocol/src/runner.rs`.",
        )
        .sandbox()
        .or(&[400, 409])
        .gives(101, "A WebSocket with frames of JSON text.", Vec::new()),
        get(
            "/runner/{id}/snapshots/{snapshotId}",
            "getSnapshot",
            "The work as it was saved.",
        )
        .sandbox()
        .or(&[409])
        .gives(200, "A tar.gz.", vec![Content::Other("application/gzip")]),
        put(
            "/runner/{id}/snapshots/{snapshotId}",
            "putSnapshot",
            "Saves the work; `Content-Length` is needed.",
        )
        .sandbox()
        .upload("application/gzip")
        .nothing()
        .or(&[409, 503]),
        get(
            "/runner/{id}/environment",
            "getEnvironment",
            "What the repository's policy gives the sandbox: a set-up script, secrets.",
        )
        .sandbox()
        .answers::<SandboxEnvironment>(200)
        .or(&[409]),
        post(
            "/llm/{provider}/{path}",
            "callModel",
            "A model's provider: its own requests and answers, streams too.",
        )
        .sandbox()
        .upload("application/json")
        .gives(200, "What the provider says.", vec![Content::Other("*/*")])
        .or(&[402, 422, 429, 503]),
    ]
}
