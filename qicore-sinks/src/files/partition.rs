//! Partitions: which folder an event belongs in.

use std::fmt::Write;
use std::path::PathBuf;

use qicore_data::{Event, EventType, Exchange, Timestamp};

const DAY: i64 = 86_400_000_000_000;

/// `type=trade/exchange=kraken/date=2026-08-09`. The date is that of the event's time, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Partition {
    pub(crate) event_type: EventType,
    exchange: Exchange,
    day: i64,
}

impl Partition {
    #[inline]
    pub(crate) fn of(event: &Event) -> Self {
        Self {
            event_type: event.event_type(),
            exchange: event.exchange,
            day: event.timestamp.nanos().div_euclid(DAY),
        }
    }

    /// The folder, from the root.
    pub(crate) fn folder(self) -> PathBuf {
        // The day of the earliest times starts before the earliest time.
        let date = Timestamp::from_nanos(self.day.saturating_mul(DAY)).date();
        [
            format!("type={}", self.event_type),
            format!("exchange={}", escaped(self.exchange.as_str())),
            format!("date={date}"),
        ]
        .iter()
        .collect()
    }
}

/// A partition value as Hive and its readers have it: what is not safe in a file name becomes `%` and two digits.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        // A leading dot would make the folder hidden, or `..`; behind `exchange=` it does neither.
        if byte.is_ascii_alphanumeric() || b".-_".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{DAY as DATE, trade};

    #[test]
    fn folders() {
        let folder = |exchange: &str, at: i64| {
            let mut event = trade(1, at);
            event.exchange = Exchange::new(exchange).unwrap();
            Partition::of(&event).folder().to_string_lossy().into_owned()
        };
        assert_eq!(folder("kraken", DATE), "type=trade/exchange=kraken/date=2026-08-09");
        assert_eq!(folder("kraken", DATE - 1), "type=trade/exchange=kraken/date=2026-08-08");
        assert_eq!(
            folder("../x:é", 0),
            "type=trade/exchange=..%2Fx%3A%C3%A9/date=1970-01-01"
        );
        assert_eq!(folder("x", -1), "type=trade/exchange=x/date=1969-12-31");
        assert_eq!(folder("x", i64::MIN), "type=trade/exchange=x/date=1677-09-21");
        assert_eq!(folder("x", i64::MAX), "type=trade/exchange=x/date=2262-04-11");
    }
}
