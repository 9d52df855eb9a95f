//! For tests of plugins: conformance suites, fault-injecting wrappers, a scripted source.
//!
//! A plugin's own test is a few lines:
//!
//! ```
//! use qicore_stream::testkit::{Scripted, conformance, trades};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! conformance::source(|| Box::new(Scripted::events("lane", trades(0..500), 64))).await;
//! # }
//! ```

pub mod conformance;
mod faults;
mod scripted;

pub use faults::{Call, Fault, FaultySink, FaultySource};
pub use scripted::Scripted;

use qicore_data::{Decimal, Event, Exchange, Label, Side, Symbol, Timestamp, Trade};

/// Trades with the given ids of one synthetic instrument, one a millisecond from 2026-01-01.
///
/// # Panics
/// Never, in spite of the names that it interns.
pub fn trades(ids: std::ops::Range<u64>) -> Vec<Event> {
    let exchange = Exchange::new("synthetic").expect("a sound name");
    let symbol = Symbol::new("TEST/USD").expect("a sound name");
    let source = Label::new("testkit").expect("a sound name");
    let start = Timestamp::from_secs(1_767_225_600).unwrap_or_default();
    let trade = |id: u64| {
        let trade = Trade {
            id: Some(id.into()),
            side: Some(if id.is_multiple_of(3) { Side::Sell } else { Side::Buy }),
            price: Decimal::new(100_000 + (id % 997) as i64, 2),
            size: Decimal::new(1 + (id % 89) as i64, 3),
        };
        let at = start.saturating_add(std::time::Duration::from_millis(id));
        Event::new(exchange, symbol, at, source, trade)
    };
    ids.map(trade).collect()
}
