//! Candle timeframes and their calendar arithmetic.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::civil::{civil_from_days, days_from_civil};
use crate::time::Timestamp;

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;
/// 1970-01-05, the first Monday: weeks start on Mondays, as ISO 8601 and the venues have it.
const MONDAY: i64 = 4 * DAY;

macro_rules! timeframes {
    ($($(#[$doc:meta])* $variant:ident $text:literal $length:expr,)+) => {
        /// The length of a candle. Weeks start on Monday, months are calendar months; all in UTC.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Timeframe { $($(#[$doc])* $variant,)+ }

        impl Timeframe {
            /// All timeframes, shortest first.
            pub const ALL: &[Self] = &[$(Self::$variant),+];
            /// The short names of all of them.
            pub const NAMES: &[&str] = &[$($text),+];

            /// The usual short name (`1m` is a minute, `1M` a month).
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Nanoseconds, or `None` for a month.
            const fn nanos(self) -> Option<i64> {
                match self { $(Self::$variant => $length),+ }
            }
        }
    };
}

timeframes! {
    /// 1 second.
    S1 "1s" Some(SECOND),
    /// 1 minute.
    M1 "1m" Some(60 * SECOND),
    /// 3 minutes.
    M3 "3m" Some(180 * SECOND),
    /// 5 minutes.
    M5 "5m" Some(300 * SECOND),
    /// 15 minutes.
    M15 "15m" Some(900 * SECOND),
    /// 30 minutes.
    M30 "30m" Some(1800 * SECOND),
    /// 1 hour.
    H1 "1h" Some(3600 * SECOND),
    /// 2 hours.
    H2 "2h" Some(2 * 3600 * SECOND),
    /// 4 hours.
    H4 "4h" Some(4 * 3600 * SECOND),
    /// 6 hours.
    H6 "6h" Some(6 * 3600 * SECOND),
    /// 8 hours.
    H8 "8h" Some(8 * 3600 * SECOND),
    /// 12 hours.
    H12 "12h" Some(12 * 3600 * SECOND),
    /// 1 day.
    D1 "1d" Some(DAY),
    /// 3 days, counted from 1970-01-01 as Binance does.
    D3 "3d" Some(3 * DAY),
    /// 1 week, from Monday.
    W1 "1w" Some(7 * DAY),
    /// 1 calendar month.
    Mo1 "1M" None,
}

impl Timeframe {
    /// How long each candle is; `None` for a month, whose length differs.
    pub fn length(self) -> Option<Duration> {
        self.nanos().map(|nanos| Duration::from_nanos(nanos as u64))
    }

    /// The open time of the candle that `at` falls into.
    ///
    /// ```
    /// use qicore_data::Timeframe;
    /// let at = "2026-11-21T10:07:59.5Z".parse().unwrap();
    /// assert_eq!(Timeframe::M5.floor(at).to_string(), "2026-11-21T10:05:00Z");
    /// assert_eq!(Timeframe::W1.floor(at).to_string(), "2026-11-16T00:00:00Z");
    /// assert_eq!(Timeframe::Mo1.floor(at).to_string(), "2026-11-01T00:00:00Z");
    /// ```
    pub fn floor(self, at: Timestamp) -> Timestamp {
        match self.nanos() {
            Some(length) => {
                let origin = if self == Self::W1 { MONDAY } else { 0 };
                let into = (i128::from(at.nanos()) - i128::from(origin)).rem_euclid(i128::from(length)) as i64;
                Timestamp::from_nanos(at.nanos().saturating_sub(into))
            }
            None => {
                let (year, month, _) = civil_from_days(at.nanos().div_euclid(DAY));
                month_start(year, month)
            }
        }
    }

    /// The open time of the candle after the one that opens at `open`: the end of that one.
    pub fn next(self, open: Timestamp) -> Timestamp {
        match self.nanos() {
            Some(length) => Timestamp::from_nanos(open.nanos().saturating_add(length)),
            None => {
                let (year, month, _) = civil_from_days(open.nanos().div_euclid(DAY));
                if month == 12 {
                    month_start(year + 1, 1)
                } else {
                    month_start(year, month + 1)
                }
            }
        }
    }

    /// The open time of the candle before the one that opens at `open`.
    pub fn previous(self, open: Timestamp) -> Timestamp {
        self.floor(Timestamp::from_nanos(open.nanos().saturating_sub(1)))
    }

    /// Whether candles of `self` can be built from whole candles of `smaller`.
    pub fn contains(self, smaller: Self) -> bool {
        match (self.nanos(), smaller.nanos()) {
            (Some(long), Some(short)) => long % short == 0 && (self != Self::W1 || DAY % short == 0),
            (None, Some(short)) => DAY % short == 0,
            (None, None) => true,
            (Some(_), None) => false,
        }
    }
}

fn month_start(year: i64, month: i64) -> Timestamp {
    Timestamp::from_nanos(days_from_civil(year, month, 1).saturating_mul(DAY))
}

/// A text that names no [`Timeframe`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownTimeframe(String);

impl fmt::Display for UnknownTimeframe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Timeframe::ALL.iter().map(|frame| frame.as_str()).collect();
        write!(f, "unknown timeframe {:?}, expected one of {}", self.0, names.join(" "))
    }
}

