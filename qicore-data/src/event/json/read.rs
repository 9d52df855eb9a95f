//! Reading.

use std::borrow::Cow;
use std::sync::Arc;

use rust_decimal::Decimal;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::super::types::{
    Alert, Book, BookKind, Candle, Checksum, Gap, GapReason, Instrument, InstrumentKind, Origin, Price, Quality, Quote,
    Series, Severity, Side, Ticker, Trade,
};
use super::super::{Data, Enrichment, Event, EventType, Level, Levels, TradeId};
use super::scan;
use crate::decimal::Quoted;
use crate::intern::{Exchange, Label, Symbol};
use crate::time::Timestamp;
use crate::timeframe::Timeframe;

/// All fields of all kinds. Names that several kinds share have the same type in each, but for `kind` and `quote`.
#[derive(Deserialize)]
struct Flat<'a> {
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    exchange: Exchange,
    symbol: Symbol,
    timestamp: Timestamp,
    received: Option<Timestamp>,
    source: Label,
    quality: Option<Quality>,
    enrichment: Option<Arc<Enrichment>>,
    id: Option<TradeId>,
    side: Option<Side>,
    price: Option<Quoted>,
    size: Option<Quoted>,
    bid: Option<Quoted>,
    bid_size: Option<Quoted>,
    ask: Option<Quoted>,
    ask_size: Option<Quoted>,
    last: Option<Quoted>,
    open: Option<Quoted>,
    high: Option<Quoted>,
    low: Option<Quoted>,
    close: Option<Quoted>,
    volume: Option<Quoted>,
    quote_volume: Option<Quoted>,
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    sequence: Option<u64>,
    bids: Option<Vec<Level>>,
    asks: Option<Vec<Level>>,
    checksum: Option<Checksum>,
    timeframe: Option<Timeframe>,
    trades: Option<u64>,
    closed: Option<bool>,
    metadata: Option<FlatMetadata>,
    market_cap: Option<Quoted>,
    volume_24h: Option<Quoted>,
    change_24h: Option<Quoted>,
    native: Option<Label>,
    base: Option<Label>,
    quote: Option<Label>,
    active: Option<bool>,
    price_step: Option<Quoted>,
    size_step: Option<Quoted>,
    name: Option<Label>,
    value: Option<Quoted>,
    params: Option<serde_json::Map<String, serde_json::Value>>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    reason: Option<GapReason>,
    missed: Option<u64>,
    rule: Option<Label>,
    severity: Option<Severity>,
    message: Option<String>,
    threshold: Option<Quoted>,
}

#[derive(Deserialize)]
struct FlatMetadata {
    source: Origin,
    quality: Quality,
    #[serde(default)]
    revision: u32,
}

fn must<T, E: serde::de::Error>(value: Option<T>, name: &'static str) -> Result<T, E> {
    value.ok_or_else(|| E::missing_field(name))
}

fn number<E: serde::de::Error>(value: Option<Quoted>, name: &'static str) -> Result<Decimal, E> {
    must(value, name).map(|value| value.0)
}

fn some(value: Option<Quoted>) -> Option<Decimal> {
    value.map(|value| value.0)
}

