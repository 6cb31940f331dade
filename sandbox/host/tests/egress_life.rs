//! The way out of a sandbox through crashes, take-overs and load; and that nothing of it is left behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use common::shell::{SHELL, Shell, allow};
use common::web::Web;
use common::{Lab, Running, eventually, processes_naming};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// A host that publishes the loopback as `allowed.example`; `None` where there is nothing to test.
fn start() -> Option<(Lab, Running, Web, Value)> {
    let lab = Lab::new(SHELL).with(&["--publish", "allowed.example=127.0.0.1"]);
    let host = lab.start();
    let web = Web::start(None);
    let policy = allow(&[&format!("allowed.example:{}", web.port)]);
    let names = host.health().get("egress").is_some_and(|egress| egress == "names");
    names.then_some((lab, host, web, policy))
}

fn fetch(web: &Web, path: &str) -> String {
    format!("curl -sS -m 20 http://allowed.example:{}{path}", web.port)
}

fn proxies(lab: &Lab, name: &str) -> Vec<Pid> {
    let lines = processes_naming(&lab.sandbox(name)).into_iter();
    lines
        .filter(|line| line.contains("__egress"))
        .filter_map(|line| Pid::from_raw(line.split(' ').next()?.parse().ok()?))
        .collect()
}

#[test]
fn while_the_proxy_is_gone_nothing_leaves_and_a_new_one_takes_its_place() {
    let Some((lab, host, web, policy)) = start() else {
        return;
    };
    let shell = Shell::start(&lab, &host, "sbx-a", &policy, &json!({}));
    let _ = shell.run("curl -sS http://evil.example/");
    for _ in 0..3 {
        let [proxy] = proxies(&lab, "sbx-a").try_into().unwrap();
        // Stopped: connections wait, and are not led elsewhere.
        kill_process(proxy, Signal::STOP).unwrap();
        let before = web.seen().len();
        let out = shell.run(&fetch(&web, "/").replace("-m 20", "-m 1"));
        assert!(!out.contains("hello") && web.seen().len() == before, "{out}");
        kill_process(proxy, Signal::KILL).unwrap();
        eventually("another proxy", || {
            proxies(&lab, "sbx-a").iter().any(|other| *other != proxy)
        });
        let out = shell.run(&fetch(&web, "/"));
        assert!(out.starts_with("hello"), "{out}");
        let out = shell.run("curl -sS http://evil.example/");
        assert!(out.contains("may not reach"), "{out}");
    }
    assert_eq!(
        shell.refused(),
        ["evil.example:80 not_allowed"],
        "told once, by whichever proxy"
    );
}

#[test]
fn a_proxy_that_cannot_be_kept_running_ends_the_sandbox_with_its_cause() {
    let Some((lab, host, _, policy)) = start() else { return };
    let _shell = Shell::start(&lab, &host, "sbx-a", &policy, &json!({}));
    eventually("the end", || {
        for proxy in proxies(&lab, "sbx-a") {
            let _ = kill_process(proxy, Signal::KILL);
        }
        host.get("sbx-a").body["state"] == "exited"
    });
    let status = host.get("sbx-a").body;
    assert!(
        status["exit"]
            .as_str()
            .unwrap()
            .contains("proxy could not be kept running"),
        "{status}"
    );
    assert_eq!(processes_naming(&lab.sandbox("sbx-a")), Vec::<String>::new());
}

#[test]
fn connections_outlive_the_host_and_the_next_one_widens_the_policy() {
    let Some((lab, host, web, policy)) = start() else {
        return;
    };
    let shell = Shell::start(&lab, &host, "sbx-a", &policy, &json!({}));
    let slow = fetch(&web, "/wait");
    shell.begin(&slow);
    eventually("the request", || !web.seen().is_empty());
    host.crash();
    assert!(shell.ended(&slow).starts_with("waited"));
    assert!(shell.run(&fetch(&web, "/")).starts_with("hello"), "without any host");
    let host = lab.start();
    assert!(shell.run(&fetch(&web, "/")).starts_with("hello"));
    assert_eq!(
        host.call("PUT", "/v1/sandboxes/sbx-a/egress", &json!({ "mode": "open" }))
            .status,
        200
    );
    let out = shell.run("curl -sS -m 5 http://10.0.0.1/");
    assert!(out.contains("not on the public internet"), "{out}");
    assert_eq!(host.delete(&shell.name).status, 204);
}

#[test]
fn a_sandbox_that_goes_on_with_anothers_files_has_its_own_policy() {
    let Some((lab, host, web, policy)) = start() else {
        return;
    };
    let shell = Shell::start(&lab, &host, "sbx-a", &policy, &json!({}));
    assert!(shell.run(&fetch(&web, "/")).starts_with("hello"));
    assert_eq!(
        host.call("POST", "/v1/sandboxes/sbx-a/suspend", &Value::Null).status,
        200
    );
    assert_eq!(processes_naming(&lab.sandbox("sbx-a")), Vec::<String>::new());
    let spec = json!({ "env": {}, "egress": allow(&[]), "labels": { "session": "ses_1" }, "resume": "sbx-a" });
    assert_eq!(host.put("sbx-b", &spec).status, 202);
    eventually("the files", || lab.sandbox("sbx-b").join("workspace/ready").exists());
    let shell = Shell::of(&lab, "sbx-b");
    assert!(shell.run(&fetch(&web, "/")).contains("may not reach"));
}

