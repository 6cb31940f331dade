//! The `errand-runner` program: reads its environment, runs, and ends with an exit code that says why
//! (`errand_runner::link::core::Exit`).

use std::io::{self, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use errand_protocol::runner::{ENV_TOKEN, ENV_TOKEN_ON_STDIN};
use errand_runner::app;
use errand_runner::config::Config;
use errand_runner::link::core::Exit;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .json()
        .with_writer(io::stderr)
        .with_max_level(tracing::Level::INFO)
        .init();
    match start() {
        Ok(exit) => {
            tracing::info!(?exit, "the runner ends");
            ExitCode::from(exit as u8)
        }
        Err(error) => {
            tracing::error!(%error, "the runner cannot go on");
            ExitCode::from(Exit::Broken as u8)
        }
    }
}

fn start() -> io::Result<Exit> {
    if let Ok(token) = std::env::var(ENV_TOKEN) {
        return Err(hide(&token));
    }
    let mut token = String::new();
    if std::env::var_os(ENV_TOKEN_ON_STDIN).is_some() {
        io::stdin().read_to_string(&mut token)?;
    }
    // Nobody of the same user may look into this process, where the token is.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let get = |name: &str| {
        if name == ENV_TOKEN {
            Some(token.clone())
        } else {
            std::env::var(name).ok()
        }
    };
    let config = Config::read(get).map_err(io::Error::other)?;
    // The TLS library wants to be told which cryptography to use; it can only be told once.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(app::run(config))
}

/// Starts this program again in place, with the token on standard input: the environment that a process was started
/// with stays readable in `/proc` for as long as it runs. Returns only when that fails.
fn hide(token: &str) -> io::Error {
    let again = || {
        let (reader, mut writer) = io::pipe()?;
        writer.write_all(token.as_bytes())?;
        drop(writer);
        let program = std::env::current_exe()?;
        let failed = Command::new(program)
            .env_remove(ENV_TOKEN)
            .env(ENV_TOKEN_ON_STDIN, "1")
            .stdin(reader)
            .exec();
        Err::<(), _>(failed)
    };
    again()
        .err()
        .unwrap_or_else(|| io::Error::other("the program could not be started again"))
}
