//! Bars, computed from their trades.

use super::{Fill, Market, Series, Side, Timeframe, TruthCandle, decimal};

/// A bar in units of its instrument. Prices are zero in a bar without trades; [`Market::bar`] fills in the close before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Bar {
    pub(crate) open_time: i64,
    pub(crate) open: i64,
    pub(crate) high: i64,
    pub(crate) low: i64,
    pub(crate) close: i64,
    pub(crate) volume: i128,
    pub(crate) quote: i128,
    pub(crate) buy_volume: i128,
    pub(crate) buy_quote: i128,
    pub(crate) count: u64,
    /// First and last trade; zeros without trades.
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Bar {
    pub(crate) fn add(&mut self, fill: &Fill) {
        if self.count == 0 {
            (self.open, self.high, self.low, self.first) = (fill.price, fill.price, fill.price, fill.id);
        }
        self.high = self.high.max(fill.price);
        self.low = self.low.min(fill.price);
        self.close = fill.price;
        self.volume += i128::from(fill.size);
        self.quote += fill.quote();
        if fill.side == Side::Buy {
            self.buy_volume += i128::from(fill.size);
            self.buy_quote += fill.quote();
        }
        self.count += 1;
        self.last = fill.id;
    }

    fn append(&mut self, later: &Self) {
        if later.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = Self {
                open_time: self.open_time,
                ..*later
            };
            return;
        }
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
        self.volume += later.volume;
        self.quote += later.quote;
        self.buy_volume += later.buy_volume;
        self.buy_quote += later.buy_quote;
        self.count += later.count;
        self.last = later.last;
    }

    /// An empty bar at the close before.
    pub(super) fn flat(open_time: i64, price: i64) -> Self {
        Self {
            open_time,
            open: price,
            high: price,
            low: price,
            close: price,
            ..Self::default()
        }
    }
}

/// Minutes remembered of a symbol, about two weeks.
const MINUTES: usize = 20_000;
/// Trades in a minute from which it is worth remembering.
const WORTH: i64 = 50;
const MINUTE: i64 = 60_000_000_000;

impl Market {
    /// The bar that opens at `open_time`, of all its trades, whether or not their time has come. `None` before the first
    /// trade's bar, when `open_time` opens no bar, and for unknown symbols and timeframes.
    pub fn candle(&self, symbol: &str, timeframe: &str, open_time: i64) -> Option<TruthCandle> {
        let (series, timeframe) = (self.series(symbol)?, self.timeframe(timeframe)?);
        if timeframe.floor(open_time) != open_time {
            return None;
        }
        let bar = self.bar(series, timeframe, open_time, i64::MAX)?;
        Some(self.truth_candle(series, timeframe, &bar))
    }

    /// The bars that open in `from..to`, empty ones too.
    pub fn candles(&self, symbol: &str, timeframe: &str, from: i64, to: i64) -> Vec<TruthCandle> {
        let (Some(series), Some(timeframe)) = (self.series(symbol), self.timeframe(timeframe)) else {
            return Vec::new();
        };
        let bars = self.bars(series, timeframe, from, to, i64::MAX);
        bars.map(|bar| self.truth_candle(series, timeframe, &bar)).collect()
    }

    /// The open time of the bar `bars` before the one that opens at `open`.
    pub(crate) fn back(timeframe: Timeframe, open: i64, bars: usize) -> i64 {
        if timeframe.name() == "1M" {
            return (0..bars).fold(open, |open, _| timeframe.floor(open - 1));
        }
        open - timeframe.seconds() * 1_000_000_000 * bars as i64
    }

