//! What a sandbox sees and may use: environment, files, processes, repository, limits.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Lab, eventually, isolated, spec};
use serde_json::{Value, json};

/// Runs a script as the sandbox's runner to its end and returns what it wrote to `$ERRAND_WORKSPACE/out`.
fn run(lab: &Lab, spec: &Value) -> Option<String> {
    let host = lab.start();
    if !lab.args.iter().any(|arg| arg == "none") && !isolated(&host) {
        return None;
    }
    assert_eq!(host.put("sbx-a", spec).status, 202);
    host.until_state("sbx-a", "exited");
    Some(fs::read_to_string(lab.sandbox("sbx-a").join("workspace/out")).unwrap())
}

#[test]
fn the_hosts_environment_does_not_leak_in() {
    for isolation in ["none", "auto"] {
        let lab = Lab::new("env > $ERRAND_WORKSPACE/out").with(&["--isolation", isolation]);
        let host = lab.start();
        host.put("sbx-a", &spec(&[("ERRAND_SESSION", "s"), ("HOME", "/root")]));
        host.until_state("sbx-a", "exited");
        let text = fs::read_to_string(lab.sandbox("sbx-a").join("workspace/out")).unwrap();
        let mut names: Vec<&str> = text.lines().filter_map(|line| line.split('=').next()).collect();
        names.retain(|name| !["_", "PWD", "OLDPWD", "SHLVL"].contains(name));
        names.sort_unstable();
        if host.health()["egress"] == "names" {
            names.retain(|name| *name != "ERRAND_EGRESS");
        }
        let expected = [
            "ERRAND_ENGINE",
            "ERRAND_SESSION",
            "ERRAND_STATE",
            "ERRAND_WORKSPACE",
            "HOME",
            "LANG",
            "PATH",
            "TMPDIR",
        ];
        assert_eq!(names, expected);
        assert!(!text.contains("HOME=/root\n"));
    }
}

