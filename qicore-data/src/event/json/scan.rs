//! Reads what [`append_json`](Event::append_json) writes of the frequent kinds of events, several times as fast as serde:
//! fields come in the order in which they are written, and texts have no escapes. Whatever is otherwise is not read here, but
//! by serde, which also says what is wrong with it.

use std::sync::Arc;

use rust_decimal::Decimal;

use super::super::types::{Book, Candle, Quality, Quote, Trade};
use super::super::{Data, Enrichment, Event, Level, Levels, TradeId};
use crate::decimal;
use crate::time::Timestamp;

/// Reads an event. `None` says nothing of the text but that it is to be read in another way.
pub(super) fn event(text: &str) -> Option<Event> {
    let mut fields = Scan(text.strip_prefix("{\"type\":")?);
    let kind = fields.text()?;
    if !matches!(kind, "trade" | "quote" | "candle" | "book") {
        return None;
    }
    let exchange = fields.must("exchange")?.name()?.parse().ok()?;
    let symbol = fields.must("symbol")?.name()?.parse().ok()?;
    let timestamp = fields.must("timestamp")?.timestamp()?;
    let received = match fields.has("received") {
        true => Some(fields.timestamp()?),
        false => None,
    };
    let source = fields.must("source")?.name()?.parse().ok()?;
    let quality = match fields.has("quality") {
        true => fields.word()?,
        false => Quality::High,
    };
    let (quality, data) = match kind {
        "trade" => (quality, Data::Trade(fields.trade()?)),
        "quote" => (quality, Data::Quote(fields.quote()?)),
        "book" => (quality, Data::Book(fields.book()?)),
        _ => {
            let (quality, candle) = fields.candle()?;
            (quality, Data::Candle(candle))
        }
    };
    Some(Event {
        exchange,
        symbol,
        timestamp,
        received,
        source,
        quality,
        enrichment: fields.enrichment()?,
        data,
    })
}

/// What is left of the text.
struct Scan<'a>(&'a str);

impl<'a> Scan<'a> {
    fn trade(&mut self) -> Option<Trade> {
        Some(Trade {
            id: match self.has("id") {
                true => Some(TradeId::new(self.name()?)),
                false => None,
            },
            side: match self.has("side") {
                true => Some(self.word()?),
                false => None,
            },
            price: self.must("price")?.decimal()?,
            size: self.must("size")?.decimal()?,
        })
    }

    fn quote(&mut self) -> Option<Quote> {
        Some(Quote {
            bid: self.must("bid")?.decimal()?,
            bid_size: self.must("bid_size")?.decimal()?,
            ask: self.must("ask")?.decimal()?,
            ask_size: self.must("ask_size")?.decimal()?,
        })
    }

    fn candle(&mut self) -> Option<(Quality, Candle)> {
        let mut candle = Candle {
            timeframe: self.must("timeframe")?.word()?,
            open: self.must("open")?.decimal()?,
            high: self.must("high")?.decimal()?,
            low: self.must("low")?.decimal()?,
            close: self.must("close")?.decimal()?,
            volume: self.must("volume")?.decimal()?,
            quote_volume: match self.has("quote_volume") {
                true => Some(self.decimal()?),
                false => None,
            },
            trades: match self.has("trades") {
                true => Some(self.integer()?),
                false => None,
            },
            closed: self.must("closed")?.flag()?,
            origin: self.must("metadata")?.take("{\"source\":")?.word()?,
            revision: 0,
        };
        let quality = self.must("quality")?.word()?;
        if self.has("revision") {
            candle.revision = self.integer()?.try_into().ok()?;
        }
        self.take("}")?;
        Some((quality, candle))
    }

    fn book(&mut self) -> Option<Book> {
        Some(Book {
            kind: self.must("kind")?.word()?,
            sequence: match self.has("sequence") {
                true => Some(self.integer()?),
                false => None,
            },
            levels: Levels::new(&self.must("bids")?.levels()?, &self.must("asks")?.levels()?),
            checksum: match self.has("checksum") {
                true => Some(self.word()?),
                false => None,
            },
        })
    }

