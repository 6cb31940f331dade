//! How a sandbox is started: the program line and the environment, in namespaces or without. Decides; starts nothing.
//!
//! In namespaces the sandbox sees the system's programs and libraries read-only, a few harmless files of `/etc`,
//! its own directories under fixed paths, and nothing else of the host's files. Its processes run without
//! capabilities as user 1000, which outside is the host's own user; `/proc` and `/dev` are its own, and what of `/proc` is the
//! kernel's is read-only or hidden.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use errand_protocol::sandbox::SandboxSpec;

use crate::dirs::{Launch, SandboxDir};
use crate::files::private_dir;
use crate::repo::LocalRepo;

const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where our own programs are, inside.
const PROGRAMS: &str = "/opt/errand/bin";
const HOME: &str = "/home/errand";

/// Files of `/etc` that programs need and that hold nothing private.
const ETC: [&str; 15] = [
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/crypto-policies",
    "/etc/debian_version",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/services",
];
const ETC_SSL: [&str; 2] = ["/etc/ssl/certs", "/etc/ssl/openssl.cnf"];

/// What of `/proc` is the kernel's own and writable by the host's user, who is root where the host runs as root: one line in
/// `sys/kernel/core_pattern` and the kernel runs the agent's program outside. Shown read-only.
const PROC_READ_ONLY: [&str; 6] = ["sys", "irq", "bus", "fs", "driver", "tty"];
/// Files of `/proc` that tell of the whole machine, or change it, and that the same user may open. Not shown.
const PROC_HIDDEN: [&str; 19] = [
    "config.gz",
    "iomem",
    "ioports",
    "kallsyms",
    "kcore",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "mtrr",
    "pagetypeinfo",
    "sched_debug",
    "slabinfo",
    "sysrq-trigger",
    "timer_list",
    "timer_stats",
    "vmallocinfo",
];
/// Directories of the same kind.
const PROC_EMPTY: [&str; 3] = ["acpi", "asound", "scsi"];

/// What is the same for every sandbox of a host.
#[derive(Debug, Clone)]
pub struct Programs {
    /// bubblewrap, when sandboxes are isolated by it.
    pub bubblewrap: Option<PathBuf>,
    /// The runner.
    pub runner: PathBuf,
    /// The engine.
    pub engine: PathBuf,
    /// Directories for the PATH.
    pub tool_dirs: Vec<PathBuf>,
}

/// Makes the sandbox's directories and says what to start in them.
pub fn prepare(
    dir: &SandboxDir,
    spec: &SandboxSpec,
    programs: &Programs,
    repo: Option<&LocalRepo>,
    cgroups: Vec<PathBuf>,
) -> io::Result<Launch> {
    for name in ["workspace", "state", "tmp", "home"] {
        private_dir(&dir.path().join(name))?;
    }
    let launch = |argv, program: &Path, env, cwd| Launch {
        argv,
        program: text(program),
        env,
        cwd,
        cgroups,
        memory_mib: spec.limits.memory_mib,
    };
    let Some(bubblewrap) = &programs.bubblewrap else {
        let env = environment(spec, programs, &Places::outside(dir, programs));
        return Ok(launch(
            vec![text(&programs.runner)],
            &programs.runner,
            env,
            dir.workspace(),
        ));
    };
    write_etc(dir)?;
    let runner = Path::new(PROGRAMS).join("errand-runner");
    let mut argv = vec![text(bubblewrap)];
    argv.extend(namespace_arguments().map(str::to_owned));
    argv.extend(proc_mounts());
    argv.extend(system_mounts(&dir.path().join("etc")));
    argv.extend(own_mounts(dir, programs));
    if let Some(repo) = repo {
        argv.extend(repo.mounts(dir)?);
    }
    argv.extend(["--remount-ro", "/", "--chdir", "/workspace"].map(str::to_owned));
    argv.extend([text(&runner)]);
    let env = environment(spec, programs, &Places::inside());
    Ok(launch(argv, &runner, env, PathBuf::from("/")))
}

/// Own namespaces of every kind but the network's, no capabilities, no terminal, no further user namespaces.
pub fn namespace_arguments() -> impl Iterator<Item = &'static str> {
    "--unshare-user --unshare-pid --unshare-ipc --unshare-uts --unshare-cgroup-try --disable-userns --new-session \
     --uid 1000 --gid 1000 --hostname errand --cap-drop ALL --proc /proc --dev /dev"
        .split_whitespace()
}

/// Takes out of the sandbox's `/proc` what is not its own.
pub fn proc_mounts() -> Vec<String> {
    let there = |name: &&&str| Path::new("/proc").join(name).exists();
    let at = |name: &str| format!("/proc/{name}");
    let mut args = Vec::new();
    for name in PROC_READ_ONLY.iter().filter(there) {
        args.extend(words(["--ro-bind", &at(name), &at(name)]));
    }
    for name in PROC_HIDDEN.iter().filter(there) {
        args.extend(words(["--ro-bind", "/dev/null", &at(name)]));
    }
    for name in PROC_EMPTY.iter().filter(there) {
        args.extend(words(["--tmpfs", &at(name), "--remount-ro", &at(name)]));
    }
    args
}

