//! Timeframes of candles and where their bars begin.

use chrono::{DateTime, Datelike, Months, NaiveDate};

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// The length of a bar. Bars are aligned to the epoch in UTC, weeks to Monday (but see [`Timeframe::of_kraken`]), months to
/// the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timeframe {
    name: &'static str,
    /// Zero is a calendar month.
    seconds: i64,
    /// Seconds from the epoch to the first bar.
    offset: i64,
}

const fn fixed(name: &'static str, seconds: i64) -> Timeframe {
    Timeframe {
        name,
        seconds,
        offset: 0,
    }
}

const ALL: [Timeframe; 17] = [
    fixed("1s", 1),
    fixed("1m", 60),
    fixed("3m", 180),
    fixed("5m", 300),
    fixed("15m", 900),
    fixed("30m", 1_800),
    fixed("1h", 3_600),
    fixed("2h", 7_200),
    fixed("4h", 14_400),
    fixed("6h", 21_600),
    fixed("8h", 28_800),
    fixed("12h", 43_200),
    fixed("1d", DAY),
    fixed("3d", 3 * DAY),
    Timeframe {
        name: "1w",
        seconds: 7 * DAY,
        offset: 4 * DAY,
    },
    fixed("15d", 15 * DAY),
    fixed("1M", 0),
];

impl Timeframe {
    /// One minute.
    pub const M1: Self = ALL[1];

    /// The timeframe called `name`: `1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 15d 1M`.
    pub fn of(name: &str) -> Option<Self> {
        ALL.into_iter().find(|timeframe| timeframe.name == name)
    }

    /// The same for Kraken, whose weeks begin on Thursday, as the epoch did.
    pub fn of_kraken(name: &str) -> Option<Self> {
        Self::of(name).map(|timeframe| Self { offset: 0, ..timeframe })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Seconds of a bar; of a month, 30 days.
    pub fn seconds(self) -> i64 {
        if self.seconds == 0 { 30 * DAY } else { self.seconds }
    }

    /// The open time of the bar that holds `time` (nanoseconds).
    pub fn floor(self, time: i64) -> i64 {
        if self.seconds == 0 {
            let date = DateTime::from_timestamp_nanos(time).date_naive();
            return nanos(date.with_day(1).unwrap_or(date));
        }
        let (length, offset) = (self.seconds * SECOND, self.offset * SECOND);
        (time - offset).div_euclid(length) * length + offset
    }

    /// The open time of the bar after the one that opens at `open`.
    pub fn next(self, open: i64) -> i64 {
        if self.seconds == 0 {
            let date = DateTime::from_timestamp_nanos(open).date_naive();
            return nanos(date.checked_add_months(Months::new(1)).unwrap_or(date));
        }
        open + self.seconds * SECOND
    }
}

fn nanos(date: NaiveDate) -> i64 {
    date.signed_duration_since(NaiveDate::default()).num_days() * DAY * SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_and_weeks_begin_where_the_calendar_says() {
        let may_17_2024 = 1_715_904_000 * SECOND;
        let month = Timeframe::of("1M").unwrap();
        assert_eq!(month.floor(may_17_2024), 1_714_521_600 * SECOND);
        assert_eq!(month.next(month.floor(may_17_2024)), 1_717_200_000 * SECOND);
        // Monday 13 May and Thursday 16 May.
        assert_eq!(Timeframe::of("1w").unwrap().floor(may_17_2024), 1_715_558_400 * SECOND);
        assert_eq!(
            Timeframe::of_kraken("1w").unwrap().floor(may_17_2024),
            1_715_817_600 * SECOND
        );
    }
}
