//! Decimals as ClickHouse keeps them: whole numbers of a column's smallest unit.

use qicore_data::Decimal;
use qicore_data::decimal::DecimalText;

use super::super::schema::Decimals;

const TENS: [u128; 39] = {
    let mut tens = [1; 39];
    let mut at = 1;
    while at < 39 {
        tens[at] = tens[at - 1] * 10;
        at += 1;
    }
    tens
};

/// Appends a value as `decimals` has it. False where it does not fit exactly; then nothing is appended.
#[inline]
pub(super) fn push(decimals: Decimals, value: Decimal, out: &mut Vec<u8>) -> bool {
    match decimals {
        Decimals::Decimal128 => match scaled(value, 18) {
            Some(units) => out.extend_from_slice(&units.to_le_bytes()),
            None => return false,
        },
        Decimals::Decimal256 => out.extend_from_slice(&wide(value)),
        Decimals::Float64 => out.extend_from_slice(&nearest(value).to_le_bytes()),
    }
    true
}

/// A column's value where there is none.
#[inline]
pub(super) fn push_zero(decimals: Decimals, out: &mut Vec<u8>) {
    out.resize(out.len() + decimals.width(), 0);
}

/// The value in units of 10^-scale, with at most 38 digits.
#[inline]
fn scaled(value: Decimal, scale: u32) -> Option<i128> {
    let parts = value.unpack();
    let units = if parts.hi == 0 && parts.scale <= scale {
        let mantissa = (u64::from(parts.mid) << 32) | u64::from(parts.lo);
        // 64 bits times at most 10^18, of 60 bits.
        u128::from(mantissa) * TENS[(scale - parts.scale) as usize]
    } else {
        scaled_slowly(value.mantissa().unsigned_abs(), parts.scale, scale)?
    };
    let units = units as i128;
    Some(if parts.negative { -units } else { units })
}

#[cold]
fn scaled_slowly(mantissa: u128, from: u32, to: u32) -> Option<u128> {
    let units = if from <= to {
        mantissa.checked_mul(TENS[(to - from) as usize])?
    } else {
        let beyond = TENS[(from - to) as usize];
        mantissa.is_multiple_of(beyond).then_some(mantissa / beyond)?
    };
    (units < TENS[38]).then_some(units)
}

/// The value in units of 10^-28 as 256 bits: every value that there is fits.
fn wide(value: Decimal) -> [u8; 32] {
    let factor = TENS[28 - value.scale().min(28) as usize];
    let (low, high) = full_product(value.mantissa().unsigned_abs(), factor);
    let (low, high) = match value.is_sign_negative() {
        // Two's complement.
        true => {
            let (low, carry) = (!low).overflowing_add(1);
            (low, (!high).wrapping_add(u128::from(carry)))
        }
        false => (low, high),
    };
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&low.to_le_bytes());
    bytes[16..].copy_from_slice(&high.to_le_bytes());
    bytes
}

/// The lower and the upper half of a product.
fn full_product(one: u128, other: u128) -> (u128, u128) {
    const HALF: u128 = u64::MAX as u128;
    let (one_low, one_high) = (one & HALF, one >> 64);
    let (other_low, other_high) = (other & HALF, other >> 64);
    let (low, cross, cross_back) = (one_low * other_low, one_low * other_high, one_high * other_low);
    let middle = (low >> 64) + (cross & HALF) + (cross_back & HALF);
    let high = one_high * other_high + (cross >> 64) + (cross_back >> 64) + (middle >> 64);
    ((middle << 64) | (low & HALF), high)
}

/// The double that is nearest: by the text, as arithmetic rounds more than once.
fn nearest(value: Decimal) -> f64 {
    DecimalText::new(value).as_str().parse().unwrap_or(f64::NAN)
}

/// A number of units of 10^-scale, from either width.
pub(in super::super) fn from_units(low: u128, high: i128, scale: u32) -> Option<Decimal> {
    let negative = high < 0;
    let (low, high) = match negative {
        true => {
            let (low, carry) = (!low).overflowing_add(1);
            (low, (!(high as u128)).wrapping_add(u128::from(carry)))
        }
        false => (low, high as u128),
    };
    let (units, scale) = narrowed(low, high, scale)?;
    let mut value = Decimal::try_from_i128_with_scale(units as i128, scale).ok()?;
    value.set_sign_negative(negative && units != 0);
    Some(value)
}

/// The same number with no zeros at its end, if it then has 96 bits at most.
fn narrowed(mut low: u128, mut high: u128, mut scale: u32) -> Option<(u128, u32)> {
    if (low, high) == (0, 0) {
        return Some((0, 0));
    }
    // By steps of ten thousand where that is possible: most values have a dozen zeros at their end.
    for (step, digits) in [(100_000_000, 8), (10_000, 4), (10, 1)] {
        while scale >= digits {
            let (quotient, rest) = divided(low, high, step);
            if rest != 0 {
                break;
            }
            ((low, high), scale) = (quotient, scale - digits);
        }
    }
    (high == 0 && low < 1 << 96 && scale <= 28).then_some((low, scale))
}

/// Divides 256 bits by a small number.
fn divided(low: u128, high: u128, by: u64) -> ((u128, u128), u64) {
    let by = u128::from(by);
    if high == 0 {
        return ((low / by, 0), (low % by) as u64);
    }
    let digits = [
        high >> 64,
        high & u128::from(u64::MAX),
        low >> 64,
        low & u128::from(u64::MAX),
    ];
    let mut rest = 0;
    let quotient = digits.map(|digit| {
        let part = (rest << 64) | digit;
        rest = part % by;
        part / by
    });
    (
        ((quotient[2] << 64) | quotient[3], (quotient[0] << 64) | quotient[1]),
        rest as u64,
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8], scale: u32) -> Option<Decimal> {
        let half = |at: usize| i128::from_le_bytes(bytes[at..at + 16].try_into().unwrap());
        let low = half(0);
        let high = if bytes.len() == 32 { half(16) } else { low >> 127 };
        from_units(low as u128, high, scale)
    }

    fn any_decimal() -> impl Strategy<Value = Decimal> {
        let most = (1_i128 << 96) - 1;
        (-most..=most, 0_u32..=28, 0_u32..96)
            .prop_map(|(mantissa, scale, shift)| Decimal::from_i128_with_scale(mantissa >> shift, scale))
    }

    proptest! {
        #[test]
        fn every_value_comes_back_from_256_bits(value in any_decimal()) {
            let mut bytes = Vec::new();
            prop_assert!(push(Decimals::Decimal256, value, &mut bytes));
            prop_assert_eq!(read(&bytes, 28), Some(value));
        }

        #[test]
        fn a_value_comes_back_from_128_bits_or_is_refused(value in any_decimal()) {
            let mut bytes = Vec::new();
            let fits = value.normalize().scale() <= 18 && value.abs() < Decimal::from(10_u128.pow(20));
            prop_assert_eq!(push(Decimals::Decimal128, value, &mut bytes), fits);
            if fits {
                prop_assert_eq!(read(&bytes, 18), Some(value));
            } else {
                prop_assert!(bytes.is_empty());
            }
        }
    }

    #[test]
    fn doubles_are_the_nearest() {
        for text in [
            "0.1",
            "67123.45123456789",
            "-0.3",
            "79228162514264337593543950335",
            "0.0000000000000000000000000001",
        ] {
            assert_eq!(nearest(text.parse().unwrap()), text.parse::<f64>().unwrap());
        }
    }
}