    /// The bars that open in `from..to`, of trades at or before `now`.
    pub(crate) fn bars(
        &self,
        series: &Series,
        timeframe: Timeframe,
        from: i64,
        to: i64,
        now: i64,
    ) -> impl Iterator<Item = Bar> {
        let from = from.max(timeframe.floor(self.shared.start));
        let floor = timeframe.floor(from);
        let mut open = if floor == from { from } else { timeframe.next(floor) };
        std::iter::from_fn(move || {
            loop {
                let at = open;
                if at >= to || at > now {
                    return None;
                }
                open = timeframe.next(at);
                if let Some(bar) = self.bar(series, timeframe, at, now) {
                    return Some(bar);
                }
            }
        })
    }

    /// One bar, of trades at or before `now`. `None` before the first trade.
    pub(crate) fn bar(&self, series: &Series, timeframe: Timeframe, open: i64, now: i64) -> Option<Bar> {
        if let Some(bar) = series.memo().revised.get(&(timeframe.name(), open)) {
            return Some(*bar);
        }
        let end = timeframe.next(open).min(now.saturating_add(1));
        let end = Self::until(series, end - 1) + 1;
        let bar = self.sum(series, open, end);
        if bar.count > 0 {
            return Some(bar);
        }
        let before = self.last(series, open - 1);
        (before > 0).then(|| Bar::flat(open, self.fill(series, before).price))
    }

    /// The trades of `from..to` as one bar.
    pub(crate) fn sum(&self, series: &Series, from: i64, to: i64) -> Bar {
        let mut bar = Bar {
            open_time: from,
            ..Bar::default()
        };
        let dense = self.shared.trade_interval < MINUTE / WORTH;
        let (mut at, minutes_from, minutes_to) = (from, from.div_euclid(MINUTE), to.div_euclid(MINUTE));
        if dense && minutes_from * MINUTE == from {
            for minute in minutes_from..minutes_to {
                bar.append(&self.minute(series, minute * MINUTE));
                at = (minute + 1) * MINUTE;
            }
        }
        for fill in self.fills(series, self.first_from(series, at)..self.first_from(series, to)) {
            bar.add(&fill);
        }
        bar
    }

    fn minute(&self, series: &Series, open: i64) -> Bar {
        if let Some(bar) = series.memo().minutes.get(&open) {
            return *bar;
        }
        let mut bar = Bar {
            open_time: open,
            ..Bar::default()
        };
        for fill in self.fills(
            series,
            self.first_from(series, open)..self.first_from(series, open + MINUTE),
        ) {
            bar.add(&fill);
        }
        let mut memo = series.memo();
        if memo.minutes.len() >= MINUTES {
            memo.minutes.pop_first();
        }
        memo.minutes.insert(open, bar);
        bar
    }

    /// Changes a bar for good: highest price up by `ticks`, volume up by one unit. From now on this is the truth.
    pub(crate) fn revise(&self, symbol: &str, timeframe: Timeframe, open: i64, ticks: i64) -> Option<Bar> {
        let series = self.series(symbol)?;
        let mut bar = self.bar(series, timeframe, open, i64::MAX)?;
        bar.high += ticks.max(1);
        bar.close = bar.high;
        bar.volume += 1;
        bar.quote += i128::from(bar.high);
        series.memo().revised.insert((timeframe.name(), open), bar);
        Some(bar)
    }

    pub(crate) fn truth_candle(&self, series: &Series, timeframe: Timeframe, bar: &Bar) -> TruthCandle {
        let instrument = &series.instrument;
        let price = |units: i64| decimal::plain(units.into(), instrument.price_scale);
        TruthCandle {
            symbol: instrument.symbol.clone(),
            timeframe,
            open_time: bar.open_time,
            end: timeframe.next(bar.open_time),
            open: price(bar.open),
            high: price(bar.high),
            low: price(bar.low),
            close: price(bar.close),
            volume: decimal::plain(bar.volume, instrument.size_scale),
            quote_volume: decimal::plain(bar.quote, instrument.quote_scale()),
            taker_buy_volume: decimal::plain(bar.buy_volume, instrument.size_scale),
            count: bar.count,
            ids: (bar.count > 0).then_some((bar.first, bar.last)),
        }
    }
}
