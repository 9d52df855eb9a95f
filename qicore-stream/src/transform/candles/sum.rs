use std::fmt;
use std::str::FromStr;

use qicore_data::Decimal;

/// Largest digits of a [`Decimal`]: 96 bits.
const MAX_DIGITS: u128 = (1 << 96) - 1;
const MAX_SCALE: u32 = 28;

/// An exact sum of decimals or of their products: `digits / 10^scale`.
///
/// [`Decimal`]'s own operations round where a result needs more than 28 digits or places; here that is an overflow, and
/// there are 10 more digits before it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    digits: i128,
    scale: u32,
}

impl From<Decimal> for Sum {
    #[inline]
    fn from(value: Decimal) -> Self {
        Self {
            digits: value.mantissa(),
            scale: value.scale(),
        }
    }
}

impl Sum {
    /// The product; `None` beyond 127 bits.
    #[inline]
    pub(super) fn product(one: Decimal, two: Decimal) -> Option<Self> {
        let (first, second) = (one.mantissa(), two.mantissa());
        let digits = match (i64::try_from(first), i64::try_from(second)) {
            (Ok(first), Ok(second)) => i128::from(first) * i128::from(second),
            _ => first.checked_mul(second)?,
        };
        Some(Self {
            digits,
            scale: one.scale() + two.scale(),
        })
    }

    /// The sum; `None` beyond 127 bits.
    #[inline]
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        if self.scale == other.scale {
            let digits = self.digits.checked_add(other.digits)?;
            return Some(Self { digits, ..self });
        }
        self.plus_aligned(other)
            .or_else(|| self.shortest().plus_aligned(other.shortest()))
    }

    fn plus_aligned(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let digits = |sum: Self| sum.digits.checked_mul(10i128.checked_pow(scale - sum.scale)?);
        Some(Self {
            digits: digits(self)?.checked_add(digits(other)?)?,
            scale,
        })
    }

    /// Without trailing zeros after the point.
    fn shortest(mut self) -> Self {
        while self.scale > 0 && self.digits % 10 == 0 {
            self.digits /= 10;
            self.scale -= 1;
        }
        self
    }

    /// Whether [`Sum::value`] can tell it.
    #[inline]
    pub(super) fn fits(self) -> bool {
        let fits = |sum: Self| sum.scale <= MAX_SCALE && sum.digits.unsigned_abs() <= MAX_DIGITS;
        fits(self) || fits(self.shortest())
    }

    /// The value, if a [`Decimal`] can hold it.
    pub(super) fn value(self) -> Option<Decimal> {
        let short = self.shortest();
        short
            .fits()
            .then(|| Decimal::from_i128_with_scale(short.digits, short.scale))
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}e-{}", self.digits, self.scale)
    }
}

impl FromStr for Sum {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (digits, scale) = text.split_once("e-")?;
            let scale = scale.parse().ok().filter(|scale| *scale <= 2 * MAX_SCALE)?;
            Some(Self {
                digits: digits.parse().ok()?,
                scale,
            })
        };
        parse().ok_or("a sum is malformed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal() -> impl Strategy<Value = Decimal> {
        (0i64..1 << 30, 0u32..=6).prop_map(|(digits, scale)| Decimal::new(digits, scale))
    }

    #[test]
    fn an_inexact_sum_is_an_overflow() {
        let large = Sum::from(Decimal::MAX);
        let tenth = Sum::from(Decimal::new(1, 1));
        let sum = large.plus(tenth).unwrap();
        assert!(!sum.fits() && sum.value().is_none());
        let squared = Sum::product(Decimal::MAX, Decimal::MAX);
        assert_eq!(squared, None);
        let wide = Sum::product(Decimal::new(3, 28), Decimal::new(7, 12)).unwrap();
        assert_eq!(wide.value(), None, "40 places");
        let wide = Sum::product(Decimal::new(3_000_000_000_000, 28), Decimal::new(7, 12)).unwrap();
        assert_eq!(wide.value(), Some(Decimal::new(21, 28)));
    }

    proptest! {
        #[test]
        fn sums_are_exact(pairs in prop::collection::vec((decimal(), decimal()), 1..40)) {
            let mut sum = Sum::default();
            let mut expected = 0;
            for (one, two) in &pairs {
                sum = sum.plus(Sum::product(*one, *two).unwrap()).unwrap();
                let millionths = |value: &Decimal| value.mantissa() * 10i128.pow(6 - value.scale());
                expected += millionths(one) * millionths(two);
            }
            prop_assert_eq!(sum.digits * 10i128.pow(12 - sum.scale), expected);
            prop_assert_eq!(sum.to_string().parse(), Ok(sum));
        }
    }
}