#[test]
fn many_connections_at_once_and_a_flood_are_served_within_bounds() {
    let Some((lab, host, web, policy)) = start() else {
        return;
    };
    let control_plane = Web::start(None);
    let env = json!({ "ERRAND_URL": format!("ws://127.0.0.1:{}", control_plane.port) });
    let shell = Shell::start(&lab, &host, "sbx-a", &policy, &env);
    let out = shell.run(&format!(
        "for i in $(seq 100); do {} > got.$i & done; wait; cat got.* | grep -c waited",
        fetch(&web, "/wait")
    ));
    assert_eq!(out, "100\n[0]\n");
    // More than there are places, all silent: the control plane is still reached, and later everything is again.
    let hold = format!(
        "import socket, time\nheld = []\nfor i in range(700):\n  try: held.append(socket.create_connection(('allowed.example', {}), 5))\n  except OSError: pass\nopen('held', 'w').close()\ntime.sleep(60)",
        web.port
    );
    let _ = shell.run(&format!(
        "ulimit -n 4096; /usr/bin/python3 - <<'EOF' > /dev/null 2>&1 &\n{hold}\nEOF\necho $! > holder"
    ));
    eventually("the flood", || lab.sandbox("sbx-a").join("workspace/held").exists());
    let out = shell.run(&fetch(&web, "/"));
    assert!(!out.contains("hello"), "no place is left: {out}");
    let out = shell.run(&format!("curl -sS --fail http://127.0.0.1:{}/", control_plane.port));
    assert!(out.starts_with("hello"), "{out}");
    let _ = shell.run("kill $(cat holder)");
    eventually("places", || shell.run(&fetch(&web, "/")).starts_with("hello"));
}

#[test]
fn bytes_pass_quickly_and_whole() {
    let Some((lab, host, web, policy)) = start() else {
        return;
    };
    let shell = Shell::start(&lab, &host, "sbx-a", &policy, &json!({}));
    let begun = Instant::now();
    let out = shell.run(&format!("{} | wc -c", fetch(&web, "/big/512")));
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(out, format!("{}\n[0]\n", 512 << 20));
    eprintln!("512 MiB in {seconds:.2} s: {:.0} MiB/s", 512.0 / seconds);
    assert!(seconds < 20.0, "{seconds} s");
    let begun = Instant::now();
    let out = shell.run(&format!(
        "for i in $(seq 50); do {} || exit 1; done > /dev/null",
        fetch(&web, "/")
    ));
    eprintln!("a connection with its name: {:?}", begun.elapsed() / 50);
    assert_eq!(out, "[0]\n");
}

#[test]
fn nothing_is_left_of_a_network_after_its_sandbox_is_removed() {
    let Some((lab, host, web, policy)) = start() else {
        return;
    };
    let state = lab.state();
    let mine = || networks(&processes_naming(&state));
    let without = mine();
    for round in 0..3 {
        let name = format!("sbx-{round}");
        let shell = Shell::start(&lab, &host, &name, &policy, &json!({}));
        assert!(shell.run(&fetch(&web, "/")).starts_with("hello"));
        assert!(mine().len() > without.len(), "a network of its own");
        assert_eq!(host.delete(&name).status, 204);
        assert_eq!(processes_naming(&lab.sandbox(&name)), Vec::<String>::new());
        assert!(!lab.sandbox(&name).exists());
    }
    assert_eq!(mine(), without);
    let lab_dir = lab.dir.path().to_str().unwrap().to_owned();
    assert!(!fs::read_to_string("/proc/net/unix").unwrap().contains(&lab_dir));
}

#[test]
fn a_sandbox_whose_keeper_was_killed_keeps_its_way_out_until_it_ends() {
    let Some((lab, host, web, policy)) = start() else {
        return;
    };
    let shell = Shell::start(&lab, &host, "sbx-a", &policy, &json!({}));
    lab.kill_keeper("sbx-a");
    assert!(shell.run(&fetch(&web, "/")).starts_with("hello"));
    assert!(shell.run("curl -sS http://evil.example/").contains("may not reach"));
    shell.begin("kill -KILL -1");
    let status = host.until_state("sbx-a", "exited");
    assert!(status["exit"].as_str().unwrap().contains("keeper"), "{status}");
    assert_eq!(processes_naming(&lab.sandbox("sbx-a")), Vec::<String>::new());
}

/// The networks of these processes.
fn networks(lines: &[String]) -> BTreeSet<String> {
    let pids = lines.iter().filter_map(|line| line.split(' ').next());
    pids.filter_map(|pid| Some(fs::read_link(format!("/proc/{pid}/ns/net")).ok()?.display().to_string()))
        .collect()
}

#[test]
fn a_server_sees_how_a_program_ends_its_connection() {
    let lab = Lab::new(SHELL);
    let host = lab.start();
    if host.health().get("egress").is_none_or(|egress| egress != "names") {
        return;
    }
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    // The runner's way: to the control plane.
    let env = json!({ "ERRAND_URL": format!("ws://127.0.0.1:{port}") });
    let shell = Shell::start(&lab, &host, "sbx-a", &allow(&[]), &env);
    for (linger, expected) in [("1, 0", Err(ErrorKind::ConnectionReset)), ("0, 0", Ok(()))] {
        let script = format!(
            "import os, socket, struct, time\ns = socket.create_connection(('127.0.0.1', {port}))\n\
             s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', {linger}))\n\
             s.sendall(b'ask')\nwhile not os.path.exists('gone'): time.sleep(0.01)\n"
        );
        let command = format!("rm -f gone; /usr/bin/python3 -c \"{script}\"");
        shell.begin(&command);
        let (mut stream, _) = server.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut asked = [0; 3];
        stream.read_exact(&mut asked).unwrap();
        fs::write(lab.sandbox("sbx-a").join("workspace/gone"), "").unwrap();
        let end = stream.read(&mut asked).map(|count| assert_eq!(count, 0));
        assert_eq!(end.map_err(|error| error.kind()), expected);
        let _ = shell.ended(&command);
    }
}
