//! UTC time in nanoseconds.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::civil::{civil_from_days, days_from_civil, days_in_month};

const NANOS: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z, from 1677 to 2262.
///
/// Its text is RFC 3339 in UTC with as many fractional digits as it needs, at most nine.
///
/// ```
/// use qicore_data::Timestamp;
/// let at: Timestamp = "2026-08-09T21:05:48.228568804Z".parse()?;
/// assert_eq!(at.nanos(), 1_786_309_548_228_568_804);
/// assert_eq!(Timestamp::from_millis(1_633_998_512_068).unwrap().to_string(), "2021-10-12T00:28:32.068Z");
/// # Ok::<(), qicore_data::TimestampError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Why a text is not a [`Timestamp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimestampError {
    /// Not in the form expected, or a date that does not exist.
    Malformed,
    /// Well formed, but outside the years 1677 to 2262.
    OutOfRange,
}

impl fmt::Display for TimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed timestamp",
            Self::OutOfRange => "timestamp outside the years 1677 to 2262",
        })
    }
}

impl std::error::Error for TimestampError {}

impl Timestamp {
    /// 1970-01-01. As an event's time it says that neither the venue nor the capture told one.
    pub const UNKNOWN: Self = Self(0);
    /// The latest point that can be told.
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds since 1970.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From milliseconds since 1970; `None` out of range.
    pub fn from_millis(millis: i64) -> Option<Self> {
        millis.checked_mul(1_000_000).map(Self)
    }

    /// From seconds since 1970; `None` out of range.
    pub fn from_secs(secs: i64) -> Option<Self> {
        secs.checked_mul(NANOS).map(Self)
    }

    /// Reads seconds since 1970 with a fraction, as Kraken and capture files write them (`1618678142.557535`).
    /// Digits beyond the ninth are cut.
    pub fn from_decimal_secs(text: &str) -> Result<Self, TimestampError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let secs: i64 = whole.parse().map_err(|_| TimestampError::Malformed)?;
        if whole.starts_with(['-', '+']) {
            return Err(TimestampError::Malformed);
        }
        let nanos = fraction_nanos(fraction.as_bytes()).ok_or(TimestampError::Malformed)?;
        secs.checked_mul(NANOS)
            .and_then(|at| at.checked_add(nanos))
            .map(Self)
            .ok_or(TimestampError::OutOfRange)
    }

    /// The present. Only for the edges (receiving, statistics): parsers and transforms take time from the data.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    /// Nanoseconds since 1970.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Milliseconds since 1970, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Later by `duration`, or [`Timestamp::MAX`].
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)),
        )
    }

    /// Earlier by `duration`, or the earliest point.
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)),
        )
    }

    /// The time since `earlier`, zero if that is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(i128::from(self.0) - i128::from(earlier.0)).unwrap_or(0))
    }

    /// The UTC date as `YYYY-MM-DD`, as file partitions name it.
    pub fn date(self) -> String {
        let (year, month, day) = civil_from_days(self.0.div_euclid(NANOS * DAY));
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// Reads RFC 3339 with any offset; digits of the fraction beyond the ninth are cut.
    pub fn from_rfc3339(text: &str) -> Result<Self, TimestampError> {
        parse_rfc3339(text.as_bytes())
    }
}

impl From<Timestamp> for SystemTime {
    fn from(at: Timestamp) -> Self {
        let nanos = Duration::from_nanos(at.0.unsigned_abs());
        if at.0 >= 0 {
            UNIX_EPOCH + nanos
        } else {
            UNIX_EPOCH - nanos
        }
    }
}

/// Nanoseconds of a fraction's digits; at least the first nine count.
fn fraction_nanos(digits: &[u8]) -> Option<i64> {
    let mut nanos = 0i64;
    for place in 0..digits.len().max(9) {
        let digit = digits.get(place).map_or(0, |byte| byte.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        if place < 9 {
            nanos = nanos * 10 + i64::from(digit);
        }
    }
    Some(nanos)
}

fn number(text: &[u8], from: usize, len: usize) -> Option<i64> {
    text.get(from..from + len)?.iter().try_fold(0i64, |sum, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then_some(sum * 10 + i64::from(digit))
    })
}

