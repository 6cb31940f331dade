//! `errand-host`: reads the command line, looks at the machine, serves the contract until it is told to stop.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use errand_host::auth::Verifier;
use errand_host::disk::DiskLimits;
use errand_host::host::{Config, Host, now};
use errand_host::isolation::Platform;
use errand_host::launch::Programs;
use errand_host::options::Options;
use errand_host::{files, http, keeper, stop};
use tokio::signal::unix::{SignalKind, signal};

/// The environment variable with the contract's HMAC key.
const SECRET: &str = "ERRAND_HOST_SECRET";
/// A runner gets less time when everything stops: somebody waits at the terminal.
const EXIT_GRACE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if let Some(code) = keeper::run_step(&args) {
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "errand-host: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    files::private_dir(&options.state).map_err(|error| format!("{}: {error}", options.state.display()))?;
    let state = full(&options.state)?;
    if options.stop_all {
        return stop::stop_all(&state, Duration::ZERO, "everything was stopped").map_err(|error| error.to_string());
    }
    let secret = std::env::var(SECRET).map_err(|_| format!("{SECRET} must be set: the key of the sandbox contract"))?;
    let verifier = Verifier::new(&secret, now().millis()).ok_or_else(|| format!("{SECRET} must not be empty"))?;
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let config = configure(options, state.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(serve(options, config, verifier))?;
    // Not in the runtime: requests that still wait there must not hold us up.
    runtime.shutdown_background();
    if options.stop_sandboxes_on_exit {
        stop::stop_all(&state, EXIT_GRACE, "it was stopped together with its host")
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn configure(options: &Options, state: std::path::PathBuf) -> Result<Config, String> {
    let platform = Platform::probe(options.isolation)?;
    if let Some(warning) = &platform.warning {
        tracing::warn!("{warning}");
    }
    let tool_dirs: Result<Vec<_>, String> = options.tool_dirs.iter().map(|dir| full(dir)).collect();
    Ok(Config {
        state,
        capacity: options.capacity,
        disk: DiskLimits::of_mib(options.sandbox_disk_mib, options.free_disk_mib),
        programs: Programs {
            bubblewrap: platform.bubblewrap.clone(),
            runner: full(&options.runner)?,
            engine: full(&options.engine)?,
            tool_dirs: tool_dirs?,
        },
        platform,
        control_planes: options.control_planes.clone(),
        published: options.published.clone(),
        keeper: std::env::current_exe().map_err(|error| format!("the host's own binary: {error}"))?,
    })
}

async fn serve(options: &Options, config: Config, verifier: Verifier) -> Result<(), String> {
    let listener = tokio::net::TcpListener::bind(options.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let host = Host::new(config).map_err(|error| format!("the state directory: {error}"))?;
    host.recover();
    tokio::spawn(Arc::clone(&host).watch_disk());
    let _ = writeln!(std::io::stdout(), "errand-host listening on http://{address}");
    let served = axum::serve(listener, http::router(host, verifier));
    tokio::select! {
        result = async { served.await } => result.map_err(|error| error.to_string()),
        () = told_to_stop() => Ok(()),
    }
}

async fn told_to_stop() {
    let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
    let Ok([mut a, mut b, mut c]) = <[_; 3]>::try_from(
        kinds
            .into_iter()
            .filter_map(|kind| signal(kind).ok())
            .collect::<Vec<_>>(),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = a.recv() => {}
        _ = b.recv() => {}
        _ = c.recv() => {}
    }
}

/// The path from the root, links resolved; sandboxes are found again by it.
fn full(path: &Path) -> Result<std::path::PathBuf, String> {
    std::fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()))
}
