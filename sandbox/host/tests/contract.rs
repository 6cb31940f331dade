//! The contract over HTTP: signatures, bad input, names, conflicts, capacity, listing, removal.

mod common;

use common::{Lab, SECRET, WAITING, eventually, fresh_timestamp, processes_of, spec};
use errand_host::auth::sign;
use serde_json::{Value, json};

fn lab() -> Lab {
    Lab::new(WAITING).with(&["--isolation", "none"])
}

#[test]
fn only_a_fresh_and_right_signature_opens_the_door() {
    let lab = lab();
    let host = lab.start();
    let path = "/v1/sandboxes/sbx-a";
    let at = fresh_timestamp();
    let call = |at: i64, signature: &str| {
        let headers = [
            ("x-errand-timestamp", at.to_string()),
            ("x-errand-signature", signature.to_owned()),
        ];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        host.raw("GET", path, b"", &headers)
    };
    let good = sign(SECRET, at, "GET", path, b"").unwrap();
    assert_eq!(call(at, &good).status, 200);
    let replayed = call(at, &good);
    assert_eq!(
        (replayed.status, &replayed.body["error"]["kind"]),
        (401, &json!("auth"))
    );
    let old = at - 301_000;
    assert_eq!(call(old, &sign(SECRET, old, "GET", path, b"").unwrap()).status, 401);
    assert_eq!(
        call(at + 1, &sign("wrong", at + 1, "GET", path, b"").unwrap()).status,
        401
    );
    assert_eq!(host.raw("GET", path, b"", &[]).status, 401);
    assert_eq!(host.raw("GET", "/v1/nowhere", b"", &[]).status, 401);
}

#[test]
fn health_needs_no_signature_and_tells_what_is_missing() {
    let lab = lab();
    let host = lab.start();
    let health = host.health();
    assert_eq!(health["isolation"], "none");
    assert!(health["warning"].as_str().unwrap().contains("not isolated"));
    assert_eq!((&health["running"], &health["capacity"]), (&json!(0), &json!(8)));
}

#[test]
fn bad_requests_get_the_contracts_error_and_make_nothing() {
    let lab = lab();
    let host = lab.start();
    let put = |body: &[u8]| host.send("PUT", "/v1/sandboxes/sbx-a", body);
    for body in [
        &b""[..],
        b"{",
        b"[]",
        b"\xff\xfe",
        br#"{"env":{"A":1}}"#,
        br#"{"env":{},"surprise":1}"#,
        br#"{"env":{"LD_PRELOAD":"/x"}}"#,
        br#"{"env":{"A B":"x"}}"#,
        br#"{"env":{"A":"x\u0000y"}}"#,
        br#"{"env":{},"limits":{"memoryMib":1}}"#,
        br#"{"env":{},"repo":{"url":"/nowhere/at/all"}}"#,
        br#"{"env":{},"repo":{"url":"/etc"}}"#,
        br#"{"env":{},"repo":{"url":"https://u:p@h/x"}}"#,
    ] {
        let answer = put(body);
        assert_eq!(
            (answer.status, &answer.body["error"]["kind"]),
            (422, &json!("invalidSpec")),
            "{}",
            String::from_utf8_lossy(body)
        );
        assert!(!answer.body["error"]["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(put(&vec![b' '; 10_000_000]).status, 413);
    for name in ["x", "sbx-", "sbx-a.b", "sbx-%2e%2e%2fx", "..%2f..%2fetc"] {
        assert_eq!(host.put(name, &spec(&[])).status, 422, "{name}");
        assert_eq!(host.delete(name).status, 422, "{name}");
    }
    assert_eq!(host.call("GET", "/v1/nowhere", &Value::Null).status, 404);
    assert_eq!(host.call("POST", "/v1/sandboxes/sbx-a", &Value::Null).status, 405);
    assert_eq!(
        host.call("POST", "/v1/sandboxes/sbx-a/extend", &Value::Null).status,
        501
    );
    assert_eq!(host.call("GET", "/v1/sandboxes?label=x", &Value::Null).status, 422);
    assert_eq!(host.get("sbx-a").body["state"], "gone");
    assert_eq!(std::fs::read_dir(lab.state().join("sandboxes")).unwrap().count(), 0);
}

#[test]
fn the_same_spec_is_the_same_sandbox_and_another_one_a_conflict() {
    let lab = Lab::new(&format!("echo x >> \"$ERRAND_WORKSPACE/starts\"; {WAITING}")).with(&["--isolation", "none"]);
    let host = lab.start();
    let first = host.put("sbx-a", &spec(&[("A", "1"), ("ERRAND_TOKEN", "t1")]));
    assert_eq!((first.status, &first.body["state"]), (202, &json!("creating")));
    let running = host.until_state("sbx-a", "running");
    let again = host.put("sbx-a", &spec(&[("A", "1"), ("ERRAND_TOKEN", "t2")]));
    assert_eq!((again.status, &again.body["createdAt"]), (202, &running["createdAt"]));
    let other = host.put("sbx-a", &spec(&[("A", "2"), ("ERRAND_TOKEN", "t1")]));
    assert_eq!((other.status, &other.body["error"]["kind"]), (409, &json!("conflict")));
    let starts = || std::fs::read_to_string(lab.sandbox("sbx-a").join("workspace/starts")).unwrap_or_default();
    eventually("the runner to start", || !starts().is_empty());
    assert_eq!(starts(), "x\n");
}

#[test]
fn many_calls_at_once_make_one_sandbox() {
    let lab = Lab::new(&format!("echo x >> \"$ERRAND_WORKSPACE/starts\"; {WAITING}")).with(&["--isolation", "none"]);
    let host = lab.start();
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| assert_eq!(host.put("sbx-a", &spec(&[])).status, 202));
        }
    });
    host.until_state("sbx-a", "running");
    eventually("the runner", || lab.sandbox("sbx-a").join("workspace/ready").exists());
    assert_eq!(
        std::fs::read_to_string(lab.sandbox("sbx-a").join("workspace/starts")).unwrap(),
        "x\n"
    );
}

