//! From payload to event data: pure functions.

use qicore_data::decimal::Quoted;
use qicore_data::{
    Book, BookKind, Candle, Data, Error, Label, Level, Levels, Origin, Price, Quote, Result, Series, Side, Ticker,
    Timeframe, Timestamp, Trade, TradeId, UnknownTimeframe,
};

use super::route::OPERATION;
use super::wire;

/// A payload that makes one event and names its symbol.
pub(super) trait Observation {
    /// The native name.
    fn native(&self) -> &str;
    /// The venue's event time, where it tells one.
    fn time(&self) -> Option<Timestamp>;
    /// What was observed.
    fn data(&self) -> Result<Data>;
}

/// Where the buyer is the maker, the taker sold.
#[inline]
pub(super) fn trade(id: u64, price: Quoted, size: Quoted, buyer_is_maker: Option<bool>) -> Data {
    Data::Trade(Trade {
        id: Some(TradeId::Number(id)),
        side: buyer_is_maker.map(|maker| if maker { Side::Sell } else { Side::Buy }),
        price: price.0,
        size: size.0,
    })
}

/// `aggTrade` and `trade` differ in what their id counts.
macro_rules! trades {
    ($($wire:ident)+) => {$(
        impl Observation for wire::$wire<'_> {
            fn native(&self) -> &str {
                &self.symbol
            }

            fn time(&self) -> Option<Timestamp> {
                Some(self.time.0)
            }

            fn data(&self) -> Result<Data> {
                Ok(trade(self.id, self.price, self.size, Some(self.buyer_is_maker)))
            }
        }
    )+};
}

trades!(AggTrade Trade);

impl Observation for wire::BookTicker<'_> {
    fn native(&self) -> &str {
        &self.symbol
    }

    fn time(&self) -> Option<Timestamp> {
        self.time.map(|time| time.0)
    }

    fn data(&self) -> Result<Data> {
        Ok(Data::Quote(Quote {
            bid: self.bid.0,
            bid_size: self.bid_size.0,
            ask: self.ask.0,
            ask_size: self.ask_size.0,
        }))
    }
}

impl Observation for wire::Kline<'_> {
    fn native(&self) -> &str {
        &self.symbol
    }

    fn time(&self) -> Option<Timestamp> {
        Some(self.bar.open_time.0)
    }

    fn data(&self) -> Result<Data> {
        let bar = &self.bar;
        Ok(Data::Candle(Candle {
            timeframe: timeframe(&bar.interval)?,
            open: bar.open.0,
            high: bar.high.0,
            low: bar.low.0,
            close: bar.close.0,
            volume: bar.volume.0,
            quote_volume: Some(bar.quote_volume.0),
            trades: Some(bar.trades),
            closed: bar.closed,
            origin: Origin::Websocket,
            revision: 0,
        }))
    }
}

/// The timeframe of Binance's name for an interval, which is also ours.
pub(super) fn timeframe(interval: &str) -> Result<Timeframe> {
    let timeframe = interval.parse();
    timeframe.map_err(|error: UnknownTimeframe| Error::decode(OPERATION, error.to_string()).with_source(error))
}

impl Observation for wire::Ticker<'_> {
    fn native(&self) -> &str {
        &self.symbol
    }

    fn time(&self) -> Option<Timestamp> {
        Some(self.time.0)
    }

    fn data(&self) -> Result<Data> {
        let some = |value: Option<Quoted>| value.map(|value| value.0);
        Ok(Data::Ticker(Ticker {
            last: self.last.0,
            bid: some(self.bid),
            ask: some(self.ask),
            open: Some(self.open.0),
            high: Some(self.high.0),
            low: Some(self.low.0),
            volume: Some(self.volume.0),
            quote_volume: Some(self.quote_volume.0),
        }))
    }
}

impl Observation for wire::RollingTicker<'_> {
    fn native(&self) -> &str {
        &self.symbol
    }

    fn time(&self) -> Option<Timestamp> {
        Some(self.time.0)
    }

    fn data(&self) -> Result<Data> {
        Ok(Data::Ticker(Ticker::new(self.last.0)))
    }
}

impl Observation for wire::AveragePrice<'_> {
    fn native(&self) -> &str {
        &self.symbol
    }

    fn time(&self) -> Option<Timestamp> {
        Some(self.time.0)
    }

    fn data(&self) -> Result<Data> {
        Ok(Data::Price(average(self.price)))
    }
}

/// The mean of many trades is no trade's price: it is a `price`, not a ticker's last.
pub(super) fn average(price: Quoted) -> Price {
    Price {
        price: price.0,
        market_cap: None,
        volume_24h: None,
        change_24h: None,
    }
}

/// A price that the venue sets, which no trade need have had.
pub(super) fn reference(price: Quoted) -> Result<Series> {
    let name = Label::new("reference_price");
    Ok(Series {
        name: name.map_err(|error| Error::decode(OPERATION, error.to_string()))?,
        value: price.0,
        params: None,
    })
}

/// A book event whose last contained update has the number `last`.
pub(super) fn book(kind: BookKind, last: u64, bids: &[Level], asks: &[Level]) -> Book {
    Book {
        kind,
        sequence: Some(last),
        levels: Levels::new(bids, asks),
        checksum: None,
    }
}
