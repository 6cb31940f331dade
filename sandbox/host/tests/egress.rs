//! What programs in a sandbox reach, and what they do not: real namespaces, real curl, git, node and python inside.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::shell::{SHELL, Shell, allow};
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

fn exited(out: &str, code: i32) -> bool {
    out.ends_with(&format!("[{code}]\n"))
}

#[test]
fn ordinary_programs_reach_an_allowed_name_unchanged() {
    let Some((lab, host)) = start() else { return };
    let repo = lab.dir.path().join("repo");
    let made = Command::new("sh")
        .args(["-c", "git init -q -b main $0 && cd $0 && git -c user.name=T -c user.email=t@t.invalid commit -q --allow-empty -m first && git update-server-info"])
        .arg(&repo)
        .status();
    assert!(made.unwrap().success());
    let web = Web::start(Some(repo.join(".git")));
    let url = format!("http://allowed.example:{}", web.port);
    let shell = Shell::start(
        &lab,
        &host,
        "sbx-a",
        &allow(&[&format!("allowed.example:{}", web.port)]),
        &json!({}),
    );
    for (program, command) in [
        ("curl", format!("curl -sS --fail {url}/HEAD")),
        ("git", format!("git clone -q {url} copy && git -C copy log --format=%s")),
        (
            "node",
            format!("node -e \"fetch('{url}/HEAD').then(r => r.text()).then(t => console.log(t))\""),
        ),
        (
            "python",
            format!(
                "/usr/bin/python3 -c \"import urllib.request as u; print(u.urlopen('{url}/HEAD').read().decode())\""
            ),
        ),
        ("getent", "getent hosts allowed.example".to_owned()),
    ] {
        if Command::new("sh")
            .args(["-c", &format!("test -x /usr/bin/{program} -o -x /usr/bin/{program}3")])
            .status()
            .unwrap()
            .success()
        {
            let out = shell.run(&command);
            assert!(exited(&out, 0), "{program}: {out}");
        }
    }
    assert_eq!(shell.refused(), Vec::<String>::new());
}