#[test]
fn no_more_sandboxes_than_the_capacity_and_room_again_after_removal() {
    let lab = lab().with(&["--capacity", "2"]);
    let host = lab.start();
    for name in ["sbx-a", "sbx-b"] {
        assert_eq!(host.put(name, &spec(&[])).status, 202);
    }
    let full = host.put("sbx-c", &spec(&[]));
    assert_eq!((full.status, &full.body["error"]["kind"]), (507, &json!("capacity")));
    assert!(full.body["error"]["retryAfterMs"].as_i64().unwrap() > 0);
    assert_eq!(
        host.put("sbx-a", &spec(&[])).status,
        202,
        "one that exists needs no room"
    );
    assert_eq!(host.delete("sbx-a").status, 204);
    assert_eq!(host.put("sbx-c", &spec(&[])).status, 202);
    assert_eq!(host.health()["running"], 2);
}

#[test]
fn sandboxes_are_listed_by_label() {
    let lab = lab();
    let host = lab.start();
    for (name, session) in [("sbx-a", "s1"), ("sbx-b", "s2"), ("sbx-c", "s1")] {
        let spec = json!({ "env": {}, "labels": { "session": session } });
        assert_eq!(host.put(name, &spec).status, 202);
    }
    let names = |path: &str| -> Vec<String> {
        let body = host.call("GET", path, &Value::Null).body;
        body["sandboxes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names("/v1/sandboxes?label=session=s1"), ["sbx-a", "sbx-c"]);
    assert_eq!(names("/v1/sandboxes?label=session%3Ds2"), ["sbx-b"]);
    assert_eq!(names("/v1/sandboxes").len(), 3);
}

#[test]
fn removal_takes_everything_and_may_be_asked_again_and_at_once() {
    // A runner with children that ignore the request to end, one of them in a session of its own.
    let stubborn = "trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & setsid sh -c 'trap \"\" TERM; sleep 1000' & \
        mkdir -p $ERRAND_WORKSPACE/locked/in; echo x > $ERRAND_WORKSPACE/locked/in/f; chmod -R a-w $ERRAND_WORKSPACE/locked; \
        touch $ERRAND_STATE/ready; while :; do sleep 1; done";
    let lab = Lab::new(stubborn);
    let host = lab.start();
    assert_eq!(host.delete("sbx-a").status, 204, "nothing there");
    host.put("sbx-a", &spec(&[]));
    eventually("the runner", || lab.sandbox("sbx-a").join("state/ready").exists());
    assert!(!processes_of(&lab.state()).is_empty());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(host.delete("sbx-a").status, 204));
        }
    });
    assert_eq!(processes_of(&lab.state()), Vec::<String>::new());
    assert!(!lab.sandbox("sbx-a").exists());
    assert_eq!(std::fs::read_dir(lab.state().join("trash")).unwrap().count(), 0);
    assert_eq!(host.get("sbx-a").body["state"], "gone");
}