impl std::error::Error for UnknownTimeframe {}

impl FromStr for Timeframe {
    type Err = UnknownTimeframe;

    fn from_str(text: &str) -> Result<Self, UnknownTimeframe> {
        let found = Self::ALL.iter().find(|frame| frame.as_str() == text);
        found
            .copied()
            .ok_or_else(|| UnknownTimeframe(text.chars().take(20).collect()))
    }
}

impl fmt::Display for Timeframe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Timeframe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Timeframe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn months_are_months() {
        let open = at("2024-02-01T00:00:00Z");
        assert_eq!(Timeframe::Mo1.floor(at("2024-02-29T23:59:59.999999999Z")), open);
        assert_eq!(Timeframe::Mo1.next(open), at("2024-03-01T00:00:00Z"));
        assert_eq!(
            Timeframe::Mo1.next(at("2023-12-01T00:00:00Z")),
            at("2024-01-01T00:00:00Z")
        );
        assert_eq!(Timeframe::Mo1.previous(at("2024-03-01T00:00:00Z")), open);
    }

    #[test]
    fn weeks_start_on_monday() {
        assert_eq!(
            Timeframe::W1.floor(at("2026-11-22T23:59:59Z")),
            at("2026-11-16T00:00:00Z")
        );
        assert_eq!(
            Timeframe::W1.floor(at("2026-11-23T00:00:00Z")),
            at("2026-11-23T00:00:00Z")
        );
        assert_eq!(
            Timeframe::W1.floor(at("1970-01-01T00:00:00Z")),
            at("1969-12-29T00:00:00Z")
        );
    }

    #[test]
    fn which_timeframes_make_which() {
        assert!(Timeframe::Mo1.contains(Timeframe::H1));
        assert!(!Timeframe::Mo1.contains(Timeframe::W1));
        assert!(!Timeframe::M5.contains(Timeframe::M3));
        assert!(Timeframe::W1.contains(Timeframe::H12));
        assert!(!Timeframe::W1.contains(Timeframe::D3));
    }

    #[test]
    fn minute_and_month_differ_in_case_only() {
        assert_eq!("1m".parse(), Ok(Timeframe::M1));
        assert_eq!("1M".parse(), Ok(Timeframe::Mo1));
        assert!("2M".parse::<Timeframe>().unwrap_err().to_string().contains("1w 1M"));
    }

    proptest! {
        #[test]
        fn a_candle_holds_its_times(nanos in -4_000_000_000_000_000_000i64..8_000_000_000_000_000_000, frame in proptest::sample::select(Timeframe::ALL)) {
            let at = Timestamp::from_nanos(nanos);
            let open = frame.floor(at);
            let end = frame.next(open);
            prop_assert!(open <= at && at < end);
            prop_assert_eq!(frame.floor(open), open);
            prop_assert_eq!(frame.floor(end), end);
            prop_assert_eq!(frame.previous(end), open);
        }
    }
}