fn parse_rfc3339(text: &[u8]) -> Result<Timestamp, TimestampError> {
    let fields = || {
        let separated = text.get(4) == Some(&b'-')
            && text.get(7) == Some(&b'-')
            && matches!(text.get(10), Some(b'T' | b't' | b' '))
            && text.get(13) == Some(&b':')
            && text.get(16) == Some(&b':');
        let date = (number(text, 0, 4)?, number(text, 5, 2)?, number(text, 8, 2)?);
        let time = (number(text, 11, 2)?, number(text, 14, 2)?, number(text, 17, 2)?);
        separated.then_some((date, time))
    };
    let ((year, month, day), (hour, minute, second)) = fields().ok_or(TimestampError::Malformed)?;
    let rest = &text[19..];
    let (fraction, zone) = match rest {
        [b'.', tail @ ..] => tail.split_at(
            tail.iter()
                .position(|byte| !byte.is_ascii_digit())
                .unwrap_or(tail.len()),
        ),
        _ => (&rest[..0], rest),
    };
    let nanos = fraction_nanos(fraction).ok_or(TimestampError::Malformed)?;
    let offset = zone_seconds(zone).ok_or(TimestampError::Malformed)?;
    let valid = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    // A leap second (60) is read as the first second of the next minute, as venues that send one mean it.
    if !valid || hour > 23 || minute > 59 || second > 60 || rest.first() == Some(&b'.') && fraction.is_empty() {
        return Err(TimestampError::Malformed);
    }
    let secs = days_from_civil(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
    secs.checked_mul(NANOS)
        .and_then(|at| at.checked_add(nanos))
        .map(Timestamp)
        .ok_or(TimestampError::OutOfRange)
}

/// Seconds east of UTC of `Z` or `+hh:mm`.
fn zone_seconds(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (number(zone, 1, 2)?, number(zone, 4, 2)?);
            let seconds = hours * 3600 + minutes * 60;
            (hours < 24 && minutes < 60).then_some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

/// A timestamp's RFC 3339 text in a stack buffer.
#[derive(Debug)]
pub struct TimestampText {
    buffer: [u8; 30],
    len: usize,
}

impl TimestampText {
    /// Writes `at` out.
    pub fn new(at: Timestamp) -> Self {
        let mut buffer = *b"0000-00-00T00:00:00.000000000Z";
        let secs = at.0.div_euclid(NANOS);
        let nanos = at.0.rem_euclid(NANOS) as u32;
        let (year, month, day) = civil_from_days(secs.div_euclid(DAY));
        let of_day = secs.rem_euclid(DAY) as u32;
        let (year, month, day) = (year as u32, month as u32, day as u32);
        let fields = [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, of_day / 3600),
            (14, of_day / 60 % 60),
            (17, of_day % 60),
            (20, nanos / 10_000_000),
            (22, nanos / 100_000 % 100),
            (24, nanos / 1000 % 100),
            (26, nanos / 10 % 100),
        ];
        for (from, field) in fields {
            buffer[from] = b'0' + (field / 10) as u8;
            buffer[from + 1] = b'0' + (field % 10) as u8;
        }
        buffer[28] = b'0' + (nanos % 10) as u8;
        // A fraction without zeros at its end, or none with its point.
        let mut len = 29;
        while len > 20 && buffer[len - 1] == b'0' {
            len -= 1;
        }
        if len == 20 {
            len = 19;
        }
        buffer[len] = b'Z';
        Self { buffer, len: len + 1 }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The text's bytes, all of them ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(TimestampText::new(*self).as_str())
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        Self::from_rfc3339(text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(TimestampText::new(*self).as_str())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 timestamp")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                Timestamp::from_rfc3339(text).map_err(E::custom)
            }
            /// A time without quotation marks in TOML, as its deserializer hands it over.
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Timestamp, A::Error> {
                match map.next_entry::<String, String>()? {
                    Some((key, text)) if key == "$__toml_private_datetime" => self.visit_str(&text),
                    _ => Err(de::Error::invalid_type(de::Unexpected::Map, &self)),
                }
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn rfc(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn reads_what_venues_send() {
        assert_eq!(rfc("2026-08-09T21:05:42.514318Z").nanos(), 1_786_309_542_514_318_000);
        assert_eq!(
            rfc("2021-04-17T18:43:30.244075+02:00"),
            rfc("2021-04-17T16:43:30.244075Z")
        );
        assert_eq!(
            rfc("2026-08-09T21:05:48.1234567899Z"),
            rfc("2026-08-09T21:05:48.123456789Z")
        );
        assert_eq!(
            Timestamp::from_decimal_secs("1618678142.557535").unwrap().nanos(),
            1_618_678_142_557_535_000
        );
        assert_eq!(
            Timestamp::from_decimal_secs("1618678142").unwrap().to_string(),
            "2021-04-17T16:49:02Z"
        );
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "2026-08-09",
            "2026-02-30T00:00:00Z",
            "2026-08-09T24:00:00Z",
            "2026-08-09T21:05:48",
            "2026-08-09T21:05:48.Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError::Malformed), "{text:?}");
        }
        // Coinbase Exchange sends this one in l2update; it is a time, though not one that fits.
        assert_eq!(
            "0001-01-01T00:00:00.000000Z".parse::<Timestamp>(),
            Err(TimestampError::OutOfRange)
        );
        for text in ["", ".5", "-1.5", "1.5e3", "1..2", "nan", "+1"] {
            assert_eq!(
                Timestamp::from_decimal_secs(text),
                Err(TimestampError::Malformed),
                "{text:?}"
            );
        }
        assert_eq!(
            Timestamp::from_decimal_secs("99999999999999"),
            Err(TimestampError::OutOfRange)
        );
    }

    proptest! {
        #[test]
        fn every_time_survives_its_text(nanos: i64) {
            let at = Timestamp::from_nanos(nanos);
            prop_assert_eq!(at.to_string().parse::<Timestamp>(), Ok(at));
            let theirs = chrono::DateTime::from_timestamp_nanos(nanos).to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
            prop_assert_eq!(theirs.parse::<Timestamp>(), Ok(at));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Timestamp>();
            let _ = Timestamp::from_decimal_secs(&text);
        }
    }
}
