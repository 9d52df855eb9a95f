//! Exact decimals: from wire text to [`Decimal`] and back, never through a float.
//!
//! Prices and sizes are read from the digits the venue sent. A text that a [`Decimal`] (96-bit integer, at most 28
//! fractional digits) cannot hold exactly is an error, never a rounding: `rust_decimal`'s own `FromStr` rounds
//! silently, which is why it is not used here.

use std::fmt;

pub use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serializer, de};
use serde_json::value::RawValue;

/// Largest integer part of a [`Decimal`]: 96 bits.
const MAX_MANTISSA: u128 = (1 << 96) - 1;
/// Most fractional digits of a [`Decimal`].
const MAX_SCALE: i64 = 28;
/// Texts beyond this are refused unread: no venue sends them, and the time to read them belongs to the good frames.
const MAX_TEXT: usize = 128;

/// Why a text is not an exact decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecimalError {
    /// The text is empty (Coinbase sends `""` for a missing quote).
    Empty,
    /// The text is not a plain or exponent decimal number.
    Malformed,
    /// The number is well formed, but needs more than 96 bits or 28 fractional digits.
    TooPrecise,
}

impl fmt::Display for DecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty decimal",
            Self::Malformed => "malformed decimal",
            Self::TooPrecise => "decimal needs more than 96 bits or 28 fractional digits",
        })
    }
}

impl std::error::Error for DecimalError {}

/// Reads a decimal exactly, keeping its scale (`"1.50"` keeps two fractional digits).
///
/// Accepts a leading `-` and an exponent (`1.2e-7`); trailing zeros are given up only where the number would not fit
/// otherwise.
///
/// ```
/// use qicore_data::decimal;
/// assert_eq!(decimal::parse("67123.45123456789")?.to_string(), "67123.45123456789");
/// assert_eq!(decimal::parse("1.2e-7")?.to_string(), "0.00000012");
/// assert!(decimal::parse("0.-10000").is_err());
/// # Ok::<(), decimal::DecimalError>(())
/// ```
pub fn parse(text: &str) -> Result<Decimal, DecimalError> {
    parse_bytes(text.as_bytes())
}

/// [`parse`] for bytes that are not yet known to be UTF-8.
#[inline]
pub fn parse_bytes(text: &[u8]) -> Result<Decimal, DecimalError> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    // Up to 19 digits fit a u64 whatever they are: one pass, no checks for overflow.
    if digits.len() > 20 {
        return parse_long(negative, digits);
    }
    let mut mantissa = 0u64;
    let mut point = usize::MAX;
    for (at, &byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        } else if byte == b'.' && point == usize::MAX {
            point = at;
        } else {
            return parse_long(negative, digits);
        }
    }
    let (count, scale) = match point {
        usize::MAX => (digits.len(), 0),
        point => (digits.len() - 1, digits.len() - 1 - point),
    };
    if count == 0 || count > 19 {
        return parse_long(negative, digits);
    }
    Ok(Decimal::from_parts(
        mantissa as u32,
        (mantissa >> 32) as u32,
        0,
        negative && mantissa != 0,
        scale as u32,
    ))
}

