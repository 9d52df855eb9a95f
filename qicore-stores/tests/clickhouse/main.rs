//! ClickHouse on a real server.

mod native;
mod queries;
mod schema;

#[path = "../../../qicore-data/tests/one_of_each/mod.rs"]
mod one_of_each;
#[path = "../servers/mod.rs"]
mod servers;

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use qicore_data::{Candle, Decimal, Event, Exchange, Label, Origin, Symbol, Timeframe, Timestamp};
use qicore_stores::clickhouse::write::{Numbered, Token, encode};
use qicore_stores::clickhouse::{Store, Table};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn event(symbol: &str, at: Timestamp, data: impl Into<qicore_data::Data>) -> Event {
    let (exchange, symbol) = (Exchange::new("kraken").unwrap(), Symbol::new(symbol).unwrap());
    Event::new(exchange, symbol, at, Label::new("test").unwrap(), data)
}

/// A closed bar.
fn bar(symbol: &str, timeframe: Timeframe, from: Timestamp, close: i64) -> Event {
    let close = Decimal::new(close, 2);
    let candle = Candle {
        timeframe,
        open: close,
        high: close + Decimal::ONE,
        low: close - Decimal::ONE,
        close,
        volume: Decimal::new(15, 1),
        quote_volume: None,
        trades: Some(3),
        closed: true,
        origin: Origin::Rest,
        revision: 0,
    };
    event(symbol, from, candle)
}

fn numbered(events: &[Event]) -> Vec<Numbered<'_>> {
    let places = (0..).zip(events);
    let numbered = |(place, event)| Numbered {
        place,
        number: u64::from(place) + 100,
        event,
    };
    places.map(numbered).collect()
}

/// Writes events, without a sink.
async fn put(store: &Store, events: &[Event]) {
    for table in Table::all() {
        let own: Vec<Event> = events
            .iter()
            .filter(|event| event.event_type() == table.event_type)
            .cloned()
            .collect();
        if own.is_empty() {
            continue;
        }
        let block = encode(table, store.tables().decimals, 7, &numbered(&own));
        assert!(block.unfit.is_empty());
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let token = Token::new(NEXT.fetch_add(1, Relaxed).to_string());
        store.insert(table, &block, &token).await.unwrap();
    }
}
