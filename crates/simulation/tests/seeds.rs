//! Some thousands of stories, the same ones every time. More of them: `npm run simulate`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use errand_simulation::story::Story;
use errand_simulation::{shrink, tell, tell_traced};

/// Stories that `cargo test` tells; `SIMULATION_SEEDS` asks for more.
const SEEDS: u64 = 3_000;

#[test]
fn whatever_goes_wrong_nothing_is_lost_and_nothing_is_stuck() {
    let count = std::env::var("SIMULATION_SEEDS").map_or(SEEDS, |count| count.parse().unwrap());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let finding = std::thread::scope(|scope| {
        let search = |first: u64| {
            (first..count)
                .step_by(usize::try_from(threads).unwrap())
                .find_map(wrong)
        };
        let searches: Vec<_> = (0..threads).map(|first| scope.spawn(move || search(first))).collect();
        searches.into_iter().find_map(|search| search.join().unwrap())
    });
    std::panic::set_hook(hook);
    if let Some(finding) = finding {
        panic!("{finding}");
    }
}

/// What goes wrong with a seed, at length.
fn wrong(seed: u64) -> Option<String> {
    let story = Story::new(seed);
    let finding = tell(&story).err()?;
    let short = shrink(&story, finding.kind());
    let (result, lines) = tell_traced(&short);
    let message = result.err().unwrap_or(finding).message;
    Some(format!(
        "seed {seed}: {message}\n{}\n{:?}",
        lines.join("\n"),
        short.moves
    ))
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in 0..20 {
        let story = Story::new(seed);
        assert_eq!(story, Story::new(seed));
        assert_eq!(tell_traced(&story), tell_traced(&story));
    }
}