#[test]
fn the_hosts_files_and_processes_are_out_of_sight() {
    let lab = Lab::new(
        "{ for f in /root /etc/shadow /var/lib /boot /sys /run /srv \"$OUTSIDE\"; do test -e \"$f\" && echo \"sees $f\"; done; \
           ls /home; ls -d /proc/[0-9]* | wc -l; id -u; hostname; grep CapEff /proc/self/status; \
           touch /usr/x /etc/x /x 2>/dev/null && echo wrote; cat /proc/1/environ >/dev/null && echo own; } > $ERRAND_WORKSPACE/out 2>&1",
    );
    let outside = lab.dir.path().to_str().unwrap().to_owned();
    let Some(out) = run(&lab, &spec(&[("OUTSIDE", &outside)])) else {
        return;
    };
    assert!(!out.contains("sees") && !out.contains("wrote"), "{out}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "errand");
    assert!(lines[1].trim().parse::<u32>().unwrap() < 10, "{out}");
    assert_eq!(&lines[2..4], ["1000", "errand"]);
    assert!(out.contains("CapEff:\t0000000000000000"), "{out}");
}

/// They are opened and never written: a sandbox that could would change this machine.
#[test]
fn the_kernels_settings_cannot_be_changed_from_inside() {
    let lab = Lab::new(
        "{ for f in kernel/core_pattern kernel/modprobe vm/drop_caches fs/file-max; do \
           ( : >> /proc/sys/$f ) 2>/dev/null && echo \"opens $f\"; done; \
           cat /proc/sys/kernel/ostype; head -c 1 /proc/kallsyms 2>/dev/null | wc -c; } > $ERRAND_WORKSPACE/out 2>&1",
    );
    let Some(out) = run(&lab, &spec(&[])) else {
        return;
    };
    assert!(!out.contains("opens"), "{out}");
    assert_eq!(out, "Linux\n0\n");
}

#[test]
fn the_paths_inside_are_fixed_and_its_own_places_are_writable() {
    let lab = Lab::new(
        "set -e; cd /workspace; { pwd; echo $ERRAND_STATE $HOME $TMPDIR $ERRAND_ENGINE; for d in /workspace /state /tmp $HOME /dev/shm; do echo x > $d/f; done; \
         $ERRAND_ENGINE && echo engine runs; whoami; git --version | cut -c1-11; } > /workspace/out 2>&1",
    );
    let Some(out) = run(&lab, &spec(&[])) else { return };
    assert_eq!(
        out,
        "/workspace\n/state /home/errand /tmp /opt/errand/bin/opencode\nengine runs\nerrand\ngit version\n"
    );
}

#[test]
fn a_local_repository_can_be_cloned_but_not_changed_and_nothing_beside_it_is_seen() {
    let lab = Lab::new(
        "{ git clone -q $REPO /workspace/copy && cat /workspace/copy/f; ls -A $REPO; cat $REPO/.env; \
           grep -c token $REPO/.git/config; touch $REPO/.git/x && echo wrote; ls -A $REPO/.git/logs; } > /workspace/out 2>/dev/null",
    );
    let repo = lab.dir.path().join("repo");
    make_repo(&repo);
    fs::write(repo.join(".env"), "hidden").unwrap();
    git(&repo, &["remote", "add", "origin", "https://token@example.invalid/x"]);
    let path = repo.to_str().unwrap();
    let spec = json!({ "env": { "REPO": path }, "repo": { "url": format!("file://{path}") } });
    let Some(out) = run(&lab, &spec) else { return };
    assert_eq!(out, "content\n.git\n0\n");
}

#[test]
fn a_worktree_and_borrowed_objects_can_be_cloned() {
    let lab = Lab::new(
        "git clone -q $REPO /workspace/copy > /workspace/log 2>&1; cat /workspace/copy/f /workspace/log > /workspace/out 2>&1",
    );
    let main = lab.dir.path().join("main");
    make_repo(&main);
    git(&main, &["worktree", "add", "-q", "-b", "other", "../tree"]);
    git(lab.dir.path(), &["clone", "-q", "--shared", "main", "borrower"]);
    for name in ["tree", "borrower"] {
        let path = lab.dir.path().join(name);
        let spec = json!({ "env": { "REPO": path }, "repo": { "url": path } });
        let host = lab.start();
        if !isolated(&host) {
            return;
        }
        host.put("sbx-a", &spec);
        host.until_state("sbx-a", "exited");
        assert_eq!(
            fs::read_to_string(lab.sandbox("sbx-a").join("workspace/out")).unwrap(),
            "content\n",
            "{name}"
        );
        assert_eq!(host.delete("sbx-a").status, 204);
    }
}

#[test]
fn tools_are_on_the_path_inside() {
    let lab = Lab::new("a-tool > $ERRAND_WORKSPACE/out 2>&1");
    fs::create_dir(lab.dir.path().join("tools")).unwrap();
    lab.script("tools/a-tool", "echo found");
    let tools = lab.dir.path().join("tools").to_str().unwrap().to_owned();
    let lab = lab.with(&["--tool-dir", &tools]);
    if let Some(out) = run(&lab, &spec(&[])) {
        assert_eq!(out, "found\n");
    }
}

#[test]
fn limits_are_enforced_where_the_host_says_so() {
    // Memory: a shell that doubles a text. Processes: one more sleeper than allowed.
    let eater = "x=0123456789abcdef; while :; do x=$x$x; done";
    let lab = Lab::new(&format!(
        "if test \"$MODE\" = memory; then {eater}; fi; for i in $(seq 60); do sleep 1000 & done 2>$ERRAND_WORKSPACE/err; echo done"
    ));
    let host = lab.start();
    let limits: Vec<String> = serde_json::from_value(host.health()["limits"].clone()).unwrap();
    let small =
        |mode: &str| json!({ "env": { "MODE": mode }, "limits": { "memoryMib": 64, "pids": 30, "cpuMillis": 1000 } });
    if limits.contains(&"memory".to_owned()) {
        host.put("sbx-memory", &small("memory"));
        let status = host.until_state("sbx-memory", "exited");
        assert_eq!(
            status["exit"],
            "the runner was ended because the sandbox used all of its 64 MiB of memory"
        );
    }
    if limits.contains(&"pids".to_owned()) {
        host.put("sbx-pids", &small("pids"));
        host.until_state("sbx-pids", "exited");
        let err = fs::read_to_string(lab.sandbox("sbx-pids").join("workspace/err")).unwrap();
        assert!(err.to_lowercase().contains("fork"), "{err}");
    }
    for name in ["sbx-memory", "sbx-pids"] {
        assert_eq!(host.delete(name).status, 204);
    }
}

#[test]
fn what_the_runner_prints_is_in_its_log_and_secrets_are_in_no_readable_file() {
    let lab = Lab::new("echo to stdout; echo to stderr >&2");
    let host = lab.start();
    host.put("sbx-a", &spec(&[("ERRAND_TOKEN", "very-secret")]));
    host.until_state("sbx-a", "exited");
    let log = lab.sandbox("sbx-a").join("runner.log");
    eventually("the log", || {
        fs::read_to_string(&log).is_ok_and(|text| text == "to stdout\nto stderr\n")
    });
    let output = Command::new("grep")
        .args(["-rl", "very-secret"])
        .arg(lab.state())
        .output()
        .unwrap();
    for file in String::from_utf8(output.stdout).unwrap().lines() {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o077, 0, "{file}");
    }
}

#[test]
fn the_token_comes_on_standard_input_and_stands_in_no_environment() {
    let lab = Lab::new(
        "cat > $ERRAND_WORKSPACE/token; test -n \"$ERRAND_TOKEN_ON_STDIN\" && cat /proc/[0-9]*/environ > $ERRAND_WORKSPACE/all 2>/dev/null; true",
    );
    let host = lab.start();
    host.put("sbx-a", &spec(&[("ERRAND_TOKEN", "very-secret")]));
    host.until_state("sbx-a", "exited");
    let workspace = lab.sandbox("sbx-a").join("workspace");
    assert_eq!(fs::read_to_string(workspace.join("token")).unwrap(), "very-secret");
    let all = String::from_utf8_lossy(&fs::read(workspace.join("all")).unwrap()).into_owned();
    assert!(all.contains("ERRAND_WORKSPACE=") && !all.contains("very-secret"));
}

fn make_repo(path: &Path) {
    fs::create_dir_all(path).unwrap();
    git(path, &["init", "-q", "-b", "main"]);
    fs::write(path.join("f"), "content\n").unwrap();
    git(path, &["add", "f"]);
    git(path, &["commit", "-q", "-m", "first"]);
}

fn git(dir: &Path, args: &[&str]) {
    let status = Command::new("git")
        .args([
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@example.invalid",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(args)
        .current_dir(dir)
        .status()
        .unwrap();
    assert!(status.success(), "git {args:?}");
}
