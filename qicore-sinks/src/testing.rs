//! Events for the tests of this crate.

use qicore_data::{Decimal, Event, Exchange, Label, Side, Symbol, Timestamp, Trade, TradeId};

/// 2026-08-09T00:00:00Z.
pub(crate) const DAY: i64 = 1_786_233_600_000_000_000;

/// A trade with this id at so many nanoseconds since 1970.
pub(crate) fn trade(id: u64, at: i64) -> Event {
    let trade = Trade {
        id: Some(TradeId::Number(id)),
        side: Some(Side::Sell),
        price: Decimal::new(6_500_000 + (id % 1000) as i64, 2),
        size: Decimal::new(1 + (id % 77) as i64, 4),
    };
    let (exchange, symbol) = (Exchange::new("kraken").unwrap(), Symbol::new("BTC/USD").unwrap());
    Event::new(
        exchange,
        symbol,
        Timestamp::from_nanos(at),
        Label::new("test").unwrap(),
        trade,
    )
}
