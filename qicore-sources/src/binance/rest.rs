//! From the rows and objects of REST answers to event data: pure functions.

use std::time::Duration;

use qicore_data::decimal::Quoted;
use qicore_data::{Candle, Data, Origin, Quote, Result, Ticker, Timeframe, Timestamp};

use super::parse::{self, Observation};
use super::wire::rest;

/// A row of a list that is of one instrument and does not name it.
pub(super) trait Row {
    /// The venue's event time.
    fn time(&self) -> Timestamp;
    /// What was observed.
    fn data(&self) -> Data;
}

impl Row for rest::TradeRow {
    fn time(&self) -> Timestamp {
        self.time.0
    }

    fn data(&self) -> Data {
        parse::trade(
            self.id,
            self.price,
            self.base_qty.unwrap_or(self.qty),
            self.is_buyer_maker,
        )
    }
}

impl Row for rest::AggTradeRow {
    fn time(&self) -> Timestamp {
        self.time.0
    }

    fn data(&self) -> Data {
        parse::trade(self.id, self.price, self.size, self.buyer_is_maker)
    }
}

/// A candle. Coin-margined contracts have their volume in contracts, and in place of the volume in quote currency the one in
/// base currency.
pub(super) fn candle(row: &rest::KlineRow, timeframe: Timeframe, closed: bool, coin_margined: bool) -> Candle {
    let (volume, quote_volume) = match coin_margined {
        true => (row.other_volume.0, None),
        false => (row.volume.0, Some(row.other_volume.0)),
    };
    Candle {
        timeframe,
        open: row.open.0,
        high: row.high.0,
        low: row.low.0,
        close: row.close.0,
        volume,
        quote_volume,
        trades: Some(row.trades),
        closed,
        origin: Origin::Rest,
        revision: 0,
    }
}

/// The timeframe whose candle from the open time ends one millisecond, or microsecond, after the close time.
pub(super) fn timeframe(row: &rest::KlineRow) -> Option<Timeframe> {
    let (open, close) = (row.open_time.0, row.close_time.0);
    let fits = |timeframe: &&Timeframe| {
        let end = timeframe.next(open);
        [Duration::from_millis(1), Duration::from_micros(1)]
            .into_iter()
            .any(|unit| end.nanos().checked_sub(unit.as_nanos() as i64) == Some(close.nanos()))
    };
    Timeframe::ALL.iter().find(fits).copied()
}

impl Observation for rest::WindowTicker<'_> {
    fn native(&self) -> &str {
        &self.symbol
    }

    fn time(&self) -> Option<Timestamp> {
        Some(self.close_time.0)
    }

    fn data(&self) -> Result<Data> {
        let some = |value: Option<Quoted>| value.map(|value| value.0);
        Ok(Data::Ticker(Ticker {
            last: self.last_price.0,
            bid: some(self.bid_price),
            ask: some(self.ask_price),
            open: Some(self.open_price.0),
            high: Some(self.high_price.0),
            low: Some(self.low_price.0),
            volume: Some(self.base_volume.unwrap_or(self.volume).0),
            quote_volume: some(self.quote_volume),
        }))
    }
}

impl Observation for rest::LastPrice<'_> {
    fn native(&self) -> &str {
        &self.symbol
    }

    fn time(&self) -> Option<Timestamp> {
        self.time.map(|time| time.0)
    }

    fn data(&self) -> Result<Data> {
        Ok(Data::Ticker(Ticker::new(self.price.0)))
    }
}

impl Observation for rest::BestPrices<'_> {
    fn native(&self) -> &str {
        &self.symbol
    }

    fn time(&self) -> Option<Timestamp> {
        self.time.map(|time| time.0)
    }

    fn data(&self) -> Result<Data> {
        Ok(Data::Quote(Quote {
            bid: self.bid_price.0,
            bid_size: self.bid_qty.0,
            ask: self.ask_price.0,
            ask_size: self.ask_qty.0,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeframe_is_told_by_the_times_of_a_row() {
        let of = |open: &str, close: &str| {
            let row = format!(r#"[{open},"1","1","1","1","1",{close},"1",1]"#);
            timeframe(&serde_json::from_str(&row).unwrap())
        };
        assert_eq!(of("1577836800000", "1577837099999"), Some(Timeframe::M5));
        assert_eq!(of("1577836800000", "1577836800999"), Some(Timeframe::S1));
        assert_eq!(of("1577836800000000", "1577837099999999"), Some(Timeframe::M5));
        // February and January of 2024, and a week.
        assert_eq!(of("1706745600000", "1709251199999"), Some(Timeframe::Mo1));
        assert_eq!(of("1704067200000", "1706745599999"), Some(Timeframe::Mo1));
        assert_eq!(of("1704067200000", "1704671999999"), Some(Timeframe::W1));
        for (open, close) in [
            ("1577836800000", "1577837100000"),
            ("1577836800000", "1577836919999"),
            ("1577836800000", "1577836800000"),
            ("9223372036854", "0"),
            ("0", "9223372036854"),
            ("-9223372036854", "9223372036854"),
        ] {
            assert_eq!(of(open, close), None, "{open} {close}");
        }
    }
}
