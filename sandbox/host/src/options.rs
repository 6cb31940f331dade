//! The command line, and what it comes to once the machine was looked at.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::egress::settings::{Origin, Published};

/// Makes, finds again and removes sandboxes on this machine, over the signed sandbox contract.
#[derive(Debug, Parser)]
#[command(name = "errand-host", version)]
pub struct Options {
    /// Address to listen on; port 0 picks a free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Directory of everything that the host keeps.
    #[arg(long)]
    pub state: PathBuf,
    /// The runner's binary.
    #[arg(long)]
    pub runner: PathBuf,
    /// The engine's (OpenCode's) binary.
    #[arg(long)]
    pub engine: PathBuf,
    /// A directory of programs to put on the PATH inside, read-only; may be given several times.
    #[arg(long = "tool-dir")]
    pub tool_dirs: Vec<PathBuf>,
    /// Sandboxes that may run at once.
    #[arg(long, default_value_t = 8)]
    pub capacity: u32,
    /// MiB of disk that the files of one sandbox may take; one that takes more is stopped. 0: as much as there is.
    #[arg(long, default_value_t = 20 * 1024)]
    pub sandbox_disk_mib: u32,
    /// MiB of the state directory's disk that stay free: with less nothing is started, and what grows is stopped.
    #[arg(long, default_value_t = 1024)]
    pub free_disk_mib: u32,
    /// How sandboxes are kept apart; `auto` uses bubblewrap where it works.
    #[arg(long, value_enum, default_value_t = IsolationChoice::Auto)]
    pub isolation: IsolationChoice,
    /// Where the control plane is, as sandboxes know it (their `ERRAND_URL`): always reachable for them. May be given
    /// several times; others are refused then. Not given: where each sandbox's signed specification says it is.
    #[arg(long = "control-plane", value_name = "URL")]
    pub control_planes: Vec<Origin>,
    /// A service of this machine or its network that sandboxes may reach, under this name only:
    /// `git.corp:443=10.0.0.5:8443`. Without ports, all of them. May be given several times.
    #[arg(long = "publish", value_name = "NAME[:PORT]=ADDRESS[:PORT]")]
    pub published: Vec<Published>,
    /// Stop every sandbox when the host is told to stop; otherwise they go on and the next host finds them.
    #[arg(long)]
    pub stop_sandboxes_on_exit: bool,
    /// Do nothing but stop every sandbox of the state directory, at once.
    #[arg(long)]
    pub stop_all: bool,
    /// The HMAC key of the contract; only from the environment, so that no process list shows it.
    #[arg(skip)]
    pub secret: String,
}

/// What `--isolation` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum IsolationChoice {
    /// Namespaces where they work, none with a warning elsewhere.
    Auto,
    /// Namespaces, or do not start.
    Namespaces,
    /// None: for tests, and for machines where the person accepts it.
    None,
}
