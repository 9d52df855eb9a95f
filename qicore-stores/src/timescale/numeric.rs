//! PostgreSQL's binary `numeric`: base-10000 digits with the place of the first one.

use qicore_data::{Error, Result};
use rust_decimal::Decimal;

const NEGATIVE: u16 = 0x4000;
const BASE: u64 = 10_000;
/// A decimal has at most 29 digits, of which a group of four may be cut at both ends.
const MOST_DIGITS: usize = 9;

/// Appends the value without its length. Keeps the scale, so that `1.50` comes back as `1.50`.
pub(super) fn push(value: Decimal, out: &mut Vec<u8>) {
    let scale = value.scale();
    // Whole groups behind the point: a mantissa of 96 bits has room for three more digits in 128.
    let aligned = value.mantissa().unsigned_abs() * 10u128.pow((4 - scale % 4) % 4);
    let behind = scale.div_ceil(4) as usize;
    let mut digits = [0u16; MOST_DIGITS];
    let mut first = MOST_DIGITS;
    let mut high = aligned;
    while high > u128::from(u64::MAX) {
        first -= 1;
        digits[first] = (high % u128::from(BASE)) as u16;
        high /= u128::from(BASE);
    }
    let mut rest = high as u64;
    while rest > 0 {
        first -= 1;
        digits[first] = (rest % BASE) as u16;
        rest /= BASE;
    }
    let weight = (MOST_DIGITS - first) as i16 - behind as i16 - 1;
    let last = digits[first..]
        .iter()
        .rposition(|digit| *digit != 0)
        .map_or(first, |at| first + at + 1);
    let digits = &digits[first..last];
    let negative = value.is_sign_negative() && !digits.is_empty();
    let header = [
        digits.len() as u16,
        if digits.is_empty() { 0 } else { weight as u16 },
        if negative { NEGATIVE } else { 0 },
        scale as u16,
    ];
    for half in header.iter().chain(digits) {
        out.extend_from_slice(&half.to_be_bytes());
    }
}

/// Reads a binary `numeric`.
///
/// # Errors
/// [`Decode`](qicore_data::ErrorKind::Decode) where it is NaN, infinite, or needs more than the 28 digits behind the
/// point or the 96 bits that an exact decimal has: other programs may have written it.
pub(super) fn read(bytes: &[u8]) -> Result<Decimal> {
    let fail = |message: &str| Error::decode("timescale.numeric", message);
    let mut halves = bytes.chunks_exact(2).map(|half| u16::from_be_bytes([half[0], half[1]]));
    let mut next = || halves.next().ok_or_else(|| fail("the value is cut short"));
    let (count, weight, sign, scale) = (next()?, next()? as i16, next()?, next()?);
    if sign != 0 && sign != NEGATIVE {
        return Err(fail("the value is not a number"));
    }
    let large = || fail("the value has more digits than an exact decimal");
    let mut mantissa: i128 = 0;
    for _ in 0..count {
        let grown = mantissa.checked_mul(i128::from(BASE));
        mantissa = grown
            .and_then(|sum| sum.checked_add(i128::from(next().ok()?)))
            .ok_or_else(large)?;
    }
    // The last digit group ends so many decimal places behind the point.
    let mut places = 4 * (i32::from(count) - 1 - i32::from(weight));
    while places < i32::from(scale) {
        mantissa = mantissa.checked_mul(10).ok_or_else(large)?;
        places += 1;
    }
    while places > i32::from(scale) && mantissa % 10 == 0 {
        mantissa /= 10;
        places -= 1;
    }
    let mantissa = if sign == NEGATIVE { -mantissa } else { mantissa };
    let places = u32::try_from(places).map_err(|_| large())?;
    Decimal::try_from_i128_with_scale(mantissa, places).map_err(|_| large())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(value: Decimal) -> Vec<u8> {
        let mut out = Vec::new();
        push(value, &mut out);
        out
    }

    /// What `select numeric_send(…)` of PostgreSQL 15 gives.
    #[test]
    fn as_the_server_sends_them() {
        for (text, expected) in [
            ("0", "0000000000000000"),
            ("0.00", "0000000000000002"),
            ("1", "00010000000000000001"),
            ("-1.5", "000200004000000100011388"),
            ("10000", "00010001000000000001"),
            ("0.0001", "0001ffff000000040001"),
            ("0.00000001", "0001fffe000000080001"),
            ("67123.45123456789", "000500010000000b00061bd311a00d801ed2"),
            (
                "79228162514264337593543950335",
                "00080007000000000007240c0659059210f1172f112b014f",
            ),
            ("-0.0000000000000000000000000001", "0001fff94000001c0001"),
        ] {
            let sent = bytes(text.parse().unwrap());
            let hex: String = sent.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, expected, "{text}");
        }
    }

    #[test]
    fn beyond_an_exact_decimal() {
        // NaN, and 10^40.
        assert!(read(&[0, 0, 0, 0, 0xC0, 0, 0, 0]).is_err());
        assert!(read(&[0, 1, 0, 10, 0, 0, 0, 0, 0, 1]).is_err());
        assert!(read(&[0, 2, 0, 0, 0, 0, 0, 0, 0, 1]).is_err(), "cut short");
    }

    proptest! {
        #[test]
        fn every_decimal_comes_back(mantissa in -(1i128 << 96) + 1..(1i128 << 96), scale in 0u32..=28) {
            let value = Decimal::from_i128_with_scale(mantissa, scale);
            let back = read(&bytes(value)).unwrap();
            prop_assert_eq!((back, back.scale()), (value, value.scale()));
        }

        #[test]
        fn small_ones_too(mantissa in -100_000i128..100_000, scale in 0u32..=28) {
            let value = Decimal::from_i128_with_scale(mantissa, scale);
            let back = read(&bytes(value)).unwrap();
            prop_assert_eq!((back, back.scale()), (value, value.scale()));
        }
    }
}
