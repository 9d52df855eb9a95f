//! Hash noise: every value of the market is a pure function of the seed and its number, so nothing is stored and any
//! trade or book can be computed without the ones before it.

/// One stream of numbers. Streams of different `salt` are independent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noise {
    seed: u64,
}

/// Waves of the price path: (length as a power of two of trades, amplitude in millionths of the base price).
/// The amplitudes add up to less than one, so a price is always positive.
const WAVES: [(u32, i128); 6] = [(4, 20), (8, 120), (12, 900), (16, 6_000), (20, 40_000), (24, 150_000)];

impl Noise {
    /// The noise of one symbol.
    pub(crate) fn new(seed: u64, symbol: &str) -> Self {
        let name = symbol.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self {
            seed: mix(seed ^ mix(name)),
        }
    }

    /// A uniform number for `(salt, key)`.
    pub(crate) fn hash(self, salt: u64, key: u64) -> u64 {
        mix(self.seed ^ mix(key.wrapping_add(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15))))
    }

    /// The smooth price at trade `id`, in units, around `base`. `walk` is anything of the same noise; it pays when ids are near.
    pub(crate) fn path(self, base: i64, id: u64, walk: &mut Walk) -> i64 {
        let base = i128::from(base);
        let mut shifted = 0i128;
        for (&(length, amplitude), ends) in WAVES.iter().zip(&mut walk.0) {
            shifted += amplitude * i128::from(self.wave(length, id, ends));
        }
        let price = base + ((base * shifted) >> 32) / 1_000_000;
        price.max(1) as i64
    }

    /// Value noise in ±2³²: hashes at the multiples of 2^length, lines between.
    fn wave(self, length: u32, id: u64, ends: &mut Ends) -> i64 {
        let cell = id >> length;
        if ends.cell != Some(cell) {
            let at = |cell: u64| (self.hash(100 + u64::from(length), cell) >> 31) as i64 - (1 << 32);
            *ends = Ends {
                cell: Some(cell),
                from: at(cell),
                to: at(cell + 1),
            };
        }
        let within = (id & ((1 << length) - 1)) as i64;
        // A difference has at most 34 bits and `within` at most 24.
        ends.from + (((ends.to - ends.from) * within) >> length)
    }
}

/// The ends of the lines a walk is on, so that neighbouring trades do not hash them again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Walk([Ends; WAVES.len()]);

#[derive(Debug, Clone, Copy, Default)]
struct Ends {
    cell: Option<u64>,
    from: i64,
    to: i64,
}

/// The finaliser of splitmix64.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