#[test]
fn a_name_that_is_not_allowed_is_refused_at_once_in_words_and_told_once() {
    let Some((lab, host)) = start() else { return };
    let web = Web::start(None);
    let shell = Shell::start(&lab, &host, "sbx-a", &allow(&["allowed.example"]), &json!({}));
    let begun = Instant::now();
    let out = shell.run(&format!("curl -sS http://other.example:{}/", web.port));
    let words = "this sandbox may not reach other.example:";
    assert!(
        out.contains(words) && out.contains("its egress policy does not name this host"),
        "{out}"
    );
    for _ in 0..2 {
        let out = shell.run("curl -sS https://evil.example/");
        assert!(out.contains("access denied") && exited(&out, 35), "{out}");
        let out = shell.run("git ls-remote https://evil.example/x.git");
        let words = out.to_lowercase();
        assert!(
            words.contains("access") && words.contains("denied") && exited(&out, 128),
            "{out}"
        );
    }
    // Who waits for the server to speak first is cut off.
    let out = shell.run("exec 3<>/dev/tcp/mail.example/25; read -t 5 x <&3; echo \"read $?\"");
    assert!(out.contains("read 1"), "{out}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(web.seen(), Vec::<Vec<u8>>::new());
    let other = format!("other.example:{} not_allowed", web.port);
    assert_eq!(
        shell.refused(),
        [
            other.as_str(),
            "evil.example:443 not_allowed",
            "mail.example:25 not_allowed"
        ]
    );
    let out = shell.run("wc -l < $ERRAND_EGRESS; echo x >> $ERRAND_EGRESS");
    assert!(out.starts_with("3\n") && out.contains("Read-only"), "{out}");
}

#[test]
fn only_tcp_by_name_leaves() {
    let Some((lab, host)) = start() else { return };
    for (name, policy, refusal) in [
        ("sbx-a", allow(&["allowed.example"]), "address"),
        ("sbx-o", open(), "private"),
    ] {
        let shell = Shell::start(&lab, &host, name, &policy, &json!({}));
        let out = shell.run("curl -sS -m 5 http://169.254.169.254/latest/meta-data/");
        assert!(out.contains("not on the public internet"), "{out}");
        for (what, command, words) in [
            ("IPv6", "curl -sS -m 5 'http://[2606:4700::1111]/'", "[7]"),
            (
                "mapped",
                "curl -sS -m 5 'http://[::ffff:169.254.169.254]/'",
                "not on the public internet",
            ),
            (
                "private",
                "curl -sS -m 5 http://10.0.0.1/",
                "not on the public internet",
            ),
            (
                "UDP",
                "exec 3<>/dev/udp/192.0.2.53/9999; echo x >&3; sleep 0.1; echo y >&3",
                "refused",
            ),
            (
                "another DNS server",
                "/usr/bin/python3 -c \"import socket; s = socket.socket(2, 2); s.settimeout(3); s.connect(('8.8.8.8', 53)); s.send(bytes.fromhex('000101000001000000000000016100000100 01'.replace(' ', ''))); print(s.recv(100))\"",
                "refused",
            ),
            (
                "ping",
                "exec 3<>/dev/tcp/192.168.0.1/443; echo GET >&3; read -t 5 x <&3; echo \"read $x\"",
                "403",
            ),
            ("interfaces", "cat /proc/net/dev | tail -n +3 | cut -d: -f1", "lo"),
        ] {
            let out = shell.run(command);
            assert!(out.contains(words), "{what}: {out}");
        }
        let out = shell.run("cat /proc/net/route; tail -n +3 /proc/net/dev | wc -l");
        assert!(out.contains("\n1\n"), "{out}");
        let refused = shell.refused();
        for told in [
            "169.254.169.254:80 private",
            "10.0.0.1:80 private",
            "192.168.0.1:443 private",
        ] {
            assert!(refused.contains(&told.to_owned()), "{refused:?}");
        }
        let _ = shell.run("curl -sS -m 5 http://192.0.2.1/");
        assert!(shell.refused().contains(&"192.0.2.1:80 private".to_owned()));
        if refusal == "address" {
            let out = shell.run("curl -sS -m 5 http://93.184.216.34/");
            assert!(out.contains("goes by names"), "{out}");
            assert!(shell.refused().contains(&"93.184.216.34:80 address".to_owned()));
        }
    }
}

#[test]
fn sockets_that_a_network_does_not_hold_back_cannot_be_made() {
    let Some((lab, host)) = start() else { return };
    let shell = Shell::start(&lab, &host, "sbx-a", &open(), &json!({}));
    let make = |family: u8| {
        let out = shell.run(&format!("/usr/bin/python3 -c 'import socket; socket.socket({family}, 1 if {family} < 16 else 3 if {family} < 40 else 1); print(\"made\")'"));
        out.contains("made")
    };
    for family in [1, 2, 10, 16] {
        assert!(make(family), "{family}");
    }
    // AF_PACKET, AF_BLUETOOTH, AF_ALG, AF_VSOCK (a virtual machine's line to its host)
    for family in [17, 31, 38, 40] {
        assert!(!make(family), "{family}");
    }
}

#[test]
fn the_hosts_own_ports_and_other_sandboxes_are_out_of_reach_but_the_control_plane_is_not() {
    let Some((lab, host)) = start() else { return };
    let (control_plane, neighbour) = (Web::start(None), Web::start(None));
    let env = json!({ "ERRAND_URL": format!("ws://127.0.0.1:{}", control_plane.port) });
    let (_, host_port) = host.address.rsplit_once(':').unwrap();
    for (name, policy) in [("sbx-a", allow(&[])), ("sbx-o", open())] {
        let shell = Shell::start(&lab, &host, name, &policy, &env);
        let out = shell.run(&format!("curl -sS --fail http://127.0.0.1:{}/", control_plane.port));
        assert!(out.starts_with("hello"), "{out}");
        for port in [host_port.to_owned(), neighbour.port.to_string()] {
            for way in ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"] {
                let out = shell.run(&format!("curl -sS -m 5 http://{way}:{port}/"));
                assert!(exited(&out, 7), "{way}: {out}");
            }
        }
        let _ = shell.run("(cd /tmp && exec python3 -m http.server 8099) > /dev/null 2>&1 & for i in $(seq 100); do curl -s http://0.0.0.0:8099/ && break; sleep 0.05; done");
        for way in ["127.0.0.1", "localhost", "0.0.0.0", "errand", "app.localhost"] {
            let out = shell.run(&format!(
                "curl -sS -m 5 -o /dev/null -w '%{{http_code}}' http://{way}:8099/"
            ));
            assert!(out.starts_with("200"), "its own server by {way}: {out}");
        }
    }
    let shell = Shell::start(&lab, &host, "sbx-b", &open(), &env);
    let out = shell.run("curl -sS -m 5 http://127.0.0.1:8099/");
    assert!(exited(&out, 7), "another sandbox's server: {out}");
    assert_eq!(neighbour.seen(), Vec::<Vec<u8>>::new());
}

#[test]
fn a_name_that_leads_to_a_private_address_is_refused() {
    use std::net::ToSocketAddrs as _;
    let Some((lab, host)) = start() else { return };
    let this = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .unwrap()
        .trim()
        .to_lowercase();
    let private = |name: &str| {
        let mut found = (name, 80).to_socket_addrs().into_iter().flatten().peekable();
        found.peek().is_some() && found.all(|at| !errand_host::egress::address::is_public(at.ip()))
    };
    let Some(name) = ["ip6-localhost", &this, "ip6-loopback"]
        .into_iter()
        .find(|name| private(name))
    else {
        eprintln!("skipped: this machine knows no name of a private address");
        return;
    };
    for (sandbox, policy) in [("sbx-a", allow(&[name])), ("sbx-o", open())] {
        let shell = Shell::start(&lab, &host, sandbox, &policy, &json!({}));
        let out = shell.run(&format!("curl -sS -m 5 http://{name}/"));
        assert!(out.contains("not on the public internet"), "{out}");
        assert_eq!(shell.refused(), [format!("{name}:80 private")]);
    }
}

