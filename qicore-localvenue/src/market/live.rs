//! The open bar of a stream: each trade is added once.

use super::{Bar, Market, Series, Timeframe};

/// A bar while its trades come.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    timeframe: Timeframe,
    bar: Bar,
    next_id: u64,
    told: Option<(u64, i64)>,
}

/// A bar to tell about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) bar: Bar,
    pub(crate) closed: bool,
    /// When: the bar's end, or now.
    pub(crate) time: i64,
}

impl Live {
    /// The bar that is open at `now`. Its trades until then are added at once.
    pub(crate) fn new(market: &Market, series: &Series, timeframe: Timeframe, now: i64) -> Self {
        let open = timeframe.floor(now);
        let bar = market.sum(series, open, now + 1);
        let next_id = if bar.count > 0 {
            bar.last + 1
        } else {
            market.first_from(series, open)
        };
        Self {
            timeframe,
            bar,
            next_id,
            told: None,
        }
    }

    /// The bar as it is, with the close before if nothing was traded. `None` before the first trade of all.
    pub(crate) fn bar(&self, market: &Market, series: &Series) -> Option<Bar> {
        if self.bar.count > 0 {
            return Some(self.bar);
        }
        let before = self.next_id.checked_sub(1).filter(|id| *id > 0)?;
        Some(Bar::flat(self.bar.open_time, market.fill(series, before).price))
    }

    /// Goes on to `now`: bars that ended are told once, the open one when it changed and `every` nanoseconds have passed.
    pub(crate) fn advance(&mut self, market: &Market, series: &Series, now: i64, every: i64) -> Vec<Told> {
        let mut told = Vec::new();
        loop {
            let end = self.timeframe.next(self.bar.open_time);
            self.take(market, series, now.min(end - 1));
            if now < end {
                break;
            }
            if let Some(bar) = self.bar(market, series) {
                told.push(Told {
                    bar,
                    closed: true,
                    time: end,
                });
            }
            self.bar = Bar {
                open_time: end,
                ..Bar::default()
            };
            self.told = None;
        }
        let due = self
            .told
            .is_none_or(|(count, at)| count != self.bar.count && now - at >= every);
        if due && let Some(bar) = self.bar(market, series) {
            self.told = Some((self.bar.count, now));
            told.push(Told {
                bar,
                closed: false,
                time: now,
            });
        }
        told
    }

    fn take(&mut self, market: &Market, series: &Series, until: i64) {
        for id in self.next_id..=market.last(series, until) {
            self.bar.add(&market.fill(series, id));
            self.next_id = id + 1;
        }
    }
}