    /// The last field, if it is there, and the end.
    fn enrichment(mut self) -> Option<Option<Arc<Enrichment>>> {
        let found = self.has("enrichment");
        let rest = self.0.strip_suffix('}')?;
        match found {
            true => serde_json::from_str(rest).ok().map(Some),
            false => rest.is_empty().then_some(None),
        }
    }

    /// Passes over a text that has to come next.
    #[inline]
    fn take(&mut self, text: &str) -> Option<&mut Self> {
        self.0 = self.0.strip_prefix(text)?;
        Some(self)
    }

    /// Passes over the name of a field, if that comes next.
    #[inline]
    fn has(&mut self, name: &'static str) -> bool {
        let after = |text: &'a str| text.strip_prefix(",\"")?.strip_prefix(name)?.strip_prefix("\":");
        match after(self.0) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    #[inline]
    fn must(&mut self, name: &'static str) -> Option<&mut Self> {
        self.has(name).then_some(self)
    }

    /// A text up to the next quotation mark: for what is read by a rule that takes no escapes.
    #[inline]
    fn text(&mut self) -> Option<&'a str> {
        let text = self.0.strip_prefix('"')?;
        let end = memchr::memchr(b'"', text.as_bytes())?;
        self.0 = &text[end + 1..];
        Some(&text[..end])
    }

    /// A text that may be anything.
    #[inline]
    fn name(&mut self) -> Option<&'a str> {
        let text = self.text()?;
        let strange = text
            .bytes()
            .fold(false, |found, byte| found | (byte < b' ') | (byte == b'\\'));
        (!strange).then_some(text)
    }

    #[inline]
    fn word<T: std::str::FromStr>(&mut self) -> Option<T> {
        self.text()?.parse().ok()
    }

    #[inline]
    fn timestamp(&mut self) -> Option<Timestamp> {
        Timestamp::from_rfc3339(self.text()?).ok()
    }

    #[inline]
    fn decimal(&mut self) -> Option<Decimal> {
        decimal::parse(self.text()?).ok()
    }

    /// A number as it is written: without a sign, a point or zeros before it.
    fn integer(&mut self) -> Option<u64> {
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        let plain = number == "0" || !number.starts_with('0');
        // What would come after more digits of a fraction or an exponent is not the name of a field.
        plain.then(|| number.parse().ok())?
    }

    fn flag(&mut self) -> Option<bool> {
        match self.0.strip_prefix("true") {
            Some(rest) => {
                self.0 = rest;
                Some(true)
            }
            None => self.take("false").map(|_| false),
        }
    }

    fn levels(&mut self) -> Option<Vec<Level>> {
        self.take("[")?;
        // What a level takes, about.
        let mut levels = Vec::with_capacity(self.0.len() / 64);
        while !self.0.starts_with(']') {
            if !levels.is_empty() {
                self.take(",")?;
            }
            let price = self.take("[")?.decimal()?;
            let size = self.take(",")?.decimal()?;
            self.take("]")?;
            levels.push(Level::new(price, size));
        }
        self.take("]")?;
        Some(levels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events that are read in the slow way would be read well, but slowly.
    #[test]
    fn what_is_written_is_read_in_the_fast_way() {
        let header = r#""exchange":"x","symbol":"A/B","timestamp":"2026-01-01T00:00:00Z","received":"2026-01-01T00:00:00.5Z","source":"x""#;
        for fields in [
            r#""trade",H,"quality":"low","id":"7","side":"buy","price":"1.50","size":"2""#,
            r#""trade",H,"price":"1.50","size":"2","enrichment":{"reasons":["off_step"],"active":true}"#,
            r#""quote",H,"bid":"1","bid_size":"2","ask":"3","ask_size":"4""#,
            r#""book",H,"kind":"snapshot","sequence":7,"bids":[["2","1"],["1","5"]],"asks":[],"checksum":"ok""#,
            r#""candle",H,"timeframe":"1m","open":"1","high":"2","low":"1","close":"2","volume":"9","quote_volume":"9","trades":10,"closed":true,"metadata":{"source":"rest","quality":"medium","revision":2}"#,
        ] {
            let line = format!("{{\"type\":{}}}", fields.replace('H', header));
            let event = event(&line).unwrap_or_else(|| panic!("{line}"));
            let mut written = Vec::new();
            event.append_json(&mut written).unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), line);
        }
    }
}