#[test]
fn a_name_cannot_stand_for_another_behind_the_same_address() {
    let Some((lab, host)) = start() else { return };
    let web = Web::start(None);
    let policy = allow(&[&format!("allowed.example:{}", web.port)]);
    let shell = Shell::start(&lab, &host, "sbx-a", &policy, &json!({}));
    let out = shell.run(&format!("curl -sSk -m 5 https://allowed.example:{}/", web.port));
    assert!(!exited(&out, 0) && web.seen().len() == 1, "{out}");
    let front = format!(
        "curl -sSk -m 5 --connect-to ::allowed.example:{0} https://evil.example:{0}/",
        web.port
    );
    let out = shell.run(&front);
    assert!(out.contains("access denied"), "{out}");
    // Through a proxy of its own choice, too: the socket that all connections are led to obeys nobody.
    let ports = shell.run("awk '$4 == \"0A\" { split($2, a, \":\"); print a[2] }' /proc/net/tcp | sort -u");
    for port in ports.lines().filter_map(|hex| u16::from_str_radix(hex, 16).ok()) {
        let out = shell.run(&format!("curl -sS -m 5 -x http://127.0.0.1:{port} http://evil.example/; curl -sS -m 5 -p -x http://127.0.0.1:{port} http://other.example:{}/", web.port));
        assert!(!out.contains("hello"), "{out}");
    }
    assert_eq!(web.seen().len(), 1);
    assert!(
        shell
            .refused()
            .contains(&format!("evil.example:{} not_allowed", web.port)),
        "{:?}",
        shell.refused()
    );
}

#[test]
fn questions_to_the_name_server_carry_nothing_out() {
    let Some((lab, host)) = start() else { return };
    let shell = Shell::start(&lab, &host, "sbx-a", &allow(&["allowed.example"]), &json!({}));
    let script = r"
import os, socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)
def ask(name, kind):
    q = struct.pack('>6H', 1, 0x100, 1, 0, 0, 0) + b''.join(bytes([len(l)]) + l.encode() for l in name.split('.')) + b'\0' + struct.pack('>2H', kind, 1)
    s.sendto(q, ('127.0.0.1', 53)); r = s.recv(600)
    return struct.unpack('>H', r[6:8])[0]
print('txt', sum(ask(os.urandom(20).hex() + '.tunnel.example', 16) for _ in range(200)))
print('aaaa', ask('allowed.example', 28), 'a', ask('allowed.example', 1))
";
    let out = shell.run(&format!("/usr/bin/python3 - <<'EOF'\n{script}\nEOF"));
    assert!(out.contains("txt 0\naaaa 0 a 1\n"), "{out}");
    assert_eq!(shell.refused(), Vec::<String>::new());
}

#[test]
fn what_an_agent_does_to_its_network_opens_nothing() {
    let Some((lab, host)) = start() else { return };
    let web = Web::start(None);
    let shell = Shell::start(
        &lab,
        &host,
        "sbx-a",
        &allow(&[&format!("allowed.example:{}", web.port)]),
        &json!({}),
    );
    for command in [
        "ip route flush table local",
        "ip link set lo down",
        "ip addr add 10.0.0.2/8 dev lo",
        "ip netns add x",
        "unshare -Urn true",
        "unshare -n true",
        "nsenter -t 1 -n true",
        "mount --bind /tmp /opt/errand/egress",
        "ls /proc/1/root/root",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
        "nft flush ruleset",
    ] {
        let out = shell.run(command);
        assert!(!exited(&out, 0), "{command}: {out}");
    }
    let out = shell.run("ps -A -o args | grep -c [_]_egress; pgrep -f errand-host");
    assert!(out.starts_with("0\n"), "the proxy is out of sight: {out}");
    let bind = "import socket; s = socket.socket(2, 2); s.setsockopt(1, 2, 1); s.setsockopt(1, 15, 1); s.bind(('127.0.0.1', 53))";
    let out = shell.run(&format!("/usr/bin/python3 -c \"{bind}\""));
    assert!(out.contains("Permission denied") || out.contains("in use"), "{out}");
    // Whatever can be killed from inside is inside.
    shell.begin("kill -KILL -1");
    host.until_state("sbx-a", "exited");
    let other = Shell::start(
        &lab,
        &host,
        "sbx-b",
        &allow(&[&format!("allowed.example:{}", web.port)]),
        &json!({}),
    );
    let out = other.run(&format!(
        "curl -sS http://allowed.example:{}/; curl -sS http://evil.example/",
        web.port
    ));
    assert!(
        out.contains("hello") && out.contains("may not reach evil.example"),
        "{out}"
    );
}