/// The general case: long numbers, exponents, and everything malformed.
#[cold]
fn parse_long(negative: bool, text: &[u8]) -> Result<Decimal, DecimalError> {
    if text.is_empty() {
        return Err(if negative {
            DecimalError::Malformed
        } else {
            DecimalError::Empty
        });
    }
    if text.len() > MAX_TEXT {
        return Err(DecimalError::Malformed);
    }
    let (digits, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let mut mantissa = 0u128;
    let mut scale = 0i64;
    let mut zeros = 0u32; // trailing zeros seen, not yet part of the mantissa
    let (mut seen, mut fraction) = (false, false);
    for &byte in digits {
        match byte {
            b'.' if !fraction => fraction = true,
            b'0'..=b'9' => {
                seen = true;
                scale += i64::from(fraction);
                if byte == b'0' {
                    zeros += u32::from(mantissa != 0);
                    continue;
                }
                mantissa = shift(mantissa, zeros + 1)?
                    .checked_add(u128::from(byte - b'0'))
                    .filter(|m| *m <= MAX_MANTISSA)
                    .ok_or(DecimalError::TooPrecise)?;
                zeros = 0;
            }
            _ => return Err(DecimalError::Malformed),
        }
    }
    if !seen {
        return Err(DecimalError::Malformed);
    }
    compose(negative, mantissa, zeros, scale - exponent)
}

/// `mantissa × 10^zeros / 10^scale` as a [`Decimal`], with as many of the zeros kept as fit.
fn compose(negative: bool, mut mantissa: u128, zeros: u32, scale: i64) -> Result<Decimal, DecimalError> {
    if mantissa == 0 {
        let scale = u32::try_from(scale.clamp(0, MAX_SCALE)).unwrap_or(0);
        return Ok(Decimal::new(0, scale));
    }
    let wanted = scale.clamp(0, MAX_SCALE);
    let mut scale = scale - i64::from(zeros);
    if scale < 0 {
        mantissa = shift(mantissa, u32::try_from(-scale).map_err(|_| DecimalError::TooPrecise)?)?;
        scale = 0;
    }
    while scale < wanted {
        match shift(mantissa, 1) {
            Ok(wider) => {
                mantissa = wider;
                scale += 1;
            }
            Err(_) => break,
        }
    }
    if scale > MAX_SCALE {
        return Err(DecimalError::TooPrecise);
    }
    let mut value = Decimal::from_i128_with_scale(mantissa as i128, scale as u32);
    value.set_sign_negative(negative);
    Ok(value)
}

fn shift(mantissa: u128, places: u32) -> Result<u128, DecimalError> {
    if mantissa == 0 {
        return Ok(0);
    }
    10u128
        .checked_pow(places)
        .and_then(|factor| mantissa.checked_mul(factor))
        .filter(|m| *m <= MAX_MANTISSA)
        .ok_or(DecimalError::TooPrecise)
}

fn parse_exponent(text: &[u8]) -> Result<i64, DecimalError> {
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        _ => (1, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecimalError::Malformed);
    }
    // Beyond four digits the value is out of range whatever the mantissa, except for zero, which nobody writes so.
    if digits.len() > 4 {
        return Err(DecimalError::TooPrecise);
    }
    Ok(sign * digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

/// A decimal's plain notation in a stack buffer; several times faster than [`Decimal`]'s `Display`.
///
/// ```
/// use qicore_data::decimal::{self, DecimalText};
/// assert_eq!(DecimalText::new(decimal::parse("-0.0450")?).as_str(), "-0.0450");
/// # Ok::<(), decimal::DecimalError>(())
/// ```
#[derive(Debug)]
pub struct DecimalText {
    buffer: [u8; 40],
    len: usize,
}

impl DecimalText {
    /// Writes `value` out.
    #[inline]
    pub fn new(value: Decimal) -> Self {
        let parts = value.unpack();
        let mut text = Self {
            buffer: [b'0'; 40],
            len: 0,
        };
        let mut digits = itoa::Buffer::new();
        let digits = match parts.hi {
            0 => digits.format((u64::from(parts.mid) << 32) | u64::from(parts.lo)),
            _ => digits.format(value.mantissa().unsigned_abs()),
        };
        if parts.negative && !value.is_zero() {
            text.push(b"-");
        }
        let scale = parts.scale as usize;
        let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
        match whole {
            "" => text.push(b"0"),
            whole => text.push(whole.as_bytes()),
        }
        if scale > 0 {
            text.push(b".");
            // What the buffer is filled with: 0.05 has a mantissa of 5.
            text.len += scale - fraction.len();
            text.push(fraction.as_bytes());
        }
        text
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The text's bytes, all of them ASCII.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer[..self.len]
    }

    #[inline]
    fn push(&mut self, part: &[u8]) {
        self.buffer[self.len..][..part.len()].copy_from_slice(part);
        self.len += part.len();
    }
}

/// Serde form of a decimal field: a JSON string in plain notation, as in the normalised JSON.
///
/// Use with `#[serde(with = "qicore_data::decimal::text")]`.
pub mod text {
    use super::*;

    /// Writes the plain notation as a string.
    pub fn serialize<S: Serializer>(value: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(DecimalText::new(*value).as_str())
    }

    /// Reads a string exactly.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl de::Visitor<'_> for TextVisitor {
    type Value = Decimal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal in a string")
    }

    #[inline]
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Decimal, E> {
        parse(text).map_err(|error| de::Error::custom(format_args!("{error}: {:?}", clip(text))))
    }
}

/// A decimal that a provider sends in a JSON **string**: the type of most wire fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted(pub Decimal);

impl<'de> Deserialize<'de> for Quoted {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor).map(Self)
    }
}

