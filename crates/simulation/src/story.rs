//! A story: what people do and what goes wrong, as a list that is drawn from a seed and can be cut down to what a
//! finding needs. Everything else in the world (delays, what the engine writes) comes from streams of the same seed.

use errand_protocol::sandbox::SandboxErrorKind;

use crate::rng::Rng;

/// When a move is made, counted from the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// After so many milliseconds.
    Time(i64),
    /// Right after so many further steps of the session, or some seconds at the latest: finds the moments between
    /// storing, sending and being stored for sure.
    Steps(u32),
    /// The same, counted in events that runners write.
    Writes(u32),
}

/// One thing that happens to the world. Numbers pick among what is there at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    // People.
    Attach(u32),
    Detach(u32, bool),
    Prompt {
        viewer: u32,
        steer: bool,
    },
    Edit(u32, u32),
    Withdraw(u32, u32),
    Move {
        viewer: u32,
        which: u32,
        to: u32,
    },
    Promote(u32, u32),
    Abort {
        viewer: u32,
        other: bool,
    },
    Answer {
        viewer: u32,
        which: u32,
    },
    Pause(u32),
    Resume(u32),
    Archive(u32),
    Restore(u32),
    Retry(u32),
    Rename(u32, u32),
    Terminate(u32),
    Repeat {
        viewer: u32,
        which: u32,
    },
    // The ledger.
    Budget {
        which: u32,
        used_up: bool,
        reserve: bool,
    },
    BudgetRaised {
        which: u32,
        removed: bool,
    },
    // The registry.
    MakeRoom {
        even_watched: bool,
    },
    // The network.
    Cut(Cut),
    CutViewer(Cut),
    Slow {
        which: u32,
        by: i64,
    },
    Ghost(u32),
    // The SessionAgent.
    Crash,
    Evict {
        sockets: bool,
    },
    DiskFull,
    SlowDisk(i64),
    Spurious,
    LateAlarm(i64),
    RegistryDown(i64),
    // The provider.
    HostDown(i64),
    Calls {
        count: u32,
        how: Calls,
    },
    Answered(u32),
    BootFails {
        taken_over: bool,
    },
    BootHangs,
    SlowBoot(i64),
    // Sandboxes.
    RunnerDies {
        which: u32,
        comes_back: bool,
        engine_too: bool,
    },
    EngineDies {
        which: u32,
        for_good: bool,
    },
    SandboxDies {
        which: u32,
        files_too: bool,
    },
    MachineDies,
    Stuck {
        which: u32,
        abort_too: bool,
    },
    UploadsFail(u32),
}

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Which.
    pub which: u32,
    /// When the agent hears of it; never: it believes in a half-open socket.
    pub agent: Option<i64>,
    /// When the other end hears of it.
    pub peer: Option<i64>,
    /// What the other end had sent arrives all the same.
    pub up_arrives: bool,
}

/// What goes wrong with calls to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// Refused; nothing was done.
    Refused(SandboxErrorKind),
    /// Done, but the answer says that something went wrong.
    DoneAndRefused(SandboxErrorKind),
    /// Done, and the answer never comes.
    DoneAndLost,
    /// Never arrives, and no answer comes.
    Lost,
    /// Done and answered late.
    Late(i64),
    /// Done, and answered twice.
    Twice(i64),
}

/// A move of a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// When.
    pub wait: Wait,
    /// What.
    pub act: Act,
}

/// Everything that a seed says of a story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// The seed: of the streams too.
    pub seed: u64,
    /// What happens.
    pub moves: Vec<Move>,
}

const LONGEST: usize = 36;

impl Story {
    /// The story of a seed. Each seed has only some kinds of trouble, so that stories go far and differ.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::stream(seed, 1, 0);
        let kinds = rng.draw() | rng.draw();
        let pace = rng.below(4);
        let count = 3 + rng.below(LONGEST);
        let people = [2, 3, 4, 6][rng.below(4)];
        let mut moves = vec![Move {
            wait: Wait::Time(rng.span(1, 50)),
            act: Act::Attach(0),
        }];
        for _ in 0..count {
            let wait = wait(&mut rng, pace);
            let act = if rng.below(8) < people {
                person(&mut rng)
            } else {
                trouble(&mut rng, kinds)
            };
            moves.push(Move { wait, act });
        }
        budgets(seed, &mut moves);
        room(seed, &mut moves);
        Self { seed, moves }
    }
}

/// Every third story has budgets that come to their end. From a stream of their own: the other moves stay what they were.
fn budgets(seed: u64, moves: &mut Vec<Move>) {
    let mut rng = Rng::stream(seed, 7, 0);
    if !rng.one_in(3) {
        return;
    }
    for _ in 0..=rng.below(3) {
        let at = 1 + rng.below(moves.len());
        let wait = wait(&mut rng, 1);
        let act = Act::Budget {
            which: number(&mut rng),
            used_up: !rng.one_in(4),
            reserve: !rng.one_in(3),
        };
        moves.insert(at, Move { wait, act });
    }
    for _ in 0..rng.below(3) {
        let at = 1 + rng.below(moves.len());
        let wait = wait(&mut rng, 1);
        let act = Act::BudgetRaised {
            which: number(&mut rng),
            removed: rng.one_in(4),
        };
        moves.insert(at, Move { wait, act });
    }
}

/// Every third story has other sessions that wait for this one's place.
fn room(seed: u64, moves: &mut Vec<Move>) {
    let mut rng = Rng::stream(seed, 8, 0);
    if !rng.one_in(3) {
        return;
    }
    for _ in 0..2 + rng.below(12) {
        let at = 1 + rng.below(moves.len());
        let wait = wait(&mut rng, 3);
        let even_watched = !rng.one_in(3);
        let act = Act::MakeRoom { even_watched };
        moves.insert(at, Move { wait, act });
    }
}

