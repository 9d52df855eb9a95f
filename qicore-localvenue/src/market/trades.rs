//! Trades.

use std::ops::{Range, RangeInclusive};

use super::{Market, Series, Side, TruthTrade, decimal, noise::Walk};

/// A trade in units of its instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fill {
    pub(crate) id: u64,
    pub(crate) time: i64,
    pub(crate) price: i64,
    pub(crate) size: i64,
    pub(crate) side: Side,
}

impl Fill {
    pub(crate) fn quote(&self) -> i128 {
        i128::from(self.price) * i128::from(self.size)
    }
}

const JITTER: u64 = 1;
const PRICE: u64 = 2;
const SIZE: u64 = 3;

impl Market {
    /// The trade of an id, whether or not its time has come. Ids begin at 1.
    pub fn trade(&self, symbol: &str, id: u64) -> Option<TruthTrade> {
        let series = self.series(symbol)?;
        (id > 0).then(|| truth(series, &self.fill(series, id)))
    }

    /// The trades of a range of ids.
    pub fn trades(&self, symbol: &str, ids: RangeInclusive<u64>) -> Vec<TruthTrade> {
        let Some(series) = self.series(symbol) else {
            return Vec::new();
        };
        let ids = (*ids.start()).max(1)..ids.end().saturating_add(1);
        self.fills(series, ids).map(|fill| truth(series, &fill)).collect()
    }

    /// The id of the last trade at or before `now`, 0 before the first. A delisted symbol stays at its last trade.
    pub fn last_id(&self, symbol: &str, now: i64) -> u64 {
        self.series(symbol).map_or(0, |series| self.last(series, now))
    }

    /// The id of the first trade at or after `time`, which may be in the future.
    pub fn first_id_from(&self, symbol: &str, time: i64) -> u64 {
        self.series(symbol).map_or(1, |series| self.first_from(series, time))
    }

    pub(crate) fn last(&self, series: &Series, now: i64) -> u64 {
        self.first_from(series, Self::until(series, now).saturating_add(1)) - 1
    }

    pub(crate) fn first_from(&self, series: &Series, time: i64) -> u64 {
        // A trade's time is cut to the venue's resolution: what is at or after `time` is at or after its ceiling, uncut.
        let quantum = self.shared.quantum;
        let time = time.saturating_add((quantum - time.rem_euclid(quantum)) % quantum);
        let passed = time.saturating_sub(self.shared.start);
        if passed <= 0 {
            return 1;
        }
        let in_slot = 1 + (passed / self.shared.trade_interval) as u64;
        if self.exact_time(series, in_slot) >= time {
            in_slot
        } else {
            in_slot + 1
        }
    }

    /// The id of the first trade whose time, not cut to the venue's resolution, is later than `time`.
    pub(crate) fn first_behind(&self, series: &Series, time: i64) -> u64 {
        let passed = time.saturating_sub(self.shared.start);
        if passed < 0 {
            return 1;
        }
        let in_slot = 1 + (passed / self.shared.trade_interval) as u64;
        if self.exact_time(series, in_slot) > time {
            in_slot
        } else {
            in_slot + 1
        }
    }

    pub(crate) fn exact_time(&self, series: &Series, id: u64) -> i64 {
        let interval = self.shared.trade_interval;
        let jitter = (series.noise.hash(JITTER, id) % interval as u64) as i64;
        self.shared.start + (id as i64 - 1) * interval + jitter
    }

    fn time_of(&self, series: &Series, id: u64) -> i64 {
        let exact = self.exact_time(series, id);
        exact - exact.rem_euclid(self.shared.quantum)
    }

    pub(crate) fn fill(&self, series: &Series, id: u64) -> Fill {
        self.step(series, id, &mut Walk::default())
    }

    /// The trades of a range of ids: much faster than one by one.
    pub(crate) fn fills(&self, series: &Series, ids: Range<u64>) -> impl Iterator<Item = Fill> {
        let mut walk = Walk::default();
        ids.map(move |id| self.step(series, id, &mut walk))
    }

    fn step(&self, series: &Series, id: u64, walk: &mut Walk) -> Fill {
        let instrument = &series.instrument;
        let dice = series.noise.hash(PRICE, id);
        let step = instrument.step();
        let off = (dice >> 8) as i64 % (step + 1);
        let middle = series.noise.path(instrument.base_price, id, walk);
        let side = if dice & 1 == 0 { Side::Buy } else { Side::Sell };
        let price = if side == Side::Buy {
            middle + off
        } else {
            (middle - off).max(1)
        };
        let dice = series.noise.hash(SIZE, id);
        // Up to about 3 units of the base asset, small sizes far more often than large ones.
        let ceiling = 10u64.pow(1 + (dice % u64::from(instrument.size_scale)) as u32) * 3;
        let size = 1 + ((dice >> 16) % ceiling) as i64;
        Fill {
            id,
            time: self.time_of(series, id),
            price,
            size,
            side,
        }
    }
}

pub(crate) fn truth(series: &Series, fill: &Fill) -> TruthTrade {
    let instrument = &series.instrument;
    TruthTrade {
        symbol: instrument.symbol.clone(),
        id: fill.id,
        time: fill.time,
        price: decimal::plain(fill.price.into(), instrument.price_scale),
        size: decimal::plain(fill.size.into(), instrument.size_scale),
        quote: decimal::plain(fill.quote(), instrument.quote_scale()),
        side: fill.side,
    }
}
