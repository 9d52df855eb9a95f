//! From payloads of WebSocket v1 to events, and from names of channels to what they are. Pure.

use std::time::Duration;

use qicore_data::{
    Book, BookKind, Candle, Checksum, Data, Error, Gap, GapReason, Levels, Origin, Quote, Ticker, Timeframe, Timestamp,
    Trade,
};

use super::{excerpt, wire};

/// An event's time, where the venue sends one, and what it says.
type Parsed = (Option<Timestamp>, Data);

/// WebSocket v1 sends no ids. The side is the taker's.
pub(super) fn trade(trade: &wire::Trade) -> Parsed {
    let data = Trade {
        id: None,
        side: Some(trade.side.0),
        price: trade.price.0,
        size: trade.volume.0,
    };
    (Some(trade.time.0), data.into())
}

/// The statistics are of the last 24 hours, as they are wherever a venue sends that window.
pub(super) fn ticker(ticker: &wire::Ticker) -> Parsed {
    let data = Ticker {
        last: ticker.c.price.0,
        bid: Some(ticker.b.price.0),
        ask: Some(ticker.a.price.0),
        open: Some(ticker.o.day.0),
        high: Some(ticker.h.day.0),
        low: Some(ticker.l.day.0),
        volume: Some(ticker.v.day.0),
        quote_volume: None,
    };
    (None, data.into())
}

pub(super) fn quote(spread: &wire::Spread) -> Parsed {
    let data = Quote {
        bid: spread.bid.0,
        bid_size: spread.bid_volume.0,
        ask: spread.ask.0,
        ask_size: spread.ask_volume.0,
    };
    (Some(spread.time.0), data.into())
}

/// `etime` is the candle's end, and there is no word of whether it is over: it is when the next one begins.
pub(super) fn candle(interval: Interval, ohlc: &wire::Ohlc) -> Parsed {
    let data = Candle {
        timeframe: interval.timeframe,
        open: ohlc.open.0,
        high: ohlc.high.0,
        low: ohlc.low.0,
        close: ohlc.close.0,
        volume: ohlc.volume.0,
        quote_volume: None,
        trades: Some(ohlc.count),
        closed: false,
        origin: Origin::Websocket,
        revision: 0,
    };
    (Some(ohlc.etime.0.saturating_sub(interval.length)), data.into())
}

pub(super) fn book(book: &wire::Book, checksum: Option<Checksum>) -> Data {
    let kind = if book.snapshot {
        BookKind::Snapshot
    } else {
        BookKind::Delta
    };
    let levels = Levels::new(&book.bids, &book.asks);
    let sequence = None;
    Data::Book(Book {
        kind,
        sequence,
        levels,
        checksum,
    })
}

/// The stretch in which an update was missed, found out at `to`. Levels' times may run a little backwards.
pub(super) fn checksum_gap(from: Timestamp, to: Timestamp) -> Data {
    let from = if from == Timestamp::UNKNOWN { to } else { from.min(to) };
    let reason = GapReason::Checksum;
    Data::Gap(Gap {
        from,
        to,
        reason,
        missed: None,
    })
}

/// The length of a candle channel's bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) timeframe: Timeframe,
    length: Duration,
}

/// A channel of market data, with its parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    Trade,
    Ticker,
    Spread,
    Ohlc(Interval),
    /// With its depth.
    Book(usize),
}

/// The intervals of `ohlc` in minutes. There is one more, 21600, which is no timeframe: fifteen days.
const INTERVALS: [(u64, Timeframe); 8] = [
    (1, Timeframe::M1),
    (5, Timeframe::M5),
    (15, Timeframe::M15),
    (30, Timeframe::M30),
    (60, Timeframe::H1),
    (240, Timeframe::H4),
    (1440, Timeframe::D1),
    (10080, Timeframe::W1),
];

/// The interval of a timeframe, in minutes; 0 for one that Kraken does not have.
pub(super) fn minutes(timeframe: Timeframe) -> u64 {
    let found = INTERVALS.iter().find(|(_, known)| *known == timeframe);
    found.map_or(0, |(minutes, _)| *minutes)
}

impl Channel {
    /// Reads the name of a channel (`book-1000`, `ohlc-5`, `trade`).
    pub(super) fn read(name: &str) -> Result<Self, Error> {
        let unknown = || {
            let name = excerpt(name, 40);
            let message = format!("unknown channel {name:?}; known: trade, ticker, spread, book-DEPTH, ohlc-MINUTES");
            Error::decode("kraken.channel", message)
        };
        // By prefixes: books are most of the traffic, and a search for the dash costs more than this.
        if let Some(depth) = name.strip_prefix("book-") {
            return depth.parse().map(Self::Book).map_err(|_| unknown());
        }
        match name {
            "trade" => Ok(Self::Trade),
            "ticker" => Ok(Self::Ticker),
            "spread" => Ok(Self::Spread),
            _ => {
                let minutes = name.strip_prefix("ohlc-").ok_or_else(unknown)?;
                interval(minutes.parse().map_err(|_| unknown())?).map(Self::Ohlc)
            }
        }
    }
}

/// The interval of so many minutes.
pub(super) fn interval(minutes: u64) -> Result<Interval, Error> {
    let found = INTERVALS.iter().find(|(length, _)| *length == minutes);
    let interval = found.map(|(minutes, timeframe)| Interval {
        timeframe: *timeframe,
        length: Duration::from_secs(minutes * 60),
    });
    interval.ok_or_else(|| {
        let known = INTERVALS.map(|(minutes, _)| minutes.to_string()).join(", ");
        Error::decode(
            "kraken.decode",
            format!("no timeframe is {minutes} minutes long; subscribe to one of {known}"),
        )
    })
}
