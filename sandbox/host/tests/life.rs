//! A sandbox's life and its host's: ends and their causes, crashes of host and keeper, half-done work, stopping.

mod common;

use std::fs;

use common::{Lab, WAITING, eventually, processes_of, spec};
use serde_json::json;

#[test]
fn the_end_of_a_runner_is_told_in_words() {
    for (script, words) in [
        ("exit 0", "the runner ended by itself"),
        (
            "echo some trouble; exit 3",
            "the runner ended with code 3: some trouble",
        ),
        ("kill -9 $$", "the runner was ended by signal 9"),
    ] {
        let lab = Lab::new(script);
        let host = lab.start();
        host.put("sbx-a", &spec(&[]));
        let status = host.until_state("sbx-a", "exited");
        assert_eq!(status["exit"], words);
        assert_eq!(
            host.put("sbx-a", &spec(&[])).body["state"],
            "exited",
            "it does not start again"
        );
        assert_eq!(host.health()["running"], 0);
    }
}

#[test]
fn what_a_runner_leaves_running_ends_with_it() {
    for isolation in ["none", "auto"] {
        let lab = Lab::new("setsid sleep 1000 & setsid sh -c 'sleep 1000 & sleep 1000' & exit 0")
            .with(&["--isolation", isolation]);
        let host = lab.start();
        host.put("sbx-a", &spec(&[]));
        host.until_state("sbx-a", "exited");
        eventually("the keeper to end", || processes_of(&lab.state()).is_empty());
    }
}

#[test]
fn a_runner_that_cannot_be_started_is_a_failure_with_a_cause() {
    for isolation in ["none", "auto"] {
        let lab = Lab::new("exit 0").with(&["--isolation", isolation]);
        let host = lab.start();
        fs::remove_file(lab.dir.path().join("runner")).unwrap();
        host.put("sbx-a", &spec(&[]));
        let status = host.until_state("sbx-a", "failed");
        assert!(
            status["exit"]
                .as_str()
                .unwrap()
                .starts_with("it could not be started: "),
            "{status}"
        );
        assert_eq!(host.delete("sbx-a").status, 204);
    }
}

#[test]
fn a_new_host_finds_the_running_sandbox_of_one_that_crashed() {
    let lab = Lab::new(WAITING);
    let host = lab.start();
    let created = host.put("sbx-a", &spec(&[])).body["createdAt"].clone();
    host.put("sbx-b", &spec(&[]));
    for name in ["sbx-a", "sbx-b"] {
        eventually("the runner", || lab.sandbox(name).join("workspace/ready").exists());
    }
    let before = processes_of(&lab.state());
    host.crash();
    assert_eq!(processes_of(&lab.state()), before, "sandboxes go on without their host");
    let host = lab.start();
    let status = host.get("sbx-a").body;
    assert_eq!((&status["state"], &status["createdAt"]), (&json!("running"), &created));
    assert_eq!(host.put("sbx-a", &spec(&[])).status, 202);
    assert_eq!(processes_of(&lab.state()), before, "nothing was started twice");
    assert_eq!(host.delete("sbx-a").status, 204);
    assert_eq!(host.get("sbx-b").body["state"], "running");
}

#[test]
fn an_end_while_no_host_was_there_is_known_to_the_next_one() {
    let lab = Lab::new("while ! test -e \"$ERRAND_WORKSPACE/end\"; do sleep 0.05; done; exit 7");
    let host = lab.start();
    host.put("sbx-a", &spec(&[]));
    host.until_state("sbx-a", "running");
    host.crash();
    fs::write(lab.sandbox("sbx-a").join("workspace/end"), "").unwrap();
    eventually("the keeper to record the end", || {
        lab.sandbox("sbx-a").join("exit.json").exists()
    });
    let host = lab.start();
    assert_eq!(
        host.get("sbx-a").body["exit"],
        "the runner ended with code 7: no output"
    );
}

