//! A story that went wrong, told again with fewer moves as long as it goes wrong in the same way.

use crate::story::{Move, Story, Wait};
use crate::{Finding, tell};

/// Stories that are tried, at most.
const TRIES: usize = 1_500;

/// A shorter story with the same kind of finding.
pub fn shrink(story: &Story, kind: &str) -> Story {
    let mut best = story.clone();
    let mut tries = 0;
    let mut fails = |moves: Vec<Move>| {
        tries += 1;
        let candidate = Story {
            seed: story.seed,
            moves,
        };
        let same = |finding: Finding| finding.kind() == kind;
        (tries < TRIES && tell(&candidate).is_err_and(same)).then_some(candidate)
    };
    loop {
        let before = best.clone();
        let mut size = best.moves.len().div_ceil(2).max(1);
        loop {
            let mut from = 0;
            while from < best.moves.len() {
                let mut moves = best.moves.clone();
                moves.drain(from..(from + size).min(moves.len()));
                match fails(moves) {
                    Some(shorter) => best = shorter,
                    None => from += size,
                }
            }
            if size == 1 {
                break;
            }
            size = size.div_ceil(2);
        }
        for at in 0..best.moves.len() {
            for wait in [Wait::Time(0), Wait::Time(1_000)] {
                let mut moves = best.moves.clone();
                if moves[at].wait != Wait::Time(0) && moves[at].wait != wait {
                    moves[at].wait = wait;
                    if let Some(simpler) = fails(moves) {
                        best = simpler;
                    }
                }
            }
        }
        if best == before {
            return best;
        }
    }
}
