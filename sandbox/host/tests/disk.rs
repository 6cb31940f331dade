//! No sandbox fills the host's disk.

mod common;

use common::{Lab, WAITING, eventually, spec};
use serde_json::json;

/// Writes 60 MB where the variable `BIG` says, if it says so, and waits.
fn greedy() -> String {
    format!("[ -z \"$BIG\" ] || head -c 60000000 /dev/zero > \"$ERRAND_WORKSPACE/big\"; {WAITING}")
}

#[test]
fn one_that_takes_more_than_its_limit_is_stopped_and_says_so_and_others_go_on() {
    let lab = Lab::new(&greedy()).with(&["--sandbox-disk-mib", "40"]);
    let host = lab.start();
    host.put("sbx-small", &spec(&[]));
    host.put("sbx-big", &spec(&[("BIG", "1")]));
    let status = host.until_state("sbx-big", "exited");
    let words = status["exit"].as_str().unwrap();
    assert!(words.contains("of disk; 40 MiB are allowed"), "{words}");
    assert_eq!(host.get("sbx-small").body["state"], "running");
    assert!(
        lab.sandbox("sbx-big").join("workspace/big").exists(),
        "its files are its session's"
    );
}

#[test]
fn what_was_taken_over_may_be_kept() {
    let lab = Lab::new(&greedy());
    let host = lab.start();
    let session = |name: &str| json!({ "session": name });
    let mut first = spec(&[("BIG", "1")]);
    first["labels"] = session("ses_1");
    host.put("sbx-a", &first);
    eventually("the runner", || lab.sandbox("sbx-a").join("workspace/ready").exists());
    host.terminate();
    let lab = lab.with(&["--sandbox-disk-mib", "40"]);
    let host = lab.start();
    let mut next = spec(&[]);
    next["labels"] = session("ses_1");
    next["resume"] = json!("sbx-a");
    host.put("sbx-b", &next);
    eventually("the runner", || lab.sandbox("sbx-b").join("workspace/ready").exists());
    // Counted once a new one is there, and the new one with the others.
    host.put("sbx-c", &spec(&[("BIG", "1")]));
    host.until_state("sbx-c", "exited");
    assert_eq!(host.get("sbx-b").body["state"], "running");
}

#[test]
fn with_much_more_than_its_limit_a_session_does_not_go_on() {
    let lab = Lab::new(&greedy()).with(&["--sandbox-disk-mib", "20"]);
    let host = lab.start();
    let mut first = spec(&[("BIG", "1")]);
    first["labels"] = json!({ "session": "ses_1" });
    host.put("sbx-a", &first);
    host.until_state("sbx-a", "exited");
    let mut next = spec(&[]);
    next["labels"] = json!({ "session": "ses_1" });
    next["resume"] = json!("sbx-a");
    host.put("sbx-b", &next);
    let status = host.until_state("sbx-b", "failed");
    let words = status["exit"].as_str().unwrap();
    assert!(words.contains("20 MiB are allowed, and 40 at most"), "{words}");
}

#[test]
fn a_full_disk_takes_no_new_sandboxes() {
    let lab = Lab::new(WAITING).with(&["--free-disk-mib", "4000000000"]);
    let host = lab.start();
    let full = host.put("sbx-a", &spec(&[]));
    assert_eq!((full.status, &full.body["error"]["kind"]), (507, &json!("capacity")));
    let words = full.body["error"]["message"].as_str().unwrap();
    assert!(words.contains("MiB left"), "{words}");
    assert_eq!(host.get("sbx-a").body["state"], "gone");
}
