//! Decimals as 128-bit integers of one scale, as Parquet columns hold them.

use qicore_data::Decimal;

const POWERS: [i128; 29] = {
    let mut powers = [1; 29];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// The first number of 39 digits: what `Decimal128(38, _)` no longer holds.
const LIMIT: u128 = POWERS[28].unsigned_abs() * POWERS[10].unsigned_abs();

/// The fractional digits of all decimal columns of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale(u8);

impl Scale {
    pub(super) fn new(digits: u8) -> Self {
        Self(digits.min(28))
    }

    pub(super) fn digits(self) -> u8 {
        self.0
    }

    /// The value times ten to the scale, if that is a whole number of at most 38 digits.
    #[inline]
    pub(super) fn exact(self, value: Decimal) -> Option<i128> {
        let (scale, mantissa) = (value.scale() as usize, value.mantissa());
        let Some(zeros) = usize::from(self.0).checked_sub(scale) else {
            return divided(mantissa, scale - usize::from(self.0));
        };
        // Nearly always: two 64-bit factors, whose product has at most 38 digits.
        match i64::try_from(mantissa) {
            Ok(mantissa) if zeros <= 18 => Some(i128::from(mantissa) * i128::from(POWERS[zeros] as i64)),
            _ => multiplied(mantissa, zeros),
        }
    }
}

#[cold]
fn multiplied(mantissa: i128, zeros: usize) -> Option<i128> {
    mantissa
        .checked_mul(POWERS[zeros])
        .filter(|value| value.unsigned_abs() < LIMIT)
}

/// Only trailing zeros may go.
#[cold]
fn divided(mantissa: i128, digits: usize) -> Option<i128> {
    let divisor = POWERS[digits];
    (mantissa % divisor == 0).then(|| mantissa / divisor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use qicore_data::decimal;

    #[test]
    fn at_the_limits() {
        let exact = |digits, text| Scale::new(digits).exact(decimal::parse(text).unwrap());
        assert_eq!(exact(18, "1.5"), Some(1_500_000_000_000_000_000));
        assert_eq!(exact(18, "-0.000000000001"), Some(-1_000_000));
        assert_eq!(
            exact(18, "99999999999999999999"),
            Some(99_999_999_999_999_999_999 * POWERS[18])
        );
        assert_eq!(exact(18, "100000000000000000000"), None);
        assert_eq!(exact(18, "-100000000000000000000"), None);
        assert_eq!(exact(18, "0.0000000000000000001"), None);
        assert_eq!(exact(18, "0.1000000000000000000000"), Some(POWERS[17]));
        assert_eq!(
            exact(0, "79228162514264337593543950335"),
            Some(79_228_162_514_264_337_593_543_950_335)
        );
        assert_eq!(exact(28, "9999999999"), Some(9_999_999_999 * POWERS[28]));
        assert_eq!(exact(28, "10000000000"), None);
    }

    proptest! {
        #[test]
        fn what_is_given_is_the_value(lo: u32, mid: u32, hi: u32, negative: bool, scale in 0u32..=28, digits in 0u8..=28) {
            let value = Decimal::from_parts(lo, mid, hi, negative, scale);
            let text = value.normalize().to_string();
            let (whole, fraction) = text.trim_start_matches('-').split_once('.').unwrap_or((text.trim_start_matches('-'), ""));
            let expected = (fraction.len() <= usize::from(digits)).then(|| {
                let sign = if text.starts_with('-') { "-" } else { "" };
                format!("{sign}{whole}{fraction:0<width$}", width = usize::from(digits))
            });
            let expected = expected.filter(|text| text.trim_start_matches(['-', '0']).len() <= 38);
            prop_assert_eq!(Scale::new(digits).exact(value), expected.map(|text| text.parse::<i128>().unwrap()));
        }
    }
}
