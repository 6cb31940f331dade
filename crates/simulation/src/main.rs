//! `simulate`: tells stories on all cores, and each that goes wrong again in short.

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use errand_simulation::story::Story;
use errand_simulation::{shrink, tell, tell_traced};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "simulate --seeds N [--from S] [--threads T] [--quiet]   tells the stories of seeds S to S+N-1
simulate --seed X [--whole]                              tells one, with its trace; shrunk unless --whole";

/// So many findings are told at length.
const TOLD: usize = 5;
/// Seeds that a thread takes at once.
const PORTION: u64 = 64;

struct Options {
    from: u64,
    count: u64,
    threads: usize,
    one: Option<u64>,
    whole: bool,
}

fn options() -> Option<Options> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let mut options = Options {
        from: 0,
        count: 10_000,
        threads: cores,
        one: None,
        whole: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next()?.parse::<u64>().ok();
        match arg.as_str() {
            "--seeds" => options.count = number()?,
            "--from" => options.from = number()?,
            "--seed" => options.one = Some(number()?),
            "--threads" => options.threads = usize::try_from(number()?.max(1)).ok()?,
            "--whole" => options.whole = true,
            _ => return None,
        }
    }
    Some(options)
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        println!("{HELP}");
        return ExitCode::from(2);
    };
    std::panic::set_hook(Box::new(|_| {}));
    match options.one {
        Some(seed) => one(seed, options.whole),
        None => many(&options),
    }
}

/// One seed, with its trace.
fn one(seed: u64, whole: bool) -> ExitCode {
    let story = Story::new(seed);
    let story = match tell(&story) {
        Err(finding) if !whole => shrink(&story, finding.kind()),
        Err(_) | Ok(()) => story,
    };
    let (result, lines) = tell_traced(&story);
    for line in lines {
        println!("{line}");
    }
    println!("\nstory of seed {seed}, {} moves:", story.moves.len());
    for step in &story.moves {
        println!("  {:?} {:?}", step.wait, step.act);
    }
    match result {
        Ok(()) => {
            println!("\nseed {seed} is clean");
            ExitCode::SUCCESS
        }
        Err(finding) => {
            println!("\nseed {seed}: {}", finding.message);
            ExitCode::FAILURE
        }
    }
}

/// Many seeds, on all cores.
#[expect(
    clippy::disallowed_methods,
    reason = "native only: how long it takes is what is measured"
)]
fn many(options: &Options) -> ExitCode {
    let began = Instant::now();
    let next = AtomicU64::new(options.from);
    let end = options.from.saturating_add(options.count);
    let findings = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..options.threads {
            scope.spawn(|| {
                loop {
                    let first = next.fetch_add(PORTION, Ordering::Relaxed);
                    if first >= end {
                        return;
                    }
                    for seed in first..end.min(first + PORTION) {
                        if let Err(finding) = tell(&Story::new(seed))
                            && let Ok(mut all) = findings.lock()
                        {
                            all.push((seed, finding));
                        }
                    }
                }
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    let mut findings = findings.into_inner().unwrap_or_default();
    findings.sort_by_key(|(seed, _)| *seed);
    report(&findings);
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = options.count as f64 / seconds;
    println!(
        "{} seeds from {}: {} failed; {seconds:.1} s, {rate:.0} seeds/s on {} threads",
        options.count,
        options.from,
        findings.len(),
        options.threads
    );
    if findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The first of each kind at length, the others by their seeds.
fn report(findings: &[(u64, errand_simulation::Finding)]) {
    let mut kinds: Vec<&str> = findings.iter().map(|(_, finding)| finding.kind()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in &kinds {
        let same: Vec<&(u64, _)> = findings.iter().filter(|(_, finding)| finding.kind() == *kind).collect();
        let seeds: Vec<String> = same.iter().take(12).map(|(seed, _)| seed.to_string()).collect();
        println!("── {kind}: {} seeds: {}", same.len(), seeds.join(" "));
    }
    for kind in kinds.iter().take(TOLD) {
        let Some((seed, finding)) = findings.iter().find(|(_, finding)| finding.kind() == *kind) else {
            continue;
        };
        let story = shrink(&Story::new(*seed), finding.kind());
        let (result, lines) = tell_traced(&story);
        println!("\n── seed {seed}, shrunk to {} moves", story.moves.len());
        for line in lines {
            println!("{}", line.chars().take(240).collect::<String>());
        }
        if let Err(finding) = result {
            println!("   {}", finding.message.chars().take(1_500).collect::<String>());
        }
    }
}
