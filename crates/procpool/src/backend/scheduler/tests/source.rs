//! Where a simulated world gets its chances from.

/// A stream of choices: from a seed, or from bytes that proptest can shrink. The choice 0 is always the harmless one,
/// so that a shorter or smaller input is a quieter world.
pub(crate) enum Source {
    Seed(u64),
    Bytes { bytes: Vec<u8>, at: usize },
}

impl Source {
    /// A number below `n`.
    pub(crate) fn pick(&mut self, n: u64) -> u64 {
        match self {
            Source::Seed(state) => {
                // splitmix64
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                (z ^ (z >> 31)) % n
            }
            Source::Bytes { bytes, at } => {
                let byte = bytes.get(*at).copied().unwrap_or(0);
                *at += 1;
                u64::from(byte) % n
            }
        }
    }

    /// True so many times in a hundred.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.pick(100) + percent >= 100
    }

    /// One of these; the first is the harmless one.
    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.pick(choices.len() as u64) as usize]
    }
}
