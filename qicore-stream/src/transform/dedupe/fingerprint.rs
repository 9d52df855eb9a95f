use qicore_data::{Decimal, Timestamp};

/// A 128-bit hash that is the same in every process, on every machine and in every build.
///
/// MurmurHash3's x64 128-bit variant, seed 0, over 16-byte blocks. It spreads well and costs a few nanoseconds. It is not
/// meant to withstand someone who looks for collisions: who can choose a venue's messages can leave some out anyway.
///
/// Snapshots hold fingerprints: a change of the function or of what is fed into it needs a new version of the state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fingerprint {
    low: u64,
    high: u64,
    blocks: u64,
}

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

impl Fingerprint {
    pub(super) const fn new() -> Self {
        Self {
            low: 0,
            high: 0,
            blocks: 0,
        }
    }

    /// One block.
    #[inline]
    pub(super) fn pair(self, first: u64, second: u64) -> Self {
        let first = first.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
        let second = second.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
        let low = (self.low ^ first).rotate_left(27).wrapping_add(self.high);
        let low = low.wrapping_mul(5).wrapping_add(0x52dc_e729);
        let high = (self.high ^ second).rotate_left(31).wrapping_add(low);
        let high = high.wrapping_mul(5).wrapping_add(0x3849_5ab5);
        Self {
            low,
            high,
            blocks: self.blocks + 1,
        }
    }

    /// A time and whatever small number goes with it.
    #[inline]
    pub(super) fn time(self, at: Timestamp, with: u64) -> Self {
        self.pair(at.nanos() as u64, with)
    }

    /// A value, whatever its trailing zeros: `1.50` is `1.5`.
    #[inline]
    pub(super) fn decimal(self, value: Decimal) -> Self {
        let mantissa = value.mantissa();
        let (digits, scale) = match u64::try_from(mantissa.unsigned_abs()) {
            Ok(digits) => strip_zeros(digits, value.scale()),
            Err(_) => {
                let value = value.normalize();
                let digits = value.mantissa().unsigned_abs();
                let high = (digits >> 64) as u64;
                return self.pair(digits as u64, shape(value.scale(), mantissa < 0) | high << 32);
            }
        };
        self.pair(digits, shape(scale, mantissa < 0))
    }

    /// A value or its absence.
    #[inline]
    pub(super) fn optional(self, value: Option<Decimal>) -> Self {
        match value {
            Some(value) => self.decimal(value),
            None => self.pair(0, u64::MAX),
        }
    }

    /// A text of any length.
    pub(super) fn text(self, text: &str) -> Self {
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        let start = self.pair(text.len() as u64, 0);
        text.as_bytes().chunks(16).fold(start, |print, chunk| {
            let (first, second) = chunk.split_at(chunk.len().min(8));
            print.pair(word(first), word(second))
        })
    }

    #[inline]
    pub(super) fn finish(self) -> [u64; 2] {
        let length = self.blocks * 16;
        let low = (self.low ^ length).wrapping_add(self.high ^ length);
        let high = (self.high ^ length).wrapping_add(low);
        let (low, high) = (mix(low), mix(high));
        let low = low.wrapping_add(high);
        [low, high.wrapping_add(low)]
    }
}

#[inline]
fn shape(scale: u32, negative: bool) -> u64 {
    u64::from(scale) << 1 | u64::from(negative)
}

#[inline]
fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let word = (word ^ word >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ word >> 33
}

/// Takes off as many trailing zeros as the scale has places: 16, 8, 4, 2 and 1 at a time, so at most 31.
#[inline]
fn strip_zeros(mut digits: u64, mut scale: u32) -> (u64, u32) {
    if digits == 0 {
        return (0, 0);
    }
    macro_rules! strip {
        ($($places:literal)+) => {$(
            const POWER: u64 = 10u64.pow($places);
            if scale >= $places && digits.is_multiple_of(POWER) {
                digits /= POWER;
                scale -= $places;
            }
        )+};
    }
    {
        strip!(16);
    }
    {
        strip!(8);
    }
    {
        strip!(4);
    }
    {
        strip!(2);
    }
    {
        strip!(1);
    }
    (digits, scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn is_murmur3() {
        // The reference implementation's hash of these 32 bytes.
        let word = |text: &str| u64::from_le_bytes(text.as_bytes().try_into().unwrap());
        let print = Fingerprint::new()
            .pair(word("The quic"), word("k brown "))
            .pair(word("fox jump"), word("s over t"));
        assert_eq!(print.finish(), VECTOR);
    }
    const VECTOR: [u64; 2] = [0xdf6a_f91b_b29b_dacf, 0x91a3_41c5_8df1_f3a6];

    fn print(value: Decimal) -> [u64; 2] {
        Fingerprint::new().decimal(value).finish()
    }

    proptest! {
        #[test]
        fn equal_values_have_equal_prints(lo: u32, mid: u32, hi in prop_oneof![Just(0), any::<u32>()], negative: bool, scale in 0u32..=28) {
            let value = Decimal::from_parts(lo, mid, hi, negative, scale);
            prop_assert_eq!(print(value), print(value.normalize()));
            let mut wider = value.normalize();
            wider.rescale(28);
            if wider == value {
                prop_assert_eq!(print(value), print(wider));
            }
            prop_assert_ne!(print(value), print(value + Decimal::ONE));
        }

        #[test]
        fn texts_differ(one in "[ab\0]{0,40}", two in "[ab\0]{0,40}") {
            let print = |text: &str| Fingerprint::new().text(text).finish();
            prop_assert_eq!(one == two, print(&one) == print(&two));
        }
    }
}