impl Flat<'_> {
    fn kind<T: std::str::FromStr<Err = String>, E: serde::de::Error>(&self) -> Result<T, E> {
        must(self.kind.as_deref(), "kind")?.parse().map_err(E::custom)
    }

    fn data<E: serde::de::Error>(&mut self) -> Result<Data, E> {
        Ok(match self.event_type.parse().map_err(E::custom)? {
            EventType::Trade => Data::Trade(Trade {
                id: self.id.take(),
                side: self.side,
                price: number(self.price, "price")?,
                size: number(self.size, "size")?,
            }),
            EventType::Quote => Data::Quote(Quote {
                bid: number(self.bid, "bid")?,
                bid_size: number(self.bid_size, "bid_size")?,
                ask: number(self.ask, "ask")?,
                ask_size: number(self.ask_size, "ask_size")?,
            }),
            EventType::Ticker => Data::Ticker(Ticker {
                last: number(self.last, "last")?,
                bid: some(self.bid),
                ask: some(self.ask),
                open: some(self.open),
                high: some(self.high),
                low: some(self.low),
                volume: some(self.volume),
                quote_volume: some(self.quote_volume),
            }),
            EventType::Book => Data::Book(self.book()?),
            EventType::Candle => Data::Candle(self.candle()?),
            EventType::Price => Data::Price(Price {
                price: number(self.price, "price")?,
                market_cap: some(self.market_cap),
                volume_24h: some(self.volume_24h),
                change_24h: some(self.change_24h),
            }),
            EventType::Instrument => Data::Instrument(Instrument {
                native: must(self.native, "native")?,
                base: must(self.base, "base")?,
                quote: must(self.quote, "quote")?,
                kind: self.kind::<InstrumentKind, E>()?,
                active: must(self.active, "active")?,
                price_step: some(self.price_step),
                size_step: some(self.size_step),
            }),
            EventType::Series => Data::Series(Series {
                name: must(self.name, "name")?,
                value: number(self.value, "value")?,
                params: self.params.take().map(Arc::new),
            }),
            EventType::Gap => Data::Gap(Gap {
                from: must(self.from, "from")?,
                to: must(self.to, "to")?,
                reason: must(self.reason, "reason")?,
                missed: self.missed,
            }),
            EventType::Alert => Data::Alert(Alert {
                rule: must(self.rule, "rule")?,
                severity: must(self.severity, "severity")?,
                message: must(self.message.take(), "message")?.into(),
                value: some(self.value),
                threshold: some(self.threshold),
            }),
        })
    }

    fn book<E: serde::de::Error>(&mut self) -> Result<Book, E> {
        Ok(Book {
            kind: self.kind::<BookKind, E>()?,
            sequence: self.sequence,
            levels: Levels::new(&must(self.bids.take(), "bids")?, &must(self.asks.take(), "asks")?),
            checksum: self.checksum,
        })
    }

    fn candle<E: serde::de::Error>(&mut self) -> Result<Candle, E> {
        let metadata = must(self.metadata.as_ref(), "metadata")?;
        self.quality = Some(metadata.quality);
        Ok(Candle {
            timeframe: must(self.timeframe, "timeframe")?,
            open: number(self.open, "open")?,
            high: number(self.high, "high")?,
            low: number(self.low, "low")?,
            close: number(self.close, "close")?,
            volume: number(self.volume, "volume")?,
            quote_volume: some(self.quote_volume),
            trades: self.trades,
            closed: must(self.closed, "closed")?,
            origin: metadata.source,
            revision: metadata.revision,
        })
    }
}

impl Event {
    /// Reads the normalised JSON: as `serde_json::from_str` does, and a few times as fast where an event is written as
    /// [`append_json`](Event::append_json) writes it.
    ///
    /// ```
    /// let line = r#"{"type":"trade","exchange":"x","symbol":"A/B","timestamp":"2026-01-01T00:00:00Z","source":"x","price":"1.50","size":"2"}"#;
    /// let event = qicore_data::Event::from_json(line)?;
    /// assert_eq!(event, serde_json::from_str(line)?);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `serde_json`, which say what is wrong with the text, and where.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        scan::event(text).map_or_else(|| serde_json::from_str(text), Ok)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut flat = Flat::deserialize(deserializer)?;
        let data = flat.data::<D::Error>().map_err(D::Error::custom)?;
        Ok(Self {
            exchange: flat.exchange,
            symbol: flat.symbol,
            timestamp: flat.timestamp,
            received: flat.received,
            source: flat.source,
            quality: flat.quality.unwrap_or(Quality::High),
            enrichment: flat.enrichment,
            data,
        })
    }
}