/// The system's programs, libraries and harmless settings, read-only; `etc` holds our own files for `/etc`.
pub fn system_mounts(etc: &Path) -> Vec<String> {
    let mut args = words(["--ro-bind", "/usr", "/usr"]);
    for name in ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"] {
        let path = Path::new(name);
        match fs::read_link(path) {
            Ok(target) => args.extend(words(["--symlink", &text(&target), name])),
            Err(_) if path.is_dir() => args.extend(words(["--ro-bind", name, name])),
            Err(_) => {}
        }
    }
    for name in ETC.iter().chain(&ETC_SSL) {
        args.extend(words(["--ro-bind-try", name, name]));
    }
    if let Ok(resolver) = fs::canonicalize("/etc/resolv.conf") {
        args.extend(words(["--ro-bind", &text(&resolver), "/etc/resolv.conf"]));
    }
    for name in ["passwd", "group", "nsswitch.conf"] {
        let file = etc.join(name);
        if file.is_file() && etc != Path::new("/") {
            args.extend(words(["--ro-bind", &text(&file), &format!("/etc/{name}")]));
        }
    }
    args
}

fn own_mounts(dir: &SandboxDir, programs: &Programs) -> Vec<String> {
    let own = |name: &str| text(&dir.path().join(name));
    let mut args = Vec::new();
    for (name, at) in [
        ("workspace", "/workspace"),
        ("state", "/state"),
        ("tmp", "/tmp"),
        ("home", HOME),
    ] {
        args.extend(words(["--bind", &own(name), at]));
    }
    args.extend(words(["--symlink", "/tmp", "/var/tmp"]));
    for (file, name) in [(&programs.runner, "errand-runner"), (&programs.engine, "opencode")] {
        args.extend(words(["--ro-bind", &text(file), &format!("{PROGRAMS}/{name}")]));
    }
    for tools in programs.tool_dirs.iter().filter(|tools| !tools.starts_with("/usr")) {
        args.extend(words(["--ro-bind", &text(tools), &text(tools)]));
        // A Node's `npm` is a link into the library directory beside its `bin`.
        let library = tools.join("../lib/node_modules");
        if let Ok(library) = fs::canonicalize(library) {
            args.extend(words(["--ro-bind", &text(&library), &text(&library)]));
        }
    }
    args
}

/// Our own `/etc` files: the user that programs find themselves to be, and plain name lookups.
fn write_etc(dir: &SandboxDir) -> io::Result<()> {
    let etc = dir.path().join("etc");
    private_dir(&etc)?;
    let passwd = format!(
        "root:x:0:0:root:/root:/usr/sbin/nologin\nerrand:x:1000:1000:Errand:{HOME}:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    );
    fs::write(etc.join("passwd"), passwd)?;
    fs::write(etc.join("group"), "root:x:0:\nerrand:x:1000:\nnogroup:x:65534:\n")?;
    fs::write(
        etc.join("nsswitch.conf"),
        "passwd: files\ngroup: files\nhosts: files dns\n",
    )
}

/// Paths as the runner sees them.
struct Places {
    home: PathBuf,
    tmp: PathBuf,
    workspace: PathBuf,
    state: PathBuf,
    engine: PathBuf,
}

impl Places {
    fn inside() -> Self {
        Self {
            home: HOME.into(),
            tmp: "/tmp".into(),
            workspace: "/workspace".into(),
            state: "/state".into(),
            engine: Path::new(PROGRAMS).join("opencode"),
        }
    }

    fn outside(dir: &SandboxDir, programs: &Programs) -> Self {
        Self {
            home: dir.path().join("home"),
            tmp: dir.path().join("tmp"),
            workspace: dir.workspace(),
            state: dir.state(),
            engine: programs.engine.clone(),
        }
    }
}

/// The spec's variables and ours; of the host's own environment, nothing.
fn environment(spec: &SandboxSpec, programs: &Programs, places: &Places) -> BTreeMap<String, String> {
    let mut env = spec.env.clone();
    let tools: Vec<String> = programs.tool_dirs.iter().map(|tools| text(tools)).collect();
    let path = tools
        .into_iter()
        .chain([SYSTEM_PATH.to_owned()])
        .collect::<Vec<_>>()
        .join(":");
    env.extend([
        ("PATH".to_owned(), path),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("HOME".to_owned(), text(&places.home)),
        ("TMPDIR".to_owned(), text(&places.tmp)),
        ("ERRAND_ENGINE".to_owned(), text(&places.engine)),
        ("ERRAND_WORKSPACE".to_owned(), text(&places.workspace)),
        ("ERRAND_STATE".to_owned(), text(&places.state)),
    ]);
    env
}

/// Paths go through JSON; one that is not Unicode cannot be used and fails visibly when it is opened.
pub(crate) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

pub(crate) fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}
