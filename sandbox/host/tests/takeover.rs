//! Suspending, and a sandbox that goes on with an earlier one's files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod common;

use common::{Lab, Running, WAITING, eventually, processes_naming};
use serde_json::{Value, json};

/// A runner that counts its starts in what is kept.
fn counting() -> Lab {
    Lab::new(&format!(
        "echo x >> \"$ERRAND_WORKSPACE/starts\"; echo y >> \"$ERRAND_STATE/starts\"; {WAITING}"
    ))
    .with(&["--isolation", "none"])
}

fn spec(resume: Option<&str>) -> Value {
    json!({ "env": {}, "labels": { "session": "ses_1" }, "resume": resume })
}

fn starts(lab: &Lab, name: &str) -> String {
    let read = |folder: &str| std::fs::read_to_string(lab.sandbox(name).join(folder).join("starts"));
    read("workspace").unwrap_or_default() + &read("state").unwrap_or_default()
}

fn run(lab: &Lab, host: &Running, name: &str, resume: Option<&str>, expected: &str) {
    assert_eq!(host.put(name, &spec(resume)).status, 202);
    host.until_state(name, "running");
    eventually("its own start in the files", || starts(lab, name) == expected);
}

#[test]
fn a_suspended_sandbox_is_stopped_and_its_files_go_on_in_another() {
    let lab = counting();
    let host = lab.start();
    run(&lab, &host, "sbx-s-1", None, "x\ny\n");
    assert_ne!(processes_naming(&lab.sandbox("sbx-s-1")), Vec::<String>::new());
    for _ in 0..2 {
        let suspended = host.call("POST", "/v1/sandboxes/sbx-s-1/suspend", &Value::Null);
        assert_eq!((suspended.status, &suspended.body["state"]), (200, &json!("exited")));
    }
    assert_eq!(processes_naming(&lab.sandbox("sbx-s-1")), Vec::<String>::new());
    run(&lab, &host, "sbx-s-2", Some("sbx-s-1"), "x\nx\ny\ny\n");
}

#[test]
fn a_running_sandbox_is_stopped_by_the_one_that_takes_over() {
    let lab = counting();
    let host = lab.start();
    run(&lab, &host, "sbx-s-1", None, "x\ny\n");
    run(&lab, &host, "sbx-s-2", Some("sbx-s-1"), "x\nx\ny\ny\n");
    assert_eq!(host.get("sbx-s-1").body["state"], "exited");
    assert_eq!(processes_naming(&lab.sandbox("sbx-s-1")), Vec::<String>::new());
}

#[test]
fn the_chain_is_followed_when_a_sandbox_between_is_not_known_to_the_caller() {
    let lab = counting();
    let host = lab.start();
    run(&lab, &host, "sbx-s-1", None, "x\ny\n");
    run(&lab, &host, "sbx-s-2", Some("sbx-s-1"), "x\nx\ny\ny\n");
    run(&lab, &host, "sbx-s-3", Some("sbx-s-1"), "x\nx\nx\ny\ny\ny\n");
    assert_eq!(host.get("sbx-s-2").body["state"], "exited");
    assert_eq!(host.delete("sbx-s-3").status, 204);
    for name in ["sbx-s-1", "sbx-s-2", "sbx-s-3"] {
        assert!(!lab.sandbox(name).exists(), "{name} is left");
    }
}

#[test]
fn what_could_not_take_over_is_removed_with_the_one_that_could() {
    let lab = counting();
    let host = lab.start();
    run(&lab, &host, "sbx-s-1", None, "x\ny\n");
    // As a full disk: where the files go on cannot be written down.
    let obstacle = lab.sandbox("sbx-s-1").join("successor");
    std::fs::create_dir_all(obstacle.join("in the way")).unwrap();
    assert_eq!(host.put("sbx-s-2", &spec(Some("sbx-s-1"))).status, 202);
    host.until_state("sbx-s-2", "failed");
    std::fs::remove_dir_all(&obstacle).unwrap();
    run(&lab, &host, "sbx-s-3", Some("sbx-s-1"), "x\nx\ny\ny\n");
    assert_eq!(host.delete("sbx-s-3").status, 204);
    for name in ["sbx-s-1", "sbx-s-2", "sbx-s-3"] {
        assert!(!lab.sandbox(name).exists(), "{name} is left");
    }
}

#[test]
fn what_could_not_take_over_is_removed_though_nothing_is_left_of_what_it_was_to_take_over() {
    let lab = counting();
    let host = lab.start();
    run(&lab, &host, "sbx-s-1", None, "x\ny\n");
    let obstacle = lab.sandbox("sbx-s-1").join("successor");
    std::fs::create_dir_all(obstacle.join("in the way")).unwrap();
    assert_eq!(host.put("sbx-s-2", &spec(Some("sbx-s-1"))).status, 202);
    host.until_state("sbx-s-2", "failed");
    assert_eq!(host.delete("sbx-s-1").status, 204);
    run(&lab, &host, "sbx-s-3", Some("sbx-s-1"), "x\ny\n");
    // Whoever is removed in the end may be further down the chain.
    run(&lab, &host, "sbx-s-4", Some("sbx-s-3"), "x\nx\ny\ny\n");
    assert_eq!(host.delete("sbx-s-4").status, 204);
    assert!(!lab.sandbox("sbx-s-2").exists());
}

#[test]
fn when_nothing_is_left_it_starts_fresh() {
    let lab = counting();
    let host = lab.start();
    run(&lab, &host, "sbx-s-2", Some("sbx-s-1"), "x\ny\n");
    let unknown = host.call("POST", "/v1/sandboxes/sbx-never/suspend", &Value::Null);
    assert_eq!((unknown.status, &unknown.body["state"]), (200, &json!("gone")));
}

#[test]
fn nobody_takes_over_from_another_session_or_from_itself() {
    let lab = counting();
    let host = lab.start();
    run(&lab, &host, "sbx-s-1", None, "x\ny\n");
    let other = json!({ "env": {}, "labels": { "session": "ses_2" }, "resume": "sbx-s-1" });
    for (name, spec) in [("sbx-t-1", other), ("sbx-s-2", json!({ "env": {}, "resume": "../x" }))] {
        let refused = host.put(name, &spec);
        assert_eq!(
            (refused.status, &refused.body["error"]["kind"]),
            (422, &json!("invalidSpec"))
        );
    }
    assert_eq!(host.put("sbx-s-3", &spec(Some("sbx-s-3"))).status, 422);
    assert_eq!(host.get("sbx-s-1").body["state"], "running");
}

#[test]
fn a_full_host_has_room_for_a_successor() {
    let lab = counting().with(&["--capacity", "1"]);
    let host = lab.start();
    run(&lab, &host, "sbx-s-1", None, "x\ny\n");
    run(&lab, &host, "sbx-s-2", Some("sbx-s-1"), "x\nx\ny\ny\n");
}