/// A decimal that a provider sends as a JSON **number or string**, read from its digits.
///
/// Only for `serde_json` (it reads the raw text of the value; a `Deserialize` through `f64` would round).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number(pub Decimal);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let text = raw
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .unwrap_or(raw);
        parse(text)
            .map(Self)
            .map_err(|error| de::Error::custom(format_args!("{error}: {:?}", clip(text))))
    }
}

/// At most 40 characters of a text, for an error message.
fn clip(text: &str) -> &str {
    text.char_indices().nth(40).map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn round_trip(text: &str, expected: &str) {
        let value = parse(text).unwrap();
        assert_eq!(value.to_string(), expected);
        assert_eq!(DecimalText::new(value).as_str(), expected);
    }

    #[test]
    fn wire_texts() {
        round_trip("354.11000000", "354.11000000");
        round_trip("0.000022900", "0.000022900");
        round_trip("0.00000000", "0.00000000");
        round_trip("-1", "-1");
        round_trip("-0.0", "0.0");
        round_trip(".5", "0.5");
        round_trip("5.", "5");
        round_trip("18446744073709551616", "18446744073709551616");
        round_trip("1000000000000000000000", "1000000000000000000000");
        round_trip("1000000000000000000000.50", "1000000000000000000000.50");
        round_trip("79228162514264337593543950335", "79228162514264337593543950335");
        round_trip("0.0000000000000000000000000001", "0.0000000000000000000000000001");
    }

    #[test]
    fn exponents() {
        round_trip("1e3", "1000");
        round_trip("1.25E+1", "12.5");
        round_trip("5.9152179e-8", "0.000000059152179");
        round_trip("0e9999", "0");
        round_trip("1000e-3", "1.000");
        assert_eq!(parse("1e29"), Err(DecimalError::TooPrecise));
        assert_eq!(parse("1e-29"), Err(DecimalError::TooPrecise));
        assert_eq!(parse("1e99999"), Err(DecimalError::TooPrecise));
    }

    #[test]
    fn trailing_zeros_are_given_up_only_where_they_do_not_fit() {
        round_trip("1.000000000000000000000000000000000", "1.0000000000000000000000000000");
        round_trip("79228162514264337593543950335.00", "79228162514264337593543950335");
        assert_eq!(parse("79228162514264337593543950336"), Err(DecimalError::TooPrecise));
        assert_eq!(parse("123456789012345678901234567890"), Err(DecimalError::TooPrecise));
        assert_eq!(parse("0.123456789012345678901234567891"), Err(DecimalError::TooPrecise));
    }

    #[test]
    fn malformed() {
        assert_eq!(parse(""), Err(DecimalError::Empty));
        for text in [
            "-", ".", "0.-10000", "NaN", "inf", "1,5", " 1", "1 ", "+1", "1e", "e5", "1.2.3", "0x10", "--1", "1e5e",
        ] {
            assert_eq!(parse(text), Err(DecimalError::Malformed), "{text:?}");
        }
        assert_eq!(parse(&"1".repeat(10_000)), Err(DecimalError::Malformed));
    }

    #[test]
    fn json_numbers_keep_their_digits() {
        let value: Number = serde_json::from_str("67123.45123456789").unwrap();
        assert_eq!(value.0.to_string(), "67123.45123456789");
        assert!(serde_json::from_str::<Quoted>("1.5").is_err());
        assert!(serde_json::from_str::<Number>("null").is_err());
    }

    proptest! {
        #[test]
        fn every_decimal_survives_its_text(lo: u32, mid: u32, hi: u32, negative: bool, scale in 0u32..=28) {
            let value = Decimal::from_parts(lo, mid, hi, negative, scale);
            let text = value.to_string();
            let ours = DecimalText::new(value);
            prop_assert_eq!(ours.as_str(), &text);
            let read = parse(&text).unwrap();
            prop_assert_eq!(read, value);
            prop_assert_eq!(read.scale(), value.scale());
        }

        #[test]
        fn agrees_with_the_strict_reader(text in "-?[0-9]{1,32}(\\.[0-9]{1,32})?") {
            match Decimal::from_str_exact(&text) {
                Ok(expected) => {
                    prop_assert_eq!(parse(&text), Ok(expected));
                    prop_assert_eq!(parse(&text).map(|value| value.scale()), Ok(expected.scale()));
                }
                // The strict reader also refuses numbers that fit once their trailing zeros go.
                Err(_) => if let Ok(value) = parse(&text) {
                    let digits = text.trim_end_matches('0');
                    prop_assert!(digits.len() < text.len() || text.trim_start_matches('-').starts_with('0'), "{} {}", text, value);
                },
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
