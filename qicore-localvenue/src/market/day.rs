//! The last 24 hours, for tickers.

use super::{Bar, Fill, Market, Series};

/// What tickers tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Day {
    /// All trades since `open_time`, which is a full minute.
    pub(crate) bar: Bar,
    pub(crate) last: Fill,
    /// The price before the window, or the first in it.
    pub(crate) before: i64,
}

const MINUTE: i64 = 60_000_000_000;

impl Market {
    /// The window of 24 hours before `now`, from a full minute on. `None` before the first trade.
    pub(crate) fn day(&self, series: &Series, now: i64) -> Option<Day> {
        let from = (now - 1_440 * MINUTE).div_euclid(MINUTE) * MINUTE;
        let last = self.last(series, now);
        if last == 0 {
            return None;
        }
        let bar = self.sum(series, from, Self::until(series, now) + 1);
        let last = self.fill(series, last);
        let before = self.last(series, from - 1);
        let before = if before > 0 {
            self.fill(series, before).price
        } else {
            bar.open
        };
        Some(Day { bar, last, before })
    }
}
