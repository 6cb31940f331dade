//! Chance, from a seed: a small fast generator, and streams of it that do not disturb each other. Every part of the
//! world draws from its own stream, so that leaving a fault out of a story changes little else in it.

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The stream of one thing in the world: of which kind it is, and which of them.
    pub fn stream(seed: u64, kind: u64, number: u64) -> Self {
        let mut mixed = Self(seed ^ kind.wrapping_mul(0xa076_1d64_78bd_642f));
        let first = mixed.draw();
        Self(first ^ number.wrapping_mul(0xe703_7ed1_a0b4_28db))
    }

    /// The next number.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In `0..n`; 0 for an empty range.
    #[expect(clippy::cast_possible_truncation, reason = "the result is below n")]
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.draw()) * n as u128) >> 64) as usize
    }

    /// In `from..=to`.
    #[expect(clippy::cast_possible_wrap, reason = "spans are small")]
    pub fn between(&mut self, from: i64, to: i64) -> i64 {
        from + self.below(usize::try_from(to - from + 1).unwrap_or(1)) as i64
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// A span whose order of magnitude is as likely as any other between the two bounds.
    pub fn span(&mut self, from: i64, to: i64) -> i64 {
        let (low, high) = (from.max(1).ilog2(), to.max(1).ilog2());
        let bits = self.between(i64::from(low), i64::from(high));
        let top = 1_i64 << bits;
        self.between(top, top * 2 - 1).clamp(from, to)
    }
}
