use qicore_data::{Candle, Decimal, Event, Origin, Quality, Timeframe, Timestamp, Trade};

use super::sum::Sum;

/// What candles take from a trade, computed once for all timeframes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Print {
    pub(super) at: Timestamp,
    pub(super) price: Decimal,
    size: Sum,
    /// Price × size; `None` if it is not exact in 127 bits.
    worth: Option<Sum>,
    received: Option<Timestamp>,
    quality: Quality,
}

impl Print {
    #[inline]
    pub(super) fn new(event: &Event, trade: &Trade) -> Self {
        Self {
            at: event.timestamp,
            price: trade.price,
            size: trade.size.into(),
            worth: Sum::product(trade.price, trade.size),
            received: event.received,
            quality: event.quality,
        }
    }
}

/// The volume of a bar is beyond what a decimal holds exactly.
#[derive(Debug)]
pub(super) struct Overflow;

/// A candle in the making, or one that can still be corrected.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bar {
    pub(super) opens: Timestamp,
    pub(super) ends: Timestamp,
    pub(super) open: Decimal,
    pub(super) high: Decimal,
    pub(super) low: Decimal,
    pub(super) close: Decimal,
    /// The times of the trades that gave the open and the close.
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) volume: Sum,
    /// `None` from the first trade on that it could not be added up for exactly.
    pub(super) quote_volume: Option<Sum>,
    pub(super) trades: u64,
    /// Of the trade that came last.
    pub(super) received: Option<Timestamp>,
    pub(super) quality: Quality,
    pub(super) closed: bool,
    pub(super) revision: u32,
    /// 0 for a bar of trades, else its place in a row of empty intervals.
    pub(super) carried: u32,
    /// The event time at which it was last put out while open.
    pub(super) shown: Option<Timestamp>,
}

impl Bar {
    /// A bar of its first trade.
    pub(super) fn new(opens: Timestamp, ends: Timestamp, print: &Print, quality: Quality) -> Self {
        Self {
            opens,
            ends,
            open: print.price,
            high: print.price,
            low: print.price,
            close: print.price,
            first: print.at,
            last: print.at,
            volume: print.size,
            quote_volume: print.worth,
            trades: 1,
            received: print.received,
            quality: quality.max(print.quality),
            closed: false,
            revision: 0,
            carried: 0,
            shown: None,
        }
    }

    /// The bar of an empty interval after `previous`.
    pub(super) fn carry(previous: &Self, ends: Timestamp) -> Self {
        let price = previous.close;
        Self {
            opens: previous.ends,
            ends,
            open: price,
            high: price,
            low: price,
            close: price,
            first: previous.ends,
            last: previous.ends,
            volume: Sum::default(),
            quote_volume: Some(Sum::default()),
            trades: 0,
            received: None,
            quality: Quality::Medium,
            closed: true,
            revision: 0,
            carried: previous.carried.saturating_add(1),
            shown: None,
        }
    }

    /// Whether a time falls into the bar.
    #[inline]
    pub(super) fn holds(&self, at: Timestamp) -> bool {
        self.opens <= at && at < self.ends
    }

    /// Adds a trade. Open and close go by event time, and by arrival among equals, so a trade that comes out of order
    /// changes neither wrongly.
    #[inline]
    pub(super) fn add(&mut self, print: &Print) -> Result<(), Overflow> {
        self.volume = self.volume.plus(print.size).filter(|sum| sum.fits()).ok_or(Overflow)?;
        self.quote_volume = self
            .quote_volume
            .zip(print.worth)
            .and_then(|(sum, worth)| sum.plus(worth));
        if print.at < self.first {
            (self.first, self.open) = (print.at, print.price);
        }
        if print.at >= self.last {
            (self.last, self.close) = (print.at, print.price);
        }
        if print.price > self.high {
            self.high = print.price;
        } else if print.price < self.low {
            self.low = print.price;
        }
        self.trades += 1;
        self.received = print.received;
        self.quality = self.quality.max(print.quality);
        Ok(())
    }

    /// The candle as it stands.
    pub(super) fn candle(&self, timeframe: Timeframe) -> Candle {
        Candle {
            timeframe,
            open: self.open,
            high: self.high,
            low: self.low,
            close: self.close,
            // Never the second: `add` and `load` keep only volumes that fit.
            volume: self.volume.value().unwrap_or(Decimal::MAX),
            quote_volume: self.quote_volume.and_then(Sum::value),
            trades: Some(self.trades),
            closed: self.closed,
            origin: Origin::Built,
            revision: self.revision,
        }
    }
}
