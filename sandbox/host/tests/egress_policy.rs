//! The contract's side of egress: policies that are changed, and those that a host does not take.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod common;

use common::shell::{SHELL, Shell, allow, spec};
use common::web::Web;
use common::{Lab, Running};
use serde_json::{Value, json};

fn open() -> Value {
    json!({ "mode": "open" })
}

/// A host that publishes the loopback as `allowed.example` and `other.example`; `None` where there is nothing to test.
fn start() -> Option<(Lab, Running)> {
    let lab = Lab::new(SHELL).with(&[
        "--publish",
        "allowed.example=127.0.0.1",
        "--publish",
        "other.example=127.0.0.1",
    ]);
    let host = lab.start();
    let names = host.health().get("egress").is_some_and(|egress| egress == "names");
    if !names {
        eprintln!("skipped: this machine cannot make networks");
    }
    names.then_some((lab, host))
}

#[test]
fn a_policy_is_widened_and_narrowed_while_the_sandbox_lives() {
    let Some((lab, host)) = start() else { return };
    let web = Web::start(None);
    let (first, wide) = (
        format!("allowed.example:{}", web.port),
        format!("other.example:{}", web.port),
    );
    let (policy, wider) = (allow(&[&first]), allow(&[&first, &wide]));
    let shell = Shell::start(&lab, &host, "sbx-a", &policy, &json!({}));
    let fetch = format!("curl -sS http://{wide}/");
    assert!(shell.run(&fetch).contains("may not reach"));
    let put = |policy: &Value| host.call("PUT", "/v1/sandboxes/sbx-a/egress", policy);
    for (policy, status) in [(&allow(&["1.2.3.4"]), 422), (&json!({}), 422)] {
        assert_eq!(put(policy).status, status, "{policy}");
    }
    assert!(shell.run(&fetch).contains("may not reach"));
    for _ in 0..2 {
        assert_eq!(put(&wider).status, 200);
        assert!(shell.run(&fetch).starts_with("hello"));
    }
    assert_eq!(put(&allow(&[&first])).status, 200);
    assert!(shell.run(&fetch).contains("may not reach"), "narrowed");
    assert_eq!(put(&wider).status, 200);
    assert!(shell.run(&fetch).starts_with("hello"), "and widened again");
    for (policy, status) in [(&policy, 202), (&wider, 202), (&open(), 409)] {
        assert_eq!(
            host.put("sbx-a", &spec(policy, &json!({}))).status,
            status,
            "the same wish: {policy}"
        );
    }
    let unknown = host.call("PUT", "/v1/sandboxes/sbx-none/egress", &wider);
    assert_eq!((unknown.status, &unknown.body["state"]), (200, &json!("gone")));
    let unsigned = host.raw("PUT", "/v1/sandboxes/sbx-a/egress", b"{\"mode\":\"open\"}", &[]);
    assert_eq!(unsigned.status, 401);
}

#[test]
fn a_host_that_cannot_keep_to_a_policy_says_so_and_takes_none() {
    let lab = Lab::new(SHELL).with(&["--isolation", "none"]);
    let host = lab.start();
    assert_eq!(host.health()["egress"], "none");
    let refused = host.put("sbx-a", &spec(&allow(&["allowed.example"]), &json!({})));
    assert_eq!(
        (refused.status, &refused.body["error"]["kind"]),
        (501, &json!("unsupported"))
    );
    assert_eq!(host.get("sbx-a").body["state"], "gone");
}

#[test]
fn a_control_plane_that_the_host_was_not_told_is_refused() {
    let lab = Lab::new(SHELL).with(&["--control-plane", "https://errand.example"]);
    let host = lab.start();
    let told = |url: &str| host.put("sbx-a", &spec(&open(), &json!({ "ERRAND_URL": url })));
    for bad in ["ws://127.0.0.1:22", "wss://errand.example:22", "nonsense"] {
        let refused = told(bad);
        assert_eq!(
            (refused.status, &refused.body["error"]["kind"]),
            (422, &json!("invalidSpec")),
            "{bad}"
        );
    }
    assert_eq!(told("wss://errand.example").status, 202);
}