#[test]
fn half_done_work_is_finished_by_the_next_host() {
    let lab = Lab::new(WAITING);
    let host = lab.start();
    for name in ["sbx-deleting", "sbx-orphan"] {
        host.put(name, &spec(&[]));
        eventually("the runner", || lab.sandbox(name).join("workspace/ready").exists());
    }
    host.crash();
    // Removal was under way; a keeper was killed; a wish was recorded and nothing more; another was half-written.
    fs::write(lab.sandbox("sbx-deleting").join("deleting"), "").unwrap();
    lab.kill_keeper("sbx-orphan");
    fs::create_dir(lab.sandbox("sbx-wish")).unwrap();
    let record =
        json!({ "created_at": "2026-11-21T06:21:17.308Z", "isolation": "none", "spec": spec(&[]), "cgroups": [] });
    fs::write(lab.sandbox("sbx-wish").join("record.json"), record.to_string()).unwrap();
    fs::create_dir(lab.sandbox(".new-sbx-half")).unwrap();

    let host = lab.start();
    host.until_state("sbx-deleting", "gone");
    let orphan = host.until_state("sbx-orphan", "exited");
    assert!(orphan["exit"].as_str().unwrap().contains("keeper process vanished"));
    host.until_state("sbx-wish", "running");
    assert!(!lab.sandbox(".new-sbx-half").exists());
    assert!(
        processes_of(&lab.state()).iter().all(|line| line.contains("sbx-wish")),
        "{:?}",
        processes_of(&lab.state())
    );
}

#[test]
fn a_sandbox_that_ends_after_its_keeper_was_killed_is_not_taken_for_a_running_one() {
    let lab = Lab::new("touch $ERRAND_WORKSPACE/ready; while ! test -e \"$ERRAND_WORKSPACE/end\"; do sleep 0.05; done");
    let host = lab.start();
    host.put("sbx-a", &spec(&[]));
    eventually("the runner", || lab.sandbox("sbx-a").join("workspace/ready").exists());
    lab.kill_keeper("sbx-a");
    assert_eq!(host.get("sbx-a").body["state"], "running", "it works on");
    fs::write(lab.sandbox("sbx-a").join("workspace/end"), "").unwrap();
    let status = host.until_state("sbx-a", "exited");
    assert!(status["exit"].as_str().unwrap().contains("keeper process vanished"));
    assert_eq!(host.health()["running"], 0);
}

#[test]
fn a_host_told_to_stop_leaves_its_sandboxes_or_stops_them_as_it_was_asked() {
    let lab = Lab::new(WAITING);
    let host = lab.start();
    host.put("sbx-a", &spec(&[]));
    eventually("the runner", || lab.sandbox("sbx-a").join("workspace/ready").exists());
    assert!(host.terminate());
    let lab = lab.with(&["--stop-sandboxes-on-exit"]);
    let host = lab.start();
    assert_eq!(host.get("sbx-a").body["state"], "running");
    assert!(host.terminate());
    assert_eq!(processes_of(&lab.state()), Vec::<String>::new());
    let host = lab.start();
    let status = host.get("sbx-a").body;
    assert_eq!(status["exit"], "it was stopped together with its host");
    assert!(lab.sandbox("sbx-a").join("workspace/ready").exists(), "its files stay");
}

#[test]
fn a_runner_is_asked_before_it_is_killed() {
    let lab = Lab::new("trap 'echo asked > $ERRAND_WORKSPACE/asked; exit 0' TERM; touch $ERRAND_WORKSPACE/ready; while :; do sleep 0.05; done")
        .with(&["--stop-sandboxes-on-exit"]);
    let host = lab.start();
    host.put("sbx-a", &spec(&[]));
    eventually("the runner", || lab.sandbox("sbx-a").join("workspace/ready").exists());
    assert!(host.terminate());
    assert!(lab.sandbox("sbx-a").join("workspace/asked").exists());
}

#[test]
fn a_host_without_a_secret_does_not_start() {
    let lab = Lab::new("exit 0");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_errand-host"))
        .args([
            "--state",
            lab.state().to_str().unwrap(),
            "--runner",
            "/bin/true",
            "--engine",
            "/bin/true",
        ])
        .env_remove("ERRAND_HOST_SECRET")
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("ERRAND_HOST_SECRET must be set"));
}
