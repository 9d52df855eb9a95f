//! What makes two events the same.
//!
//! Never the time of receipt, the plugin, the enrichment, the quality (but a candle's) or a decimal's trailing zeros: the same observation
//! differs in them when it comes over two ways. Names enter as their 64-bit hashes, which differ among a million names
//! but for a chance of 3 in 10⁸.

use qicore_data::{Alert, Book, Candle, Data, Event, Gap, Instrument, Price, Quote, Series, Ticker, Trade, TradeId};

use super::fingerprint::Fingerprint;

/// A key to look an event up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// One of up to 64 things that share a key, as one bit: the event is a duplicate if the bit is there.
    Once { key: [u64; 2], bit: u64 },
    /// A thing that changes: the event is a duplicate if the thing's content is what it was.
    Latest { key: [u64; 2], content: u64 },
}

impl Identity {
    /// An event's identity; `None` if it cannot be told from another one like it.
    #[inline]
    pub(super) fn of(event: &Event, trades_without_id: bool) -> Option<Self> {
        let start = Fingerprint::new().pair(event.exchange.stable_hash(), event.symbol.stable_hash());
        match &event.data {
            Data::Trade(trade) => of_trade(start, event, trade, trades_without_id),
            Data::Quote(quote) => Some(latest(start, content_of_quote(event, quote))),
            Data::Ticker(ticker) => Some(latest(start, content_of_ticker(event, ticker))),
            Data::Book(book) => of_book(start, event, book),
            Data::Candle(candle) => Some(of_candle(start, event, candle)),
            Data::Price(price) => Some(latest(start, content_of_price(event, price))),
            Data::Instrument(instrument) => Some(of_instrument(start, instrument)),
            Data::Series(series) => Some(of_series(start, event, series)),
            Data::Gap(gap) => Some(of_gap(start, event, gap)),
            Data::Alert(alert) => Some(of_alert(start, event, alert)),
            _ => None,
        }
    }
}

#[inline]
fn once(key: Fingerprint) -> Identity {
    Identity::Once {
        key: key.finish(),
        bit: 1,
    }
}

#[inline]
fn latest(key: Fingerprint, content: Fingerprint) -> Identity {
    Identity::Latest {
        key: key.finish(),
        content: content.finish()[0],
    }
}

/// A name of a closed set as a word: its first eight bytes, which tell the names of each set apart. Unlike a place in an
/// enum, a name does not change from version to version.
#[inline]
fn code(name: &str) -> u64 {
    let first = name.bytes().take(8).enumerate();
    first.fold(0, |word, (at, byte)| word | u64::from(byte) << (8 * at))
}

/// How a trade is known. Part of the fingerprint, so that the three never meet.
const BY_NUMBER: u64 = 1;
const BY_TEXT: u64 = 2;
const BY_CONTENT: u64 = 3;

#[inline]
fn of_trade(start: Fingerprint, event: &Event, trade: &Trade, without_id: bool) -> Option<Identity> {
    match &trade.id {
        // Most venues count, so neighbours share a key.
        Some(TradeId::Number(id)) => Some(Identity::Once {
            key: start.pair(id >> 6, BY_NUMBER).finish(),
            bit: 1 << (id & 63),
        }),
        Some(TradeId::Text(id)) => Some(once(start.pair(0, BY_TEXT).text(id))),
        None if without_id => {
            let side = trade.side.map_or(0, |side| code(side.as_str()));
            let key = start.pair(side, BY_CONTENT).time(event.timestamp, 0);
            Some(once(key.decimal(trade.price).decimal(trade.size)))
        }
        _ => None,
    }
}

fn content_of_quote(event: &Event, quote: &Quote) -> Fingerprint {
    let values = [quote.bid, quote.bid_size, quote.ask, quote.ask_size];
    let start = Fingerprint::new().time(event.timestamp, 0);
    values.into_iter().fold(start, Fingerprint::decimal)
}

fn content_of_ticker(event: &Event, ticker: &Ticker) -> Fingerprint {
    let Ticker {
        last,
        bid,
        ask,
        open,
        high,
        low,
        volume,
        quote_volume,
    } = *ticker;
    let values = [Some(last), bid, ask, open, high, low, volume, quote_volume];
    let start = Fingerprint::new().time(event.timestamp, 0);
    values.into_iter().fold(start, Fingerprint::optional)
}

fn content_of_price(event: &Event, price: &Price) -> Fingerprint {
    let values = [Some(price.price), price.market_cap, price.volume_24h, price.change_24h];
    let start = Fingerprint::new().time(event.timestamp, 0);
    values.into_iter().fold(start, Fingerprint::optional)
}

/// A book event without a sequence number may rightly come twice: a level that changes and changes back.
fn of_book(start: Fingerprint, event: &Event, book: &Book) -> Option<Identity> {
    let (bids, asks) = (book.levels.bids(), book.levels.asks());
    let checksum = book.checksum.map_or(0, |checksum| code(checksum.as_str()));
    let key = start
        .pair(book.sequence?, code(book.kind.as_str()))
        .time(event.timestamp, checksum)
        .pair(bids.len() as u64, asks.len() as u64);
    let levels = bids.iter().chain(asks);
    Some(once(
        levels.fold(key, |key, level| key.decimal(level.price).decimal(level.size)),
    ))
}

fn of_candle(start: Fingerprint, event: &Event, candle: &Candle) -> Identity {
    let values = [candle.open, candle.high, candle.low, candle.close, candle.volume];
    let content = Fingerprint::new()
        .pair(candle.trades.unwrap_or(u64::MAX), u64::from(candle.revision))
        .pair(u64::from(candle.closed), code(event.quality.as_str()))
        .optional(candle.quote_volume);
    latest(
        start.time(event.timestamp, code(candle.timeframe.as_str())),
        values.into_iter().fold(content, Fingerprint::decimal),
    )
}

/// Keyed by the venue's own name: a pair and its futures share a symbol.
fn of_instrument(start: Fingerprint, instrument: &Instrument) -> Identity {
    let content = Fingerprint::new()
        .pair(instrument.base.stable_hash(), instrument.quote.stable_hash())
        .pair(code(instrument.kind.as_str()), u64::from(instrument.active))
        .optional(instrument.price_step)
        .optional(instrument.size_step);
    latest(start.pair(instrument.native.stable_hash(), 0), content)
}

fn of_series(start: Fingerprint, event: &Event, series: &Series) -> Identity {
    let key = start.time(event.timestamp, series.name.stable_hash());
    let key = match &series.params {
        Some(params) => key.text(&serde_json::to_string(&**params).unwrap_or_default()),
        None => key,
    };
    latest(key, Fingerprint::new().decimal(series.value))
}

fn of_gap(start: Fingerprint, event: &Event, gap: &Gap) -> Identity {
    let key = start
        .time(event.timestamp, code(gap.reason.as_str()))
        .time(gap.from, 0)
        .time(gap.to, 0);
    once(match gap.missed {
        Some(missed) => key.pair(missed, 1),
        None => key.pair(0, 0),
    })
}

fn of_alert(start: Fingerprint, event: &Event, alert: &Alert) -> Identity {
    let key = start
        .time(event.timestamp, code(alert.severity.as_str()))
        .pair(alert.rule.stable_hash(), 0)
        .optional(alert.value)
        .optional(alert.threshold);
    once(key.text(&alert.message))
}