fn wait(rng: &mut Rng, pace: usize) -> Wait {
    match rng.below(20) {
        0..=4 => Wait::Steps(1 + u32::try_from(rng.below(12)).unwrap_or(0)),
        5..=7 => Wait::Writes(1 + u32::try_from(rng.below(9)).unwrap_or(0)),
        8 | 9 => Wait::Time(0),
        10..=13 => Wait::Time(rng.span(1, 300)),
        14..=16 => Wait::Time(rng.span(100, 8_000)),
        17 | 18 if pace > 0 => Wait::Time(rng.span(1_000, 60_000)),
        19 if pace > 2 => Wait::Time(rng.span(60_000, 1_800_000)),
        _ => Wait::Time(rng.span(100, 20_000)),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "any 32 bits do")]
fn number(rng: &mut Rng) -> u32 {
    rng.draw() as u32
}

fn person(rng: &mut Rng) -> Act {
    let viewer = number(rng);
    let which = number(rng);
    match rng.below(40) {
        0..=9 => Act::Prompt { viewer, steer: false },
        10..=15 => Act::Prompt { viewer, steer: true },
        16 => Act::Edit(viewer, which),
        17 => Act::Withdraw(viewer, which),
        18 => Act::Move {
            viewer,
            which,
            to: number(rng),
        },
        19 => Act::Promote(viewer, which),
        20 | 21 => Act::Abort {
            viewer,
            other: rng.one_in(5),
        },
        22..=25 => Act::Answer { viewer, which },
        26 => Act::Pause(viewer),
        27 => Act::Resume(viewer),
        28 if rng.one_in(2) => Act::Archive(viewer),
        28 => Act::Restore(viewer),
        29 => Act::Retry(viewer),
        30 => Act::Rename(viewer, which),
        31 if rng.one_in(6) => Act::Terminate(viewer),
        31..=33 => Act::Repeat { viewer, which },
        34 | 35 => Act::Detach(viewer, rng.one_in(2)),
        _ => Act::Attach(viewer),
    }
}

fn cut(rng: &mut Rng) -> Cut {
    let hears = |rng: &mut Rng| (!rng.one_in(4)).then(|| rng.span(1, 40_000) - 1);
    Cut {
        which: number(rng),
        agent: hears(rng),
        peer: hears(rng),
        up_arrives: rng.one_in(3),
    }
}

fn kind(rng: &mut Rng) -> SandboxErrorKind {
    match rng.below(12) {
        0..=5 => SandboxErrorKind::Transient,
        6 | 7 => SandboxErrorKind::Capacity,
        8 => SandboxErrorKind::RateLimited,
        9 => SandboxErrorKind::Unsupported,
        10 => SandboxErrorKind::InvalidSpec,
        _ => SandboxErrorKind::Auth,
    }
}

fn calls(rng: &mut Rng) -> Calls {
    match rng.below(8) {
        0 | 1 => Calls::Refused(kind(rng)),
        2 => Calls::DoneAndRefused(match rng.below(3) {
            // A conflict means that the sandbox is there, with an older wish.
            0 => SandboxErrorKind::Conflict,
            _ => SandboxErrorKind::Transient,
        }),
        3 => Calls::DoneAndLost,
        4 => Calls::Lost,
        5 | 6 => Calls::Late(rng.span(100, 9_000)),
        _ => Calls::Twice(rng.span(1, 100_000)),
    }
}

/// One trouble of the kinds that this story has.
fn trouble(rng: &mut Rng, kinds: u64) -> Act {
    loop {
        let pick = rng.below(34);
        // Pairs of numbers share a bit, so that a story has about three kinds out of four.
        if kinds & (1 << (pick / 2)) == 0 {
            continue;
        }
        let which = number(rng);
        return match pick {
            0..=3 => Act::Cut(cut(rng)),
            4 => Act::CutViewer(cut(rng)),
            5 => Act::Slow {
                which,
                by: rng.span(10, 20_000),
            },
            6 | 7 if rng.one_in(4) => Act::Ghost(which),
            6..=9 => Act::Crash,
            10 | 11 => Act::Evict { sockets: true },
            12 => Act::Evict { sockets: false },
            13 => Act::DiskFull,
            14 | 15 => Act::SlowDisk(rng.span(1, 2_000)),
            16 if rng.one_in(2) => Act::LateAlarm(rng.span(100, 60_000)),
            16 | 17 => Act::Spurious,
            18 => Act::RegistryDown(rng.span(100, 60_000)),
            19 => Act::HostDown(rng.span(100, 200_000)),
            20..=22 => Act::Calls {
                count: 1 + which % 3,
                how: calls(rng),
            },
            23 => Act::Answered(which),
            24 if rng.one_in(2) => Act::BootHangs,
            24 => Act::SlowBoot(rng.span(1_000, 200_000)),
            25 => Act::BootFails {
                taken_over: rng.one_in(2),
            },
            26 | 27 => Act::RunnerDies {
                which,
                comes_back: !rng.one_in(4),
                engine_too: rng.one_in(2),
            },
            28 | 29 => Act::EngineDies {
                which,
                for_good: rng.one_in(5),
            },
            30 | 31 => Act::SandboxDies {
                which,
                files_too: rng.one_in(4),
            },
            32 if rng.one_in(2) => Act::MachineDies,
            32 => Act::UploadsFail(1 + which % 3),
            _ => Act::Stuck {
                which,
                abort_too: rng.one_in(3),
            },
        };
    }
}
