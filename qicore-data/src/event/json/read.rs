//! Reading.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use rust_decimal::Decimal;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::map::Entry;

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

/// A line of each kind: the fields that all have, and those of the kind. A field that the kind does not have is passed over,
/// whatever it holds and whatever another kind calls so: a newer program may have added it.
macro_rules! lines {
    ($($line:ident |$read:ident| { $($field:ident: $type:ty,)+ } => $data:expr;)+) => {$(
        #[derive(Deserialize)]
        struct $line {
            exchange: Exchange,
            symbol: Symbol,
            timestamp: Timestamp,
            received: Option<Timestamp>,
            source: Label,
            quality: Option<Quality>,
            enrichment: Option<Arc<Enrichment>>,
            #[serde(default, rename = "type", deserialize_with = "twice")]
            _type: (),
            $($field: $type,)+
        }

        impl From<$line> for Event {
            fn from(mut $read: $line) -> Self {
                let data: Data = $data.into();
                Self {
                    exchange: $read.exchange,
                    symbol: $read.symbol,
                    timestamp: $read.timestamp,
                    received: $read.received,
                    source: $read.source,
                    quality: $read.quality.unwrap_or(Quality::High),
                    enrichment: $read.enrichment.take(),
                    data,
                }
            }
        }
    )+};
}

lines! {
    TradeLine |line| {
        id: Option<TradeId>,
        side: Option<Side>,
        price: Quoted,
        size: Quoted,
    } => Trade {
        id: line.id.take(),
        side: line.side,
        price: line.price.0,
        size: line.size.0,
    };
    QuoteLine |line| {
        bid: Quoted,
        bid_size: Quoted,
        ask: Quoted,
        ask_size: Quoted,
    } => Quote {
        bid: line.bid.0,
        bid_size: line.bid_size.0,
        ask: line.ask.0,
        ask_size: line.ask_size.0,
    };
    TickerLine |line| {
        last: Quoted,
        bid: Option<Quoted>,
        ask: Option<Quoted>,
        open: Option<Quoted>,
        high: Option<Quoted>,
        low: Option<Quoted>,
        volume: Option<Quoted>,
        quote_volume: Option<Quoted>,
    } => Ticker {
        last: line.last.0,
        bid: some(line.bid),
        ask: some(line.ask),
        open: some(line.open),
        high: some(line.high),
        low: some(line.low),
        volume: some(line.volume),
        quote_volume: some(line.quote_volume),
    };
    BookLine |line| {
        kind: BookKind,
        sequence: Option<u64>,
        bids: Vec<Level>,
        asks: Vec<Level>,
        checksum: Option<Checksum>,
    } => Book {
        kind: line.kind,
        sequence: line.sequence,
        levels: Levels::new(&line.bids, &line.asks),
        checksum: line.checksum,
    };
    CandleLine |line| {
        timeframe: Timeframe,
        open: Quoted,
        high: Quoted,
        low: Quoted,
        close: Quoted,
        volume: Quoted,
        quote_volume: Option<Quoted>,
        trades: Option<u64>,
        closed: bool,
        metadata: Metadata,
    } => {
        line.quality = Some(line.metadata.quality);
        Candle {
            timeframe: line.timeframe,
            open: line.open.0,
            high: line.high.0,
            low: line.low.0,
            close: line.close.0,
            volume: line.volume.0,
            quote_volume: some(line.quote_volume),
            trades: line.trades,
            closed: line.closed,
            origin: line.metadata.source,
            revision: line.metadata.revision,
        }
    };
    PriceLine |line| {
        price: Quoted,
        market_cap: Option<Quoted>,
        volume_24h: Option<Quoted>,
        change_24h: Option<Quoted>,
    } => Price {
        price: line.price.0,
        market_cap: some(line.market_cap),
        volume_24h: some(line.volume_24h),
        change_24h: some(line.change_24h),
    };
    InstrumentLine |line| {
        native: Label,
        base: Label,
        quote: Label,
        kind: InstrumentKind,
        active: bool,
        price_step: Option<Quoted>,
        size_step: Option<Quoted>,
    } => Instrument {
        native: line.native,
        base: line.base,
        quote: line.quote,
        kind: line.kind,
        active: line.active,
        price_step: some(line.price_step),
        size_step: some(line.size_step),
    };
    SeriesLine |line| {
        name: Label,
        value: Quoted,
        params: Option<serde_json::Map<String, serde_json::Value>>,
    } => Series {
        name: line.name,
        value: line.value.0,
        params: line.params.take().map(Arc::new),
    };
    GapLine |line| {
        from: Timestamp,
        to: Timestamp,
        reason: GapReason,
        missed: Option<u64>,
    } => Gap {
        from: line.from,
        to: line.to,
        reason: line.reason,
        missed: line.missed,
    };
    AlertLine |line| {
        rule: Label,
        severity: Severity,
        message: String,
        value: Option<Quoted>,
        threshold: Option<Quoted>,
    } => Alert {
        rule: line.rule,
        severity: line.severity,
        message: std::mem::take(&mut line.message).into(),
        value: some(line.value),
        threshold: some(line.threshold),
    };
}

#[derive(Deserialize)]
struct Metadata {
    source: Origin,
    quality: Quality,
    #[serde(default)]
    revision: u32,
}

fn some(value: Option<Quoted>) -> Option<Decimal> {
    value.map(|value| value.0)
}

/// The type has been read before anything else.
fn twice<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(D::Error::duplicate_field("type"))
}

/// Reads the fields after the type as those of its kind.
fn of_kind<'de, D: Deserializer<'de>>(kind: EventType, fields: D) -> Result<Event, D::Error> {
    Ok(match kind {
        EventType::Trade => TradeLine::deserialize(fields)?.into(),
        EventType::Quote => QuoteLine::deserialize(fields)?.into(),
        EventType::Ticker => TickerLine::deserialize(fields)?.into(),
        EventType::Book => BookLine::deserialize(fields)?.into(),
        EventType::Candle => CandleLine::deserialize(fields)?.into(),
        EventType::Price => PriceLine::deserialize(fields)?.into(),
        EventType::Instrument => InstrumentLine::deserialize(fields)?.into(),
        EventType::Series => SeriesLine::deserialize(fields)?.into(),
        EventType::Gap => GapLine::deserialize(fields)?.into(),
        EventType::Alert => AlertLine::deserialize(fields)?.into(),
    })
}

struct Line;

impl<'de> Visitor<'de> for Line {
    type Value = Event;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    /// Most writers put the type first; where it comes later, what is before it is kept until then.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event, A::Error> {
        let mut before = serde_json::Map::new();
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            if name == "type" {
                let kind = map.next_value()?;
                if before.is_empty() {
                    return of_kind(kind, MapAccessDeserializer::new(map));
                }
                while let Some((name, value)) = map.next_entry()? {
                    keep(&mut before, name, value)?;
                }
                return of_kind(kind, serde_json::Value::Object(before)).map_err(A::Error::custom);
            }
            let value = map.next_value()?;
            keep(&mut before, name.into_owned(), value)?;
        }
        Err(A::Error::missing_field("type"))
    }
}

fn keep<E: serde::de::Error>(
    fields: &mut serde_json::Map<String, serde_json::Value>,
    name: String,
    value: serde_json::Value,
) -> Result<(), E> {
    match fields.entry(name) {
        Entry::Vacant(place) => {
            place.insert(value);
            Ok(())
        }
        Entry::Occupied(place) => Err(E::custom(format_args!("duplicate field `{}`", place.key()))),
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
        deserializer.deserialize_map(Line)
    }
}
